export {
  type Action,
  type ActionContext,
  type Actions,
  type Delivery,
  type ImmerState,
  type ImmerStateOptions,
  immerState,
  type MutableContext,
  type MutableModel,
  type MutableState,
  type MutableStateOptions,
  mutableState,
  refuse,
  type SubscribeOptions,
  Table,
  type Unsubscribe,
} from '@antiphon/immer-state'
export {
  AntiphonError,
  type Clock,
  type CommittedBatch,
  counterOf,
  type ErrorCode,
  epochOf,
  formatZxid,
  type Logger,
  type LogStore,
  type Metrics,
  type Outcome,
  type PeerId,
  type PrimaryContext,
  type ProposeOptions,
  peerId,
  type Random,
  type ReadLevel,
  type StateMachine,
  type Transport,
  type Zxid,
} from '@antiphon/ports'
export { type Machines, type MemberSettings, Replica, type ReplicaEvents, type ReplicaSettings, type ReplicaStatus } from '@antiphon/replica'
export { type FileStorageOptions, fileStorage } from '@antiphon/storage-file'
export { type TcpTransportOptions, tcpTransport } from '@antiphon/transport-tcp'
export { type StartSettings, start } from './start.ts'
