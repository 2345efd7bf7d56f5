import { isIPv4, isIPv6 } from 'node:net'
import { type Address, AntiphonError } from '@antiphon/ports'

export interface HostPort {
  /** A name or an IP address; IPv6 without brackets. */
  readonly host: string
  readonly port: number
}

const SHAPE = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/
const NAME = /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/

/**
 * Reads `host:port`, such as `10.0.0.1:7000`, `node-1.example:7000` or `[::1]:7000`.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function parseAddress(address: Address): HostPort {
  const shape = typeof address === 'string' ? SHAPE.exec(address) : null
  if (shape === null) throw invalidAddress(address)
  const [, bracketed, plain = '', digits] = shape
  return validateHostPort({ host: bracketed ?? plain, port: Number(digits) }, address, bracketed !== undefined)
}

/** The same as text. */
export function formatAddress({ host, port }: HostPort): Address {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Where to listen: port 0 stands for any free port. @throws AntiphonError INVALID_SETTINGS */
export function listenAddress(listen: string | HostPort): HostPort {
  if (typeof listen === 'string') return parseAddress(listen)
  if (typeof listen !== 'object' || listen === null || typeof listen.host !== 'string') throw invalidAddress(String(listen))
  return validateHostPort(listen, `${listen.host}:${listen.port}`, isIPv6(listen.host))
}

function validateHostPort({ host, port }: HostPort, address: string, asIPv6: boolean): HostPort {
  const looksNumeric = /^[0-9.]+$/.test(host)
  const valid = asIPv6 ? isIPv6(host) : looksNumeric ? isIPv4(host) : NAME.test(host)
  if (!valid || !Number.isInteger(port) || port < 0 || port > 65535) throw invalidAddress(address)
  return { host, port }
}

function invalidAddress(address: string): AntiphonError {
  const remedy = 'Write it as `host:port`, an IPv6 address in brackets: `10.0.0.1:7000`, `node-1.example:7000`, `[::1]:7000`.'
  return new AntiphonError('INVALID_SETTINGS', `"${address}" is not an address`, { remedy })
}
