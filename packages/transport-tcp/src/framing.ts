import { FRAME_BYTES_MAX, GREETING_BYTES_MAX, type Lane } from '@antiphon/ports'

/**
 * What travels on a connection, all numbers big-endian. First one hello each way:
 *
 *   magic (4) | version (1) | sender's id (1) | receiver's id (1) | refusal (1) | incarnation (8) | greeting length (2) | greeting
 *
 * then heads of five bytes, each the beginning of a segment or a signal by itself:
 *
 *   bytes left of the frame, these included (4) | lane (1) | as many bytes, but at most SEGMENT_BYTES
 *   0 (4) | signal (1)
 *
 * A long frame is several segments of its lane, each full but the last; other lanes may come between them. That is what lets a heartbeat pass a long run.
 */
export const HELLO_BYTES = 18
export const HELLO_BYTES_MAX: number = HELLO_BYTES + GREETING_BYTES_MAX
export const PROTOCOL_VERSION = 1
export const HEAD_BYTES = 5
export const SEGMENT_BYTES: number = 256 * 1024

const MAGIC = [0x41, 0x6e, 0x74, 0x70] // "Antp"

/** Highest priority first; a lane's place here is its number on the wire and its index everywhere in this package. */
export const LANES: readonly [Lane, Lane, Lane] = ['control', 'entries', 'bulk']

/** Numbers apart from those of lanes. */
export const SIGNAL = {
  /** From the higher id, which decides: this connection is the one, and frames may follow. */
  accept: 16,
  /** Do you live? Answered by `alive`. */
  probe: 17,
  alive: 18,
} as const

/** Why a hello is the last word of its connection; 0 when it is not. */
export const REFUSAL = { none: 0, busy: 1, unknownPeer: 2, wrongPeer: 3, version: 4, duplicate: 5, declined: 6 } as const

export interface Hello {
  readonly version: number
  readonly from: number
  readonly to: number
  readonly refusal: number
  /** Drawn at random at each start: tells two processes with one id apart. */
  readonly incarnation: string
  readonly greeting: Uint8Array
}

export function encodeHello({ version, from, to, refusal, incarnation, greeting }: Hello): Uint8Array {
  const hello = Buffer.alloc(HELLO_BYTES + greeting.length)
  hello.set(MAGIC)
  hello[4] = version
  hello[5] = from
  hello[6] = to
  hello[7] = refusal
  hello.write(incarnation, 8, 'hex')
  hello.writeUInt16BE(greeting.length, 16)
  hello.set(greeting, HELLO_BYTES)
  return hello
}

/** Gathers a hello from chunks. Never holds more than the longest one. */
export class HelloReader {
  readonly #bytes = Buffer.alloc(HELLO_BYTES_MAX)
  #filled = 0

