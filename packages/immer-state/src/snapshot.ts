import { corrupt } from '@antiphon/ports'
import { freezeContainer } from './frozen.ts'
import { ByteReader } from './reader.ts'
import { type Container, DEPTH_MAX, PIECE_BYTES_MAX, SHORT_STRING, SMALL_INTEGER, TAG } from './values.ts'
import { ByteWriter, containerOf } from './writer.ts'

/** Every chunk of a snapshot but the last has exactly this length. */
export const CHUNK_BYTES: number = 64 * 1024

/** A container that is being written, and how far. */
interface Writing {
  readonly container: Container
  readonly source: object
  readonly keys: readonly string[]
  readonly iterator: Iterator<unknown>
  index: number
}

const NO_KEYS: readonly string[] = []
const NOTHING: Iterator<unknown> = [].values()

/**
 * Immutable values as bytes, made as the chunks are asked for: a slice costs what one chunk costs, or the longest string in it. The bytes are a function of the values and of the
 * order of their keys, which is the same on every replica.
 */
export function* chunksOf(values: Iterable<unknown>): Generator<Uint8Array, void, undefined> {
  const writer = new ByteWriter(2 * CHUNK_BYTES)
  const frames: Writing[] = []
  for (const value of values) {
    begin(value, writer, frames)
    for (;;) {
      if (writer.length >= CHUNK_BYTES) {
        let at = 0
        for (; writer.length - at >= CHUNK_BYTES; at += CHUNK_BYTES) yield writer.bytes.slice(at, at + CHUNK_BYTES)
        writer.shift(at)
      }
      const frame = frames.at(-1)
      if (frame === undefined) break
      if (!writeItem(frame, writer, frames)) frames.pop()
    }
  }
  if (writer.length > 0) yield writer.finish()
}

function begin(value: unknown, writer: ByteWriter, frames: Writing[]): void {
  const container = typeof value === 'object' && value !== null ? containerOf(value) : null
  if (container === null) return writer.value(value)
  const source = value as object
  writer.head(container, source)
  const iterator =
    container === 'map' ? (source as ReadonlyMap<unknown, unknown>).entries() : container === 'set' ? (source as ReadonlySet<unknown>).values() : NOTHING
  frames.push({ container, source, keys: container === 'object' || container === 'dictionary' ? Object.keys(source) : NO_KEYS, iterator, index: 0 })
}

/** Writes the next item of a container, or opens it; false when there is none left. */
function writeItem(frame: Writing, writer: ByteWriter, frames: Writing[]): boolean {
  const { container, source } = frame
  if (container === 'array') {
    const items = source as readonly unknown[]
    if (frame.index === items.length) return false
    begin(items[frame.index++], writer, frames)
    return true
  }
  if (container === 'map' || container === 'set') {
    const next = frame.iterator.next()
    if (next.done === true) return false
    if (container === 'map') {
      const [key, value] = next.value as [unknown, unknown]
      writer.mapKey(key)
      begin(value, writer, frames)
    } else begin(next.value, writer, frames)
    return true
  }
  const key = frame.keys[frame.index++]
  if (key === undefined) return false
  writer.key(key)
  begin((source as Record<string, unknown>)[key], writer, frames)
  return true
}

/** A container that is being read. */
interface Reading {
  readonly tag: number
  readonly container: object
  remaining: number
  key: unknown
  hasKey: boolean
}

/** Takes a snapshot's bytes, wherever they were cut, and gives the immutable values back, one after the other. Errors: CORRUPT. */
export class ValueStream {
  readonly #reader = new ByteReader()
  readonly #frames: Reading[] = []
  #parts: Uint8Array[] = []
  #partsBytes = 0
  /** Bytes that the next token takes, as far as it is known. */
  #needed = 1
  readonly #onValue: (value: unknown) => void

  constructor(onValue: (value: unknown) => void) {
    this.#onValue = onValue
    this.#reader.frozen = true
  }

  /** The chunk's memory is only lent: what is kept of it is copied. */
  push(chunk: Uint8Array): void {
    const length = this.#partsBytes + chunk.length
    if (length < this.#needed) {
      this.#keep(chunk)
      return
    }
    const bytes = this.#parts.length === 0 ? chunk : joined([...this.#parts, chunk], length)
    this.#parts = []
    this.#partsBytes = 0
    this.#reader.open(bytes)
    this.#needed = this.#take()
    this.#keep(bytes.subarray(this.#reader.at))
    this.#reader.close()
  }

