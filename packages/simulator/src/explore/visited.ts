/** 64-bit hashes in two halves. */
export interface Hashes {
  readonly high: Uint32Array<ArrayBuffer>
  readonly low: Uint32Array<ArrayBuffer>
}

/** A set of 64-bit hashes. */
export class Visited {
  #high = new Uint32Array(1 << 16)
  #low = new Uint32Array(1 << 16)
  #size = 0

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#high.length * 8
  }

  /** All of them, packed. */
  all(): Hashes {
    const [high, low] = [new Uint32Array(this.#size), new Uint32Array(this.#size)]
    let count = 0
    for (let at = 0; at < this.#high.length; at++) {
      if (this.#high[at] === 0 && this.#low[at] === 0) continue
      high[count] = this.#high[at]!
      low[count++] = this.#low[at]!
    }
    return { high, low }
  }

  addAll({ high, low }: Hashes): void {
    for (let i = 0; i < high.length; i++) this.add(high[i]!, low[i]!)
  }

  /** False when it was there. */
  add(high: number, low: number): boolean {
    if (this.#size * 10 > this.#high.length * 7) this.#grow()
    // Two zeros mark a free place.
    return this.#put(high === 0 && low === 0 ? 1 : high, low)
  }

  #put(high: number, low: number): boolean {
    const mask = this.#high.length - 1
    for (let at = low & mask; ; at = (at + 1) & mask) {
      if (this.#high[at] === 0 && this.#low[at] === 0) {
        this.#high[at] = high
        this.#low[at] = low
        this.#size++
        return true
      }
      if (this.#high[at] === high && this.#low[at] === low) return false
    }
  }

  #grow(): void {
    const high = this.#high
    const low = this.#low
    this.#high = new Uint32Array(high.length * 2)
    this.#low = new Uint32Array(high.length * 2)
    this.#size = 0
    for (let i = 0; i < high.length; i++) if (high[i] !== 0 || low[i] !== 0) this.#put(high[i]!, low[i]!)
  }
}
