import type { AntiphonError, Zxid } from '@antiphon/ports'
import type { CheckedDisk, FileHandle } from '@antiphon/storage-kit'
import { corruptAt, RECORD_HEAD_BYTES, RECORD_RUN, RECORD_TRUNCATE, runHeadAt, u32, u64 } from '@antiphon/storage-kit'
import { recordSalt, type SegmentHead, samePoint } from './format.ts'
import { LogIndex, type Segment } from './log-index.ts'
import { FileReader, type RecordVisit, type Scan, scanBatches } from './scan.ts'

/** What one step reads, unless a single batch is longer. */
const STEP_BYTES = 512 * 1024
/** A disk may once give what stands in another place. */
const READINGS = 2

/** A segment that is being read, by itself: its truncations may reach into those before it, which the start of its index then tells. */
interface Reading {
  readonly file: FileHandle
  readonly reader: FileReader
  readonly index: LogIndex
  end: number
  nextBatch: number
}

/**
 * The segments that the newest snapshot stood for when the store was opened. That none is missing, and where each begins and ends, is known from the head of the one that follows.
 * Their entries are verified, and taken into the index of the log, later: in steps, the newest first, so that opening takes no longer for a longer history.
 */
export class LogBehind {
  readonly #disk: CheckedDisk
  /** Ascending; not yet in the index. */
  readonly #segments: Segment[]
  /** Of the segment behind the last of them. */
  #next: SegmentHead | null
  #reading: Reading | null = null
  #readings = 0
  /** Why the last of `segments` can not be read, as it was found last; null while nothing is wrong. */
  damage: AntiphonError | null = null

  constructor(disk: CheckedDisk, segments: readonly Segment[] = [], next: SegmentHead | null = null) {
    this.#disk = disk
    this.#segments = [...segments]
    this.#next = next
  }

  get isEmpty(): boolean {
    return this.#segments.length === 0
  }

  /** Where the history begins that they hold; infinite when there are none. */
  get start(): number {
    return Math.min(...this.#segments.map(({ lowest }) => lowest))
  }

  /** Reads on in the newest one, and puts it in front of `index` when all of it holds. @throws AntiphonError CORRUPT, DISK_FAILED: it is begun again by the next call */
  step(index: LogIndex): void {
    const segment = this.#segments.at(-1)!
    try {
      this.#reading ??= this.#begin(segment)
      if (!this.#read(segment, this.#reading)) return
      this.#join(segment, this.#reading, index)
    } catch (error) {
      this.#end()
      if (++this.#readings < READINGS) return
      this.#readings = 0
      this.damage = error as AntiphonError
      throw error
    }
    this.#end()
    this.#readings = 0
    this.damage = null
    this.#next = segment.head
    this.#segments.pop()
  }

  /** The first of them that may hold anything above `limit`, unless they are damaged and nothing of them is needed, at or behind `keepFrom`; null when none has to stay. */
  firstNeeded(limit: Zxid, keepFrom: Zxid): Segment | null {
    if (this.damage !== null && this.#headAfter(this.#segments.length - 1).previous.zxid < keepFrom) return null
    return this.#segments.find((_, i) => this.#headAfter(i).previous.zxid > limit) ?? null
  }

  /** Those before `from` are gone. */
  dropBefore(from: Segment): void {
    const kept = this.#segments.findIndex(({ number }) => number >= from.number)
    this.#segments.splice(0, kept < 0 ? this.#segments.length : kept)
    if (kept >= 0) return
    this.#end()
    this.#readings = 0
    this.damage = null
  }

  /** Gives the file back that is being read. */
  close(): void {
    this.#end()
  }

  #headAfter(i: number): SegmentHead {
    return this.#segments[i + 1]?.head ?? this.#next!
  }

  #begin({ name, head, begin }: Segment): Reading {
    const file = this.#disk.open(name, 'read')
    return { file, reader: new FileReader(this.#disk, file), index: new LogIndex(head.previous), end: begin, nextBatch: head.firstBatch }
  }

  /** True: all of it was read. */
  #read(segment: Segment, reading: Reading): boolean {
    const { name, head } = segment
    const limit = Math.min(segment.end, reading.end + STEP_BYTES)
    const salt = recordSalt(head.storeId, head.generation)
    const scan: Scan = scanBatches(reading.reader, reading.end, salt, reading.nextBatch, head.staged, (records, end) => {
      for (const record of records) takeIntoIndex(reading.index, segment, record)
      return end < limit
    })
    const { end, lastBatch, bad } = scan
    reading.end = end
    reading.nextBatch = lastBatch + 1
    if (end < limit || end > segment.end) {
      throw corruptAt(name, bad?.offset ?? end, `${bad?.reason ?? 'nothing is written here'}, but later segments follow`)
    }
    return end === segment.end
  }

  #join({ name, head, end }: Segment, { index: own, nextBatch }: Reading, index: LogIndex): void {
    const next = this.#next!
    const wrong = (what: string): AntiphonError => corruptAt(name, end, what)
    if (next.staged === head.staged && nextBatch !== next.firstBatch) throw wrong('batches are missing here')
    if (!samePoint(own.tail, next.previous)) throw wrong('this is not the history that the next segment follows')
    // A later truncation reached into this segment, or below it.
    if (!samePoint(index.start, next.previous)) own.truncate(index.start)
    if (!samePoint(own.tail, index.start)) throw wrong('this is not the history that was cut off later')
    index.prepend(own)
  }

  #end(): void {
    const reading = this.#reading
    this.#reading = null
    if (reading === null) return
    try {
      this.#disk.close(reading.file)
    } catch {
      // It was only read.
    }
  }
}

/** Of records that hold, those that change the history. @throws AntiphonError CORRUPT */
export function takeIntoIndex(index: LogIndex, segment: Segment, { kind, offset, next, bytes }: RecordVisit): void {
  const at = RECORD_HEAD_BYTES
  if (kind === RECORD_RUN) {
    const run = runHeadAt(bytes, at)
    const { tail } = index
    if (run.previous !== tail.zxid || run.previousChecksum !== tail.checksum)
      throw corruptAt(segment.name, offset, 'entries do not follow the history before them')
    index.append(segment, offset, next, run)
  } else if (kind === RECORD_TRUNCATE) {
    const zxid = u64(bytes, at) as Zxid
    index.truncate({ zxid, checksum: u32(bytes, at + 8), time: u64(bytes, at + 16) })
    if (zxid < segment.lowest) segment.lowest = zxid
  }
}
