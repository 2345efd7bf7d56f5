import type { Clock, Millis } from '@antiphon/ports'

/** Of a slice: kept free for a step that takes longer than those before it. */
const SPARE = 0.2

/** One stretch of the event loop, used in steps: it ends where another step as long as its longest so far might not fit. */
export class Slice {
  readonly #sliceMs: Millis
  #begun: Millis
  #looked: Millis
  #longest = 0

  constructor(sliceMs: Millis, now: Millis) {
    this.#sliceMs = sliceMs
    this.#begun = now
    this.#looked = now
  }

  begin(now: Millis): void {
    this.#begun = now
    this.#looked = now
    this.#longest = 0
  }

  /** Asked behind every step. */
  isUsedUp(now: Millis): boolean {
    this.#longest = Math.max(this.#longest, now - this.#looked)
    this.#looked = now
    return now - this.#begun + Math.max(this.#longest, SPARE * this.#sliceMs) >= this.#sliceMs
  }
}

/** Of a slice: longer pieces are followed by smaller ones. */
const PIECE_SHARE = 0.2

/** How many entries are brought in between two looks at the clock: as many as the machines take a part of a slice for. */
export class PieceSize {
  entries: number
  readonly #max: number
  readonly #partMs: Millis

  constructor(sliceMs: Millis, max: number) {
    this.entries = max
    this.#max = max
    this.#partMs = PIECE_SHARE * sliceMs
  }

  took(entries: number, ms: Millis): void {
    if (ms > this.#partMs) this.entries = Math.max(1, this.entries >> 1)
    // What was less than a whole piece says nothing about one.
    else if (ms < this.#partMs / 2 && entries >= this.entries) this.entries = Math.min(this.#max, this.entries << 1)
  }
}

/** Gives the loop back to the host whenever a slice is used up. */
export class Slicer {
  readonly #clock: Clock
  readonly #slice: Slice

  constructor(clock: Clock, sliceMs: Millis) {
    this.#clock = clock
    this.#slice = new Slice(sliceMs, clock.monotonic())
  }

  get isUsedUp(): boolean {
    return this.#slice.isUsedUp(this.#clock.monotonic())
  }

  async pause(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.defer(resolve))
    this.#slice.begin(this.#clock.monotonic())
  }
}
