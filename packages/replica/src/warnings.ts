import { type CoreView, EPOCH_MAX, EPOCH_WARNING, formatZxid, memberOf, type PeerId } from '@antiphon/consensus-core'
import type { Announcer } from './events.ts'
import type { Meters } from './meters.ts'

/** What is no fault yet and wants somebody's attention, a sentence each; `clock`: that of `clockWarning`. */
export function warningsOf(self: PeerId, view: CoreView, clock: string | null): string[] {
  const warnings: string[] = []
  if (view.acceptedEpoch >= EPOCH_WARNING) {
    warnings.push(
      `epoch ${view.acceptedEpoch} of ${EPOCH_MAX} that can be represented: find out why leaders change so often, and move the state to a new ensemble`,
    )
  }
  if (view.ensembleId !== null && !view.counted && memberOf(view.configuration, self)?.role === 'voter') {
    warnings.push(`this store is not the one that the ensemble knows as voter ${self}: it follows and serves reads, and has no vote`)
  }
  if (clock !== null) warnings.push(clock)
  if (view.quarantined !== null) {
    warnings.push(
      `the state of this replica differed from the quorum's at ${formatZxid(view.quarantined)}: it serves nothing until it has been replaced by a leader's`,
    )
  }
  return warnings
}

/** Of a leader whose clock differs from the median by more than the bound, in either direction; null otherwise. */
export function clockWarning(clockAheadMs: number | null, clockAheadMsMax: number): string | null {
  if (clockAheadMs === null || Math.abs(clockAheadMs) <= clockAheadMsMax) return null
  return clockAheadMs > 0
    ? `this leader's wall clock is ${clockAheadMs} ms ahead of the voters' median, with which entries are stamped instead: set the clock`
    : `this leader's wall clock is ${-clockAheadMs} ms behind the voters' median, and so is the time in entries: set the clock`
}

export interface ClockWatchHost {
  readonly announcer: Announcer
  readonly meters: Meters | null
  /** Null unless we lead. */
  clockAheadMs(): number | null
}

/** Is our clock off while we lead? */
export class ClockWatch {
  readonly #host: ClockWatchHost
  readonly #aheadMsMax: number
  #isOff = false

  constructor(host: ClockWatchHost, aheadMsMax: number) {
    this.#host = host
    this.#aheadMsMax = aheadMsMax
  }

  /** Null when it is not. */
  get warning(): string | null {
    return clockWarning(this.#host.clockAheadMs(), this.#aheadMsMax)
  }

  /** Tells once that it is, and again when it was right in between. */
  look(): void {
    const { announcer, meters } = this.#host
    const clockAheadMs = this.#host.clockAheadMs()
    meters?.clockAheadMs.set(clockAheadMs ?? 0)
    const warning = clockWarning(clockAheadMs, this.#aheadMsMax)
    if (warning !== null && !this.#isOff) announcer.warn({ clockAheadMs }, warning)
    this.#isOff = warning !== null
  }
}
