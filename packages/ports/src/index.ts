export {
  AntiphonError,
  type AntiphonErrorOptions,
  type Attempt,
  type Checksum,
  type Configuration,
  corrupt,
  counterOf,
  crc32,
  type EnsembleId,
  type EpochEnd,
  type Epochs,
  type ErrorCode,
  epochOf,
  type Founding,
  formatZxid,
  invalidArgument,
  isZxid,
  type Lane,
  type Member,
  type Millis,
  type Outcome,
  type PeerId,
  peerId,
  type Run,
  type SnapshotMeta,
  type StoredLog,
  type StoredState,
  type StoreId,
  type Write,
  ZERO,
  type Zxid,
  zxidOf,
} from '@antiphon/consensus-core'
export * from './host.ts'
export * from './host-system.ts'
export * from './log-store.ts'
export * from './state-machine.ts'
export * from './transport.ts'
