/** One thing that will happen. `owner` is the member whose event loop it runs on; 0 for the world outside (network, disks, clients, faults). */
export interface Happening {
  at: number
  sequence: number
  owner: number
  /** Null once cancelled or done. */
  run: (() => void) | null
}

/**
 * Virtual time: what is to happen, ordered by (time, order of scheduling). Time moves only by taking the next happening.
 * A binary heap; cancelling leaves a hole that is skipped.
 */
export class Timeline {
  readonly #heap: Happening[] = []
  #sequence = 0
  #now = 0

  /** Virtual milliseconds since the simulation's beginning; fractions are whole microseconds. */
  get now(): number {
    return this.#now
  }

  get size(): number {
    return this.#heap.length
  }

  /** Runs `run` `delay` milliseconds from now, behind everything that is already due at that time. */
  after(delay: number, owner: number, run: () => void): Happening {
    return this.at(this.#now + (delay > 0 ? delay : 0), owner, run)
  }

  /** The same at a point in time; one that has passed is now. */
  at(time: number, owner: number, run: () => void): Happening {
    const happening: Happening = { at: time > this.#now ? time : this.#now, sequence: this.#sequence++, owner, run }
    this.#up(happening)
    return happening
  }

  cancel(happening: Happening): void {
    happening.run = null
  }

  /** The next happening, its time being now; null when nothing is left. */
  take(): Happening | null {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined) return null
      this.#removeFirst()
      if (first.run === null) continue
      this.#now = first.at
      return first
    }
  }

  #up(happening: Happening): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(happening)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]!
      if (precedes(above, happening)) break
      heap[at] = above
      at = parent
    }
    heap[at] = happening
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()!
    const length = heap.length
    if (length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= length) break
      if (child + 1 < length && precedes(heap[child + 1]!, heap[child]!)) child++
      if (precedes(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function precedes(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence)
}

const STEPS_A_BATCH = 512

/**
 * Calls `step` until it returns false. Between two calls every promise that could settle has settled: each call is an immediate of its own, and Node empties the microtask queue between the
 * immediates of one turn. A batch of them shares a turn of the loop, which is ten times cheaper than a turn each.
 * Rejects with what `step` throws.
 */
export function drive(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let over = false
    let waiting = 0
    const one = (): void => {
      waiting--
      if (over) return
      try {
        if (!step()) {
          over = true
          resolve()
          return
        }
      } catch (error) {
        over = true
        reject(error instanceof Error ? error : new Error(String(error)))
        return
      }
      if (waiting === 0) refill()
    }
    const refill = (): void => {
      waiting = STEPS_A_BATCH
      // biome-ignore lint/style/noRestrictedGlobals: virtual time waits for the host's microtasks, and for nothing else of it
      for (let i = 0; i < STEPS_A_BATCH; i++) setImmediate(one)
    }
    refill()
  })
}
