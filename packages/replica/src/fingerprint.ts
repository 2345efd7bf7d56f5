import type { Digest } from '@antiphon/consensus-core'

const U64 = 0xffff_ffff_ffff_ffffn

/** 64 bits over a sequence of integers, in two 32-bit lanes: finds accidents, guards against no forger. */
export class Fingerprint {
  #high = 0x6a09e667
  #low = 0xbb67ae85

  /** A safe integer. */
  add(value: number): this {
    this.#mix(Math.floor(value / 0x1_0000_0000))
    this.#mix(value)
    return this
  }

  /** Its lower 64 bits. */
  addBig(value: bigint): this {
    const bits = value & U64
    this.#mix(Number(bits >> 32n))
    this.#mix(Number(bits & 0xffff_ffffn))
    return this
  }

  toString(): Digest {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  #mix(word: number): void {
    const low = Math.imul(this.#low ^ word, 0x85ebca6b)
    const high = Math.imul(this.#high ^ (word >>> 16) ^ (word << 16), 0xc2b2ae35)
    this.#low = ((low ^ (low >>> 15)) + ((high << 13) | (high >>> 19))) | 0
    this.#high = ((high ^ (high >>> 13)) + ((low << 17) | (low >>> 15))) | 0
  }
}
