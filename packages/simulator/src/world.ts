import type { Core } from '@antiphon/consensus-core'
import type { Configuration, LogStore, PeerId, ProposeOptions, StateMachine, Zxid } from '@antiphon/ports'
import type { Replica } from '@antiphon/replica'
import type { VirtualClock } from './clock.ts'
import type { Corruption } from './corruption.ts'
import type { SimDisk } from './disk.ts'
import type { Durability } from './durability.ts'
import type { EntryTimes } from './entry-times.ts'
import type { History } from './history.ts'
import type { Ledger } from './ledger.ts'
import type { KeyedMachine } from './machine.ts'
import type { SimNetwork, SimTransport } from './network.ts'
import type { Path } from './paths.ts'
import type { Profile } from './profile.ts'
import type { SeededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'
import type { Violation } from './violation.ts'

/** One process of one member, from its start to its end. */
export interface Life {
  readonly member: Member
  /** Unique in the run: the origin that the ledger knows. */
  readonly origin: number
  readonly clock: VirtualClock
  readonly transport: SimTransport
  readonly store: LogStore & ProcessStore
  readonly machine: KeyedMachine
  /** Calls the guest's machine; null without one, and until the replica has started. */
  guest: { propose(request: unknown, options: ProposeOptions): Promise<unknown> } | null
  /** Null until it has started. */
  replica: Replica<{ readonly keyed: KeyedMachine }> | null
  core: Core | null
  over: boolean
  /** Up to where anybody was shown the state here: nobody may be shown less again. */
  shown: Zxid
  /** Virtual time since when its state is void; null while it is not. */
  voidSince: number | null
  /** Requests made so far, in their order. */
  requests: number
  /** Called when the process dies: whoever waits for it waits in vain. */
  readonly onDeath: Set<() => void>
}

/** A member of the ensemble: its disk outlives its processes. */
export interface Member {
  readonly id: PeerId
  /** Another one after an exchange. */
  disk: SimDisk
  /** The process that runs; null between two of them. */
  readonly life: Life | null
  /** Its replica has started and does not close. */
  readonly isUp: boolean
  /** Calls `then` once a later process than the one of `origin` (0: none) has started its replica. */
  whenUpAfter(origin: number, then: () => void): void
  /** Starts a process, if there is none, in an event of its own. */
  boot(): void
  /** The process is gone at once; the disk loses what it had not flushed, in part. */
  crash(): void
  /** The same, but the machine goes on: its disk loses nothing. */
  kill(): void
  /** The machine gets a new, empty disk; its process is gone. */
  wipe(): void
  /** Both processes are gone, and each machine has the other one's disk. */
  swapDisks(other: Member): void
  /** An orderly end; `then` is called when it is over. False when there is no process that could end so. */
  close(then: () => void): boolean
}

/** What the end of a process means to its store. */
export interface ProcessStore {
  /** Nothing that is under way is told any more. */
  stop(): void
  /** The same, in the midst of it; the machine goes on. */
  kill(): void
  /** The same, and the machine's disk loses what was not flushed, in part. */
  crash(): void
}

/** A machine of somebody else's, with clients of its own, that lives in the simulation's ensemble beside the simulation's own machine. */
export interface Guest {
  /** Largest request, bytes. */
  readonly requestBytesMax: number
  /** What its runs are to be like, of what the seed has drawn. */
  adjust(profile: Profile): Profile
  /** For a process of `member` that begins; `origin` tells processes apart. */
  machineOf(member: PeerId, origin: number): StateMachine
  /** Its clients begin. */
  start(world: World): void
  /** No more calls. */
  stop(): void
  /** Every call was made and answered, or its process is dead. */
  readonly idle: boolean
  /** The ensemble has settled for good: every machine holds the same entries. */
  settled(): void
}

/** What the parts of one simulation share. */
export interface World {
  readonly profile: Profile
  readonly configuration: Configuration
  readonly timeline: Timeline
  readonly random: SeededRandom
  readonly trace: Trace
  readonly network: SimNetwork
  readonly ledger: Ledger
  readonly history: History
  readonly durability: Durability
  readonly corruption: Corruption
  readonly entryTimes: EntryTimes
  readonly members: readonly Member[]
  /** Somebody else's machine beside our own; null: there is none. */
  readonly guest: Guest | null
  /** The first one ends the run. */
  report(violation: Violation): void
  /** Never given twice in a run. */
  nextOrigin(): number
  /** For what the machines ask by themselves: never given twice, and never a call's id. */
  nextOwnRequest(): number
  /** What happens from here to the end of this event happens in `life`. */
  running(life: Life): void
  /** A member's process is gone: what waited for its event loop is void. */
  stopped(member: PeerId): void
  /** Its event loop stands still for `ms`. */
  pause(member: PeerId, ms: number): void
  /** Everything that happens there takes `costMs`, for `ms`. */
  slow(member: PeerId, ms: number, costMs: number): void
  /** Its event loop stood still, or was slow, within the last `ms`. */
  wasLate(member: PeerId, ms: number): boolean
  /** The established leader as the newest epoch knows it; null when nobody leads. */
  leader(): Member | null
  /** The place behind which `member` must keep its log for the transfers that it has under way. */
  neededByTransfers(member: PeerId): Zxid
  /** How often a path was taken. */
  count(path: Path): void
}
