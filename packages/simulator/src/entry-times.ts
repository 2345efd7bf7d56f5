import { isQuorum } from '@antiphon/consensus-core'
import { type Configuration, formatZxid, type PeerId, type Zxid } from '@antiphon/ports'
import { type ClockSkew, DRIFT_PER_MILLE_MAX, WALL_AT_START } from './clock.ts'
import type { Profile } from './profile.ts'
import { Violation } from './violation.ts'

/** What a leader may be ahead of the median: the default of `clockAheadMsMax`. */
export const AHEAD_MS_MAX: number = 1000
/** What a reading of another's clock gains on the way, at different rates, while it counts as recent. */
const READING_MS_MAX = 500

/**
 * Rule 24: time in entries does not run away from the clocks that are right, as long as so few are ahead that no quorum's median can be one of theirs. Clocks that somebody has
 * set forward once are wrong for the rest of the run; the others differ from true time by their skews.
 */
export class EntryTimes {
  readonly #voters: readonly PeerId[]
  readonly #skews: readonly ClockSkew[]
  /** By how much all of them may run too fast besides. A run whose faults are told one by one has no plans. */
  readonly #drift: number
  readonly #ahead = new Set<PeerId>()
  /** As of the last time that it was computed: it only grows, as all clocks do. */
  #limit = Number.NEGATIVE_INFINITY
  /** How many voters may be ahead: half of the smallest quorum, for the lower of two in the middle counts. */
  readonly spare: number

  constructor(configuration: Configuration, { skews, faults }: Pick<Profile, 'skews' | 'faults'>) {
    this.#drift = faults.length === 0 || faults.some(({ kind }) => kind === 'clock-drift') ? 1 + DRIFT_PER_MILLE_MAX / 1000 : 1
    this.#voters = configuration.members.filter(({ role }) => role === 'voter').map(({ id }) => id)
    this.#skews = this.#voters.map((id) => skews[id - 1]!)
    this.spare = Math.floor(smallestQuorum(configuration, this.#voters) / 2)
  }

  jumped(member: PeerId, byMs: number): void {
    if (byMs > 0 && this.#voters.includes(member)) this.#ahead.add(member)
  }

  /** An entry with this time is applied at `now`, virtual time. */
  applied(zxid: Zxid, time: number, now: number): Violation | null {
    if (this.#ahead.size > this.spare || time <= this.#limit) return null
    let latest = Number.NEGATIVE_INFINITY
    for (const { rate, wallOffsetMs } of this.#skews) latest = Math.max(latest, WALL_AT_START + now * rate * this.#drift + wallOffsetMs)
    this.#limit = latest + AHEAD_MS_MAX + READING_MS_MAX
    if (time <= this.#limit) return null
    return new Violation('time', `the entry ${formatZxid(zxid)} is ${Math.floor(time - latest)} ms ahead of every clock that is right`)
  }
}

function smallestQuorum(configuration: Configuration, voters: readonly PeerId[]): number {
  let least = voters.length
  for (let set = 1; set < 2 ** voters.length; set++) {
    const chosen = voters.filter((_, i) => (set & (1 << i)) !== 0)
    if (chosen.length < least && isQuorum(configuration, (id) => chosen.includes(id))) least = chosen.length
  }
  return least
}
