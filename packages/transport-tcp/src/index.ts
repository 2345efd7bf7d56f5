export type { Certificate, ConnectionOptions, PeersOf, Secret } from '@antiphon/transport-kit'
export { formatAddress, type HostPort, parseAddress, type TlsMaterial, type TlsOptions } from '@antiphon/transport-kit/node'
export type { TcpTransportOptions } from './options.ts'
export { type TcpTransport, tcpTransport } from './transport.ts'
