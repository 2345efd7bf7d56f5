export { formatAddress, type HostPort, parseAddress } from './address.ts'
export type { TcpTransportOptions } from './options.ts'
export { type TcpTransport, tcpTransport } from './transport.ts'
