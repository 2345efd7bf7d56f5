import {
  type Ack,
  type AckLeader,
  type Chunk,
  type Commit,
  type CommitLeader,
  crc32,
  invalidArgument,
  type Message,
  type Ping,
  type Pong,
  type Propose,
  type Requests,
  writeU32,
  writeU64,
} from '@antiphon/consensus-core'
import { ByteWriter } from './bytes.ts'
import { FRAME_HEAD_BYTES, KINDS, PROPOSE_HEAD_BYTES, sealWhole, writeHead } from './frame.ts'
import { DIGEST_DIGITS, ID_DIGITS, NONCE_DIGITS, writeAttempt, writeEndPoints, writeFounding, writeSnapshotMeta, writeStagedPart } from './records.ts'

/** Most requests in one REQUESTS: a bound for what a frame can make its receiver allocate. */
export const REQUESTS_MAX = 65_536
/** Machine numbers are bytes. */
export const NOTES_MAX = 256
/** Payloads up to here are copied into the frame; longer ones are pieces of their own. */
const COPIED_BYTES_MAX = 4096
/** In front of each request and note: machine u8, length u32. */
export const ITEM_HEAD_BYTES = 5
export const REQUESTS_HEAD_BYTES: number = FRAME_HEAD_BYTES + 28
export const PONG_HEAD_BYTES: number = FRAME_HEAD_BYTES + 22
export const CHUNK_HEAD_BYTES: number = FRAME_HEAD_BYTES + 17
export const PING_BYTES: number = FRAME_HEAD_BYTES + 28
export const POINT_BYTES: number = FRAME_HEAD_BYTES + 12

/**
 * The pieces of one frame, in order. Long bytes (a run's, a chunk's, large payloads) are pieces of their own and are not copied: they must not change until the transport
 * has written them. The caller gives messages whose fields are within their types.
 * @throws AntiphonError INVALID_ARGUMENT for an id that is no hexadecimal number, or for more than REQUESTS_MAX requests: a mistake of the caller, nothing was made.
 */
export function encodeMessage(message: Message): Uint8Array[] {
  switch (message.kind) {
    case 'PROPOSE':
      return encodePropose(message)
    case 'ACK':
      return encodePoint(KINDS.ACK, message.epoch, message.upTo)
    case 'COMMIT':
      return encodePoint(KINDS.COMMIT, message.epoch, message.committed)
    case 'REQUESTS':
      return encodeRequests(message)
    case 'PING':
      return encodePing(message)
    case 'PONG':
      return encodePong(message)
    case 'CHUNK':
      return encodeChunk(message)
    case 'ACK-LD':
      return encodePoint(KINDS['ACK-LD'], message.epoch, message.last)
    case 'COMMIT-LD':
      return encodePoint(KINDS['COMMIT-LD'], message.epoch, message.committed)
    default:
      return encodeSeldom(message)
  }
}

type Seldom = Exclude<Message, Propose | Ack | Commit | Requests | Ping | Pong | Chunk | AckLeader | CommitLeader>

function encodeSeldom(message: Seldom): Uint8Array[] {
  const writer = new ByteWriter()
  writer.u64(0).u32(0)
  writeSeldom(writer, message)
  return sealWhole(writer.finish(), KINDS[message.kind])
}

function writeSeldom(writer: ByteWriter, message: Seldom): void {
  switch (message.kind) {
    case 'IDENTITY':
      writer
        .bool(message.empty)
        .hex(message.settings, NONCE_DIGITS)
        .bool(message.ensembleId !== null)
      if (message.ensembleId !== null) writer.hex(message.ensembleId, ID_DIGITS)
      return
    case 'FOUNDING':
      return writeFounding(writer, message.founding)
    case 'VOTE':
      writer.u8(STATES.indexOf(message.state)).u8(message.leader).u64(message.zxid).u32(message.epoch).u64(message.round)
      return
    case 'CEPOCH':
      writer.u32(message.accepted).bool(message.acceptedFrom !== null)
      if (message.acceptedFrom !== null) writeAttempt(writer, message.acceptedFrom)
      return
    case 'NEWEPOCH':
      writer.u32(message.epoch)
      return writeAttempt(writer, message.attempt)
    case 'ACK-E':
      writer.u32(message.epoch).u32(message.current).u64(message.last).u32(message.checksum).u64(message.committed).u64(message.wall).bool(message.quarantined)
      writeEndPoints(writer, message.endPoints)
      return writeStagedPart(writer, message.staged)
    case 'TRUNC':
      writer.u32(message.epoch).u64(message.to).u32(message.checksum)
      return
    case 'DIFF':
      writer.u32(message.epoch).u64(message.after).u32(message.checksum).bool(message.staged)
      return
    case 'NEWLEADER':
      writer.u32(message.epoch).u64(message.last).u32(message.checksum)
      return
    case 'SNAP':
      writer.u32(message.epoch).u64(message.transfer).u64(message.chunks).u32(message.digest)
      return writeSnapshotMeta(writer, message.meta)
    case 'STORED':
      writer.u64(message.transfer).u64(message.chunks)
      return
    case 'RECEIVED':
      writer.u32(message.epoch).u64(message.transfer).u64(message.upTo).bool(message.ok)
      return
    case 'READ':
      writer.u32(message.epoch).u64(message.number)
      return
    case 'READ-POINT':
      writer.u32(message.epoch).u64(message.number).u64(message.zxid)
      return
    case 'REGISTER':
      writer.hex(message.storeId, ID_DIGITS).hex(message.nonce, NONCE_DIGITS)
      return
    case 'RESEND':
      writer.u64(message.origin).u64(message.next)
      return
    case 'RETIRED':
      writer.u64(message.origin)
      return
    case 'DIGEST':
    case 'VERDICT':
      writer.u32(message.epoch).u64(message.zxid).hex(message.digest, DIGEST_DIGITS)
      return
    case 'REBUILD':
      writer.u32(message.epoch).u64(message.zxid).hex(message.digest, DIGEST_DIGITS).u64(message.after)
      return
  }
}

