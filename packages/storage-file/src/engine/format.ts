import { type Checksum, corrupt, type Epochs, type Founding, type StoreId, type Zxid } from '@antiphon/ports'
import {
  expectVersion,
  type Point,
  padded,
  parseSnapshotName,
  putU32,
  putU64,
  RECORD_HEAD_BYTES,
  RECORD_MAGIC,
  RECORD_RUN,
  RUN_FIXED_BYTES,
  recordKind,
  recordLength,
  takeEpochs,
  u32,
  u64,
} from '@antiphon/storage-kit'
import { ByteReader, ByteWriter, crc32, crc32OfWord, decodeFounding, encodeFounding } from '@antiphon/wire'

/**
 * Of the whole folder; stands in the marker and in every head. In every version a file begins with magic number and version; the marker ends with its checksum, a segment's head and a
 * snapshot's have their length at 8 and end with their checksum.
 */
export const FORMAT_VERSION = 1

export const MARKER_NAME = 'antiphon-store'
const MARKER_MAGIC = 0x414e5450 // 'ANTP'
const SEGMENT_MAGIC = 0x414e544c // 'ANTL'
const ID_DIGITS = 32
const SEGMENT_HEAD_BYTES_MIN = 88
/** Behind the founding record. A head without them ends in less padding than that. */
const LEFT_BYTES = 16
export const SEGMENT_HEAD_BYTES_MAX = 65_536

export function samePoint(a: Point, b: Point): boolean {
  return a.zxid === b.zxid && a.checksum === b.checksum
}

/** Only a run's record is longer. */
const PLAIN_BYTES_MAX = 65_536

export const RECORD_SEAL = 6

export const FLAG_BATCH_END = 1
export const FLAG_STAGED = 2

export const recordFlags = (bytes: Uint8Array, at: number): number => bytes[at + 7]!
export const recordIndex = (bytes: Uint8Array, at: number): number => u32(bytes, at + 12)
export const recordBatch = (bytes: Uint8Array, at: number): number => u64(bytes, at + 16)

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

/** What is known for good of a segment once it has been left. */
export interface LeftSegment {
  /** Of its file. */
  readonly number: number
  /** Behind its last record. */
  readonly end: number
  /** What truncations in it left of the history in front of it: at most the head's `previous`. */
  readonly lowest: Zxid
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
  /** The segment that was left for this one; null when the log begins here. */
  readonly left: LeftSegment | null
  readonly epochs: Epochs
  readonly founding: Founding | null
}

export function encodeSegmentHead(head: SegmentHead): Uint8Array {
  const founding = head.founding === null ? null : encodeFounding(head.founding)
  const { accepted, acceptedFrom, current } = head.epochs
  const length = padded(SEGMENT_HEAD_BYTES_MIN + (founding?.length ?? 0) + LEFT_BYTES)
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
  writer
    .u32(head.left?.number ?? 0)
    .u32(head.left?.end ?? 0)
    .u64(head.left?.lowest ?? 0)
  while (writer.length < length - 4) writer.u8(0)
  return writer.u32(crc32(writer.finish())).finish()
}

/** The head in front of `bytes` and its length; null when there is none that holds. @throws AntiphonError VERSION_MISMATCH */
export function decodeSegmentHead(bytes: Uint8Array): { head: SegmentHead; length: number } | null {
  if (bytes.length < SEGMENT_HEAD_BYTES_MIN || u32(bytes, 0) !== SEGMENT_MAGIC) return null
  const length = u32(bytes, 8)
  if (length < SEGMENT_HEAD_BYTES_MIN || length > bytes.length || length > SEGMENT_HEAD_BYTES_MAX) return null
  if (crc32(bytes, 0, 0, length - 4) !== u32(bytes, length - 4)) return null
  const reader = new ByteReader(bytes, 4, length - 4, corrupt)
  expectVersion(reader.u16(), FORMAT_VERSION, 'a segment of the log')
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
  const number = reader.remaining < LEFT_BYTES ? 0 : reader.u32()
  const left = number === 0 ? null : { number, end: reader.u32(), lowest: reader.zxid() }
  return { head: { storeId, generation, staged, installs, firstBatch, previous, left, epochs, founding }, length }
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

const LOG_NAME = /^log-([0-9a-f]{8})-([0-9a-f]{8})(\.new)?$/

/** What a file's name says; null when it is none of ours. `aside` ones are leftovers. */
export function parseName(name: string): { kind: 'log' | 'snapshot'; generation: number; number: number; aside: boolean } | null {
  const snapshot = parseSnapshotName(name)
  if (snapshot !== null) return { kind: 'snapshot', generation: snapshot.generation, number: snapshot.zxid, aside: snapshot.aside }
  const match = LOG_NAME.exec(name)
  if (match === null) return null
  return { kind: 'log', generation: Number.parseInt(match[1]!, 16), number: Number.parseInt(match[2]!, 16), aside: match[3] !== undefined }
}
