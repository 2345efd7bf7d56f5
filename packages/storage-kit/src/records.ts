import { type Checksum, corrupt, type Epochs, type Millis, type PeerId, type Run, type Zxid } from '@antiphon/ports'
import { ByteReader } from '@antiphon/wire'
import { putU32, putU64, u32, u64 } from './words.ts'

/**
 * A record of a pack: a head, a payload, zeros up to a multiple of 8. Of the head the packer writes magic, kind and length; the rest is room, so that an engine whose file is a row
 * of records completes them where they stand: checksum `u32`, magic `u16`, kind `u8`, flags `u8`, length of the payload `u32`, and 12 bytes more.
 */
export const RECORD_HEAD_BYTES = 24
export const RECORD_MAGIC = 0xa17f

/** Fixed part, then the entries' own bytes; all entries of one epoch. */
export const RECORD_RUN = 1
/** ZXID `u64`, checksum `u32`, 0 `u32`, time `u64`: the engine's to fill in. */
export const RECORD_TRUNCATE = 2
/** Generation `u32`, snapshot's checksum `u32`, snapshot's ZXID `u64`, log's last ZXID `u64`, log's checksum `u32`, 0 `u32`: all but the generation the engine's to fill in. */
export const RECORD_INSTALL = 3
export const RECORD_EPOCHS = 4
export const RECORD_FOUNDING = 5

/** Of a run's record, in front of the run's own bytes. */
export const RUN_FIXED_BYTES = 48
export const TRUNCATE_BYTES = 24
export const INSTALL_BYTES = 32
export const EPOCHS_BYTES = 24

/** Records begin at multiples of 8. */
export function padded(bytes: number): number {
  return (bytes + 7) & ~7
}

/** Writes what the packer knows of a head, zeros for the rest. */
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

export const recordKind = (bytes: Uint8Array, at: number): number => bytes[at + 6]!
export const recordLength = (bytes: Uint8Array, at: number): number => u32(bytes, at + 8)
/** Head, payload and padding. */
export const recordSpan = (bytes: Uint8Array, at: number): number => padded(RECORD_HEAD_BYTES + recordLength(bytes, at))

/** All of a run but its bytes. */
export type RunHead = Omit<Run, 'bytes'>

export function putRunFixed(bytes: Uint8Array, at: number, run: RunHead): void {
  putU64(bytes, at, run.previous)
  putU64(bytes, at + 8, run.first)
  putU64(bytes, at + 16, run.last)
  putU32(bytes, at + 24, run.previousChecksum)
  putU32(bytes, at + 28, run.checksum)
  putU64(bytes, at + 32, run.time)
  putU32(bytes, at + 40, run.entries)
  putU32(bytes, at + 44, 0)
}

/** Of the run whose fixed part begins at `at`. */
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

/** Accepted `u32`, current `u32`, promised to `u32` (0: nobody), nonce `u64`, 0 `u32`. */
export function putEpochs(bytes: Uint8Array, at: number, epochs: Epochs): void {
  putU32(bytes, at, epochs.accepted)
  putU32(bytes, at + 4, epochs.current)
  putU32(bytes, at + 8, epochs.acceptedFrom?.leader ?? 0)
  putU64(bytes, at + 12, epochs.acceptedFrom?.nonce ?? 0)
  putU32(bytes, at + 20, 0)
}

/** A checksum stands over them. */
export function readEpochs(bytes: Uint8Array, at: number): Epochs {
  return takeEpochs(new ByteReader(bytes, at, at + EPOCHS_BYTES, corrupt))
}

/** The first 20 bytes of them. */
export function takeEpochs(reader: ByteReader): Epochs {
  const accepted = reader.epoch()
  const current = reader.epoch()
  const leader = reader.u32(255)
  const nonce = reader.u64()
  return { accepted, acceptedFrom: leader === 0 ? null : { leader: leader as PeerId, nonce }, current }
}

/** A place in the history. */
export interface Point {
  readonly zxid: Zxid
  readonly checksum: Checksum
  readonly time: Millis
}
