import { corrupt } from '@antiphon/ports'
import { FROZEN_DATE, freezeContainer } from './frozen.ts'
import { DEPTH_MAX, SHORT_STRING, SMALL_INTEGER, TAG } from './values.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes back to values. Every length and count is bounded by what is there before anything is allocated. Errors: CORRUPT. */
export class ByteReader {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0
  /** Whether what is read becomes part of an immutable state. */
  frozen = false
  #view: DataView = new DataView(new ArrayBuffer(0))

  open(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (bytes.buffer !== this.bytes.buffer || bytes.byteOffset !== this.bytes.byteOffset || bytes.length !== this.bytes.length)
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.bytes = bytes
    this.at = start
    this.end = end
  }

  /** Forgets the memory, so that it is not kept alive. */
  close(): void {
    this.open(EMPTY)
  }

  u8(): number {
    if (this.at >= this.end) throw corrupt('a value ends too early')
    return this.bytes[this.at++]!
  }

  u32(): number {
    this.need(4)
    const value = this.#view.getUint32(this.at)
    this.at += 4
    return value
  }

  /** A varint that is a safe integer. */
  count(): number {
    let value = 0
    let unit = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      unit *= 0x80
    }
    throw corrupt('a count is out of range')
  }

  /** A count of things that take at least `bytesEach` each. */
  countOf(bytesEach: number): number {
    const count = this.count()
    if (count * bytesEach > this.end - this.at) throw corrupt(`a container claims ${count} items in ${this.end - this.at} bytes`)
    return count
  }

  need(count: number): void {
    if (count > this.end - this.at) throw corrupt(`a value claims ${count} bytes of ${this.end - this.at}`)
  }

  value(depth = 0): unknown {
    const tag = this.u8()
    if (tag >= SMALL_INTEGER) return tag - SMALL_INTEGER
    if (tag >= SHORT_STRING) return this.#ascii(tag - SHORT_STRING)
    if (tag < TAG.array) return this.leaf(tag)
    if (depth >= DEPTH_MAX) throw corrupt(`a value is nested deeper than ${DEPTH_MAX} levels`)
    const container = this.#container(tag, depth + 1)
    if (this.frozen) freezeContainer(container)
    return container
  }

  #container(tag: number, depth: number): object {
    switch (tag) {
      case TAG.array: {
        const count = this.countOf(1)
        const items: unknown[] = []
        for (let i = 0; i < count; i++) items.push(this.value(depth))
        return items
      }
      case TAG.object:
      case TAG.dictionary: {
        const count = this.countOf(2)
        const object = (tag === TAG.object ? {} : Object.create(null)) as Record<string, unknown>
        for (let i = 0; i < count; i++) {
          const key = this.key()
          object[key] = this.value(depth)
        }
        return object
      }
      case TAG.map: {
        const count = this.countOf(2)
        const map = new Map<unknown, unknown>()
        for (let i = 0; i < count; i++) {
          const key = this.mapKey()
          map.set(key, this.value(depth))
        }
        return map
      }
      case TAG.set: {
        const count = this.countOf(1)
        const set = new Set<unknown>()
        for (let i = 0; i < count; i++) set.add(this.value(depth))
        return set
      }
      default:
        throw corrupt(`unknown tag ${tag}`)
    }
  }

  /** A value that holds no others, its tag taken. */
  leaf(tag: number): unknown {
    switch (tag) {
      case TAG.undefined:
        return undefined
      case TAG.null:
        return null
      case TAG.false:
        return false
      case TAG.true:
        return true
      case TAG.integer:
        return this.count()
      case TAG.negative:
        return -1 - this.count()
      case TAG.float:
        return this.#f64()
      case TAG.string: {
        const length = this.u32()
        this.need(length)
        return this.#utf8(length)
      }
      case TAG.units: {
        const length = this.u32()
        this.need(2 * length)
        let text = ''
        for (let i = 0; i < length; i++, this.at += 2) text += String.fromCharCode(this.#view.getUint16(this.at))
        return text
      }
      case TAG.bigint:
      case TAG.bigintNegative: {
        const count = this.countOf(1)
        let digits = '0x0'
        for (let i = 0; i < count; i++) digits += this.bytes[this.at++]!.toString(16).padStart(2, '0')
        return tag === TAG.bigint ? BigInt(digits) : -BigInt(digits)
      }
      case TAG.date: {
        const date = new Date(this.#f64())
        return this.frozen ? Object.freeze(Object.setPrototypeOf(date, FROZEN_DATE)) : date
      }
      case TAG.bytes: {
        const length = this.u32()
        this.need(length)
        const copy = Uint8Array.prototype.slice.call(this.bytes, this.at, this.at + length)
        this.at += length
        // A Buffer's species gives Buffers; a state holds plain arrays of bytes on every replica.
        return copy.constructor === Uint8Array ? copy : new Uint8Array(copy)
      }
      default:
        throw corrupt(`unknown tag ${tag}`)
    }
  }

  string(): string {
    const value = this.value(DEPTH_MAX)
    if (typeof value !== 'string') throw corrupt('a string is expected')
    return value
  }

  /** An object's key. */
  key(): string {
    const key = this.string()
    if (key === '__proto__') throw corrupt('an object has the key __proto__')
    return key
  }

  mapKey(): unknown {
    const key = this.primitive()
    if (key === undefined) throw corrupt('a Map has undefined as a key')
    return key
  }

  primitive(): unknown {
    const value = this.value(DEPTH_MAX)
    if (typeof value === 'object' && value !== null) throw corrupt('a key is an object')
    return value
  }

  /** A short string, its tag taken. */
  #ascii(length: number): string {
    this.need(length)
    const end = this.at + length
    let text = ''
    for (let i = this.at; i < end; i++) text += String.fromCharCode(this.bytes[i]!)
    this.at = end
    return text
  }

  short(tag: number): string {
    return this.#ascii(tag - SHORT_STRING)
  }

  #utf8(length: number): string {
    const part = this.bytes.subarray(this.at, this.at + length)
    this.at += length
    try {
      return utf8.decode(part)
    } catch {
      throw corrupt('a string is not UTF-8')
    }
  }

  #f64(): number {
    this.need(8)
    const value = this.#view.getFloat64(this.at)
    this.at += 8
    return value
  }
}

const EMPTY = new Uint8Array(0)
