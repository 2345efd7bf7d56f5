import { type CheckedDisk, type FileHandle, padded, RECORD_HEAD_BYTES, RECORD_RUN, RUN_FIXED_BYTES, recordKind, recordLength, u32 } from '@antiphon/storage-kit'
import { crc32 } from '@antiphon/wire'
import {
  decodeSegmentHead,
  FLAG_BATCH_END,
  FLAG_STAGED,
  recordBatch,
  recordFlags,
  recordHolds,
  recordIndex,
  recordNeeds,
  SEGMENT_HEAD_BYTES_MAX,
  type SegmentHead,
} from './format.ts'

const WINDOW_BYTES = 1024 * 1024
const HEAD_READINGS_MAX = 4
/** Of a few members; a head of hundreds is read as a whole. */
const HEAD_BYTES_USUAL = 1024

/** A file through a window: memory stays bounded, whatever the file claims. */
export class FileReader {
  readonly size: number
  readonly #disk: CheckedDisk
  readonly #file: FileHandle
  #window: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #from = 0
  #to = 0

  constructor(disk: CheckedDisk, file: FileHandle) {
    this.#disk = disk
    this.#file = file
    this.size = disk.size(file)
  }

  /** Gives the window's memory back. */
  release(): void {
    this.#window = new Uint8Array(0)
    this.#from = 0
    this.#to = 0
  }

  /** The window's memory; what it holds moves with each `seek`. */
  get bytes(): Uint8Array {
    return this.#window
  }

  /** How many bytes of the window are the file's. */
  get bytesHeld(): number {
    return this.#to - this.#from
  }

