import type { Configuration, PeerId } from '@antiphon/ports'
import type { Durability } from './durability.ts'
import type { History } from './history.ts'
import type { Ledger } from './ledger.ts'
import type { Life, Member } from './member.ts'
import type { SimNetwork } from './network.ts'
import type { Profile } from './profile.ts'
import type { SeededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'
import type { Violation } from './violation.ts'

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
  readonly members: readonly Member[]
  /** The first one ends the run. */
  report(violation: Violation): void
  /** Never given twice in a run. */
  nextOrigin(): number
  /** What happens from here to the end of this event happens in `life`. */
  running(life: Life): void
  /** A member's process is gone: what waited for its event loop is void. */
  stopped(member: PeerId): void
  /** Its event loop stands still for `ms`. */
  pause(member: PeerId, ms: number): void
  /** Its event loop stood still within the last `ms`. */
  wasPaused(member: PeerId, ms: number): boolean
  /** The established leader as the newest epoch knows it; null when nobody leads. */
  leader(): Member | null
  /** How often a path was taken. */
  count(path: string): void
}
