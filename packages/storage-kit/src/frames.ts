import type { SnapshotMeta } from '@antiphon/ports'
import { crc32, encodeSnapshotMeta } from '@antiphon/wire'
import { putU32, u32 } from './words.ts'

/** Length and running checksum in front of each chunk. */
export const FRAME_HEAD_BYTES = 8

/** What the chunks' running checksum begins with: it ties them to what the snapshot is of. */
export function chunksSeed(meta: SnapshotMeta): number {
  return crc32(encodeSnapshotMeta(meta))
}

/** What a snapshot's end says of its chunks. */
export interface SnapshotTotals {
  readonly chunks: number
  /** Of the chunks alone. */
  readonly bytes: number
  /** Running, over all chunks. */
  readonly checksum: number
}

/** Where a reader stands: given back to it for the next read. */
export interface SnapshotPosition {
  readonly offset: number
  readonly checksum: number
}

export interface SnapshotFrames {
  /** Whole frames, their checksums verified. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Null behind the last chunk. */
  readonly next: SnapshotPosition | null
}

/** Puts chunks into frames: each with its length and the running checksum. Copies them: whoever makes them may use their memory again. */
export class ChunkFramer {
  #checksum: number
  #chunks = 0
  #total = 0
  /** Never shared, empty neither: whoever takes it may transfer it to another thread. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #length = 0
  readonly #bytesEach: number

  constructor(meta: SnapshotMeta, bytesEach: number) {
    this.#checksum = chunksSeed(meta)
    this.#bytesEach = bytesEach
  }

  get totals(): SnapshotTotals {
    return { chunks: this.#chunks, bytes: this.#total, checksum: this.#checksum }
  }

  /** Frames that are ready to be written, if the chunk finds no room behind them: call again. Null: it was taken. */
  add(chunk: Uint8Array): Uint8Array<ArrayBuffer> | null {
    const needed = FRAME_HEAD_BYTES + chunk.length
    if (this.#length > 0 && this.#length + needed > this.#bytes.length) return this.take()
    if (needed > this.#bytes.length) this.#bytes = new Uint8Array(Math.max(needed, this.#bytesEach))
    this.#checksum = crc32(chunk, this.#checksum)
    putU32(this.#bytes, this.#length, chunk.length)
    putU32(this.#bytes, this.#length + 4, this.#checksum)
    this.#bytes.set(chunk, this.#length + FRAME_HEAD_BYTES)
    this.#length += needed
    this.#chunks++
    this.#total += chunk.length
    return null
  }

  /** What is framed and not yet taken; its memory goes with it. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.subarray(0, this.#length)
    this.#bytes = new Uint8Array(0)
    this.#length = 0
    return taken
  }
}

/** The chunks in whole frames, sharing their memory. */
export function* chunksIn(frames: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < frames.length; ) {
    const end = at + FRAME_HEAD_BYTES + u32(frames, at)
    yield frames.subarray(at + FRAME_HEAD_BYTES, end)
    at = end
  }
}