  /** Where `offset` stands in `bytes` when [offset, offset + count) is in the file and fits the window; -1 when not. */
  seek(offset: number, count: number): number {
    if (offset + count > this.size || count > WINDOW_BYTES) return -1
    if (this.#window.length === 0) this.#window = new Uint8Array(Math.min(WINDOW_BYTES, this.size))
    if (offset < this.#from || offset + count > this.#to) {
      const read = this.#disk.read(this.#file, this.#window, offset)
      this.#from = offset
      this.#to = offset + read
      if (read < count) return -1
    }
    return offset - this.#from
  }

  /** The CRC-32 of [from, to), continued from `seed`; -1 when the file ends before. */
  checksum(from: number, to: number, seed: number): number {
    let crc = seed
    for (let offset = from; offset < to; ) {
      const count = Math.min(to - offset, this.#to > offset && this.#from <= offset ? this.#to - offset : WINDOW_BYTES)
      const at = this.seek(offset, count)
      if (at < 0) return -1
      crc = crc32(this.#window, crc, at, at + count)
      offset += count
    }
    return crc
  }

  /** Null when there is none that holds. What has none is dropped, so two readings must agree: a disk may once give what stands in another place. */
  head(): { head: SegmentHead; length: number } | null {
    const most = Math.min(this.size, SEGMENT_HEAD_BYTES_MAX)
    return (most > HEAD_BYTES_USUAL ? this.#headWithin(HEAD_BYTES_USUAL) : null) ?? this.#headWithin(most)
  }

  #headWithin(count: number): { head: SegmentHead; length: number } | null {
    let bytes = this.#headBytes(count)
    for (let readings = 2; readings <= HEAD_READINGS_MAX; readings++) {
      const again = this.#headBytes(count)
      if (isPrefix(again, bytes)) return again.length < count ? null : decodeSegmentHead(again)
      bytes = again
    }
    return null
  }

  #headBytes(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count)
    return bytes.subarray(0, this.#disk.read(this.#file, bytes, 0))
  }
}

/** Does `bytes` begin with `prefix`? In a loop: a callback for each byte costs more than the reading. */
export function isPrefix(prefix: Uint8Array, bytes: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (prefix[i] !== bytes[i]) return false
  return true
}

/** One record that holds. It is used again after the visit. */
export interface RecordVisit {
  kind: number
  offset: number
  /** Behind its padding. */
  next: number
  /** Begins with a copy of head and payload; of a run's payload the fixed part alone. */
  bytes: Uint8Array
}

export interface Scan {
  /** Behind the last whole batch. */
  readonly end: number
  readonly lastBatch: number
  /** The first record that does not hold; null when zeros, or nothing, follow the last batch. */
  readonly bad: { readonly offset: number; readonly reason: string } | null
}

/**
 * Reads whole batches from `from` on, the first of them numbered `firstBatch`, and hands each to `visit` when all of it has been found to hold, until it answers false. What follows
 * the last one is for the caller to judge.
 */
export function scanBatches(
  reader: FileReader,
  from: number,
  salt: number,
  firstBatch: number,
  staged: boolean,
  visit: (records: readonly RecordVisit[], end: number) => boolean,
): Scan {
  let end = from
  let batch = firstBatch
  const records: RecordVisit[] = []
  const spare: RecordVisit[] = []
  const stop = (offset: number, reason: string | null): Scan => ({ end, lastBatch: batch - 1, bad: reason === null ? null : { offset, reason } })
  for (let offset = from; ; ) {
    const record = spare.pop() ?? { kind: 0, offset: 0, next: 0, bytes: new Uint8Array(0) }
    const reason = readRecord(reader, offset, salt, record)
    if (reason !== null) return stop(offset, records.length === 0 && reason === NOTHING ? null : reason)
    const { bytes } = record
    if (recordBatch(bytes, 0) !== batch || recordIndex(bytes, 0) !== records.length || (recordFlags(bytes, 0) & FLAG_STAGED) !== (staged ? FLAG_STAGED : 0)) {
      return stop(offset, `record ${recordIndex(bytes, 0)} of batch ${recordBatch(bytes, 0)} stands where record ${records.length} of batch ${batch} is due`)
    }
    records.push(record)
    offset = record.next
    if ((recordFlags(bytes, 0) & FLAG_BATCH_END) !== 0) {
      const goesOn = visit(records, offset)
      for (const used of records) spare.push(used)
      records.length = 0
      end = offset
      batch++
      if (!goesOn) return stop(offset, null)
    }
  }
}

const NOTHING = 'nothing is written here'

/** Fills `record`; why there is none. */
function readRecord(reader: FileReader, offset: number, salt: number, record: RecordVisit): string | null {
  let at = reader.seek(offset, RECORD_HEAD_BYTES)
  if (at < 0) return reader.size - offset <= 0 || isZero(reader, offset, reader.size) ? NOTHING : 'the file ends within the head of a record'
  const needs = recordNeeds(reader.bytes, at)
  if (needs === 0) return isZero(reader, offset, offset + RECORD_HEAD_BYTES) ? NOTHING : 'this is no record'
  at = reader.seek(offset, needs)
  if (at < 0) return 'the file ends within a record'
  if (!recordHolds(reader.bytes, at, salt, offset)) return 'the checksum of a record does not match'
  if (record.bytes.length < needs) record.bytes = new Uint8Array(Math.max(needs, RECORD_HEAD_BYTES + RUN_FIXED_BYTES))
  for (let i = 0; i < needs; i++) record.bytes[i] = reader.bytes[at + i]!
  record.kind = recordKind(record.bytes, 0)
  record.offset = offset
  const end = offset + RECORD_HEAD_BYTES + recordLength(record.bytes, 0)
  record.next = offset + padded(end - offset)
  // What was reported durable always has its padding too.
  if (record.next > reader.size) return 'the file ends within a record'
  if (record.kind !== RECORD_RUN) return null
  const fixed = RECORD_HEAD_BYTES
  const checksum = reader.checksum(offset + needs, end, u32(record.bytes, fixed + 24))
  return checksum === u32(record.bytes, fixed + 28) ? null : 'the entries of a record do not have its checksum'
}

function isZero(reader: FileReader, from: number, to: number): boolean {
  for (let offset = from; offset < to; ) {
    const at = reader.seek(offset, 1)
    if (at < 0) return false
    const { bytes } = reader
    const end = Math.min(reader.bytesHeld, at + to - offset)
    for (let i = at; i < end; i++) if (bytes[i] !== 0) return false
    offset += end - at
  }
  return true
}

/**
 * Looks at every place of the rest of a file for a record of a batch above `batch`: one proves that whatever does not hold before it had been flushed (rule 2).
 * Null when there is none.
 */
export function findLaterRecord(reader: FileReader, from: number, salt: number, batch: number, staged: boolean): { offset: number; batch: number } | null {
  const flag = staged ? FLAG_STAGED : 0
  for (let offset = from; offset + RECORD_HEAD_BYTES <= reader.size; ) {
    let at = reader.seek(offset, RECORD_HEAD_BYTES)
    if (at < 0) return null
    const limit = reader.bytesHeld - RECORD_HEAD_BYTES
    const start = offset - at
    at = nextMagic(reader.bytes, at, limit)
    offset = start + at
    if (at > limit) continue
    const needs = recordNeeds(reader.bytes, at)
    if (needs > 0) {
      const whole = reader.seek(offset, needs)
      if (
        whole >= 0 &&
        recordBatch(reader.bytes, whole) > batch &&
        (recordFlags(reader.bytes, whole) & FLAG_STAGED) === flag &&
        recordHolds(reader.bytes, whole, salt, offset)
      ) {
        return { offset, batch: recordBatch(reader.bytes, whole) }
      }
    }
    offset += 8
  }
  return null
}

/** The first place at or behind `at`, in steps of 8 and not above `limit`, whose bytes look like a record's head; above `limit` when there is none. */
function nextMagic(bytes: Uint8Array, at: number, limit: number): number {
  while (at <= limit && recordNeeds(bytes, at) === 0) at += 8
  return at
}
