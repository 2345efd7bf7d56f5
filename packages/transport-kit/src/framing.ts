import { FRAME_BYTES_MAX, type Lane } from '@antiphon/ports'

/**
 * What travels behind the handshake (`handshake.ts`), all numbers big-endian: heads of five bytes, each the beginning of a segment or a signal by itself.
 *
 *   bytes left of the frame, these included (4) | lane (1) | as many bytes, but at most SEGMENT_BYTES
 *   0 (4) | signal (1)
 *
 * A long frame is several segments of its lane, each full but the last; other lanes may come between them. That is what lets a heartbeat pass a long run.
 */
export const HEAD_BYTES = 5
export const SEGMENT_BYTES: number = 256 * 1024

/** Highest priority first; a lane's place here is its number on the wire and its index everywhere in this package. */
export const LANES: readonly [Lane, Lane, Lane] = ['control', 'entries', 'bulk']

/** Numbers apart from those of lanes. */
export const SIGNAL = {
  /** From the higher id, which decides: this connection is the one, and frames may follow. */
  accept: 16,
  /** Do you live? Answered by `alive`. */
  probe: 17,
  alive: 18,
  /** From the lower id: nothing is wrong with you; decide. */
  ready: 19,
  /** The first of the refusals: see `REFUSAL`. */
  refusal: 32,
} as const

/** Why a connection is refused: `SIGNAL.refusal` and this number, and nothing follows. */
export const REFUSAL = { busy: 0, unknownPeer: 1, wrongPeer: 2, version: 3, duplicate: 4, declined: 5, unauthenticated: 6 } as const
const REFUSALS: number = Object.keys(REFUSAL).length

export function encodeSignal(signal: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES)
  writeHead(bytes, 0, 0, signal)
  return bytes
}

export function isSignal(kind: number): boolean {
  return (kind >= SIGNAL.accept && kind <= SIGNAL.ready) || (kind >= SIGNAL.refusal && kind < SIGNAL.refusal + REFUSALS)
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
        if (!isSignal(kind)) return `unknown kind of frame ${kind}`
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
      this.#assemblies[lane] = { length: left, bytes: new Uint8Array(Math.min(left, SEGMENT_BYTES)), filled: 0 }
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
      const grown = new Uint8Array(Math.min(assembly.length, Math.max(filled, assembly.bytes.length * 2)))
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
