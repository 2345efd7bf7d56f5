import type { Cancel, Clock, Millis } from '@antiphon/ports'
import type { SeededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'

/** How one member's clocks differ from virtual time. */
export interface ClockSkew {
  /** Seconds of this clock per second of virtual time: 1.01 runs fast. */
  readonly rate: number
  /** Added to Unix time. */
  readonly wallOffsetMs: Millis
  /** How late a timer may fire. */
  readonly timerSlackMs: Millis
}

/** How far a `clock-drift` takes a clock's rate from its own. */
export const DRIFT_PER_MILLE_MAX: number = 50

/** Virtual time 0 as Unix time: 2024-01-01. */
export const WALL_AT_START: Millis = 1_704_067_200_000

/** One incarnation's clock: silent once `stop()` was called. */
export class VirtualClock implements Clock {
  readonly #timeline: Timeline
  readonly #owner: number
  readonly #skew: ClockSkew
  readonly #random: SeededRandom
  /** Unix time when the process began, had nobody set the clock. */
  readonly #wallAtBoot: Millis
  /** What the monotonic clock told at `#rateSince`, from when on it runs at `#rate`. */
  #told = 0
  #rateSince: number
  #rate: number
  #stopped = false
  #wallJumpMs = 0

  constructor(timeline: Timeline, owner: number, skew: ClockSkew, random: SeededRandom) {
    this.#timeline = timeline
    this.#owner = owner
    this.#skew = skew
    this.#random = random
    this.#wallAtBoot = WALL_AT_START + timeline.now * skew.rate + skew.wallOffsetMs
    this.#rateSince = timeline.now
    this.#rate = skew.rate
  }

  monotonic(): Millis {
    return this.#told + (this.#timeline.now - this.#rateSince) * this.#rate
  }

  wall(): Millis {
    return Math.floor(this.#wallAtBoot + this.monotonic() + this.#wallJumpMs)
  }

  /** Somebody sets the wall clock: it jumps by `byMs`, back when negative. */
  jump(byMs: Millis): void {
    this.#wallJumpMs += byMs
  }

  /** Both clocks run `by` times as fast as they should from here on; 1: as before any drift. */
  drift(by: number): void {
    this.#told = this.monotonic()
    this.#rateSince = this.#timeline.now
    this.#rate = this.#skew.rate * by
  }

  schedule(delayMs: Millis, callback: () => void): Cancel {
    const slack = this.#skew.timerSlackMs > 0 ? this.#random.span(0, this.#skew.timerSlackMs) : 0
    return this.#later(Math.max(0, delayMs) / this.#rate + slack, callback)
  }

  defer(callback: () => void): void {
    this.#later(0, callback)
  }

  /** The process is gone: nothing that was scheduled fires. */
  stop(): void {
    this.#stopped = true
  }

  #later(delayMs: number, callback: () => void): Cancel {
    const happening = this.#timeline.after(delayMs, this.#owner, () => {
      if (!this.#stopped) callback()
    })
    return () => this.#timeline.cancel(happening)
  }
}
