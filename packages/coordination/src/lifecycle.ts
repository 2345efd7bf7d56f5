import type { Cancel, Clock, Millis, PeerId } from '@antiphon/ports'
import type { Host } from './host.ts'
import type { SessionState } from './types.ts'

export interface LifecycleHost {
  readonly clock: Clock
  readonly host: Host
  readonly timeoutMs: Millis
  /** As applied here: is the session there, and ours? */
  isAlive(): boolean
  /** In order with the watches' events. */
  tell(event: 'connected' | 'suspended' | 'jeopardy' | 'safe'): void
  lost(): void
}

/**
 * What a session may believe of itself. Its leader expires it `timeoutMs` after the last word that it had from here, and we cannot know when that was: so half of that time without a
 * leader is jeopardy, which leaves the other half for noticing that there is none.
 */
export class Lifecycle {
  state: SessionState = 'connected'
  readonly #on: LifecycleHost
  #cancelJeopardy: Cancel | null = null
  #cancelLook: Cancel | null = null
  #lookedAt: Millis
  /** Counts what makes a question to the ensemble void. */
  #generation = 0
  /** The last question was turned away. */
  #isUnanswered = false

  constructor(on: LifecycleHost) {
    this.#on = on
    this.#lookedAt = on.clock.monotonic()
    this.#look()
    if (!on.host.replica.status().active) this.#suspend()
  }

  end(state: 'expired' | 'closed'): void {
    this.state = state
    this.#generation++
    this.#cancelJeopardy?.()
    this.#cancelLook?.()
  }

  leaderIs(leader: PeerId | null): void {
    if (leader === null) this.#suspend()
    else void this.#confirm()
  }

  #suspend(): void {
    this.#generation++
    this.#isUnanswered = false
    if (this.state !== 'connected') return
    this.state = 'suspended'
    this.#on.tell('suspended')
    this.#cancelJeopardy = this.#on.clock.schedule(this.#on.timeoutMs / 2, () => this.#doubt())
  }

  #doubt(): void {
    if (this.state !== 'suspended') return
    this.state = 'jeopardy'
    this.#on.tell('jeopardy')
  }

  /** There is a leader: once everything committed until now is applied here, it is known whether the session has lived on. */
  async #confirm(): Promise<void> {
    if (this.state !== 'suspended' && this.state !== 'jeopardy') return
    const generation = ++this.#generation
    this.#isUnanswered = false
    try {
      await this.#on.host.caughtUp()
    } catch {
      // The replica is closed, and the session with it; or there are too many who ask.
      this.#isUnanswered = generation === this.#generation
      return
    }
    if (generation !== this.#generation) return
    this.#cancelJeopardy?.()
    if (!this.#on.isAlive()) {
      this.#on.lost()
      return
    }
    if ((this.state as SessionState) === 'jeopardy') this.#on.tell('safe')
    this.state = 'connected'
    this.#on.tell('connected')
  }

  /** A process that stood still hears late that it was given up: it looks at its own clock. */
  #look(): void {
    const { clock, timeoutMs } = this.#on
    this.#cancelLook = clock.schedule(timeoutMs / 8, () => {
      const now = clock.monotonic()
      const stoodStill = now - this.#lookedAt > timeoutMs / 2
      this.#lookedAt = now
      this.#look()
      if (this.#isUnanswered) void this.#confirm()
      if (!stoodStill || this.state !== 'connected') return
      this.#suspend()
      this.#cancelJeopardy?.()
      this.#doubt()
      void this.#confirm()
    })
  }
}