  /** A Buffer's own `slice` would not copy. */
  #keep(part: Uint8Array): void {
    if (part.length === 0) return
    this.#parts.push(new Uint8Array(part))
    this.#partsBytes += part.length
  }

  finish(): void {
    if (this.#partsBytes > 0 || this.#frames.length > 0) throw corrupt('a snapshot ends too early')
    this.#reader.close()
  }

  /** Reads whole tokens; returns how many bytes the next one takes. */
  #take(): number {
    const reader = this.#reader
    while (reader.at < reader.end) {
      const length = tokenLength(reader.bytes, reader.at, reader.end)
      if (length > PIECE_BYTES_MAX) throw corrupt(`a value claims ${length} bytes`)
      if (length > reader.end - reader.at) return length
      this.#token()
    }
    return 1
  }

  #token(): void {
    const reader = this.#reader
    const frame = this.#frames.at(-1)
    const tag = reader.bytes[reader.at]!
    if (frame !== undefined && isKeyed(frame.tag) && !frame.hasKey) {
      frame.key = frame.tag === TAG.map ? reader.mapKey() : reader.key()
      frame.hasKey = true
    } else if (tag < TAG.array || tag >= SHORT_STRING) this.#place(reader.value())
    else {
      reader.at++
      if (tag > TAG.set) throw corrupt(`unknown tag ${tag}`)
      if (this.#frames.length > DEPTH_MAX) throw corrupt(`a snapshot is nested deeper than ${DEPTH_MAX} levels`)
      const opened = { tag, container: empty(tag), remaining: reader.count(), key: undefined, hasKey: false }
      this.#frames.push(opened)
      if (opened.remaining === 0) this.#finishContainer(opened)
    }
  }

  #place(value: unknown): void {
    const frame = this.#frames.at(-1)
    if (frame === undefined) {
      this.#onValue(value)
      return
    }
    if (frame.tag === TAG.array) (frame.container as unknown[]).push(value)
    else if (frame.tag === TAG.set) (frame.container as Set<unknown>).add(value)
    else if (frame.tag === TAG.map) (frame.container as Map<unknown, unknown>).set(frame.key, value)
    else (frame.container as Record<string, unknown>)[frame.key as string] = value
    frame.hasKey = false
    frame.remaining--
    if (frame.remaining === 0) this.#finishContainer(frame)
  }

  #finishContainer(frame: Reading): void {
    freezeContainer(frame.container)
    this.#frames.pop()
    this.#place(frame.container)
  }
}

function isKeyed(tag: number): boolean {
  return tag === TAG.object || tag === TAG.dictionary || tag === TAG.map
}

function empty(tag: number): object {
  if (tag === TAG.array) return []
  if (tag === TAG.map) return new Map()
  if (tag === TAG.set) return new Set()
  return tag === TAG.object ? {} : (Object.create(null) as object)
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Bytes of the token at `at`, a container's items not included; at least one more than there are when its head is not whole. */
function tokenLength(bytes: Uint8Array, at: number, end: number): number {
  const tag = bytes[at]!
  if (tag >= SMALL_INTEGER || tag <= TAG.true) return 1
  if (tag >= SHORT_STRING) return 1 + tag - SHORT_STRING
  if (tag === TAG.float || tag === TAG.date) return 9
  if (tag === TAG.string || tag === TAG.units || tag === TAG.bytes) {
    if (end - at < 5) return 5
    const length = ((bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!) >>> 0
    return 5 + (tag === TAG.units ? 2 * length : length)
  }
  let value = 0
  let unit = 1
  for (let i = 1; i <= 8; i++) {
    if (at + i >= end) return end - at + 1
    const byte = bytes[at + i]!
    value += (byte & 0x7f) * unit
    unit *= 0x80
    if (byte < 0x80) return 1 + i + (tag === TAG.bigint || tag === TAG.bigintNegative ? value : 0)
  }
  throw corrupt('a count is out of range')
}
