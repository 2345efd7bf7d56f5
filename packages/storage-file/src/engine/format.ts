import {
  type AntiphonError,
  type Checksum,
  corrupt,
  type Epochs,
  type Founding,
  type Millis,
  type PeerId,
  type Run,
  type StoreId,
  type Zxid,
} from '@antiphon/ports'
import { ByteReader, ByteWriter, crc32, crc32OfWord, decodeFounding, encodeFounding } from '@antiphon/wire'

/** Of the whole folder; stands in the marker and in every head. */
export const FORMAT_VERSION = 1

export const MARKER_NAME = 'antiphon-store'
export const LOCK_NAME = 'antiphon-lock'
/** What a file is called until it is whole and flushed. */
export const ASIDE = '.new'
const MARKER_MAGIC = 0x414e5450 // 'ANTP'
const SEGMENT_MAGIC = 0x414e544c // 'ANTL'
const ID_DIGITS = 32
const SEGMENT_HEAD_BYTES_MIN = 88
export const SEGMENT_HEAD_BYTES_MAX = 65_536

/** A place in the history. */
export interface Point {
  readonly zxid: Zxid
  readonly checksum: Checksum
  readonly time: Millis
}

export function samePoint(a: Point, b: Point): boolean {
  return a.zxid === b.zxid && a.checksum === b.checksum
}

export const RECORD_HEAD_BYTES = 24
/** Of a run's record, in front of the run's own bytes. */
export const RUN_FIXED_BYTES = 48
const RECORD_MAGIC = 0xa17f
/** Only a run's record is longer. */
const PLAIN_BYTES_MAX = 65_536

export const RECORD_RUN = 1
export const RECORD_TRUNCATE = 2
export const RECORD_INSTALL = 3
export const RECORD_EPOCHS = 4
export const RECORD_FOUNDING = 5
export const RECORD_SEAL = 6

export const FLAG_BATCH_END = 1
export const FLAG_STAGED = 2

/** Records begin at multiples of 8. */
export function padded(bytes: number): number {
  return (bytes + 7) & ~7
}

export function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Its checksum stands over it: the upper half is not bounded again. */
export function u64(bytes: Uint8Array, at: number): number {
  return u32(bytes, at) * 0x1_0000_0000 + u32(bytes, at + 4)
}

export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, Math.floor(value / 0x1_0000_0000))
  putU32(bytes, at + 4, value % 0x1_0000_0000)
}

/** Writes a record's head; batch, index, flags and checksum are filled in by `sealRecord`. */
export function putRecordHead(bytes: Uint8Array, at: number, kind: number, length: number): void {
  putU32(bytes, at, 0)
  bytes[at + 4] = RECORD_MAGIC >> 8
  bytes[at + 5] = RECORD_MAGIC & 255
  bytes[at + 6] = kind
  bytes[at + 7] = 0
  putU32(bytes, at + 8, length)
  putU32(bytes, at + 12, 0)
  putU64(bytes, at + 16, 0)
}

export function putRunFixed(bytes: Uint8Array, at: number, run: Run): void {
  putU64(bytes, at, run.previous)
  putU64(bytes, at + 8, run.first)
  putU64(bytes, at + 16, run.last)
  putU32(bytes, at + 24, run.previousChecksum)
  putU32(bytes, at + 28, run.checksum)
  putU64(bytes, at + 32, run.time)
  putU32(bytes, at + 40, run.entries)
  putU32(bytes, at + 44, 0)
}

/** All of a run but its bytes. */
export type RunHead = Omit<Run, 'bytes'>

/** Of the run's record whose payload begins at `at`. */
export function runHeadAt(bytes: Uint8Array, at: number): RunHead {
  return {
    previous: u64(bytes, at) as Zxid,
    first: u64(bytes, at + 8) as Zxid,
    last: u64(bytes, at + 16) as Zxid,
    previousChecksum: u32(bytes, at + 24),
    checksum: u32(bytes, at + 28),
    time: u64(bytes, at + 32),
    entries: u32(bytes, at + 40),
  }
}

export const recordKind = (bytes: Uint8Array, at: number): number => bytes[at + 6]!
export const recordFlags = (bytes: Uint8Array, at: number): number => bytes[at + 7]!
export const recordLength = (bytes: Uint8Array, at: number): number => u32(bytes, at + 8)
export const recordIndex = (bytes: Uint8Array, at: number): number => u32(bytes, at + 12)
export const recordBatch = (bytes: Uint8Array, at: number): number => u64(bytes, at + 16)
/** Head, payload and padding. */
export const recordSpan = (bytes: Uint8Array, at: number): number => padded(RECORD_HEAD_BYTES + recordLength(bytes, at))

