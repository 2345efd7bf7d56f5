import { type AntiphonError, corrupt } from '@antiphon/ports'
import { textOf } from './text.ts'

const TWO_32 = 2 ** 32

/** Thrown by a token of which a part has not arrived yet. */
const INCOMPLETE: AntiphonError = corrupt('a record ends too early')

/**
 * Takes bytes cut anywhere and hands them out in tokens. A token reads what it needs, and does what it means only when it has read all of it: when something is missing it is begun anew later. What is
 * kept of a chunk is copied; nothing is allocated because a length was claimed.
 */
export class ByteFeed {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  #end = 0
  #tokenAt = 0
  /** Bytes that the token under way takes, as far as it is known. */
  #needed = 1
  #rest: Uint8Array[] = []
  #restBytes = 0
  /** Bytes before `bytes`. */
  #before = 0

  /** Calls `token` for as long as there is anything to read; it returns false when it is the last. Returns false then. Errors: CORRUPT when something follows the last. */
  push(chunk: Uint8Array, token: () => boolean): boolean {
    if (this.#restBytes + chunk.length < this.#needed) {
      this.#keep(chunk)
      return true
    }
    this.#begin(chunk)
    while (this.at < this.#end) {
      this.#tokenAt = this.at
      try {
        if (token()) continue
      } catch (error) {
        if (error !== INCOMPLETE) throw error
        this.#before += this.#tokenAt
        this.#keep(this.bytes.subarray(this.#tokenAt, this.#end))
        return true
      }
      this.#before += this.at
      const isLast = this.at === this.#end
      this.at = this.#end
      if (!isLast) throw corrupt('something follows the end of a snapshot')
      return false
    }
    this.#before += this.#end
    this.#needed = 1
    return true
  }

  /** All there is, for reading without tokens. Errors, of each read that goes beyond: CORRUPT. */
  hold(bytes: Uint8Array): void {
    this.#begin(bytes)
  }

  /** There are bytes of a token that has not ended. */
  get isInside(): boolean {
    return this.#restBytes > 0
  }

  /** Bytes read so far, to the end of what the token under way has read. */
  get position(): number {
    return this.#before + this.at
  }

  error(message: string): AntiphonError {
    return corrupt(message, { position: this.position })
  }

  byte(): number {
    this.need(1)
    return this.bytes[this.at++]!
  }

  int32(): number {
    this.need(4)
    const { bytes, at } = this
    this.at = at + 4
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  /** 64 bits that are a safe integer. */
  integer(): number {
    const high = this.int32()
    const value = high * TWO_32 + (this.int32() >>> 0)
    if (!Number.isSafeInteger(value)) throw this.error('a number is out of range')
    return value
  }

  int64(): bigint {
    const high = this.int32()
    return (BigInt(high) << 32n) | BigInt(this.int32() >>> 0)
  }

  varint(max: number): number {
    let value = 0
    let unit = 1
    for (;;) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (value > max || unit > TWO_32) throw this.error(`a number is above ${max}`)
      if (byte < 0x80) return value
      unit *= 0x80
    }
  }

  /** UTF-8 of so many bytes. */
  text(length: number): string {
    this.need(length)
    const start = this.at
    this.at += length
    return textOf(this.bytes, start, this.at)
  }

  /** Steps over so many bytes; where they begin, valid during the token. */
  skip(length: number): number {
    this.need(length)
    const start = this.at
    this.at += length
    return start
  }

  need(length: number): void {
    if (this.at + length <= this.#end) return
    this.#needed = this.at + length - this.#tokenAt
    throw INCOMPLETE
  }

  #begin(chunk: Uint8Array): void {
    if (this.#restBytes === 0) this.bytes = chunk
    else {
      this.bytes = new Uint8Array(this.#restBytes + chunk.length)
      let at = 0
      for (const part of [...this.#rest, chunk]) {
        this.bytes.set(part, at)
        at += part.length
      }
      this.#rest = []
      this.#restBytes = 0
    }
    this.at = 0
    this.#end = this.bytes.length
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return
    this.#rest.push(part.slice())
    this.#restBytes += part.length
  }
}
