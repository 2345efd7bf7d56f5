import { corrupt } from './errors.ts'
import type { CoreState } from './state.ts'

// The state is plain data (objects, arrays, Maps, numbers, strings, booleans, null, bytes), so one tagged encoding serves all of it. Keys go in the order in which the
// objects were made, which is fixed by the code that makes them; Maps in the order of insertion.

const TAG = { null: 0, false: 1, true: 2, number: 3, string: 4, array: 5, object: 6, map: 7, bytes: 8, undefined: 9 } as const

export function encodeState(state: CoreState): Uint8Array {
  const writer = new Writer()
  writer.value(state)
  return writer.finish()
}

/** @throws AntiphonError CORRUPT */
export function decodeState(bytes: Uint8Array): CoreState {
  const reader = new Reader(bytes)
  const value = reader.value()
  if (!reader.ended || typeof value !== 'object' || value === null) throw corrupt('bytes are not an encoded core')
  return value as CoreState
}

class Writer {
  #bytes = new Uint8Array(4096)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  #room(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      grown.set(this.#bytes)
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  #tag(tag: number): void {
    const at = this.#room(1)
    this.#bytes[at] = tag
  }

  #count(tag: number, count: number): void {
    const at = this.#room(5)
    this.#bytes[at] = tag
    this.#view.setUint32(at + 1, count)
  }

  value(value: unknown): void {
    if (value === null) return this.#tag(TAG.null)
    switch (typeof value) {
      case 'undefined':
        return this.#tag(TAG.undefined)
      case 'boolean':
        return this.#tag(value ? TAG.true : TAG.false)
      case 'number': {
        const at = this.#room(9)
        this.#bytes[at] = TAG.number
        this.#view.setFloat64(at + 1, value)
        return
      }
      case 'string': {
        this.#count(TAG.string, value.length)
        const at = this.#room(value.length * 2)
        for (let i = 0; i < value.length; i++) this.#view.setUint16(at + i * 2, value.charCodeAt(i))
        return
      }
      default:
        return this.#compound(value as object)
    }
  }

  #compound(value: object): void {
    if (value instanceof Uint8Array) {
      this.#count(TAG.bytes, value.length)
      const at = this.#room(value.length)
      this.#bytes.set(value, at)
    } else if (Array.isArray(value)) {
      this.#count(TAG.array, value.length)
      for (const element of value) this.value(element)
    } else if (value instanceof Map) {
      this.#count(TAG.map, value.size)
      for (const [key, element] of value) {
        this.value(key)
        this.value(element)
      }
    } else {
      const entries = Object.entries(value)
      this.#count(TAG.object, entries.length)
      for (const [key, element] of entries) {
        this.value(key)
        this.value(element)
      }
    }
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length
  }

  #take(bytes: number): number {
    const at = this.#at
    if (bytes > this.#bytes.length - at) throw corrupt('an encoded core ends early', { offset: at })
    this.#at += bytes
    return at
  }

  #count(bytesEach: number): number {
    const count = this.#view.getUint32(this.#take(4))
    if (count * bytesEach > this.#bytes.length - this.#at) throw corrupt('an encoded core claims more than it holds', { offset: this.#at })
    return count
  }

  value(): unknown {
    const tag = this.#bytes[this.#take(1)]
    switch (tag) {
      case TAG.null:
        return null
      case TAG.undefined:
        return undefined
      case TAG.false:
        return false
      case TAG.true:
        return true
      case TAG.number:
        return this.#view.getFloat64(this.#take(8))
      case TAG.string: {
        const length = this.#count(2)
        const at = this.#take(length * 2)
        let text = ''
        for (let i = 0; i < length; i++) text += String.fromCharCode(this.#view.getUint16(at + i * 2))
        return text
      }
      case TAG.bytes: {
        const length = this.#count(1)
        const at = this.#take(length)
        return this.#bytes.slice(at, at + length)
      }
      case TAG.array: {
        const length = this.#count(1)
        const array: unknown[] = []
        for (let i = 0; i < length; i++) array.push(this.value())
        return array
      }
      case TAG.map: {
        const size = this.#count(2)
        const map = new Map<unknown, unknown>()
        for (let i = 0; i < size; i++) map.set(this.value(), this.value())
        return map
      }
      case TAG.object: {
        const size = this.#count(2)
        const object: Record<string, unknown> = {}
        for (let i = 0; i < size; i++) object[String(this.value())] = this.value()
        return object
      }
      default:
        throw corrupt(`an encoded core has tag ${tag}`, { offset: this.#at - 1 })
    }
  }
}
