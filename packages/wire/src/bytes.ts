import { EPOCH_MAX, invalidArgument, readU32, writeU32, writeU64, type Zxid, zxidFromHalves } from '@antiphon/consensus-core'
import type { Fault } from './faults.ts'

const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const HALF = 0x1_0000_0000
/** The upper half of the largest safe integer; of the largest ZXID as well. */
const UPPER_MAX: number = EPOCH_MAX

/** Writes `digits` hexadecimal digits as bytes. @throws AntiphonError INVALID_ARGUMENT when `text` is anything else. */
export function writeHex(bytes: Uint8Array, at: number, text: string, digits: number): void {
  if (text.length !== digits) throw invalidArgument(`'${text}' is not made of ${digits} lower-case hexadecimal digits`)
  for (let i = 0; i < digits; i += 2) {
    const high = digitOf(text.charCodeAt(i))
    const low = digitOf(text.charCodeAt(i + 1))
    if (high < 0 || low < 0) throw invalidArgument(`'${text}' is not made of ${digits} lower-case hexadecimal digits`)
    bytes[at + (i >> 1)] = (high << 4) | low
  }
}

/** -1: it is none, or not in lower case. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
}

export function readHex(bytes: Uint8Array, at: number, digits: number): string {
  let text = ''
  for (let i = 0; i < digits; i += 2) text += PAIRS[bytes[at + (i >> 1)]!]!
  return text
}

/** A view of `bytes`, a plain Uint8Array even of a Buffer: there `slice` would not copy. */
export function view(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset + start, end - start)
}

/** Appends fields, big-endian, to memory that grows. For what is written seldom; the caller gives values that are within their types. */
export class ByteWriter {
  #bytes: Uint8Array
  #length = 0

  constructor(bytesAtFirst = 64) {
    this.#bytes = new Uint8Array(bytesAtFirst)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): this {
    const at = this.#take(1)
    this.#bytes[at] = value
    return this
  }

  bool(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  u16(value: number): this {
    const at = this.#take(2)
    this.#bytes[at] = value >>> 8
    this.#bytes[at + 1] = value
    return this
  }

  u32(value: number): this {
    const at = this.#take(4)
    writeU32(this.#bytes, at, value)
    return this
  }

  /** A safe integer, 0 or more; ZXIDs too. */
  u64(value: number): this {
    const at = this.#take(8)
    writeU64(this.#bytes, at, value)
    return this
  }

  /** @throws AntiphonError INVALID_ARGUMENT when `text` is not `digits` lower-case hexadecimal digits. */
  hex(text: string, digits: number): this {
    const at = this.#take(digits >> 1)
    writeHex(this.#bytes, at, text, digits)
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.#take(bytes.length)
    this.#bytes.set(bytes, at)
    return this
  }

  /** What was written, as a view: the writer is not used afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  #take(count: number): number {
    const at = this.#length
    this.#length = at + count
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
    }
    return at
  }
}

/** Reads fields back from [at, end). Every method throws what `fault` makes when bytes are missing or a value is out of its range; nothing is allocated before its length was bounded. */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #fault: Fault
  readonly #end: number
  #at: number

  /** `[at, end)` lies within `bytes`. */
  constructor(bytes: Uint8Array, at: number, end: number, fault: Fault) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
    this.#fault = fault
  }

  get at(): number {
    return this.#at
  }

  get remaining(): number {
    return this.#end - this.#at
  }

  u8(max = 255): number {
    const at = this.#take(1)
    const value = this.#bytes[at]!
    if (value > max) throw this.#fault(`a field holds ${value}, above ${max}`, { offset: at })
    return value
  }

  bool(): boolean {
    return this.u8(1) === 1
  }

  u16(max = 0xffff): number {
    const at = this.#take(2)
    const value = (this.#bytes[at]! << 8) | this.#bytes[at + 1]!
    if (value > max) throw this.#fault(`a field holds ${value}, above ${max}`, { offset: at })
    return value
  }

  u32(max = 0xffff_ffff): number {
    const at = this.#take(4)
    const value = readU32(this.#bytes, at)
    if (value > max) throw this.#fault(`a field holds ${value}, above ${max}`, { offset: at })
    return value
  }

  /** A safe integer. */
  u64(): number {
    const at = this.#take(8)
    const upper = readU32(this.#bytes, at)
    if (upper > UPPER_MAX) throw this.#fault('a number is above the largest safe integer', { offset: at })
    return upper * HALF + readU32(this.#bytes, at + 4)
  }

  epoch(): number {
    return this.u32(EPOCH_MAX)
  }

  zxid(): Zxid {
    const at = this.#take(8)
    const epoch = readU32(this.#bytes, at)
    if (epoch > EPOCH_MAX) throw this.#fault(`a ZXID is of epoch ${epoch}, above ${EPOCH_MAX}`, { offset: at })
    return zxidFromHalves(epoch, readU32(this.#bytes, at + 4))
  }

  hex(digits: number): string {
    return readHex(this.#bytes, this.#take(digits >> 1), digits)
  }

  /** How many items follow, `bytesEach` or more for each: at most `max`, and no more than there are bytes for. */
  count(max: number, bytesEach: number): number {
    const at = this.#at
    const count = this.u32(max)
    if (count * bytesEach > this.remaining) throw this.#fault(`${count} items are claimed in ${this.remaining} bytes`, { offset: at })
    return count
  }

  /** The next `count` bytes, not copied. */
  raw(count: number): Uint8Array {
    const at = this.#take(count)
    return view(this.#bytes, at, at + count)
  }

  /** To be called last: bytes that nobody has read are refused. */
  done(): void {
    if (this.#at !== this.#end) throw this.#fault(`${this.#end - this.#at} bytes follow the last field`, { offset: this.#at })
  }

  #take(count: number): number {
    const at = this.#at
    if (count > this.#end - at) throw this.#fault(`${count} bytes are missing at the end`, { offset: at })
    this.#at = at + count
    return at
  }
}
