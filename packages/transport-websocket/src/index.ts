export type { Certificate, ConnectionOptions, PeersOf, Secret } from '@antiphon/transport-kit'
export type { HostPort, TlsMaterial, TlsOptions } from '@antiphon/transport-kit/node'
export type { WebSocketTransportOptions } from './node/options.ts'
export { type WebSocketTransport, webSocketTransport } from './node/transport.ts'
