import { type Checksum, type EpochEnd, epochOf, type Millis, type Run, type SnapshotMeta, ZERO, type Zxid } from '@antiphon/ports'
import { cutAfter, cutBehind, endPointsOf, entryLength, entryZxid } from '@antiphon/wire'

/** A place in the history. */
export interface Point {
  readonly zxid: Zxid
  readonly checksum: Checksum
  readonly time: Millis
}

const EMPTY: Point = { zxid: ZERO, checksum: 0, time: 0 }

/** One generation's entries: runs as they were handed in, contiguous, found by binary search. */
export class MemoryLog {
  #start: Point
  #runs: Run[] = []
  /** Of the whole known history up to the tail, ascending; what is compacted stays in. */
  #ends: EpochEnd[]

  /** Empty, behind `base`. */
  constructor(base: SnapshotMeta | null) {
    this.#start = base === null ? EMPTY : { zxid: base.zxid, checksum: base.checksum, time: base.time }
    this.#ends = base === null ? [] : [...base.endPoints]
  }

  get start(): Zxid {
    return this.#start.zxid
  }

  get tail(): Point {
    const run = this.#runs.at(-1)
    return run === undefined ? this.#start : { zxid: run.last, checksum: run.checksum, time: run.time }
  }

  get endPoints(): readonly EpochEnd[] {
    return this.#ends
  }

  /** The place at `zxid`; null when the log has no such entry. */
  pointAt(zxid: Zxid): Point | null {
    if (zxid === this.#start.zxid) return this.#start
    const run = this.#runs[this.#indexAfter(zxid - 1)]
    const cut = run === undefined || zxid < run.first ? null : cutBehind(run, zxid)
    return cut === null || cut.last !== zxid ? null : { zxid, checksum: cut.checksum, time: cut.time }
  }

  /** `run` begins at the tail: the caller has checked it. */
  append(run: Run): void {
    this.#runs.push(run)
    for (const end of endPointsOf(run)) this.#extend(end)
  }

  /** Drops what is above `point`, a place in this log. */
  truncate(point: Point): void {
    const index = this.#indexAfter(point.zxid)
    if (index === this.#runs.length) return
    const cut = cutBehind(this.#runs[index]!, point.zxid)
    this.#runs.length = index
    if (cut !== null) this.#runs.push(cut)
    while (this.#ends.length > 0 && this.#ends.at(-1)!.last > point.zxid) this.#ends.pop()
    if (point.zxid > ZERO) this.#extend({ epoch: epochOf(point.zxid), last: point.zxid, checksum: point.checksum })
  }

  /** Runs in (after, upTo], at most about `bytesMax` but at least one entry; `after >= start`. */
  read(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    const found: Run[] = []
    let room = bytesMax
    for (let i = this.#indexAfter(after); i < this.#runs.length && (room > 0 || found.length === 0); i++) {
      if (this.#runs[i]!.first > upTo) break
      const tail = cutAfter(this.#runs[i]!, after)
      const run = tail === null ? null : cutBehind(tail, upTo)
      if (run === null) break
      const fitting = run.bytes.length <= room ? run : cutToBytes(run, room)
      found.push(fitting)
      if (fitting !== run) break
      room -= run.bytes.length
    }
    return found
  }

  /** Drops whole runs at or below `upTo`. */
  dropThrough(upTo: Zxid): void {
    let dropped = 0
    while (dropped < this.#runs.length && this.#runs[dropped]!.last <= upTo) dropped++
    if (dropped === 0) return
    const run = this.#runs[dropped - 1]!
    this.#start = { zxid: run.last, checksum: run.checksum, time: run.time }
    this.#runs.splice(0, dropped)
  }

  #extend(end: EpochEnd): void {
    if (this.#ends.at(-1)?.epoch === end.epoch) this.#ends.pop()
    this.#ends.push(end)
  }

  /** The first run that ends above `zxid`; the number of runs when there is none. */
  #indexAfter(zxid: number): number {
    let low = 0
    let high = this.#runs.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#runs[middle]!.last > zxid) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** The entries of `run` that fit into `bytesMax`, at least one. */
function cutToBytes(run: Run, bytesMax: number): Run {
  let last = 0
  for (let next = entryLength(run.bytes, 0); next < run.bytes.length; ) {
    const length = entryLength(run.bytes, next)
    if (next + length > bytesMax) break
    last = next
    next += length
  }
  return cutBehind(run, entryZxid(run.bytes, last))!
}
