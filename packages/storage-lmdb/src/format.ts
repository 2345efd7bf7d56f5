import { type AntiphonError, type Checksum, corrupt, type EpochEnd, type Epochs, type Founding, type StoreId } from '@antiphon/ports'
import {
  EPOCHS_BYTES,
  expectVersion,
  type Point,
  putEpochs,
  putRunFixed,
  putU32,
  RUN_FIXED_BYTES,
  type RunHead,
  readEpochs,
  runHeadAt,
  u32,
} from '@antiphon/storage-kit'
import { ByteReader, ByteWriter, crc32, crc32OfWord, decodeFounding, encodeFounding, readEndPoints, writeEndPoints } from '@antiphon/wire'

/** Of the whole folder; stands in the marker and in every head. */
export const FORMAT_VERSION = 1

export const MARKER_NAME = 'antiphon-lmdb'
export const DATA_NAME = 'data.mdb'
export const LMDB_LOCK_NAME = 'data.mdb-lock'

const MARKER_MAGIC = 0x414e_544d // 'ANTM'
const HEAD_MAGIC = 0x414e_5448 // 'ANTH'
const ID_DIGITS = 32
/** One for each epoch that there can be. */
const END_POINTS_MAX = 2 ** 21
const SEGMENT_BYTES = 36

/** Keys of the unnamed database; names of the others begin with a letter. */
export const KEY_HEAD = 1
export const KEY_FOUNDING = 2
export const KEY_ENDS = 3
export const KEY_SEGMENTS = 4

/** What a commit may change, and what ties the other values to it. */
export interface Head {
  readonly storeId: StoreId
  readonly generation: number
  /** Generations and segments are not numbered twice. */
  readonly nextGeneration: number
  readonly nextSegment: number
  readonly commits: number
  readonly epochs: Epochs
  readonly tail: Point
  /** Of the values beside it; 0: there is none. */
  readonly foundingChecksum: Checksum
  readonly endsChecksum: Checksum
  readonly segmentsChecksum: Checksum
}

/** A sub-database of the log: entries above `start`, up to the next one's start or the log's tail. What it holds above that was truncated. */
export interface SegmentPlace {
  readonly number: number
  readonly start: Point
}

export const HEAD_BYTES = 112

export function encodeHead(head: Head): Uint8Array {
  const epochs = new Uint8Array(EPOCHS_BYTES)
  putEpochs(epochs, 0, head.epochs)
  const writer = new ByteWriter(HEAD_BYTES).u32(HEAD_MAGIC).u16(FORMAT_VERSION).u16(0).hex(head.storeId, ID_DIGITS)
  writer.u32(head.generation).u32(head.nextGeneration).u32(head.nextSegment).u64(head.commits).raw(epochs)
  writePoint(writer, head.tail)
  return sealed(writer.u32(head.foundingChecksum).u32(head.endsChecksum).u32(head.segmentsChecksum))
}

/** @throws AntiphonError CORRUPT, VERSION_MISMATCH */
export function decodeHead(bytes: Uint8Array): Head {
  const reader = opened(bytes, 'the head')
  if (reader.u32() !== HEAD_MAGIC) throw damaged('the head', 'it is none')
  expectVersion(reader.u16(), FORMAT_VERSION, 'the head')
  reader.u16()
  const storeId = reader.hex(ID_DIGITS)
  const generation = reader.u32()
  const nextGeneration = reader.u32()
  const nextSegment = reader.u32()
  const commits = reader.u64()
  const epochs = readEpochs(reader.raw(EPOCHS_BYTES), 0)
  const tail = readPoint(reader)
  return {
    storeId,
    generation,
    nextGeneration,
    nextSegment,
    commits,
    epochs,
    tail,
    foundingChecksum: reader.u32(),
    endsChecksum: reader.u32(),
    segmentsChecksum: reader.u32(),
  }
}

export function encodeFoundingValue(founding: Founding): Uint8Array {
  return sealed(new ByteWriter(256).raw(encodeFounding(founding)))
}

