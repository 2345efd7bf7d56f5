import { current, isDraft } from 'immer'
import { FROZEN_DATE, FROZEN_MAP, FROZEN_SET } from './frozen.ts'
import {
  type Container,
  DEPTH_MAX,
  Outgrown,
  PIECE_BYTES_MAX,
  SHORT_STRING,
  SHORT_STRING_MAX,
  SMALL_INTEGER,
  SMALL_INTEGER_MAX,
  TAG,
  Unserialisable,
} from './values.ts'

const utf8 = new TextEncoder()
/** A larger buffer is let go after its one use. */
const KEEP_BYTES_MAX = 1024 * 1024
const LONE_SURROGATE = /\p{Surrogate}/u

/** Which container `value` is; null for a leaf (Date, bytes). @throws Unserialisable for what is neither. */
export function containerOf(value: object): Container | null {
  if (Array.isArray(value)) return 'array'
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) return 'object'
  if (prototype === Map.prototype || prototype === FROZEN_MAP) return 'map'
  if (prototype === Set.prototype || prototype === FROZEN_SET) return 'set'
  if (prototype === null) return 'dictionary'
  if (prototype === Date.prototype || prototype === FROZEN_DATE || value instanceof Uint8Array) return null
  throw new Unserialisable('an instance of a class')
}

/** The keys of a plain object that is new. @throws Unserialisable for keys that would not survive. */
export function keysOf(value: object): string[] {
  if (Object.getOwnPropertySymbols(value).length !== 0) throw new Unserialisable('a symbol as a key')
  return Object.keys(value)
}

/** Values to bytes, deterministic: equal values in equal order give equal bytes. */
export class ByteWriter {
  bytes: Uint8Array<ArrayBuffer>
  length = 0
  #view: DataView
  #bytesMax: number = PIECE_BYTES_MAX

  constructor(bytesAtFirst = 1024) {
    this.bytes = new Uint8Array(bytesAtFirst)
    this.#view = new DataView(this.bytes.buffer)
  }

  reset(bytesMax: number = PIECE_BYTES_MAX): void {
    if (this.bytes.length > KEEP_BYTES_MAX) this.#take(new Uint8Array(1024))
    this.length = 0
    this.#bytesMax = bytesMax
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }

  /** Drops the first `count` bytes. */
  shift(count: number): void {
    this.bytes.copyWithin(0, count, this.length)
    this.length -= count
  }

  u8(value: number): void {
    if (this.length + 1 > this.bytes.length) this.#room(1)
    this.bytes[this.length++] = value
  }

