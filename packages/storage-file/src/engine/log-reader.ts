import { type AntiphonError, epochOf, type Run, type Zxid } from '@antiphon/ports'
import {
  type CheckedDisk,
  corruptAt,
  type Point,
  RECORD_HEAD_BYTES,
  RECORD_RUN,
  RUN_FIXED_BYTES,
  type RunHead,
  recordKind,
  recordLength,
  recordSpan,
  runHeadAt,
} from '@antiphon/storage-kit'
import { crc32, cutAfter, cutBehind, entryLength, entryZxid } from '@antiphon/wire'
import { recordHolds, recordNeeds, recordSalt } from './format.ts'
import type { Extent, LogIndex, Segment } from './log-index.ts'

const COLLECTED_AT_FIRST = 64 * 1024

/** Records that are on their way to `offset` of `segment`. */
export interface Underway {
  readonly segment: Segment
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Reads entries back. Everything that comes from the disk is verified here. */
export class LogReader {
  readonly #disk: CheckedDisk
  #scratch: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  /** The batch that is being written: readable before it is on disk. */
  underway: Underway | null = null

  constructor(disk: CheckedDisk) {
    this.#disk = disk
  }

  /** The place at `zxid`; null when the history has no such entry, or no longer. @throws AntiphonError CORRUPT, DISK_FAILED */
  pointAt(index: LogIndex, zxid: Zxid): Point | null {
    if (zxid === index.start.zxid) return index.start
    const extent = index.extents[index.after((zxid - 1) as Zxid)]
    if (extent === undefined || zxid <= extent.previous) return null
    if (zxid === extent.end.zxid) return extent.end
    let point: Point | null = null
    this.#visit(extent, (run) => {
      if (run.last < zxid) return true
      const cut = run.first > zxid ? null : cutBehind(run, zxid)
      if (cut !== null && cut.last === zxid) point = { zxid, checksum: cut.checksum, time: cut.time }
      return false
    })
    return point
  }

  /**
   * Runs in (after, upTo], at most about `bytesMax` but at least one entry; one run for each epoch, all in one new piece of memory. `after >= index.start`.
   * @throws AntiphonError CORRUPT, DISK_FAILED
   */
  read(index: LogIndex, after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    const found = new Collector(bytesMax, bytesFrom(index, after))
    for (let i = index.after(after); i < index.extents.length && !found.full; i++) {
      const extent = index.extents[i]!
      const limit = upTo < extent.end.zxid ? upTo : extent.end.zxid
      if (extent.previous >= limit) break
      if (after <= extent.previous && limit === extent.end.zxid && !extent.cut) {
        const fits = extent.to - extent.from <= found.room
        if (!fits && found.room < bytesMax) break
        if (fits && this.#collectWhole(extent, found)) continue
      }
      this.#visit(extent, (run) => {
        if (run.last <= after) return true
        const tail = cutAfter(run, after)
        const wanted = tail === null ? null : cutBehind(tail, limit)
        return wanted !== null && found.add(wanted) && run.last < limit
      })
    }
    return found.finish()
  }

  /**
   * All of an extent, in one pass: it is read to where it will stay, the heads between the entries are squeezed out, and the history's checksum over all of it says whether it is
   * what was written. False when it is not: then `#visit` finds the place.
   */
  #collectWhole(extent: Extent, found: Collector): boolean {
    const { segment, from, to } = extent
    const { memory, begin } = found.reserve(to - from)
    const end = begin + to - from
    this.#load(segment, from, memory.subarray(begin, end))
    let kept = begin
    for (let at = begin; at < end; ) {
      if (end - at < RECORD_HEAD_BYTES || recordNeeds(memory, at) === 0) return false
      const next = at + recordSpan(memory, at)
      if (next > end) return false
      if (recordKind(memory, at) === RECORD_RUN) {
        const bytesEnd = at + RECORD_HEAD_BYTES + recordLength(memory, at)
        const bytesBegin = at + RECORD_HEAD_BYTES + RUN_FIXED_BYTES
        memory.copyWithin(kept, bytesBegin, bytesEnd)
        kept += bytesEnd - bytesBegin
      }
      at = next
    }
    if (crc32(memory, extent.previousChecksum, begin, kept) !== extent.end.checksum) return false
    const { previous, previousChecksum, entries, end: last } = extent
    found.keep({ previous, previousChecksum, first: entryZxid(memory, begin), last: last.zxid, checksum: last.checksum, time: last.time, entries }, kept)
    return true
  }

  /** The extent's runs in order, verified, until `each` answers false. Their memory is used again. */
  #visit(extent: Extent, each: (run: Run) => boolean): void {
    const { segment, from, to } = extent
    const bytes = this.#region(segment, from, to)
    const salt = recordSalt(segment.head.storeId, segment.head.generation)
    let tail = extent.previous
    for (let at = 0; at < to - from && tail < extent.end.zxid; at += recordSpan(bytes, at)) {
      const offset = from + at
      if (to - offset < RECORD_HEAD_BYTES || recordNeeds(bytes, at) === 0 || at + recordSpan(bytes, at) > to - from) throw damaged(segment, offset)
      if (this.underway?.segment !== segment || offset < this.underway.offset) {
        if (!recordHolds(bytes, at, salt, offset)) throw damaged(segment, offset)
      }
      if (recordKind(bytes, at) !== RECORD_RUN) continue
      const payload = at + RECORD_HEAD_BYTES
      const { previous, previousChecksum, first, last, checksum, time, entries } = runHeadAt(bytes, payload)
      const entryBytes = bytes.subarray(payload + RUN_FIXED_BYTES, payload + recordLength(bytes, at))
      const run: Run = { previous, previousChecksum, first, last, checksum, time, entries, bytes: entryBytes }
      if (crc32(run.bytes, run.previousChecksum) !== run.checksum) throw damaged(segment, offset)
      if (run.previous !== tail) throw corruptAt(segment.name, offset, 'an entry does not follow the one before it')
      tail = run.last
      if (!each(run)) return
    }
  }

  /** [from, to) of a segment; its memory is used again. */
  #region(segment: Segment, from: number, to: number): Uint8Array {
    const count = to - from
    if (this.#scratch.length < count) this.#scratch = new Uint8Array(Math.max(count, 2 * this.#scratch.length))
    this.#load(segment, from, this.#scratch.subarray(0, count))
    return this.#scratch
  }

  /** Fills `into` from the disk, and from what is on its way there. */
  #load(segment: Segment, from: number, into: Uint8Array): void {
    const underway = this.underway?.segment === segment ? this.underway : null
    const onDisk = underway === null ? into.length : Math.min(into.length, Math.max(0, underway.offset - from))
    if (onDisk > 0) {
      segment.file ??= this.#disk.open(segment.name, 'write')
      const read = this.#disk.read(segment.file, onDisk === into.length ? into : into.subarray(0, onDisk), from)
      if (read < onDisk) throw corruptAt(segment.name, from + read, 'the file ends before its entries do')
    }
    if (underway !== null && onDisk < into.length)
      into.set(underway.bytes.subarray(from + onDisk - underway.offset, from + into.length - underway.offset), onDisk)
  }
}

