export type { ConnectionOptions, Secret } from '@antiphon/transport-kit'
export { type BrowserWebSocketTransportOptions, webSocketTransport } from './transport.ts'
