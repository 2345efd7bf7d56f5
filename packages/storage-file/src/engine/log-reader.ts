import { type AntiphonError, epochOf, type Run, type Zxid } from '@antiphon/ports'
import { crc32, cutAfter, cutBehind, entryLength, entryZxid } from '@antiphon/wire'
import type { CheckedDisk } from './disk.ts'
import {
  corruptAt,
  type Point,
  RECORD_HEAD_BYTES,
  RECORD_RUN,
  RUN_FIXED_BYTES,
  recordHolds,
  recordKind,
  recordLength,
  recordNeeds,
  recordSalt,
  recordSpan,
  u32,
  u64,
} from './format.ts'
import type { Extent, LogIndex, Segment } from './log-index.ts'

/** Records that are on their way to `offset` of `segment`. */
export interface Underway {
  readonly segment: Segment
  readonly offset: number
  readonly bytes: Uint8Array
}

/** The run whose record's payload begins at `at`: it shares the memory of `bytes`. */
export function runAt(bytes: Uint8Array, at: number, length: number): Run {
  return {
    previous: u64(bytes, at) as Zxid,
    first: u64(bytes, at + 8) as Zxid,
    last: u64(bytes, at + 16) as Zxid,
    previousChecksum: u32(bytes, at + 24),
    checksum: u32(bytes, at + 28),
    time: u64(bytes, at + 32),
    entries: u32(bytes, at + 40),
    bytes: bytes.subarray(at + RUN_FIXED_BYTES, at + length),
  }
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
    const merger = new Merger(bytesMax)
    for (let i = index.after(after); i < index.extents.length && !merger.full; i++) {
      const extent = index.extents[i]!
      const limit = upTo < extent.end.zxid ? upTo : extent.end.zxid
      if (extent.previous >= limit) break
      this.#visit(extent, (run) => {
        if (run.last <= after) return true
        const tail = cutAfter(run, after)
        const wanted = tail === null ? null : cutBehind(tail, limit)
        return wanted !== null && merger.add(wanted) && run.last < limit
      })
    }
    return merger.finish()
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
      const run = runAt(bytes, at + RECORD_HEAD_BYTES, recordLength(bytes, at))
      if (crc32(run.bytes, run.previousChecksum) !== run.checksum) throw damaged(segment, offset)
      if (run.previous !== tail) throw corruptAt(segment.name, offset, 'an entry does not follow the one before it')
      tail = run.last
      if (!each(run)) return
    }
  }

  /** [from, to) of a segment, from the disk and from what is on its way there. */
  #region(segment: Segment, from: number, to: number): Uint8Array {
    const count = to - from
    if (this.#scratch.length < count) this.#scratch = new Uint8Array(Math.max(count, 2 * this.#scratch.length))
    const scratch = this.#scratch
    const underway = this.underway?.segment === segment ? this.underway : null
    const onDisk = underway === null ? count : Math.min(count, Math.max(0, underway.offset - from))
    if (onDisk > 0) {
      segment.file ??= this.#disk.open(segment.name, 'write')
      const read = this.#disk.read(segment.file, scratch.subarray(0, onDisk), from)
      if (read < onDisk) throw corruptAt(segment.name, from + read, 'the file ends before its entries do')
    }
    if (underway !== null && onDisk < count) scratch.set(underway.bytes.subarray(from + onDisk - underway.offset, to - underway.offset), onDisk)
    return scratch
  }
}

function damaged(segment: Segment, offset: number): AntiphonError {
  return corruptAt(segment.name, offset, 'what is read is not what was written')
}

/** Joins runs that follow each other, up to a number of bytes. */
class Merger {
  readonly #bytesMax: number
  #bytes: Uint8Array<ArrayBuffer>
  #length = 0
  readonly #runs: Run[] = []
  /** Where each run's bytes begin. */
  readonly #starts: number[] = []
  full = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#bytes = new Uint8Array(Math.min(Math.max(bytesMax, 256), 64 * 1024))
  }

  /** Takes what fits of it, one entry at least if it is the first; false when no more does. Copies. */
  add(run: Run): boolean {
    const room = this.#bytesMax - this.#length
    const fitting = run.bytes.length <= room ? run : cutToBytes(run, room, this.#length === 0)
    this.full = fitting !== run
    if (fitting === null) return false
    const last = this.#runs.at(-1)
    if (last === undefined || epochOf(last.last) !== epochOf(fitting.first)) {
      this.#runs.push(fitting)
      this.#starts.push(this.#length)
    } else {
      const { last: zxid, checksum, time } = fitting
      this.#runs[this.#runs.length - 1] = { ...last, last: zxid, checksum, time, entries: last.entries + fitting.entries }
    }
    if (this.#length + fitting.bytes.length > this.#bytes.length) this.#grow(this.#length + fitting.bytes.length)
    this.#bytes.set(fitting.bytes, this.#length)
    this.#length += fitting.bytes.length
    return !this.full
  }

  finish(): Run[] {
    return this.#runs.map((run, i) => ({ ...run, bytes: this.#bytes.subarray(this.#starts[i], this.#starts[i + 1] ?? this.#length) }))
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, Math.min(this.#bytes.length * 4, this.#bytesMax)))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
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
