export type { Quarantine, RoleName } from '@antiphon/consensus-core'
export { systemClock, systemRandom } from '@antiphon/ports'
export type { Progress, ReplicaEvents, RoleChange } from './events.ts'
export type { FlushFigures, SlowFlush } from './flush-figures.ts'
export { type History, type MachinesHeld, machinesIn, type Replayed, replay } from './replay.ts'
export { Replica, type ReplicaStatus } from './replica.ts'
export {
  type AnyMachine,
  type Machines,
  type MemberSettings,
  REPLICA_DEFAULTS,
  type ReadLeaseSettings,
  type ReplicaSettings,
  type RequestOf,
  type ResultOf,
} from './settings.ts'
export { firstSnapshot, type MachineState, refounded } from './snapshot-format.ts'
export type { WaitOptions } from './wait-options.ts'
