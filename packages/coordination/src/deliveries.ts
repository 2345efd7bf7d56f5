import type { AntiphonError } from '@antiphon/ports'
import { listenerThrew } from './errors.ts'

/**
 * What a session is to hear, in order. It is noted while changes are applied, and told in a microtask: out of the replica's own work, into which listeners may call, and before whoever
 * awaits a result of the same changes goes on.
 */
export class Deliveries {
  readonly #trouble: (error: AntiphonError) => void
  #queue: (() => void)[] = []
  #scheduled = false

  constructor(trouble: (error: AntiphonError) => void) {
    this.#trouble = trouble
  }

  add(deliver: () => void): void {
    this.#queue.push(deliver)
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  /** Everything that is noted, also by what is called meanwhile. */
  flush(): void {
    while (this.#queue.length > 0) {
      const queue = this.#queue
      this.#queue = []
      for (const deliver of queue) this.guard(deliver)
    }
  }

  guard(call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.#trouble(listenerThrew(thrown))
    }
  }
}