function damaged(segment: Segment, offset: number): AntiphonError {
  return corruptAt(segment.name, offset, 'what is read is not what was written')
}

/** On disk, of what stands above `after`; counted no further than it matters to a `Collector`. */
function bytesFrom(index: LogIndex, after: Zxid): number {
  let bytes = 0
  for (let i = index.after(after); i < index.extents.length && bytes < COLLECTED_AT_FIRST; i++) bytes += index.extents[i]!.to - index.extents[i]!.from
  return bytes
}

/** Joins runs that follow each other, up to a number of bytes, into one piece of memory: one run for each epoch. */
class Collector {
  readonly #bytesMax: number
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0
  readonly #runs: RunHead[] = []
  /** Where each run's bytes begin. */
  readonly #starts: number[] = []
  full = false

  /** `bytesExpected`: no more than that will come. */
  constructor(bytesMax: number, bytesExpected: number) {
    this.#bytesMax = bytesMax
    this.#bytes = new Uint8Array(Math.min(Math.max(bytesMax, 256), bytesExpected, COLLECTED_AT_FIRST))
  }

  /** Bytes that may still be taken. */
  get room(): number {
    return this.#bytesMax - this.#length
  }

  /** Takes what fits of it, one entry at least if it is the first; false when no more does. Copies. */
  add(run: Run): boolean {
    const fitting = run.bytes.length <= this.room ? run : cutToBytes(run, this.room, this.#length === 0)
    this.full = fitting !== run
    if (fitting === null) return false
    const { memory, begin } = this.reserve(fitting.bytes.length)
    memory.set(fitting.bytes, begin)
    this.keep(fitting, begin + fitting.bytes.length)
    return !this.full
  }

  /** Memory for `count` more bytes, from `begin` on. */
  reserve(count: number): { memory: Uint8Array<ArrayBuffer>; begin: number } {
    const needed = this.#length + count
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(this.#bytes.length * 4, this.#bytesMax)))
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    return { memory: this.#bytes, begin: this.#length }
  }

  /** What stands in the memory up to `end` is the next run's. */
  keep(run: RunHead, end: number): void {
    const before = this.#runs.at(-1)
    if (before === undefined || epochOf(before.last) !== epochOf(run.first)) {
      this.#runs.push(run)
      this.#starts.push(this.#length)
    } else {
      const { last, checksum, time } = run
      this.#runs[this.#runs.length - 1] = { ...before, last, checksum, time, entries: before.entries + run.entries }
    }
    this.#length = end
  }

  finish(): Run[] {
    return this.#runs.map((run, i) => ({ ...run, bytes: this.#bytes.subarray(this.#starts[i], this.#starts[i + 1] ?? this.#length) }))
  }
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
