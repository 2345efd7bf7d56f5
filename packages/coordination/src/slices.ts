import type { Clock } from '@antiphon/ports'

/** Deliveries in one turn of the event loop, of all sessions of a replica. */
const SLICE = 1000

/** Who has more to tell than belongs into one turn. */
interface Sliced {
  /** Tells up to `max`; how many: fewer than `max` only when nothing is left. */
  advance(max: number): number
}

/** One queue for all sessions of a replica: whoever has told a slice goes behind the others. */
export class Slices {
  readonly #clock: Pick<Clock, 'defer'>
  readonly #waiting: Sliced[] = []
  #isDue = false

  constructor(clock: Pick<Clock, 'defer'>) {
    this.#clock = clock
  }

  add(sliced: Sliced): void {
    this.#waiting.push(sliced)
    this.#arrange()
  }

  #arrange(): void {
    if (this.#isDue || this.#waiting.length === 0) return
    this.#isDue = true
    this.#clock.defer(() => {
      this.#isDue = false
      let left = SLICE
      while (left > 0) {
        const sliced = this.#waiting.shift()
        if (sliced === undefined) return
        const told = sliced.advance(left)
        if (told === left) this.#waiting.push(sliced)
        left -= told
      }
      this.#arrange()
    })
  }
}