export function decodeFoundingValue(bytes: Uint8Array): Founding {
  const reader = opened(bytes, 'the founding')
  return decodeFounding(reader.raw(reader.remaining))
}

export function encodeEnds(ends: readonly EpochEnd[]): Uint8Array {
  const writer = new ByteWriter(8 + 12 * ends.length)
  writeEndPoints(writer, ends)
  return sealed(writer)
}

export function decodeEnds(bytes: Uint8Array): EpochEnd[] {
  return readEndPoints(opened(bytes, 'the end points'), END_POINTS_MAX, corrupt)
}

export function encodeSegments(segments: readonly SegmentPlace[]): Uint8Array {
  const writer = new ByteWriter(8 + SEGMENT_BYTES * segments.length).u32(segments.length)
  for (const { number, start } of segments) writePoint(writer.u32(number), start)
  return sealed(writer)
}

export function decodeSegments(bytes: Uint8Array): SegmentPlace[] {
  const reader = opened(bytes, 'the list of segments')
  const segments: SegmentPlace[] = []
  for (let count = reader.count(2 ** 24, 24); count > 0; count--) segments.push({ number: reader.u32(), start: readPoint(reader) })
  return segments
}

/** What ends a value: the checksum of everything before. */
export function valueChecksum(bytes: Uint8Array): Checksum {
  return u32(bytes, bytes.length - 4)
}

function sealed(writer: ByteWriter): Uint8Array {
  return writer.u32(crc32(writer.finish())).finish()
}

function opened(bytes: Uint8Array, what: string): ByteReader {
  const end = bytes.length - 4
  if (end < 0 || crc32(bytes, 0, 0, end) !== u32(bytes, end)) throw damaged(what, 'its checksum does not match')
  return new ByteReader(bytes, 0, end, corrupt)
}

function writePoint(writer: ByteWriter, { zxid, checksum, time }: Point): void {
  writer.u64(zxid).u32(checksum).u64(time)
}

function readPoint(reader: ByteReader): Point {
  return { zxid: reader.zxid(), checksum: reader.u32(), time: reader.u64() }
}

/** In front of a run's own bytes: checksum `u32`, 0 `u32`, and the run's fixed part. */
export const VALUE_HEAD_BYTES: number = 8 + RUN_FIXED_BYTES

/** Ties the values to their store and segment: a page of another one is never taken for it. */
export function segmentSalt(storeId: StoreId, segment: number): number {
  return crc32OfWord(segment, crc32(new ByteWriter(ID_DIGITS / 2).hex(storeId, ID_DIGITS).finish()))
}

/** Completes the value at `at`, of which the run's bytes are there. */
export function sealValue(bytes: Uint8Array, at: number, salt: number, run: RunHead): void {
  putU32(bytes, at + 4, 0)
  putRunFixed(bytes, at + 8, run)
  putU32(bytes, at, crc32(bytes, salt, at + 4, at + VALUE_HEAD_BYTES))
}

/** The run in a value; null when it is not what was written. Its bytes stand under the history's checksum. */
export function openValue(bytes: Uint8Array, salt: number): { readonly head: RunHead; readonly bytes: Uint8Array } | null {
  if (bytes.length <= VALUE_HEAD_BYTES || crc32(bytes, salt, 4, VALUE_HEAD_BYTES) !== u32(bytes, 0)) return null
  const head = runHeadAt(bytes, 8)
  if (crc32(bytes, head.previousChecksum, VALUE_HEAD_BYTES, bytes.length) !== head.checksum) return null
  return { head, bytes: bytes.subarray(VALUE_HEAD_BYTES) }
}

export function encodeMarker(storeId: StoreId): Uint8Array {
  return sealed(new ByteWriter(32).u32(MARKER_MAGIC).u16(FORMAT_VERSION).u16(0).hex(storeId, ID_DIGITS))
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
export const segmentName = (number: number): string => `log-${hex(number, 8)}`

/** The file, and what of it. */
export function damaged(what: string, how: string, details: Readonly<Record<string, unknown>> = {}): AntiphonError {
  return corrupt(`${DATA_NAME}: ${what}: ${how}`, { file: DATA_NAME, ...details })
}
