import { type AntiphonError, corrupt, type SnapshotMeta, type StoreId } from '@antiphon/ports'
import { ByteReader, ByteWriter, crc32, decodeSnapshotMeta, encodeSnapshotMeta } from '@antiphon/wire'
import type { CheckedDisk, FileHandle } from '../disk.ts'
import type { SnapshotSink, SnapshotSource } from '../engine.ts'
import { corruptAt, expectVersion } from '../errors.ts'
import { chunksSeed, FRAME_HEAD_BYTES, type SnapshotFrames, type SnapshotPosition, type SnapshotTotals } from '../frames.ts'
import { u32 } from '../words.ts'
import { freeAside } from './names.ts'

/** Of a snapshot's file, whatever store it belongs to. */
const FORMAT_VERSION = 1

const MAGIC = 0x414e5453 // 'ANTS'
const TRAILER_MAGIC = 0x454e4421 // 'END!'
const ID_DIGITS = 32
const FIXED_HEAD_BYTES = 12
const HEAD_BYTES_MAX = 64 * 1024 * 1024
const TRAILER_BYTES = 28
/** A frame of this length is the trailer. */
const TRAILER_LENGTH = 0xffff_ffff
/** Flushed in steps, so that the last flush does not keep the log waiting. */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024

/** Writes one snapshot aside; `finish` flushes it and gives it its name. */
export class SnapshotWriter implements SnapshotSink {
  readonly name: string
  readonly meta: SnapshotMeta
  readonly generation: number
  readonly #disk: CheckedDisk
  readonly #aside: string
  readonly #file: FileHandle
  readonly #headChecksum: number
  #offset: number
  #unsynced = 0

