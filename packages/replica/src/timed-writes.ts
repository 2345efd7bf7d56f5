import type { Write } from '@antiphon/consensus-core'
import type { AntiphonError, Clock, LogStore, Millis } from '@antiphon/ports'
import type { Announcer } from './events.ts'
import { FlushWatch } from './flush-figures.ts'
import type { Meters } from './meters.ts'

export interface TimedWritesHost {
  readonly store: LogStore
  readonly clock: Clock
  readonly meters: Meters | null
  readonly announcer: Announcer
}

/** Hands writes to the store, and watches how long each takes to become durable. */
export class TimedWrites {
  readonly watch: FlushWatch
  readonly #host: TimedWritesHost

  constructor(host: TimedWritesHost, fsyncWarnMs: Millis) {
    this.#host = host
    this.watch = new FlushWatch(fsyncWarnMs)
  }

  write(write: Write, done: (error: AntiphonError | null) => void): void {
    const { store, clock } = this.#host
    const since = clock.monotonic()
    store.write(write, (error) => {
      if (error === null) this.#durable(since, clock.monotonic())
      done(error)
    })
  }

  #durable(since: Millis, now: Millis): void {
    const { meters, announcer } = this.#host
    const { slow: before } = this.watch
    const told = this.watch.durable(since, now)
    meters?.writeMs.observe(now - since)
    meters?.writeWorstMs.set(this.watch.worstMs)
    if (this.watch.slow > before) meters?.slowFlushes.add(1)
    if (told !== null) announcer.slowFlush(told)
  }
}
