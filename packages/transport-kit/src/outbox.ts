import { HEAD_BYTES, SEGMENT_BYTES, writeHead } from './framing.ts'

/** Pieces up to here are copied and gathered; longer ones go to the socket as they are. About where one more entry in a gathered write costs what copying does. */
const COPY_BYTES_MAX = 8 * 1024
const BLOCK_BYTES_MIN = 4 * 1024
const BLOCK_BYTES_MAX = 64 * 1024

const NOTHING: Uint8Array = new Uint8Array(0)

/** One lane of one connection: framed bytes in the order in which they were sent. No byte of a block is written twice, so that a block needs no owner but the garbage collector. */
class LaneQueue {
  /** Framed bytes that wait, heads included. */
  bytes = 0
  refused = false
  readonly #lane: number
  readonly #slices: Uint8Array[] = []
  /** Whether another lane may go on behind `#slices[i]`: it ends a segment. */
  readonly #ends: boolean[] = []
  #first = 0
  #block: Uint8Array = NOTHING
  /** The block's bytes from `#open` to `#used` are framed and not yet a slice. */
  #open = 0
  #used = 0

  constructor(lane: number) {
    this.#lane = lane
  }

  append(pieces: readonly Uint8Array[], length: number): void {
    if (length <= COPY_BYTES_MAX) this.#appendShort(pieces, length)
    else this.#appendSegments(pieces, length)
  }

  #appendShort(pieces: readonly Uint8Array[], length: number): void {
    this.#reserve(HEAD_BYTES + length, true)
    this.#writeHead(length)
    for (let i = 0; i < pieces.length; i++) this.#copy(pieces[i] as Uint8Array)
    this.bytes += HEAD_BYTES + length
  }

  #appendSegments(pieces: readonly Uint8Array[], length: number): void {
    let left = length
    let segment = 0
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as Uint8Array
      let at = 0
      while (at < piece.length) {
        if (segment === 0) {
          this.#seal(true)
          this.#reserve(HEAD_BYTES, true)
          this.#writeHead(left)
          this.bytes += HEAD_BYTES
          segment = Math.min(left, SEGMENT_BYTES)
        }
        const count = Math.min(segment, piece.length - at)
        this.#place(at === 0 && count === piece.length ? piece : piece.subarray(at, at + count))
        at += count
        segment -= count
        left -= count
        if (segment === 0) this.#endSegment()
      }
    }
    this.bytes += length
  }

  #place(part: Uint8Array): void {
    if (part.length <= COPY_BYTES_MAX) {
      this.#reserve(part.length, false)
      this.#copy(part)
    } else {
      this.#seal(false)
      this.#slices.push(part)
      this.#ends.push(false)
    }
  }

  #endSegment(): void {
    if (this.#used > this.#open) this.#seal(true)
    else this.#ends[this.#ends.length - 1] = true
  }

  #reserve(count: number, atEnd: boolean): void {
    if (this.#block.length - this.#used >= count) return
    this.#seal(atEnd)
    this.#block = new Uint8Array(Math.min(BLOCK_BYTES_MAX, Math.max(count, BLOCK_BYTES_MIN, this.#block.length * 2)))
    this.#open = 0
    this.#used = 0
  }

  #writeHead(left: number): void {
    writeHead(this.#block, this.#used, left, this.#lane)
    this.#used += HEAD_BYTES
  }

  #copy(piece: Uint8Array): void {
    this.#block.set(piece, this.#used)
    this.#used += piece.length
  }

  #seal(atEnd: boolean): void {
    if (this.#used === this.#open) return
    this.#slices.push(this.#block.subarray(this.#open, this.#used))
    this.#ends.push(atEnd)
    this.#open = this.#used
  }

  /** Moves slices to `batch` until it has `budget` bytes more, and on to the end of the segment. */
  take(batch: Uint8Array[], budget: number): number {
    this.#seal(true)
    let taken = 0
    let atEnd = true
    while (this.#first < this.#slices.length && (taken < budget || !atEnd)) {
      const slice = this.#slices[this.#first] as Uint8Array
      atEnd = this.#ends[this.#first] as boolean
      this.#slices[this.#first] = NOTHING
      this.#first += 1
      batch.push(slice)
      taken += slice.length
    }
    this.bytes -= taken
    this.#trim()
    return taken
  }

  #trim(): void {
    const all = this.#first === this.#slices.length
    if (!all && (this.#first < 1024 || this.#first * 2 < this.#slices.length)) return
    this.#slices.splice(0, this.#first)
    this.#ends.splice(0, this.#first)
    this.#first = 0
  }
}

/** What one connection has to send. */
export class Outbox {
  readonly #laneBytesMax: readonly number[]
  readonly #lanes: readonly [LaneQueue, LaneQueue, LaneQueue] = [new LaneQueue(0), new LaneQueue(1), new LaneQueue(2)]
  readonly #signals: Uint8Array[] = []

  /** `laneBytesMax`: bounds of the lanes, by their numbers. */
  constructor(laneBytesMax: readonly number[]) {
    this.#laneBytesMax = laneBytesMax
  }

  get empty(): boolean {
    const [control, entries, bulk] = this.#lanes
    return this.#signals.length === 0 && control.bytes === 0 && entries.bytes === 0 && bulk.bytes === 0
  }

  /** Takes one frame, or nothing at all. Long pieces are kept as they are until they have been written. */
  push(pieces: readonly Uint8Array[], length: number, lane: number): boolean {
    const queue = this.#lanes[lane] as LaneQueue
    if (queue.bytes > 0 && queue.bytes + length > (this.#laneBytesMax[lane] as number)) {
      queue.refused = true
      return false
    }
    queue.append(pieces, length)
    return true
  }

  /** Goes before every lane. */
  signal(bytes: Uint8Array): void {
    this.#signals.push(bytes)
  }

  /** Moves about `budget` bytes to `batch`, highest priority first; more only to end a segment. */
  take(batch: Uint8Array[], budget: number): void {
    let left = budget
    for (const signal of this.#signals) {
      batch.push(signal)
      left -= signal.length
    }
    this.#signals.length = 0
    for (const queue of this.#lanes) if (left > 0 && queue.bytes > 0) left -= queue.take(batch, left)
  }

  /** True once after a lane that had refused has room again: half its bound. */
  takeDrained(): boolean {
    let drained = false
    for (let lane = 0; lane < this.#lanes.length; lane++) {
      const queue = this.#lanes[lane] as LaneQueue
      if (!queue.refused || queue.bytes * 2 > (this.#laneBytesMax[lane] as number)) continue
      queue.refused = false
      drained = true
    }
    return drained
  }
}