/** How many bytes from the record's start stand under its own checksum: all, but of a run only the head and the fixed part; its bytes stand under the history's. */
export function recordCovered(bytes: Uint8Array, at: number): number {
  return RECORD_HEAD_BYTES + (recordKind(bytes, at) === RECORD_RUN ? RUN_FIXED_BYTES : recordLength(bytes, at))
}

/** Ties records to their store, generation and place, so that a copy of a log inside somebody's data is never taken for the log. */
export function recordSalt(storeId: StoreId, generation: number): number {
  let crc = salts.get(storeId)
  if (crc === undefined) {
    crc = crc32(new ByteWriter(ID_DIGITS / 2).hex(storeId, ID_DIGITS).finish())
    if (salts.size === SALTS_MAX) salts.clear()
    salts.set(storeId, crc)
  }
  return crc32OfWord(generation, crc)
}

const SALTS_MAX = 64
/** The CRC of each store's id: asked for with every batch, of the same few stores. */
const salts = new Map<StoreId, number>()

function recordChecksum(bytes: Uint8Array, at: number, salt: number, offset: number): Checksum {
  return crc32(bytes, (salt ^ (offset >>> 3)) >>> 0, at + 4, at + recordCovered(bytes, at))
}

/** The record at `at` goes to `offset` of its file as number `index` of `batch`. */
export function sealRecord(bytes: Uint8Array, at: number, salt: number, offset: number, batch: number, index: number, flags: number): void {
  bytes[at + 7] = flags
  putU32(bytes, at + 12, index)
  putU64(bytes, at + 16, batch)
  putU32(bytes, at, recordChecksum(bytes, at, salt, offset))
}

/** How many bytes are needed to judge the record whose head stands at `at`; 0 when it is none. `[at, at + RECORD_HEAD_BYTES)` is there. */
export function recordNeeds(bytes: Uint8Array, at: number): number {
  if (bytes[at + 4] !== RECORD_MAGIC >> 8 || bytes[at + 5] !== (RECORD_MAGIC & 255)) return 0
  const length = recordLength(bytes, at)
  if (recordKind(bytes, at) === RECORD_RUN ? length <= RUN_FIXED_BYTES : length > PLAIN_BYTES_MAX) return 0
  return recordCovered(bytes, at)
}

/** Whether head and fixed part are as they were written; `recordNeeds` bytes are there. */
export function recordHolds(bytes: Uint8Array, at: number, salt: number, offset: number): boolean {
  return u32(bytes, at) === recordChecksum(bytes, at, salt, offset)
}

/** Of one segment: what is needed to go on from it, should it be the only one (rule 3). */
export interface SegmentHead {
  readonly storeId: StoreId
  readonly generation: number
  /** Part of a staged generation's log: counts once the generation is installed. */
  readonly staged: boolean
  /** Its first batch installs its generation. */
  readonly installs: boolean
  readonly firstBatch: number
  /** The history up to the segment. */
  readonly previous: Point
  readonly epochs: Epochs
  readonly founding: Founding | null
}

export function encodeSegmentHead(head: SegmentHead): Uint8Array {
  const founding = head.founding === null ? null : encodeFounding(head.founding)
  const { accepted, acceptedFrom, current } = head.epochs
  const length = padded(SEGMENT_HEAD_BYTES_MIN + (founding?.length ?? 0))
  const writer = new ByteWriter(length)
    .u32(SEGMENT_MAGIC)
    .u16(FORMAT_VERSION)
    .bool(head.staged)
    .bool(head.installs)
    .u32(length)
    .u32(head.generation)
    .hex(head.storeId, ID_DIGITS)
    .u64(head.firstBatch)
    .u64(head.previous.zxid)
    .u64(head.previous.time)
    .u32(head.previous.checksum)
    .u32(accepted)
    .u32(current)
    .u32(acceptedFrom?.leader ?? 0)
    .u64(acceptedFrom?.nonce ?? 0)
    .u32(founding?.length ?? 0)
  if (founding !== null) writer.raw(founding)
  while (writer.length < length - 4) writer.u8(0)
  return writer.u32(crc32(writer.finish())).finish()
}

