import type { Clock, Millis } from '@antiphon/ports'
import type { Host } from './host.ts'
import type { Dependent, Pulse } from './pulse.ts'
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

/** What a session may believe of itself, and tells of it. */
export class Lifecycle implements Dependent {
  readonly timeoutMs: Millis
  readonly since: Millis
  state: SessionState = 'connected'
  readonly #on: LifecycleHost
  readonly #pulse: Pulse

  constructor(on: LifecycleHost) {
    this.#on = on
    this.timeoutMs = on.timeoutMs
    this.since = on.clock.monotonic()
    this.#pulse = on.host.depend(this, on.clock)
  }

  end(state: 'expired' | 'closed'): void {
    this.state = state
    this.#pulse.leave(this)
  }

  suspend(): void {
    if (this.state !== 'connected') return
    this.state = 'suspended'
    this.#on.tell('suspended')
  }

  doubt(): void {
    this.suspend()
    if (this.state !== 'suspended') return
    this.state = 'jeopardy'
    this.#on.tell('jeopardy')
  }

  confirm(): void {
    if (this.state !== 'suspended' && this.state !== 'jeopardy') return
    if (!this.#on.isAlive()) {
      this.#on.lost()
      return
    }
    if (this.state === 'jeopardy') this.#on.tell('safe')
    this.state = 'connected'
    this.#on.tell('connected')
  }
}