  /** Bytes taken of `chunk` from 0 on. Null: this is no hello. */
  push(chunk: Uint8Array): number | null {
    let taken = 0
    while (taken < chunk.length && this.#missing > 0) {
      const part = chunk.subarray(taken, taken + this.#missing)
      this.#bytes.set(part, this.#filled)
      this.#filled += part.length
      taken += part.length
      if (!this.#plausible) return null
    }
    return taken
  }

  /** As far as is known. */
  get #missing(): number {
    if (this.#filled < HELLO_BYTES) return HELLO_BYTES - this.#filled
    return HELLO_BYTES + this.#bytes.readUInt16BE(16) - this.#filled
  }

  get #plausible(): boolean {
    for (let i = 0; i < Math.min(MAGIC.length, this.#filled); i++) if (this.#bytes[i] !== MAGIC[i]) return false
    return this.#filled < HELLO_BYTES || this.#bytes.readUInt16BE(16) <= GREETING_BYTES_MAX
  }

  get hello(): Hello | null {
    if (this.#missing > 0) return null
    const bytes = this.#bytes
    return {
      version: bytes[4] as number,
      from: bytes[5] as number,
      to: bytes[6] as number,
      refusal: bytes[7] as number,
      incarnation: bytes.toString('hex', 8, 16),
      greeting: Uint8Array.from(bytes.subarray(HELLO_BYTES, this.#filled)),
    }
  }
}

export function encodeSignal(signal: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES)
  writeHead(bytes, 0, 0, signal)
  return bytes
}

export function writeHead(target: Uint8Array, at: number, value: number, kind: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
  target[at + 4] = kind
}

/** Who takes what was read. False: the connection is over, the rest is not wanted. */
export interface FrameSink {
  frame(lane: number, bytes: Uint8Array): boolean
  signal(signal: number): boolean
}

/** A frame that did not come in one chunk. Its memory grows with what has arrived: a length alone is nobody's word for anything. */
interface Assembly {
  readonly length: number
  bytes: Uint8Array
  filled: number
}

/** Cuts a stream of chunks into frames. A frame within one chunk is a view of it; any other is copied once into memory of its own. */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #assemblies: (Assembly | null)[] = [null, null, null]
  readonly #head = new Uint8Array(HEAD_BYTES)
  #headFilled = 0
  /** Of the segment that is being read. */
  #lane = 0
  #left = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** What is wrong with the stream, or null. Chunks must never be written to again: frames may be views of them. */
  push(chunk: Uint8Array): string | null {
    const end = chunk.length
    let at = 0
    while (at < end) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, end - at)
        if (!this.#fill(chunk, at, taken)) return null
        at += taken
        continue
      }
      let head = chunk
      let headAt = at
      if (this.#headFilled > 0 || end - at < HEAD_BYTES) {
        at += this.#fillHead(chunk, at)
        if (this.#headFilled < HEAD_BYTES) return null
        this.#headFilled = 0
        head = this.#head
        headAt = 0
      } else {
        at += HEAD_BYTES
      }
      const kind = head[headAt + 4] as number
      const value =
        (head[headAt] as number) * 0x1000000 + ((head[headAt + 1] as number) << 16) + ((head[headAt + 2] as number) << 8) + (head[headAt + 3] as number)
      if (kind >= LANES.length) {
        if (kind < SIGNAL.accept || kind > SIGNAL.alive) return `unknown kind of frame ${kind}`
        if (!this.#sink.signal(kind)) return null
        continue
      }
      const assembly = this.#assemblies[kind] as Assembly | null
      if (assembly === null && value <= end - at && value <= SEGMENT_BYTES) {
        const start = chunk.byteOffset + at
        at += value
        if (!this.#sink.frame(kind, new Uint8Array(chunk.buffer as ArrayBuffer, start, value))) return null
        continue
      }
      const wrong = this.#begin(kind, value, assembly)
      if (wrong !== null) return wrong
    }
    return null
  }

  #fillHead(chunk: Uint8Array, at: number): number {
    const taken = Math.min(HEAD_BYTES - this.#headFilled, chunk.length - at)
    this.#head.set(chunk.subarray(at, at + taken), this.#headFilled)
    this.#headFilled += taken
    return taken
  }

  #begin(lane: number, left: number, assembly: Assembly | null): string | null {
    if (assembly === null) {
      if (left > FRAME_BYTES_MAX) return `a frame of ${left} bytes is longer than ${FRAME_BYTES_MAX}`
      this.#assemblies[lane] = { length: left, bytes: memory(Math.min(left, SEGMENT_BYTES)), filled: 0 }
    } else if (left !== assembly.length - assembly.filled) {
      return 'a segment does not continue its frame'
    }
    this.#lane = lane
    this.#left = Math.min(left, SEGMENT_BYTES)
    return null
  }

  #fill(chunk: Uint8Array, at: number, count: number): boolean {
    const assembly = this.#assemblies[this.#lane] as Assembly
    const filled = assembly.filled + count
    if (filled > assembly.bytes.length) {
      const grown = memory(Math.min(assembly.length, Math.max(filled, assembly.bytes.length * 2)))
      grown.set(assembly.bytes.subarray(0, assembly.filled))
      assembly.bytes = grown
    }
    assembly.bytes.set(count === chunk.length ? chunk : chunk.subarray(at, at + count), assembly.filled)
    assembly.filled = filled
    this.#left -= count
    if (filled < assembly.length) return true
    this.#assemblies[this.#lane] = null
    return this.#sink.frame(this.#lane, assembly.bytes)
  }
}

/** Not zeroed: all of it is written before anybody reads it. */
function memory(length: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
}