  constructor(disk: CheckedDisk, name: string, meta: SnapshotMeta, storeId: StoreId, generation: number) {
    this.name = name
    this.meta = meta
    this.generation = generation
    this.#disk = disk
    const encoded = encodeSnapshotMeta(meta)
    const writer = new ByteWriter(64 + encoded.length)
      .u32(MAGIC)
      .u16(FORMAT_VERSION)
      .u16(0)
      .u32(FIXED_HEAD_BYTES + 24 + encoded.length + 4)
      .u32(generation)
      .hex(storeId, ID_DIGITS)
      .u32(encoded.length)
      .raw(encoded)
    this.#headChecksum = crc32(writer.finish())
    const head = writer.u32(this.#headChecksum).finish()
    this.#aside = freeAside(disk.list(), name)
    this.#file = disk.open(this.#aside, 'create')
    this.#offset = head.length
    try {
      disk.write(this.#file, head, 0)
    } catch (error) {
      this.abort()
      throw error
    }
  }

  /** Whole frames, as `ChunkFramer` makes them. */
  append(frames: Uint8Array): void {
    this.#disk.write(this.#file, frames, this.#offset)
    this.#offset += frames.length
    this.#unsynced += frames.length
    if (this.#unsynced >= SYNC_EVERY_BYTES) {
      this.#disk.sync(this.#file)
      this.#unsynced = 0
    }
  }

  /** Durable under its name afterwards. */
  finish(totals: SnapshotTotals): void {
    const writer = new ByteWriter(TRAILER_BYTES).u32(TRAILER_LENGTH).u32(TRAILER_MAGIC).u32(totals.checksum).u32(totals.chunks).u64(totals.bytes)
    this.append(writer.u32(crc32(writer.finish(), this.#headChecksum)).finish())
    this.#disk.sync(this.#file)
    this.#disk.close(this.#file)
    this.#disk.rename(this.#aside, this.name)
    this.#disk.syncDirectory()
  }

  /** Removes what there is. Never throws: what stays is removed when the store is opened. */
  abort(): void {
    try {
      this.#disk.close(this.#file)
    } catch {}
    try {
      this.#disk.remove(this.#aside)
    } catch {}
  }
}

/** A finished snapshot, open. */
export class SnapshotReader implements SnapshotSource {
  readonly name: string
  readonly meta: SnapshotMeta
  readonly bytes: number
  readonly begin: SnapshotPosition
  readonly #disk: CheckedDisk
  readonly #file: FileHandle
  readonly #end: number
  readonly #checksum: number

  /** @throws AntiphonError CORRUPT, VERSION_MISMATCH, DISK_FAILED */
  constructor(disk: CheckedDisk, name: string, storeId: StoreId, generation: number) {
    this.#disk = disk
    this.name = name
    this.#file = disk.open(name, 'read')
    try {
      const size = disk.size(this.#file)
      const fixed = this.#read(0, FIXED_HEAD_BYTES)
      const length = u32(fixed, 8)
      if (u32(fixed, 0) !== MAGIC || length > HEAD_BYTES_MAX || length < FIXED_HEAD_BYTES + 28 || length + TRAILER_BYTES > size)
        throw this.#damaged(0, 'no head of a snapshot')
      const head = this.#read(0, length)
      const headChecksum = crc32(head, 0, 0, length - 4)
      if (headChecksum !== u32(head, length - 4)) throw this.#damaged(0, 'the checksum of the head does not match')
      const reader = new ByteReader(head, 4, length - 4, corrupt)
      const version = reader.u16()
      reader.u16()
      reader.u32()
      expectVersion(version, FORMAT_VERSION, `the snapshot ${name}`)
      if (reader.u32() !== generation || reader.hex(ID_DIGITS) !== storeId) throw this.#damaged(0, 'a snapshot of another store, or of another generation')
      this.meta = decodeSnapshotMeta(reader.raw(reader.u32(reader.remaining)))
      this.#end = size - TRAILER_BYTES
      const trailer = this.#read(this.#end, TRAILER_BYTES)
      if (
        u32(trailer, 0) !== TRAILER_LENGTH ||
        u32(trailer, 4) !== TRAILER_MAGIC ||
        crc32(trailer, headChecksum, 0, TRAILER_BYTES - 4) !== u32(trailer, TRAILER_BYTES - 4)
      ) {
        throw this.#damaged(this.#end, 'no trailer that holds')
      }
      const totals = new ByteReader(trailer, 8, TRAILER_BYTES - 4, corrupt)
      this.#checksum = totals.u32()
      totals.u32()
      this.bytes = totals.u64()
      this.begin = { offset: length, checksum: chunksSeed(this.meta) }
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Whole frames from `from` on, about `bytesMax` together but at least one. @throws AntiphonError CORRUPT, DISK_FAILED */
  read(from: SnapshotPosition, bytesMax: number): SnapshotFrames {
    const { offset } = from
    let bytes = this.#read(offset, Math.min(bytesMax, this.#end - offset))
    let at = 0
    let { checksum } = from
    for (;;) {
      if (bytes.length - at < FRAME_HEAD_BYTES) {
        if (at > 0 || bytes.length === this.#end - offset) break
        bytes = this.#read(offset, Math.min(FRAME_HEAD_BYTES, this.#end - offset))
        continue
      }
      const needed = FRAME_HEAD_BYTES + u32(bytes, at)
      if (offset + at + needed > this.#end) throw this.#damaged(offset + at, 'a chunk is longer than the file')
      if (at + needed > bytes.length) {
        if (at > 0) break
        bytes = this.#read(offset, needed)
        continue
      }
      checksum = crc32(bytes, checksum, at + FRAME_HEAD_BYTES, at + needed)
      if (checksum !== u32(bytes, at + 4)) throw this.#damaged(offset + at, 'the checksum of a chunk does not match')
      at += needed
    }
    const next = offset + at
    if (at < bytes.length && next + FRAME_HEAD_BYTES > this.#end) throw this.#damaged(next, 'the chunks do not end where the trailer begins')
    if (next === this.#end && checksum !== this.#checksum) throw this.#damaged(next, 'the chunks are not the ones that the trailer speaks of')
    return { bytes: bytes.subarray(0, at), next: next === this.#end ? null : { offset: next, checksum } }
  }

  /** Never throws: nothing depends on it. */
  close(): void {
    try {
      this.#disk.close(this.#file)
    } catch {}
  }

  #read(offset: number, count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count)
    if (this.#disk.read(this.#file, bytes, offset) < count) throw this.#damaged(offset, 'the file ends early')
    return bytes
  }

  #damaged(offset: number, what: string): AntiphonError {
    return corruptAt(this.name, offset, what)
  }
}
