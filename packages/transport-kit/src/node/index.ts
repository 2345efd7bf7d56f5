export { formatAddress, type HostPort, listenAddress, parseAddress } from './address.ts'
export { Doorkeeper } from './doorkeeper.ts'
export { cannotListen, closeServer, listen, listeningAt } from './listening.ts'
export {
  clientIdentity,
  clientOptions,
  contextOf,
  renewedTls,
  serverOptions,
  type TlsMaterial,
  type TlsOptions,
  validateTls,
} from './tls.ts'
