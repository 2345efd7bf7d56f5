import type { AntiphonError } from '@antiphon/ports'
import { listenerThrew } from './errors.ts'
import type { Slices } from './slices.ts'

/** Many things to be told one behind the other: what a restored state shows. Told in slices. */
interface Run {
  readonly length: number
  next: number
  /** False: the rest is not wanted. */
  readonly deliver: (index: number) => boolean
}

/**
 * What a session is to hear, in order. It is noted while changes are applied, and told in a microtask: out of the replica's own work, into which listeners may call, and before whoever
 * awaits a result of the same changes goes on. A run is told in slices, over as many turns as it takes; what stands behind it waits, and so do the session's results (`toldAll`).
 */
export class Deliveries {
  readonly #slices: Slices
  readonly #trouble: (error: AntiphonError) => void
  #queue: ((() => void) | Run)[] = []
  /** What is told of the queue. */
  #told = 0
  /** How many runs are in the queue. */
  #runs = 0
  #scheduled = false
  #waiting: (() => void)[] = []

  constructor(slices: Slices, trouble: (error: AntiphonError) => void) {
    this.#slices = slices
    this.#trouble = trouble
  }

  add(deliver: () => void): void {
    this.#queue.push(deliver)
    this.#schedule()
  }

  addRun(length: number, deliver: (index: number) => boolean): void {
    this.#queue.push({ length, next: 0, deliver })
    if (this.#runs++ === 0) this.#slices.add(this)
  }

  /** Null: nothing is to be told but what `flush` tells at once. Else wait, and ask again. */
  get toldAll(): Promise<void> | null {
    return this.#runs === 0 ? null : new Promise((resolve) => void this.#waiting.push(resolve))
  }

  /** Everything that is noted up to the first run, also by what is called meanwhile. */
  flush(): void {
    this.advance(0)
  }

  /** Also runs, as long as there are no more than `max` deliveries of them. How many there were; none is left when there were fewer. */
  advance(max: number): number {
    let left = max
    while (this.#told < this.#queue.length) {
      const entry = this.#queue[this.#told]!
      if (typeof entry === 'function') {
        this.#told++
        this.guard(entry)
        continue
      }
      if (entry.next === entry.length) {
        this.#told++
        this.#endRun()
        continue
      }
      if (left === 0) return max
      left--
      const index = entry.next++
      try {
        if (!entry.deliver(index)) entry.next = entry.length
      } catch (thrown) {
        this.#trouble(listenerThrew(thrown))
      }
    }
    this.#queue = []
    this.#told = 0
    return max - left
  }

  guard(call: () => void): void {
    try {
      call()
    } catch (thrown) {
      this.#trouble(listenerThrew(thrown))
    }
  }

  #endRun(): void {
    if (--this.#runs > 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.flush()
    })
  }
}
