import { type EpochEnd, epochOf, formatZxid, invalidArgument, type Run, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import { diverged, type Point, type RunHead } from '@antiphon/storage-kit'
import { cutAfter, cutBehind, entryLength, entryZxid } from '@antiphon/wire'
import type { Database, Databases } from './environment.ts'
import { damaged, openValue, type SegmentPlace, sealValue, segmentName, segmentSalt, VALUE_HEAD_BYTES } from './format.ts'

/** A sub-database with a part of the log. */
interface Segment extends SegmentPlace {
  readonly database: Database
  readonly salt: number
  bytes: number
}

const EMPTY: Point = { zxid: ZERO, checksum: 0, time: 0 }
/** Runs that follow each other within a batch share a value up to this. */
const VALUE_BYTES = 64 * 1024
/** LMDB keeps all open databases in arrays: a long log has longer segments, not ever more of them. */
const SEGMENTS_BEFORE_LONGER = 512

/** One generation's entries, in one sub-database for each segment. */
export class Log {
  readonly #databases: Databases
  readonly #storeId: StoreId
  readonly #segmentBytes: number
  readonly #segments: Segment[] = []
  #tail: Point
  /** End points of the epochs before the tail's, ascending; what is compacted stays in. */
  #closed: EpochEnd[]
  /** The list of segments, or the closed end points, are not as they were last stored. */
  segmentsChanged = true
  endsChanged = true
  readonly #joiner = new Joiner()

  constructor(databases: Databases, storeId: StoreId, segmentBytes: number, tail: Point = EMPTY, endPoints: readonly EpochEnd[] = []) {
    this.#databases = databases
    this.#storeId = storeId
    this.#segmentBytes = segmentBytes
    this.#tail = tail
    this.#closed = endPoints.filter(({ epoch }) => epoch < epochOf(tail.zxid))
  }

  /** As it was stored. `bytes` of a segment are not: only the last one takes any more, and it is left a little late. @throws AntiphonError CORRUPT */
  adopt(segments: readonly SegmentPlace[]): void {
    for (const { number, start } of segments) this.#segments.push(this.#segment(number, start, this.#databases.database(segmentName(number))))
    this.segmentsChanged = false
    this.endsChanged = false
    const last = this.#segments.at(-1)
    if (last === undefined) return
    const number = last.database.floor(Number.MAX_SAFE_INTEGER)
    const end: Point = number === null ? last.start : endOf(this.#valueAt(last, number))
    if (end.zxid !== this.#tail.zxid || end.checksum !== this.#tail.checksum) throw damaged(segmentName(last.number), 'it does not end where the log does')
  }

  get start(): Point {
    return this.#segments[0]?.start ?? this.#tail
  }

  get tail(): Point {
    return this.#tail
  }

  get segments(): readonly SegmentPlace[] {
    return this.#segments
  }

  get closedEnds(): readonly EpochEnd[] {
    return this.#closed
  }

  get endPoints(): EpochEnd[] {
    const { zxid, checksum } = this.#tail
    return zxid === ZERO ? [] : [...this.#closed, { epoch: epochOf(zxid), last: zxid, checksum }]
  }

  /** Within a commit. `record`: a pack's, of one epoch; the room in front of its fixed part is ours. @throws AntiphonError INVALID_ARGUMENT, DIVERGED */
  append(head: RunHead, pack: Uint8Array, payload: number, end: number, newSegment: () => number): void {
    const tail = this.#tail
    if (head.previous !== tail.zxid) throw invalidArgument(`a run behind ${formatZxid(head.previous)} cannot follow ${formatZxid(tail.zxid)}`)
    if (head.previousChecksum !== tail.checksum) throw diverged(tail.zxid)
    if (epochOf(head.last) !== epochOf(tail.zxid) && tail.zxid > ZERO) {
      this.#closed.push({ epoch: epochOf(tail.zxid), last: tail.zxid, checksum: tail.checksum })
      this.endsChanged = true
    }
    let segment = this.#segments.at(-1)
    const limit = this.#segmentBytes * (1 + Math.floor(this.#segments.length / SEGMENTS_BEFORE_LONGER))
    if (segment === undefined || segment.bytes >= limit) {
      this.#joiner.flush()
      segment = this.#begin(newSegment())
    }
    segment.bytes += end - payload + VALUE_HEAD_BYTES
    this.#joiner.add(segment, head, pack, payload, end)
    this.#tail = { zxid: head.last, checksum: head.checksum, time: head.time }
  }

  /** Within a commit: what was appended is with LMDB, where it can be read. */
  settle(): void {
    this.#joiner.flush()
  }

  /** Within a commit: a fresh segment begins at `zxid`; nothing is deleted, because what a segment holds above the next one's start is not the log's. The segments that are void. @throws AntiphonError INVALID_ARGUMENT, DIVERGED, CORRUPT */
  truncate(zxid: Zxid, checksum: number, floor: Zxid, newSegment: () => number): Database[] {
    this.settle()
    const point = this.pointAt(zxid)
    if (point === null) throw invalidArgument(`truncation to ${formatZxid(zxid)}, which the log does not hold`)
    if (point.checksum !== checksum) throw diverged(zxid)
    if (zxid < floor) throw invalidArgument(`truncation to ${formatZxid(zxid)}, below the snapshot at ${formatZxid(floor)}`)
    if (zxid === this.#tail.zxid) return []
    const kept = this.#segments.findIndex(({ start }) => start.zxid >= zxid)
    const dropped = kept < 0 ? [] : this.#segments.splice(kept)
    this.#tail = point
    this.#closed = this.#closed.filter((end) => end.last < zxid && end.epoch < epochOf(zxid))
    this.endsChanged = true
    this.#begin(newSegment())
    return dropped.map(({ database }) => database)
  }

  /** Segments of which nothing is needed behind `limit` are the log's no more. */
  dropThrough(limit: Zxid): Database[] {
    let count = 0
    while (count < this.#segments.length - 1 && this.#segments[count + 1]!.start.zxid <= limit) count++
    if (count > 0) this.segmentsChanged = true
    return this.#segments.splice(0, count).map(({ database }) => database)
  }

  /** All of them: another log takes this one's place. */
  dropAll(): Database[] {
    return this.#segments.splice(0).map(({ database }) => database)
  }

  /** The place at `zxid`; null when the log has no such entry. @throws AntiphonError CORRUPT */
  pointAt(zxid: Zxid): Point | null {
    if (zxid === this.#tail.zxid) return this.#tail
    const index = this.#segmentOf(zxid)
    if (index < 0) return zxid === this.start.zxid ? this.start : null
    const segment = this.#segments[index]!
    const found = segment.database.floor(zxid)
    if (found === null || zxid > this.#endOf(index)) return null
    const cut = cutBehind(this.#valueAt(segment, found), zxid)
    return cut === null || cut.last !== zxid ? null : { zxid, checksum: cut.checksum, time: cut.time }
  }

  /** Runs in (after, upTo], at most about `bytesMax` but at least one entry; one run for each epoch, all in one new piece of memory. @throws AntiphonError CORRUPT */
  read(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    const pieces: Run[] = []
    let room = bytesMax
    let at = after
    const limit = upTo < this.#tail.zxid ? upTo : this.#tail.zxid
    while (at < limit && (room > 0 || pieces.length === 0)) {
      const piece = this.#next(at, limit)
      const fitting = piece.bytes.length <= room ? piece : cutToBytes(piece, room, pieces.length === 0)
      if (fitting === null) break
      pieces.push(fitting)
      if (fitting !== piece) break
      room -= piece.bytes.length
      at = piece.last
    }
    return joined(pieces)
  }

  /** What follows `at` within one value; a copy. */
  #next(at: Zxid, limit: Zxid): Run {
    const index = this.#segments.findLastIndex(({ start }) => start.zxid <= at)
    const segment = this.#segments[index]!
    const end = Math.min(limit, this.#endOf(index)) as Zxid
    // The value that holds the entry behind `at`: the last one that begins at or below it, unless that ends there.
    const below = segment.database.floor(at)
    let run = below === null ? null : this.#valueAt(segment, below)
    if (run === null || run.last <= at) {
      const above = segment.database.above(at)
      if (above === null) throw damaged(segmentName(segment.number), 'entries are missing', { after: at })
      run = this.#valueAt(segment, above)
      if (run.previous !== at) throw damaged(segmentName(segment.number), 'an entry does not follow the one before it', { after: at })
    }
    const behind = run.previous >= at ? run : cutAfter(run, at)
    const cut = behind === null ? null : cutBehind(behind, end)
    if (cut === null || cut.previous !== at) throw damaged(segmentName(segment.number), 'an entry does not follow the one before it', { after: at })
    return cut
  }

  /** Verified, and copied: LMDB's memory does not outlive the next call. */
  #valueAt(segment: Segment, number: number): Run {
    const found = segment.database.get(number)
    const value = found === null ? null : openValue(found, segment.salt)
    if (value === null || value.head.first !== number) throw damaged(segmentName(segment.number), 'what is read is not what was written', { zxid: number })
    return { ...value.head, bytes: value.bytes }
  }

  /** Of the segment in which the entry at `zxid` would stand; -1: none. */
  #segmentOf(zxid: Zxid): number {
    return this.#segments.findLastIndex(({ start }) => start.zxid < zxid)
  }

  #endOf(index: number): Zxid {
    return this.#segments[index + 1]?.start.zxid ?? this.#tail.zxid
  }

  #begin(number: number): Segment {
    const segment = this.#segment(number, this.#tail, this.#databases.database(segmentName(number)))
    this.#segments.push(segment)
    this.segmentsChanged = true
    return segment
  }

  #segment(number: number, start: Point, database: Database): Segment {
    return { number, start, database, salt: segmentSalt(this.#storeId, number), bytes: 0 }
  }
}

function endOf({ last: zxid, checksum, time }: Run): Point {
  return { zxid, checksum, time }
}

/** Puts runs that follow each other into one value. */
class Joiner {
  #bytes: Uint8Array = new Uint8Array(VALUE_BYTES)
  #length = 0
  #segment: Segment | null = null
  #head: RunHead | null = null

  add(segment: Segment, head: RunHead, pack: Uint8Array, payload: number, end: number): void {
    const bytes = end - payload
    const before = this.#head
    if (before !== null && (segment !== this.#segment || epochOf(before.last) !== epochOf(head.first) || this.#length + bytes > VALUE_BYTES)) this.flush()
    if (VALUE_HEAD_BYTES + bytes > VALUE_BYTES) {
      // Alone, and where it is: the packer left room in front of it.
      sealValue(pack, payload - VALUE_HEAD_BYTES, segment.salt, head)
      segment.database.append(head.first, pack.subarray(payload - VALUE_HEAD_BYTES, end))
      return
    }
    if (this.#head === null) {
      this.#length = VALUE_HEAD_BYTES
      this.#segment = segment
      this.#head = head
    } else {
      const { last, checksum, time, entries } = head
      this.#head = { ...this.#head, last, checksum, time, entries: this.#head.entries + entries }
    }
    this.#bytes.set(pack.subarray(payload, end), this.#length)
    this.#length += bytes
  }

  flush(): void {
    if (this.#head === null) return
    const segment = this.#segment!
    sealValue(this.#bytes, 0, segment.salt, this.#head)
    segment.database.append(this.#head.first, this.#bytes.subarray(0, this.#length))
    this.#head = null
    this.#segment = null
  }
}

/** One run for each epoch, all in one piece of memory. */
function joined(pieces: Run[]): Run[] {
  if (pieces.length < 2) return pieces
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.bytes.length, 0))
  const runs: { head: RunHead; from: number; to: number }[] = []
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece.bytes, at)
    const to = at + piece.bytes.length
    const { last, checksum, time, entries } = piece
    const before = runs.at(-1)
    if (before !== undefined && epochOf(before.head.last) === epochOf(piece.first)) {
      before.head = { ...before.head, last, checksum, time, entries: before.head.entries + entries }
      before.to = to
    } else {
      runs.push({ head: piece, from: at, to })
    }
    at = to
  }
  return runs.map(({ head, from, to }) => ({ ...head, bytes: bytes.subarray(from, to) }))
}

/** The entries of `run` that fit into `bytesMax`; when none does, the first alone if `least`, else null. */
function cutToBytes(run: Run, bytesMax: number, least: boolean): Run | null {
  let fitting = -1
  for (let next = 0; next < run.bytes.length; ) {
    const length = entryLength(run.bytes, next)
    if (next + length > bytesMax && !(least && next === 0)) break
    fitting = next
    next += length
  }
  return fitting < 0 ? null : cutBehind(run, entryZxid(run.bytes, fitting))
}
