import { setInteger } from '../digest.ts'

/** Bytes of a snapshot as they are made; they leave in chunks of one length. */
export class ByteSink {
  #bytes: Uint8Array
  #view: DataView
  #length = 0

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#length
  }

  /** The first `length` bytes, in memory of their own; the rest moves up. */
  take(length: number): Uint8Array {
    const taken = this.#bytes.slice(0, length)
    this.#bytes.copyWithin(0, length, this.#length)
    this.#length -= length
    return taken
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#length++] = value
  }

  int32(value: number): void {
    this.#room(4)
    this.#view.setInt32(this.#length, value)
    this.#length += 4
  }

  /** A safe integer, in 64 bits. */
  integer(value: number): void {
    this.#room(8)
    setInteger(this.#view, this.#length, value)
    this.#length += 8
  }

  int64(value: bigint): void {
    this.#room(8)
    this.#view.setBigInt64(this.#length, BigInt.asIntN(64, value))
    this.#length += 8
  }

  /** Seven bits a byte, the lowest first. */
  varint(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80)
    this.byte(rest)
  }

  bytes(source: Uint8Array, start: number, end: number): void {
    const length = end - start
    this.#room(length)
    if (length > 48) this.#bytes.set(source.subarray(start, end), this.#length)
    else for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = source[start + i]!
    this.#length += length
  }

  /** One UTF-16 unit in UTF-8; surrogates one by one. */
  unit(unit: number): void {
    if (unit < 0x80) return this.byte(unit)
    if (unit < 0x800) this.byte(0xc0 | (unit >>> 6))
    else {
      this.byte(0xe0 | (unit >>> 12))
      this.byte(0x80 | ((unit >>> 6) & 0x3f))
    }
    this.byte(0x80 | (unit & 0x3f))
  }

  #room(length: number): void {
    const needed = this.#length + length
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
    this.#view = new DataView(larger.buffer)
  }
}

/** Bytes of a UTF-16 unit in UTF-8. */
export function bytesOfUnit(unit: number): number {
  return unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3
}

export function bytesOfText(text: string): number {
  let length = 0
  for (let i = 0; i < text.length; i++) length += bytesOfUnit(text.charCodeAt(i))
  return length
}

export function writeText(sink: ByteSink, text: string): void {
  for (let i = 0; i < text.length; i++) sink.unit(text.charCodeAt(i))
}
