import {
  type Attempt,
  type Configuration,
  type EpochEnd,
  epochOf,
  type Founding,
  type Member,
  type PeerId,
  type SnapshotMeta,
  type StagedPart,
} from '@antiphon/consensus-core'
import { ByteReader, ByteWriter } from './bytes.ts'
import { corruptFrame, type Fault } from './faults.ts'

/** Digits of store ids and ensemble ids. */
export const ID_DIGITS = 32
/** Digits of fingerprints and nonces. */
export const NONCE_DIGITS = 16
export const DIGEST_DIGITS = 16
/** Members have ids from 1 to 255. */
export const MEMBERS_MAX = 255
/** One for each epoch that there can be. */
export const SNAPSHOT_END_POINTS_MAX: number = 2 ** 21

const END_POINT_BYTES = 12
const MEMBER_BYTES_MIN = 19

export function writeAttempt(writer: ByteWriter, attempt: Attempt): void {
  writer.u8(attempt.leader).u64(attempt.nonce)
}

export function readAttempt(reader: ByteReader, fault: Fault): Attempt {
  return { leader: readPeer(reader, fault), nonce: reader.u64() }
}

export function readPeer(reader: ByteReader, fault: Fault): PeerId {
  const id = reader.u8()
  if (id === 0) throw fault('a peer id is 0', { offset: reader.at - 1 })
  return id as PeerId
}

/** The epoch is not written: it is the ZXID's. */
export function writeEndPoints(writer: ByteWriter, endPoints: readonly EpochEnd[]): void {
  writer.u32(endPoints.length)
  for (const end of endPoints) writer.u64(end.last).u32(end.checksum)
}

export function readEndPoints(reader: ByteReader, countMax: number, fault: Fault): EpochEnd[] {
  const endPoints: EpochEnd[] = []
  let before = 0
  for (let count = reader.count(countMax, END_POINT_BYTES); count > 0; count--) {
    const last = reader.zxid()
    const epoch = epochOf(last)
    if (epoch <= before) throw fault('epoch end points do not ascend', { offset: reader.at - 8 })
    before = epoch
    endPoints.push({ epoch, last, checksum: reader.u32() })
  }
  return endPoints
}

export function writeConfiguration(writer: ByteWriter, configuration: Configuration): void {
  writer.u64(configuration.version).u32(configuration.members.length)
  for (const member of configuration.members) {
    writer
      .u8(member.id)
      .bool(member.role === 'observer')
      .u64(member.weight)
      .u64(member.group)
      .bool(member.storeId !== null)
    if (member.storeId !== null) writer.hex(member.storeId, ID_DIGITS)
  }
}

export function readConfiguration(reader: ByteReader, fault: Fault): Configuration {
  const version = reader.zxid()
  const members: Member[] = []
  let before = 0
  for (let count = reader.count(MEMBERS_MAX, MEMBER_BYTES_MIN); count > 0; count--) {
    const id = readPeer(reader, fault)
    if (id <= before) throw fault('members do not ascend', { offset: reader.at - 1 })
    before = id
    members.push({
      id,
      role: reader.bool() ? 'observer' : 'voter',
      weight: reader.u64(),
      group: reader.u64(),
      storeId: reader.bool() ? reader.hex(ID_DIGITS) : null,
    })
  }
  return { version, members }
}

export function writeFounding(writer: ByteWriter, founding: Founding): void {
  writer.hex(founding.ensembleId, ID_DIGITS)
  writeConfiguration(writer, founding.configuration)
}

export function readFounding(reader: ByteReader, fault: Fault): Founding {
  return { ensembleId: reader.hex(ID_DIGITS), configuration: readConfiguration(reader, fault) }
}

export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.u64(meta.zxid).u32(meta.checksum).u64(meta.time)
  writeEndPoints(writer, meta.endPoints)
}

export function readSnapshotMeta(reader: ByteReader, fault: Fault): SnapshotMeta {
  const zxid = reader.zxid()
  const checksum = reader.u32()
  const time = reader.u64()
  return { zxid, checksum, time, endPoints: readEndPoints(reader, SNAPSHOT_END_POINTS_MAX, fault) }
}

export function writeStagedPart(writer: ByteWriter, part: StagedPart | null): void {
  writer.bool(part !== null)
  if (part === null) return
  writer
    .u64(part.zxid)
    .u32(part.checksum)
    .u64(part.chunks)
    .u32(part.digest)
    .bool(part.log !== null)
  if (part.log !== null) writer.u64(part.log.last).u32(part.log.checksum)
}

export function readStagedPart(reader: ByteReader, fault: Fault): StagedPart | null {
  if (!reader.bool()) return null
  const zxid = reader.zxid()
  const checksum = reader.u32()
  const chunks = reader.u64()
  if (chunks === 0) throw fault('a snapshot of which nothing has come is called staged', { offset: reader.at - 8 })
  const digest = reader.u32()
  return { zxid, checksum, chunks, digest, log: reader.bool() ? { last: reader.zxid(), checksum: reader.u32() } : null }
}

/** A founding record for a store: no checksum of its own. */
export function encodeFounding(founding: Founding): Uint8Array {
  const writer = new ByteWriter(256)
  writeFounding(writer, founding)
  return writer.finish()
}

/** @throws what `fault` makes, at bytes that are no founding record. */
export function decodeFounding(bytes: Uint8Array, fault: Fault = corruptFrame): Founding {
  const reader = new ByteReader(bytes, 0, bytes.length, fault)
  const founding = readFounding(reader, fault)
  reader.done()
  return founding
}

/** A snapshot's meta for a store: no checksum of its own. */
export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  const writer = new ByteWriter(256)
  writeSnapshotMeta(writer, meta)
  return writer.finish()
}

/** @throws what `fault` makes, at bytes that are no snapshot's meta. */
export function decodeSnapshotMeta(bytes: Uint8Array, fault: Fault = corruptFrame): SnapshotMeta {
  const reader = new ByteReader(bytes, 0, bytes.length, fault)
  const meta = readSnapshotMeta(reader, fault)
  reader.done()
  return meta
}
