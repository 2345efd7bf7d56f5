import type { Random } from '@antiphon/ports'

/** Deterministic pseudo-random numbers (sfc32). The only source of chance in a simulation; everything draws from a fork of the seed's own. */
export class SeededRandom implements Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `stream` tells forks of one seed apart. */
  constructor(seed: number, stream = 0) {
    this.#a = seed | 0
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0
    this.#c = stream | 0
    for (let i = 0; i < 15; i++) this.uint32()
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** Uniform, 0 <= x < 1. */
  unit(): number {
    return this.uint32() / 0x1_0000_0000
  }

  /** An integer, 0 <= x < limit. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit)
  }

  /** An integer, low <= x <= high. */
  between(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1))
  }

  /** A real number, low <= x < high, in whole microseconds when the unit is the millisecond. */
  span(low: number, high: number): number {
    return Math.floor((low + this.unit() * (high - low)) * 1000) / 1000
  }

  chance(probability: number): boolean {
    return this.unit() < probability
  }

  /** @throws RangeError when there is nothing to pick from: an error of the caller. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('pick from nothing')
    return items[this.below(items.length)]!
  }

  /** In place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const held = items[i]!
      items[i] = items[j]!
      items[j] = held
    }
    return items
  }

  /** An independent stream; what is drawn from it moves nothing here but one step. */
  fork(stream: number): SeededRandom {
    return new SeededRandom(this.uint32() * 0x20_0000 + (this.uint32() >>> 11), stream)
  }
}
