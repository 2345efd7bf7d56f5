import { type Checksum, type EpochEnd, epochOf, ZERO, type Zxid } from '@antiphon/ports'
import type { FileHandle, Point, RunHead } from '@antiphon/storage-kit'
import type { SegmentHead } from './format.ts'

/** A file of the log. */
export interface Segment {
  readonly name: string
  readonly number: number
  readonly head: SegmentHead
  /** Null until the file is opened. */
  file: FileHandle | null
  /** Behind the head. */
  readonly begin: number
  /** Behind the last record. */
  end: number
  /** The file is zero-filled or written up to here. */
  filled: number
  /** What truncations in it have left of the history in front of it: never increases. */
  lowest: Zxid
}

/** Records that stand together, follow each other in the history and are of one epoch: what the index knows of them, and no more. */
export interface Extent {
  readonly segment: Segment
  readonly from: number
  to: number
  readonly previous: Zxid
  readonly previousChecksum: Checksum
  entries: number
  /** Truncation lowers it: what the records hold above is not in the history. */
  end: Point
  /** Nothing may be added: the next records do not follow. `to` and `entries` then tell more than there is. */
  cut: boolean
}

/** How large an extent may become before the next is begun: what a search reads at most, but for a single longer record. */
const EXTENT_BYTES = 64 * 1024

const EMPTY: Point = { zxid: ZERO, checksum: 0, time: 0 }

/** Where the history's entries stand: sparse, so that its size is a fraction of a percent of the log's. */
export class LogIndex {
  #start: Point
  #extents: Extent[] = []
  #ends: EpochEnd[]

  constructor(start: Point = EMPTY, endPoints: readonly EpochEnd[] = []) {
    this.#start = start
    this.#ends = [...endPoints]
  }

  /** Before the first entry. */
  get start(): Point {
    return this.#start
  }

  get tail(): Point {
    return this.#extents.at(-1)?.end ?? this.#start
  }

  /** Of everything that is known, ascending. */
  get endPoints(): readonly EpochEnd[] {
    return this.#ends
  }

  get extents(): readonly Extent[] {
    return this.#extents
  }

  /** The record at [from, to) follows the tail. */
  append(segment: Segment, from: number, to: number, { previous, previousChecksum, last: zxid, checksum, time, entries }: RunHead): void {
    const end = { zxid, checksum, time }
    const last = this.#extents.at(-1)
    if (last !== undefined && last.segment === segment && !last.cut && to - last.from <= EXTENT_BYTES && epochOf(last.end.zxid) === epochOf(zxid)) {
      last.to = to
      last.end = end
      last.entries += entries
    } else {
      this.#extents.push({ segment, from, to, previous, previousChecksum, entries, end, cut: false })
    }
    this.#extend(end)
  }

  /** Forgets what is above. A point below the start empties the log: what it names was compacted away. */
  truncate(point: Point): void {
    const extents = this.#extents
    while (extents.length > 0 && extents.at(-1)!.previous >= point.zxid) extents.pop()
    const last = extents.at(-1)
    if (last === undefined) {
      if (point.zxid < this.#start.zxid) this.#start = point
    } else {
      last.end = last.end.zxid > point.zxid ? point : last.end
      last.cut = true
    }
    while (this.#ends.length > 0 && this.#ends.at(-1)!.last > point.zxid) this.#ends.pop()
    if (point.zxid > ZERO) this.#extend(point)
  }

  /** The number of the extent that holds the first entry above `zxid`; of extents when there is none. */
  after(zxid: Zxid): number {
    let low = 0
    let high = this.#extents.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#extents[middle]!.end.zxid > zxid) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Forgets whole leading segments: `from` is the first that stays, the log starts where it does. */
  dropBefore(from: Segment): void {
    const kept = this.#extents.findIndex((extent) => extent.segment.number >= from.number)
    const dropped = this.#extents.splice(0, kept < 0 ? this.#extents.length : kept)
    this.#start = dropped.at(-1)?.end ?? this.#start
  }

  /** The history before the start: `earlier` ends where this one begins. */
  prepend({ start, extents }: LogIndex): void {
    this.#start = start
    this.#extents = [...extents, ...this.#extents]
  }

  /** A snapshot's end points stand for what the log does not hold. */
  adoptEndPoints(upTo: Zxid, endPoints: readonly EpochEnd[]): void {
    const above = this.#ends.filter(({ last }) => last > upTo)
    this.#ends = [...endPoints]
    for (const end of above) this.#push(end)
  }

  #extend({ zxid, checksum }: Point): void {
    this.#push({ epoch: epochOf(zxid), last: zxid, checksum })
  }

  #push(end: EpochEnd): void {
    if (this.#ends.at(-1)?.epoch === end.epoch) this.#ends.pop()
    this.#ends.push(end)
  }
}