/** A vote's state, by its number on the wire. */
export const STATES = ['looking', 'following', 'leading', 'observing'] as const

function encodePropose(message: Propose): Uint8Array[] {
  const run = message.run
  const head = new Uint8Array(PROPOSE_HEAD_BYTES)
  writeHead(head, KINDS.PROPOSE, PROPOSE_HEAD_BYTES)
  writeU32(head, 12, message.epoch)
  writeU64(head, 16, message.committed)
  writeU64(head, 24, run.previous)
  writeU32(head, 32, run.previousChecksum)
  writeU32(head, 36, run.bytes.length)
  writeU32(head, 0, crc32(head, 0, 4, PROPOSE_HEAD_BYTES))
  return [head, run.bytes]
}

/** The kinds that hold an epoch and one ZXID. */
function encodePoint(kind: number, epoch: number, zxid: number): Uint8Array[] {
  const bytes = new Uint8Array(POINT_BYTES)
  writeU32(bytes, 12, epoch)
  writeU64(bytes, 16, zxid)
  return sealWhole(bytes, kind)
}

function encodePing(message: Ping): Uint8Array[] {
  const bytes = new Uint8Array(PING_BYTES)
  writeU32(bytes, 12, message.epoch)
  writeU64(bytes, 16, message.committed)
  writeU64(bytes, 24, message.round)
  writeU64(bytes, 32, message.wall)
  return sealWhole(bytes, KINDS.PING)
}

function encodePong(message: Pong): Uint8Array[] {
  if (message.notes.length > NOTES_MAX) throw invalidArgument(`a PONG has ${message.notes.length} notes, above ${NOTES_MAX}`)
  let length = PONG_HEAD_BYTES
  for (const { note } of message.notes) length += ITEM_HEAD_BYTES + note.length
  const bytes = new Uint8Array(length)
  writeU32(bytes, 12, message.epoch)
  writeU64(bytes, 16, message.round)
  writeU64(bytes, 24, message.wall)
  bytes[32] = message.notes.length >>> 8
  bytes[33] = message.notes.length
  let at = PONG_HEAD_BYTES
  for (const { machine, note } of message.notes) {
    bytes[at] = machine
    writeU32(bytes, at + 1, note.length)
    bytes.set(note, at + ITEM_HEAD_BYTES)
    at += ITEM_HEAD_BYTES + note.length
  }
  return sealWhole(bytes, KINDS.PONG)
}

function encodeChunk(message: Chunk): Uint8Array[] {
  const head = new Uint8Array(CHUNK_HEAD_BYTES)
  writeHead(head, KINDS.CHUNK, CHUNK_HEAD_BYTES + message.bytes.length)
  writeU64(head, 12, message.transfer)
  writeU64(head, 20, message.index)
  head[28] = message.last ? 1 : 0
  writeU32(head, 0, crc32(message.bytes, crc32(head, 0, 4, CHUNK_HEAD_BYTES)))
  return [head, message.bytes]
}

function encodeRequests(message: Requests): Uint8Array[] {
  const requests = message.requests
  if (requests.length > REQUESTS_MAX) throw invalidArgument(`a REQUESTS has ${requests.length} requests, above ${REQUESTS_MAX}`)
  let copied = REQUESTS_HEAD_BYTES
  let covered = REQUESTS_HEAD_BYTES
  for (let i = 0; i < requests.length; i++) {
    const length = requests[i]!.payload.length
    covered += ITEM_HEAD_BYTES + length
    copied += length > COPIED_BYTES_MAX ? ITEM_HEAD_BYTES : ITEM_HEAD_BYTES + length
  }
  const bytes = new Uint8Array(copied)
  writeHead(bytes, KINDS.REQUESTS, covered)
  writeU64(bytes, 12, message.origin)
  writeU64(bytes, 20, message.first)
  writeU64(bytes, 28, message.confirmed)
  writeU32(bytes, 36, requests.length)
  const pieces: Uint8Array[] = []
  let checksum = 0
  let from = 0
  let at = REQUESTS_HEAD_BYTES
  for (let i = 0; i < requests.length; i++) {
    const { machine, payload } = requests[i]!
    bytes[at] = machine
    writeU32(bytes, at + 1, payload.length)
    at += ITEM_HEAD_BYTES
    if (payload.length > COPIED_BYTES_MAX) {
      checksum = crc32(payload, crc32(bytes, checksum, from === 0 ? 4 : from, at))
      pieces.push(bytes.subarray(from, at), payload)
      from = at
    } else {
      bytes.set(payload, at)
      at += payload.length
    }
  }
  if (from < at) {
    checksum = crc32(bytes, checksum, from === 0 ? 4 : from, at)
    pieces.push(from === 0 ? bytes : bytes.subarray(from, at))
  }
  writeU32(bytes, 0, checksum)
  return pieces
}
