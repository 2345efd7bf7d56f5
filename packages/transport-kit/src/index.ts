export { type Certificate, identityOf, type PeersOf, peersByUri, tlsTrouble } from './certificates.ts'
export { ConnectedTransport, type Door } from './connected-transport.ts'
// What travels: for tests, tools, and peers in other languages.
export * from './framing.ts'
export * from './handshake.ts'
export { Outbox } from './outbox.ts'
export type { Pipe, PipeHandler, ProvenIdentity } from './pipe.ts'
export {
  CONNECTION_OPTIONS,
  type ConnectionOptions,
  type Dial,
  invalidSettings,
  type LinkSettings,
  linkSettings,
  type Secret,
  validateAmounts,
  validateNames,
} from './settings.ts'
