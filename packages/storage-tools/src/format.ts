import { AntiphonError, type AntiphonErrorOptions, type Epochs, epochOf, type Founding, type SnapshotMeta, type StoreId, type Zxid } from '@antiphon/ports'
import { ByteReader, ByteWriter, crc32, decodeFounding, decodeSnapshotMeta, encodeFounding, encodeSnapshotMeta } from '@antiphon/wire'
import { damaged } from './errors.ts'

export const BACKUP_FORMAT_VERSION = 1
const MAGIC = 0x414e5442 // 'ANTB'
const ID_DIGITS = 32
/** Magic number, version, 0, length: the same in every version, and a head ends with its checksum. */
export const FIXED_HEAD_BYTES = 12
const HEAD_BYTES_MAX = 64 * 1024 * 1024

/** Length and kind in front of a frame's bytes; their running checksum behind them. */
export const FRAME_HEAD_BYTES = 8
export const FRAME_TAIL_BYTES = 4
export const FRAME_BYTES_MAX: number = 512 * 1024 * 1024

/** A chunk of the snapshot. */
export const FRAME_CHUNK = 1
/** Whole entries. */
export const FRAME_ENTRIES = 2
export const FRAME_END = 3

/** What a backup is of. */
export interface BackupHead {
  /** Of the store that it was made from. */
  readonly storeId: StoreId
  readonly founding: Founding
  readonly epochs: Epochs
  /** Null: the history is there from its first entry. */
  readonly snapshot: SnapshotMeta | null
}

/** What a backup says of itself at its end. */
export interface BackupEnd {
  readonly chunks: number
  readonly chunkBytes: number
  /** Behind the snapshot. */
  readonly entries: number
  /** Where the history ends. */
  readonly last: Zxid
  readonly checksum: number
}

export function encodeHead({ storeId, founding, epochs, snapshot }: BackupHead): Uint8Array {
  const foundingBytes = encodeFounding(founding)
  const meta = snapshot === null ? new Uint8Array(0) : encodeSnapshotMeta(snapshot)
  const length = FIXED_HEAD_BYTES + ID_DIGITS / 2 + 16 + foundingBytes.length + meta.length + 4
  const writer = new ByteWriter(length)
    .u32(MAGIC)
    .u16(BACKUP_FORMAT_VERSION)
    .u16(0)
    .u32(length)
    .hex(storeId, ID_DIGITS)
    .u32(epochs.accepted)
    .u32(epochs.current)
    .u32(foundingBytes.length)
    .raw(foundingBytes)
    .u32(meta.length)
    .raw(meta)
  return writer.u32(crc32(writer.finish())).finish()
}

/** How long the head is that begins with `fixed`. @throws AntiphonError CORRUPT, VERSION_MISMATCH */
export function headLength(fixed: Uint8Array): number {
  const reader = new ByteReader(fixed, 0, fixed.length, fault)
  if (reader.u32() !== MAGIC) throw damaged('this is no backup', { offset: 0 })
  reader.u32()
  const length = reader.u32()
  if (length < FIXED_HEAD_BYTES + 4 || length > HEAD_BYTES_MAX) throw damaged('this is no backup: its head has an impossible length', { offset: 8 })
  return length
}

/** @throws AntiphonError CORRUPT, VERSION_MISMATCH */
export function decodeHead(bytes: Uint8Array): BackupHead {
  const end = bytes.length - 4
  const reader = new ByteReader(bytes, 4, end, fault)
  if (crc32(bytes, 0, 0, end) !== checksumOf(bytes)) throw damaged('the checksum of the head of a backup does not match', { offset: 0 })
  const version = reader.u16()
  if (version !== BACKUP_FORMAT_VERSION) {
    const options: AntiphonErrorOptions = {
      remedy: 'Restore it with the version that made it, or a later one.',
      details: { found: version, known: BACKUP_FORMAT_VERSION },
    }
    throw new AntiphonError('VERSION_MISMATCH', `the backup has format version ${version}; this program knows ${BACKUP_FORMAT_VERSION}`, options)
  }
  reader.u16()
  reader.u32()
  const storeId = reader.hex(ID_DIGITS)
  const epochs = { accepted: reader.epoch(), acceptedFrom: null, current: reader.epoch() }
  const founding = decodeFounding(reader.raw(reader.u32(reader.remaining)), fault)
  const metaBytes = reader.raw(reader.u32(reader.remaining))
  reader.done()
  return { storeId, founding, epochs, snapshot: metaBytes.length === 0 ? null : decodeSnapshotMeta(metaBytes, fault) }
}

/** The last four bytes. */
export function checksumOf(bytes: Uint8Array): number {
  return new ByteReader(bytes, bytes.length - 4, bytes.length, fault).u32()
}

export function encodeEnd({ chunks, chunkBytes, entries, last, checksum }: BackupEnd): Uint8Array {
  return new ByteWriter(36).u64(chunks).u64(chunkBytes).u64(entries).u64(last).u32(checksum).finish()
}

/** @throws AntiphonError CORRUPT */
export function decodeEnd(bytes: Uint8Array): BackupEnd {
  const reader = new ByteReader(bytes, 0, bytes.length, fault)
  const end = { chunks: reader.u64(), chunkBytes: reader.u64(), entries: reader.u64(), last: reader.zxid(), checksum: reader.u32() }
  reader.done()
  return end
}

/** The epoch that a history ends in, and no lower than what was acknowledged. */
export function lastEpoch({ epochs }: BackupHead, { last }: BackupEnd): number {
  return Math.max(epochs.current, epochOf(last))
}

function fault(message: string, details: Readonly<Record<string, unknown>>): AntiphonError {
  return damaged(message, details)
}
