import type { Server as HttpServer } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import {
  CONNECTION_OPTIONS,
  type ConnectionOptions,
  invalidSettings,
  type LinkSettings,
  linkSettings,
  type PeersOf,
  validateAmounts,
  validateNames,
} from '@antiphon/transport-kit'
import { type HostPort, listenAddress, type TlsOptions, validateTls } from '@antiphon/transport-kit/node'

/** At most one of `listen` and `server`; with neither, connections come in by `handleUpgrade`, or not at all. */
export interface WebSocketTransportOptions extends ConnectionOptions {
  /** A server of its own: `host:port`, or both apart. Port 0 takes any free one; `address()` tells which. */
  readonly listen?: string | HostPort
  /** An HTTP or HTTPS server that the application has: requests to upgrade at `path` are taken, and nothing else. It is neither started nor closed here. */
  readonly server?: HttpServer | HttpsServer
  /** Where connections come in. `/antiphon`. */
  readonly path?: string
  /** For a server of its own, and for dialling `wss:` addresses of members. Without it those are verified as a browser would, by host name. */
  readonly tls?: TlsOptions
  /** With `server` and `handleUpgrade`: the server asks for certificates and verifies them, and these are the ids that one speaks for. */
  readonly peersOf?: PeersOf
  /** Silence after which the operating system asks whether the peer's machine is still there. 5000. */
  readonly keepAliveMs?: number
}

export interface WebSocketSettings extends LinkSettings {
  readonly listen: HostPort | null
  readonly server: HttpServer | HttpsServer | null
  readonly path: string
  readonly tls: TlsOptions | null
  readonly peersOf: PeersOf | null
  readonly keepAliveMs: number
}

/** @throws AntiphonError INVALID_SETTINGS */
export function webSocketSettings(options: WebSocketTransportOptions): WebSocketSettings {
  if (typeof options !== 'object' || options === null)
    throw invalidSettings('a WebSocket transport needs settings', "Give at least `{ listen: 'host:port' }`, or `{}` to dial alone.")
  validateNames(options, ['listen', 'server', 'path', 'tls', 'peersOf', 'keepAliveMs', ...CONNECTION_OPTIONS])
  const { listen, server = null, path = '/antiphon', tls = null, peersOf = null, keepAliveMs = 5000 } = options
  validateAmounts({ keepAliveMs })
  if (listen !== undefined && server !== null) throw invalidSettings('both `listen` and `server` are given', 'Listen here, or use the server that is there.')
  if (typeof path !== 'string' || !/^\/[^?#\s]*$/.test(path)) throw invalidSettings(`"${path}" is not a path`, 'Write it as `/antiphon`.')
  if (server !== null && typeof server.on !== 'function') throw invalidSettings('`server` is not an HTTP server', 'Give what `http.createServer` returns.')
  if (peersOf !== null && typeof peersOf !== 'function') throw invalidSettings('`peersOf` is not a function', 'Give a function from a certificate to ids.')
  if (tls !== null) validateTls(tls, options.secret !== undefined)
  return { ...linkSettings(options), listen: listen === undefined ? null : listenAddress(listen), server, path, tls, peersOf, keepAliveMs }
}
