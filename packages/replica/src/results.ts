import { corrupt, readU32, writeU32 } from '@antiphon/consensus-core'

/** What a kept result is: as the machine encoded it; a refusal's payload, empty when that was too large; or nothing but that there was one, for the same reason. */
export const KEPT_RESULT = 0
export const KEPT_REFUSAL = 1
export const KEPT_TOO_LARGE = 2
/** `u8 kind, u8 machine, u32 length`, then the bytes. */
export const KEPT_HEAD_BYTES = 6
const NOTHING = new Uint8Array(0)

/**
 * The results of one origin's consecutive requests, oldest first, in one piece of memory: each stays until the origin has it. What does not fit is kept as a marker. Whether it fits
 * hangs on nothing but what was added and dropped, in order: so the bytes are the same on every replica at the same ZXID.
 */
export class KeptResults {
  #bytes: Uint8Array
  #start = 0
  #end: number
  #length: number
  /** The number of the newest. */
  #last: number

  constructor(bytes: Uint8Array = NOTHING, length = 0, last = 0) {
    this.#bytes = bytes
    this.#end = bytes.length
    this.#length = length
    this.#last = last
  }

  /** How many. */
  get length(): number {
    return this.#length
  }

  get bytes(): number {
    return this.#end - this.#start
  }

  /** The newest: `source[from, to)`, copied; a marker in its place when more than `bytesMax` would be kept. */
  add(kind: number, machine: number, source: Uint8Array, from: number, to: number, bytesMax: number): void {
    const fits = this.bytes + KEPT_HEAD_BYTES + to - from <= bytesMax
    const length = fits ? to - from : 0
    this.#reserve(KEPT_HEAD_BYTES + length)
    const bytes = this.#bytes
    bytes[this.#end] = fits || kind === KEPT_REFUSAL ? kind : KEPT_TOO_LARGE
    bytes[this.#end + 1] = machine
    writeU32(bytes, this.#end + 2, length)
    if (length === source.length) bytes.set(source, this.#end + KEPT_HEAD_BYTES)
    else if (length > 0) bytes.set(source.subarray(from, to), this.#end + KEPT_HEAD_BYTES)
    this.#end += KEPT_HEAD_BYTES + length
    this.#length++
    this.#last++
  }

  /** Those of the numbers up to `confirmed` go. */
  dropUpTo(confirmed: number): void {
    while (this.#length > 0 && this.#last - this.#length < confirmed) {
      this.#start += KEPT_HEAD_BYTES + readU32(this.#bytes, this.#start + 2)
      this.#length--
    }
    if (this.#length === 0) {
      this.#start = 0
      this.#end = 0
    }
  }

  /** Oldest first, by their numbers. */
  forEach(visit: (sequence: number, kind: number, machine: number, bytes: Uint8Array) => void): void {
    const bytes = this.#bytes
    let sequence = this.#last - this.#length
    for (let at = this.#start; at < this.#end; ) {
      const from = at + KEPT_HEAD_BYTES
      const to = from + readU32(bytes, at + 2)
      visit(++sequence, bytes[at]!, bytes[at + 1]!, bytes.slice(from, to))
      at = to
    }
  }

  encode(): Uint8Array {
    return this.#bytes.slice(this.#start, this.#end)
  }

  /** The results of `length` requests, the newest with the number `last`, to `machines` machines. The memory is ours from then on. @throws AntiphonError CORRUPT */
  static decode(bytes: Uint8Array, length: number, last: number, machines: number): KeptResults {
    let found = 0
    let at = 0
    while (at < bytes.length) {
      const room = bytes.length - at - KEPT_HEAD_BYTES
      const sensible = room >= 0 && bytes[at]! <= KEPT_TOO_LARGE && bytes[at + 1]! >= 1 && bytes[at + 1]! <= machines && readU32(bytes, at + 2) <= room
      if (!sensible) throw corrupt('a snapshot has a result that is none')
      at += KEPT_HEAD_BYTES + readU32(bytes, at + 2)
      found++
    }
    if (found !== length) throw corrupt(`a snapshot has ${found} results of an origin that waits for ${length}`)
    return new KeptResults(bytes, length, last)
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#bytes.length) return
    const used = this.bytes
    // Moved to the front when that frees half of it: so each byte is moved a bounded number of times.
    if (used + more <= this.#bytes.length / 2) {
      this.#bytes.copyWithin(0, this.#start, this.#end)
    } else {
      const grown = new Uint8Array(Math.max(256, (used + more) * 2))
      grown.set(this.#bytes.subarray(this.#start, this.#end))
      this.#bytes = grown
    }
    this.#start = 0
    this.#end = used
  }
}