/** The head in front of `bytes` and its length; null when there is none that holds. */
export function decodeSegmentHead(bytes: Uint8Array): { head: SegmentHead; length: number } | null {
  if (bytes.length < SEGMENT_HEAD_BYTES_MIN || u32(bytes, 0) !== SEGMENT_MAGIC) return null
  const length = u32(bytes, 8)
  if (length < SEGMENT_HEAD_BYTES_MIN || length > bytes.length || length > SEGMENT_HEAD_BYTES_MAX) return null
  if (crc32(bytes, 0, 0, length - 4) !== u32(bytes, length - 4)) return null
  const reader = new ByteReader(bytes, 4, length - 4, corrupt)
  if (reader.u16() !== FORMAT_VERSION) return null
  const staged = reader.bool()
  const installs = reader.bool()
  reader.u32()
  const generation = reader.u32()
  const storeId = reader.hex(ID_DIGITS)
  const firstBatch = reader.u64()
  const previous = { zxid: reader.zxid(), time: reader.u64(), checksum: reader.u32() }
  const epochs = takeEpochs(reader)
  const foundingBytes = reader.u32(reader.remaining)
  const founding = foundingBytes === 0 ? null : decodeFounding(reader.raw(foundingBytes))
  return { head: { storeId, generation, staged, installs, firstBatch, previous, epochs, founding }, length }
}

export const EPOCHS_BYTES = 24

export function putEpochs(bytes: Uint8Array, at: number, epochs: Epochs): void {
  putU32(bytes, at, epochs.accepted)
  putU32(bytes, at + 4, epochs.current)
  putU32(bytes, at + 8, epochs.acceptedFrom?.leader ?? 0)
  putU64(bytes, at + 12, epochs.acceptedFrom?.nonce ?? 0)
  putU32(bytes, at + 20, 0)
}

/** The record's checksum stands over them. */
export function readEpochs(bytes: Uint8Array, at: number): Epochs {
  return takeEpochs(new ByteReader(bytes, at, at + EPOCHS_BYTES, corrupt))
}

function takeEpochs(reader: ByteReader): Epochs {
  const accepted = reader.epoch()
  const current = reader.epoch()
  const leader = reader.u32(255)
  const nonce = reader.u64()
  return { accepted, acceptedFrom: leader === 0 ? null : { leader: leader as PeerId, nonce }, current }
}

export function encodeMarker(storeId: StoreId): Uint8Array {
  const writer = new ByteWriter(32).u32(MARKER_MAGIC).u16(FORMAT_VERSION).u16(0).hex(storeId, ID_DIGITS)
  return writer.u32(crc32(writer.finish())).finish()
}

/** Every version begins with the magic and its number and ends with the checksum of everything before. Null: no marker that holds. */
export function decodeMarker(bytes: Uint8Array): { version: number; storeId: StoreId } | null {
  const end = bytes.length - 4
  if (end < 8 || u32(bytes, 0) !== MARKER_MAGIC || crc32(bytes, 0, 0, end) !== u32(bytes, end)) return null
  const reader = new ByteReader(bytes, 4, end, corrupt)
  const version = reader.u16()
  if (version !== FORMAT_VERSION) return { version, storeId: '' }
  reader.u16()
  return { version, storeId: reader.hex(ID_DIGITS) }
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
export const segmentName = (generation: number, number: number): string => `log-${hex(generation, 8)}-${hex(number, 8)}`
export const snapshotName = (generation: number, zxid: Zxid): string => `snapshot-${hex(generation, 8)}-${hex(zxid, 16)}`

/** What a file's name says; null when it is none of ours. `aside` ones are leftovers. */
export function parseName(name: string): { kind: 'log' | 'snapshot'; generation: number; number: number; aside: boolean } | null {
  const match = /^(?:(log)-([0-9a-f]{8})-([0-9a-f]{8})|snapshot-([0-9a-f]{8})-([0-9a-f]{16}))(\.new)?$/.exec(name)
  if (match === null) return null
  const kind = match[1] === undefined ? 'snapshot' : 'log'
  return { kind, generation: Number.parseInt(match[2] ?? match[4]!, 16), number: Number.parseInt(match[3] ?? match[5]!, 16), aside: match[6] !== undefined }
}

/** Corruption is named by file and offset (rule 2). */
export function corruptAt(file: string, offset: number, what: string): AntiphonError {
  return corrupt(`${file} at ${offset}: ${what}`, { file, offset })
}
