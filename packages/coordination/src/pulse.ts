import type { Cancel, Clock, Millis } from '@antiphon/ports'

/** A session, as far as the replica's ties to its ensemble concern it. */
export interface Dependent {
  readonly timeoutMs: Millis
  /** When it was opened or taken over here. */
  readonly since: Millis
  /** There is no leader. */
  suspend(): void
  /** It may have expired. */
  doubt(): void
  /** It has not, if it is there. */
  confirm(): void
}

/** So many times in the shortest timeout it is asked, at most, whether the ensemble hears of us. */
const QUESTIONS = 8
/** So much of the shortest timeout doubts may come early, so that they come together. */
const EARLY = 1 / 64

/**
 * For all sessions of one replica and one clock: until when they are known to live. A leader expires a session no earlier than its timeout after it heard of it last, and a new leader gives it its
 * whole timeout again. What proves that it heard:
 *
 * 1. a note that names every session that is held here has left for the leader, at a time that we know;
 * 2. a linearizable read that was asked behind it, on the same lane of the same connection, was answered: the note was heard, at that time or later, by a leader that still led then.
 *
 * When the leader was heard of is no proof: its words may come while ours do not arrive.
 */
export class Pulse {
  readonly #clock: Clock
  /** Resolves when everything that is committed by now is applied here. */
  readonly #ask: () => Promise<void>
  readonly #dependents = new Set<Dependent>()
  /** How many there are, by timeout. */
  readonly #timeouts = new Map<Millis, number>()
  #shortestMs: Millis = Number.POSITIVE_INFINITY
  /** When a note left last of which it is known that the leader heard it. */
  #heardAt: Millis
  /** When the first note of this round left. */
  #roundAt: Millis | null = null
  #isAsking = false
  /** Is there anybody who is suspended or in doubt? */
  #isAnybodyWaiting = false
  /** Counts what makes a question void. */
  #generation = 0
  #timer: { readonly due: Millis; readonly cancel: Cancel } | null = null

  constructor(clock: Clock, ask: () => Promise<void>) {
    this.#clock = clock
    this.#ask = ask
    this.#heardAt = clock.monotonic()
  }

  get isIdle(): boolean {
    return this.#dependents.size === 0
  }

  join(dependent: Dependent, hasLeader: boolean): void {
    const { timeoutMs } = dependent
    this.#dependents.add(dependent)
    this.#timeouts.set(timeoutMs, (this.#timeouts.get(timeoutMs) ?? 0) + 1)
    this.#shortestMs = Math.min(this.#shortestMs, timeoutMs)
    if (!hasLeader) {
      this.#isAnybodyWaiting = true
      dependent.suspend()
    }
    this.#wakeAt(this.#doubtAt(dependent))
  }

  leave(dependent: Dependent): void {
    const { timeoutMs } = dependent
    if (!this.#dependents.delete(dependent)) return
    const same = this.#timeouts.get(timeoutMs)! - 1
    if (same > 0) this.#timeouts.set(timeoutMs, same)
    else this.#timeouts.delete(timeoutMs)
    if (same === 0 && timeoutMs === this.#shortestMs) this.#shortestMs = Math.min(...this.#timeouts.keys())
    if (this.isIdle) this.#sleep()
  }

  /** Another leader, or none: what was said to the last one may never have been heard. */
  leaderIs(isThere: boolean): void {
    this.#generation++
    this.#isAsking = false
    this.#roundAt = null
    if (isThere) return
    this.#isAnybodyWaiting = true
    for (const dependent of this.#dependents) dependent.suspend()
  }

  /** A note has left. `whole`: with it, everybody that is held was named since the last time that it was. */
  noted(whole: boolean): void {
    const now = this.#clock.monotonic()
    this.#roundAt ??= now
    if (!whole) return
    const at = this.#roundAt
    this.#roundAt = null
    if (this.#isAsking || (!this.#isAnybodyWaiting && at - this.#heardAt < this.#shortestMs / QUESTIONS)) return
    void this.#prove(at)
  }

  async #prove(at: Millis): Promise<void> {
    const generation = this.#generation
    this.#isAsking = true
    try {
      // The note is still being made.
      await undefined
      await this.#ask()
    } catch {
      // The replica is closed, and everybody with it; or there are too many who ask: the next note is proved.
      if (generation === this.#generation) this.#isAsking = false
      return
    }
    if (generation !== this.#generation) return
    this.#isAsking = false
    // Who stood still hears of it, whatever came of it.
    this.#doubt()
    this.#heardAt = at
    if (!this.#isAnybodyWaiting) return
    this.#isAnybodyWaiting = false
    const soon = this.#soon()
    for (const dependent of this.#dependents) {
      const doubtAt = this.#doubtAt(dependent)
      if (doubtAt <= soon) this.#isAnybodyWaiting = true
      else {
        dependent.confirm()
        this.#wakeAt(doubtAt)
      }
    }
  }

  /** Tells everybody of whom too little was heard for too long; when the next one is due. */
  #doubt(): Millis {
    const soon = this.#soon()
    let next = this.#heardAt + this.#shortestMs / 2
    if (next > soon) return next
    next = Number.POSITIVE_INFINITY
    for (const dependent of this.#dependents) {
      const due = this.#doubtAt(dependent)
      if (due > soon) next = Math.min(next, due)
      else {
        this.#isAnybodyWaiting = true
        dependent.doubt()
      }
    }
    return next
  }

  #doubtAt({ since, timeoutMs }: Dependent): Millis {
    return Math.max(since, this.#heardAt) + timeoutMs / 2
  }

  #soon(): Millis {
    return this.#clock.monotonic() + this.#shortestMs * EARLY
  }

  #wakeAt(due: Millis): void {
    if (due === Number.POSITIVE_INFINITY || (this.#timer !== null && this.#timer.due <= due)) return
    this.#sleep()
    const ms = Math.max(due - this.#clock.monotonic(), this.#shortestMs * EARLY, 1)
    const cancel = this.#clock.schedule(ms, () => {
      this.#timer = null
      this.#wakeAt(this.#doubt())
    })
    this.#timer = { due, cancel }
  }

  #sleep(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