  count(value: number): void {
    this.#room(8)
    let rest = value
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.length++] = rest
  }

  u32(value: number): void {
    this.#room(4)
    this.#view.setUint32(this.length, value)
    this.length += 4
  }

  append(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const count = end - start
    this.#room(count)
    if (count > 32) this.bytes.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.length)
    else for (let i = 0; i < count; i++) this.bytes[this.length + i] = bytes[start + i]!
    this.length += count
  }

  /** @throws Unserialisable, Outgrown */
  value(value: unknown, depth = 0): void {
    switch (typeof value) {
      case 'string':
        return this.string(value)
      case 'number':
        return this.#number(value)
      case 'boolean':
        return this.u8(value ? TAG.true : TAG.false)
      case 'undefined':
        return this.u8(TAG.undefined)
      case 'bigint':
        return this.#bigint(value)
      case 'object':
        return value === null ? this.u8(TAG.null) : this.#object(value, depth)
      default:
        throw new Unserialisable(`a ${typeof value}`)
    }
  }

  string(value: string): void {
    const length = value.length
    if (length <= SHORT_STRING_MAX) {
      this.#room(1 + length)
      const start = this.length
      const bytes = this.bytes
      let i = 0
      for (; i < length; i++) {
        const unit = value.charCodeAt(i)
        if (unit > 0x7f) break
        bytes[start + 1 + i] = unit
      }
      if (i === length) {
        bytes[start] = SHORT_STRING + length
        this.length = start + 1 + length
        return
      }
    }
    if (LONE_SURROGATE.test(value)) return this.#units(value)
    this.#room(5 + 3 * length)
    const { written } = utf8.encodeInto(value, this.bytes.subarray(this.length + 5))
    this.bytes[this.length] = TAG.string
    this.#view.setUint32(this.length + 1, written)
    this.length += 5 + written
  }

  /** A Map's key: a primitive, but not undefined, under which immer 11.2.10 leaves drafts behind. */
  mapKey(key: unknown): void {
    if ((typeof key === 'object' && key !== null) || key === undefined) throw new Unserialisable('an object or undefined as a key of a Map')
    this.value(key)
  }

  /** An object's key. */
  key(key: string): void {
    if (key === '__proto__') throw new Unserialisable('the key __proto__')
    this.string(key)
  }

  /** Anything but a container: Date and bytes. */
  leaf(value: object): void {
    if (value instanceof Uint8Array) {
      this.u8(TAG.bytes)
      this.u32(value.length)
      this.append(value)
      return
    }
    this.u8(TAG.date)
    this.#f64((value as Date).getTime())
  }

  #object(value: object, depth: number): void {
    if (depth >= DEPTH_MAX) throw new Unserialisable(`a cycle, or more than ${DEPTH_MAX} levels`)
    // Drafts of maps and sets have a prototype of immer's own; those of objects and arrays read as what they stand for.
    const plain = (value instanceof Map || value instanceof Set) && isDraft(value) ? (current(value) as object) : value
    const container = containerOf(plain)
    if (container === null) return this.leaf(plain)
    this.head(container, plain)
    if (container === 'array') {
      const items = plain as readonly unknown[]
      for (let i = 0; i < items.length; i++) this.item(items, i, depth)
    } else if (container === 'map') {
      for (const [key, item] of plain as ReadonlyMap<unknown, unknown>) {
        this.mapKey(key)
        this.value(item, depth + 1)
      }
    } else if (container === 'set') {
      for (const item of plain as ReadonlySet<unknown>) this.value(item, depth + 1)
    } else {
      for (const key of Object.keys(plain)) {
        this.key(key)
        this.value((plain as Record<string, unknown>)[key], depth + 1)
      }
    }
  }

  /** Tag and count of a container. */
  head(container: Container, value: object): void {
    this.u8(TAG[container])
    if (container === 'array') this.count((value as readonly unknown[]).length)
    else if (container === 'map' || container === 'set') this.count((value as ReadonlySet<unknown>).size)
    else this.count(keysOf(value).length)
  }

  item(items: readonly unknown[], index: number, depth: number): void {
    const item = items[index]
    if (item === undefined && !(index in items)) throw new Unserialisable('a hole in an array')
    this.value(item, depth + 1)
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value)) {
      if (value >= 0) {
        if (value === 0 && Object.is(value, -0)) {
          this.u8(TAG.float)
          return this.#f64(value)
        }
        if (value <= SMALL_INTEGER_MAX) return this.u8(SMALL_INTEGER + value)
        this.u8(TAG.integer)
        return this.count(value)
      }
      this.u8(TAG.negative)
      return this.count(-1 - value)
    }
    this.u8(TAG.float)
    this.#f64(value)
  }

  #f64(value: number): void {
    this.#room(8)
    // The bits of a NaN are the engine's own choice: written out, so that they are the same everywhere.
    if (Number.isNaN(value)) {
      this.#view.setUint32(this.length, 0x7ff80000)
      this.#view.setUint32(this.length + 4, 0)
    } else this.#view.setFloat64(this.length, value)
    this.length += 8
  }

  #bigint(value: bigint): void {
    this.u8(value < 0n ? TAG.bigintNegative : TAG.bigint)
    const digits = (value < 0n ? -value : value).toString(16)
    const even = digits.length % 2 === 0 ? digits : `0${digits}`
    const count = even.length / 2
    this.count(count)
    this.#room(count)
    for (let i = 0; i < count; i++) this.bytes[this.length++] = Number.parseInt(even.slice(2 * i, 2 * i + 2), 16)
  }

  #units(value: string): void {
    this.#room(5 + 2 * value.length)
    this.u8(TAG.units)
    this.u32(value.length)
    for (let i = 0; i < value.length; i++) {
      this.#view.setUint16(this.length, value.charCodeAt(i))
      this.length += 2
    }
  }

  #room(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    // Some callers ask for the worst case, three bytes a unit, of a string that may turn out shorter.
    if (needed > 3 * this.#bytesMax + 4096) throw new Outgrown()
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.#take(grown)
    if (this.length > this.#bytesMax) throw new Outgrown()
  }

  #take(bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }

  /** @throws Outgrown when more was written than `reset` allowed. */
  check(): void {
    if (this.length > this.#bytesMax) throw new Outgrown()
  }
}
