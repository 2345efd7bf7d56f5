import { corrupt, type Millis, type Zxid } from '@antiphon/ports'
import { type Acl, type Identity, OPEN_ACL, type SessionId } from '../types.ts'
import { isOpen } from './open-acl.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Up to here a loop beats the decoder and the view that it needs. */
const LOOP_TEXT_MAX = 96
const NOTHING = new Uint8Array(0)
const HIGH = 0x1_0000_0000
/** Of the upper half of a safe integer. */
const HIGH_MAX = 0x1f_ffff

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

/** Bytes back to values. Every length and count is bounded by what is there before anything is allocated. @throws AntiphonError CORRUPT */
export class ByteReader {
  bytes: Uint8Array = NOTHING
  at = 0
  end = 0
  readonly #codes: number[] = []
  /** What was read last: most requests bring the same. */
  readonly #acls = new Remembered<readonly Acl[]>(OPEN_ACL)
  readonly #identities = new Remembered<readonly Identity[]>([])
  #high = 0
  #low = 0
  #session: SessionId = 0n

  open(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    this.bytes = bytes
    this.at = start
    this.end = end
  }

  /** Forgets the memory, so that it is not kept alive. */
  close(): void {
    this.open(NOTHING)
  }

  /** Nothing may follow. */
  finish(): void {
    if (this.at !== this.end) throw corrupt(`${this.end - this.at} bytes follow where nothing may`)
  }

  need(count: number): void {
    if (count > this.end - this.at) throw corrupt(`a value claims ${count} bytes of ${this.end - this.at}`)
  }

  u8(): number {
    if (this.at >= this.end) throw corrupt('a value ends too early')
    return this.bytes[this.at++]!
  }

  /** A byte below `limit`. */
  u8Below(limit: number): number {
    const value = this.u8()
    if (value >= limit) throw corrupt(`a byte is ${value} where less than ${limit} are known`)
    return value
  }

  i16(): number {
    this.need(2)
    const { bytes, at } = this
    this.at = at + 2
    return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!
  }

  i32(): number {
    this.need(4)
    const value = wordAt(this.bytes, this.at)
    this.at += 4
    return value
  }

  u32(): number {
    this.need(4)
    const value = wordAt(this.bytes, this.at) >>> 0
    this.at += 4
    return value
  }

  /** 64 bits that are a safe integer. */
  safe(): number {
    this.need(8)
    const high = wordAt(this.bytes, this.at) >>> 0
    if (high > HIGH_MAX) throw corrupt('a number is out of range')
    const value = high * HIGH + (wordAt(this.bytes, this.at + 4) >>> 0)
    this.at += 8
    return value
  }

  /** 64 bits that are a safe integer of either sign. */
  signed(): number {
    this.need(8)
    const value = wordAt(this.bytes, this.at) * HIGH + (wordAt(this.bytes, this.at + 4) >>> 0)
    if (!Number.isSafeInteger(value)) throw corrupt('a number is out of range')
    this.at += 8
    return value
  }

  zxid(): Zxid {
    return this.safe() as Zxid
  }

  millis(): Millis {
    return this.safe()
  }

  session(): SessionId {
    this.need(8)
    const { bytes, at } = this
    const high = wordAt(bytes, at)
    const low = wordAt(bytes, at + 4)
    this.at = at + 8
    if (high !== this.#high || low !== this.#low) {
      this.#high = high
      this.#low = low
      this.#session = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
    }
    return this.#session
  }

  /** A varint below 2^32. */
  count(): number {
    const first = this.u8()
    if (first < 0x80) return first
    let value = first & 0x7f
    for (let unit = 0x80; unit <= 0x1000_0000; unit *= 0x80) {
      const byte = this.u8()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        if (value >= HIGH || byte === 0) break
        return value
      }
    }
    throw corrupt('a count is out of range')
  }

  /** A count of things that take at least `bytesEach` each. */
  countOf(bytesEach: number): number {
    const count = this.count()
    if (count * bytesEach > this.end - this.at) throw corrupt(`${count} items are claimed in ${this.end - this.at} bytes`)
    return count
  }

  /** A text; `hint` is one that it may well be: that one is returned, if it is equal. */
  text(hint: string | null = null): string {
    const length = this.countOf(1)
    const start = this.at
    const end = start + length
    const { bytes } = this
    this.at = end
    if (hint !== null && hint.length === length) {
      let at = 0
      while (at < length && hint.charCodeAt(at) === bytes[start + at] && bytes[start + at]! < 0x80) at++
      if (at === length) return hint
    }
    if (length > LOOP_TEXT_MAX) return decodeText(bytes.subarray(start, end))
    const codes = this.#codes
    codes.length = length
    for (let at = 0; at < length; at++) {
      const byte = bytes[start + at]!
      if (byte >= 0x80) return decodeText(bytes.subarray(start, end))
      codes[at] = byte
    }
    return String.fromCharCode.apply(null, codes)
  }

  /** Passes over data; its bytes lie in `[end of what was before, at)` then. Returns its length, -1 of null. */
  data(): number {
    const length = this.count() - 1
    if (length <= 0) return length
    this.need(length)
    this.at += length
    return length
  }

  /** What lies there; null is null. A copy. */
  dataCopy(): Uint8Array | null {
    const length = this.data()
    return length < 0 ? null : this.bytes.slice(this.at - length, this.at)
  }

  acl(): readonly Acl[] {
    return this.#section(this.#acls, readAcl)
  }

  identities(): readonly Identity[] {
    return this.#section(this.#identities, readIdentities)
  }

  /** Bytes with their count before them, the whole of which `read` takes. */
  #section<T>(remembered: Remembered<T>, read: (reader: ByteReader) => T): T {
    const length = this.countOf(1)
    if (length === 0) return remembered.ofNone
    const start = this.at
    const { bytes, end } = this
    if (!remembered.isOf(bytes, start, length)) {
      this.end = start + length
      const value = read(this)
      this.finish()
      this.end = end
      remembered.set(bytes.slice(start, start + length), value)
    }
    this.at = start + length
    return remembered.value
  }
}

/** A value, with the bytes that it was read from. */
class Remembered<T> {
  readonly ofNone: T
  value: T
  #bytes: Uint8Array = NOTHING

  constructor(ofNone: T) {
    this.ofNone = ofNone
    this.value = ofNone
  }

  isOf(bytes: Uint8Array, start: number, length: number): boolean {
    const known = this.#bytes
    if (length !== known.length) return false
    let at = 0
    while (at < length && known[at] === bytes[start + at]) at++
    return at === length
  }

  set(bytes: Uint8Array, value: T): void {
    this.#bytes = bytes
    this.value = value
  }
}

function readAcl(reader: ByteReader): readonly Acl[] {
  const acl: Acl[] = []
  for (let rest = reader.countOf(6); rest > 0; rest--) acl.push({ perms: reader.i32(), scheme: reader.text(), id: reader.text() })
  return isOpen(acl) ? OPEN_ACL : acl
}

function readIdentities(reader: ByteReader): readonly Identity[] {
  const identities: Identity[] = []
  for (let rest = reader.countOf(2); rest > 0; rest--) identities.push({ scheme: reader.text(), id: reader.text() })
  return identities
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw corrupt('a text is not UTF-8')
  }
}
