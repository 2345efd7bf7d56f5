import {
  CONNECTION_OPTIONS,
  type ConnectionOptions,
  invalidSettings,
  type LinkSettings,
  linkSettings,
  validateAmounts,
  validateNames,
} from '@antiphon/transport-kit'
import { type HostPort, listenAddress, type TlsOptions, validateTls } from '@antiphon/transport-kit/node'

export interface TcpTransportOptions extends ConnectionOptions {
  /** Where to listen: `host:port`, or both apart. Port 0 takes any free one; `address()` tells which. */
  readonly listen: string | HostPort
  /** Encrypts every connection, and binds each member's id to its certificate. */
  readonly tls?: TlsOptions
  /** Silence after which the operating system asks whether the peer's machine is still there. 5000. */
  readonly keepAliveMs?: number
}

export interface TcpSettings extends LinkSettings {
  readonly listen: HostPort
  readonly tls: TlsOptions | null
  readonly keepAliveMs: number
}

/** @throws AntiphonError INVALID_SETTINGS */
export function tcpSettings(options: TcpTransportOptions): TcpSettings {
  if (typeof options !== 'object' || options === null) throw invalidSettings('a TCP transport needs settings', "Give at least `{ listen: 'host:port' }`.")
  validateNames(options, ['listen', 'tls', 'keepAliveMs', ...CONNECTION_OPTIONS])
  const { keepAliveMs = 5000, tls = null } = options
  validateAmounts({ keepAliveMs })
  if (tls !== null) validateTls(tls, options.secret !== undefined)
  return { ...linkSettings(options), listen: listenAddress(options.listen), tls, keepAliveMs }
}
