import {
  type Chunk,
  END_POINTS_MAX,
  EPOCH_MAX,
  type Message,
  type Ping,
  type Pong,
  type Propose,
  type Request,
  type Requests,
  type Run,
  readU32,
  runFromBytes,
  type Zxid,
  zxidFromHalves,
} from '@antiphon/consensus-core'
import { ByteReader, view } from './bytes.ts'
import { CHUNK_HEAD_BYTES, ITEM_HEAD_BYTES, NOTES_MAX, PING_BYTES, POINT_BYTES, PONG_HEAD_BYTES, REQUESTS_HEAD_BYTES, REQUESTS_MAX, STATES } from './encode.ts'
import { corruptFrame } from './faults.ts'
import { FRAME_HEAD_BYTES, KINDS, openFrame, PROPOSE_HEAD_BYTES } from './frame.ts'
import { DIGEST_DIGITS, ID_DIGITS, NONCE_DIGITS, readAttempt, readEndPoints, readFounding, readSnapshotMeta, readStagedPart } from './records.ts'

/**
 * The message of one whole frame. Runs, chunks, payloads and notes are views of `bytes`: whoever calls owns that memory and writes into it no more.
 * @throws AntiphonError CORRUPT: a bit has changed, or the sender is broken. VERSION_MISMATCH: an unknown kind, or another version. Nothing of the frame may be used.
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const kind = openFrame(bytes)
  switch (kind) {
    case KINDS.PROPOSE:
      return decodePropose(bytes)
    case KINDS.ACK:
      expectBytes(bytes, POINT_BYTES)
      return { kind: 'ACK', epoch: epochAt(bytes, 12), upTo: zxidAt(bytes, 16) }
    case KINDS.COMMIT:
      expectBytes(bytes, POINT_BYTES)
      return { kind: 'COMMIT', epoch: epochAt(bytes, 12), committed: zxidAt(bytes, 16) }
    case KINDS.REQUESTS:
      return decodeRequests(bytes)
    case KINDS.PING:
      return decodePing(bytes)
    case KINDS.PONG:
      return decodePong(bytes)
    case KINDS.CHUNK:
      return decodeChunk(bytes)
    case KINDS['ACK-LD']:
      expectBytes(bytes, POINT_BYTES)
      return { kind: 'ACK-LD', epoch: epochAt(bytes, 12), last: zxidAt(bytes, 16) }
    case KINDS['COMMIT-LD']:
      expectBytes(bytes, POINT_BYTES)
      return { kind: 'COMMIT-LD', epoch: epochAt(bytes, 12), committed: zxidAt(bytes, 16) }
    default: {
      const reader = new ByteReader(bytes, FRAME_HEAD_BYTES, bytes.length, corruptFrame)
      const message = readSeldom(kind, reader)
      reader.done()
      return message
    }
  }
}

function readSeldom(kind: number, reader: ByteReader): Message {
  switch (kind) {
    case KINDS.IDENTITY: {
      const empty = reader.bool()
      const settings = reader.hex(NONCE_DIGITS)
      return { kind: 'IDENTITY', ensembleId: reader.bool() ? reader.hex(ID_DIGITS) : null, settings, empty }
    }
    case KINDS.FOUNDING:
      return { kind: 'FOUNDING', founding: readFounding(reader, corruptFrame) }
    case KINDS.VOTE: {
      const state = STATES[reader.u8(STATES.length - 1)]!
      const leader = reader.u8() as 0
      return { kind: 'VOTE', state, leader, zxid: reader.zxid(), epoch: reader.epoch(), round: reader.u64() }
    }
    case KINDS.CEPOCH:
      return { kind: 'CEPOCH', accepted: reader.epoch(), acceptedFrom: reader.bool() ? readAttempt(reader, corruptFrame) : null }
    case KINDS.NEWEPOCH:
      return { kind: 'NEWEPOCH', epoch: reader.epoch(), attempt: readAttempt(reader, corruptFrame) }
    case KINDS['ACK-E']: {
      const epoch = reader.epoch()
      const current = reader.epoch()
      const last = reader.zxid()
      const checksum = reader.u32()
      const committed = reader.zxid()
      const wall = reader.u64()
      const quarantined = reader.bool()
      const endPoints = readEndPoints(reader, END_POINTS_MAX, corruptFrame)
      return { kind: 'ACK-E', epoch, current, last, checksum, committed, wall, quarantined, endPoints, staged: readStagedPart(reader, corruptFrame) }
    }
    case KINDS.TRUNC:
      return { kind: 'TRUNC', epoch: reader.epoch(), to: reader.zxid(), checksum: reader.u32() }
    case KINDS.DIFF:
      return { kind: 'DIFF', epoch: reader.epoch(), after: reader.zxid(), checksum: reader.u32(), staged: reader.bool() }
    case KINDS.NEWLEADER:
      return { kind: 'NEWLEADER', epoch: reader.epoch(), last: reader.zxid(), checksum: reader.u32() }
    case KINDS.SNAP:
      return {
        kind: 'SNAP',
        epoch: reader.epoch(),
        transfer: reader.u64(),
        chunks: reader.u64(),
        digest: reader.u32(),
        meta: readSnapshotMeta(reader, corruptFrame),
      }
    case KINDS.STORED:
      return { kind: 'STORED', transfer: reader.u64(), chunks: reader.u64() }
    case KINDS.RECEIVED:
      return { kind: 'RECEIVED', epoch: reader.epoch(), transfer: reader.u64(), upTo: reader.zxid(), ok: reader.bool() }
    case KINDS.READ:
      return { kind: 'READ', epoch: reader.epoch(), number: reader.u64() }
    case KINDS['READ-POINT']:
      return { kind: 'READ-POINT', epoch: reader.epoch(), number: reader.u64(), zxid: reader.zxid() }
    case KINDS.REGISTER:
      return { kind: 'REGISTER', storeId: reader.hex(ID_DIGITS), nonce: reader.hex(NONCE_DIGITS) }
    case KINDS.RESEND:
      return { kind: 'RESEND', origin: reader.zxid(), next: reader.u64() }
    case KINDS.RETIRED:
      return { kind: 'RETIRED', origin: reader.zxid() }
    case KINDS.DIGEST:
      return { kind: 'DIGEST', epoch: reader.epoch(), zxid: reader.zxid(), digest: reader.hex(DIGEST_DIGITS) }
    case KINDS.VERDICT:
      return { kind: 'VERDICT', epoch: reader.epoch(), zxid: reader.zxid(), digest: reader.hex(DIGEST_DIGITS) }
    case KINDS.REBUILD:
      return { kind: 'REBUILD', epoch: reader.epoch(), zxid: reader.zxid(), digest: reader.hex(DIGEST_DIGITS), after: reader.zxid() }
    default:
      throw corruptFrame(`no reader for frames of kind ${kind}`, { kind })
  }
}

function expectBytes(bytes: Uint8Array, expected: number): void {
  if (bytes.length !== expected) throw corruptFrame(`a frame has ${bytes.length} bytes, not ${expected}`, { kind: bytes[5] })
}

function expectAtLeast(bytes: Uint8Array, least: number): void {
  if (bytes.length < least) throw corruptFrame(`a frame has ${bytes.length} bytes, below ${least}`, { kind: bytes[5] })
}

function epochAt(bytes: Uint8Array, at: number): number {
  const epoch = readU32(bytes, at)
  if (epoch > EPOCH_MAX) throw corruptFrame(`an epoch is ${epoch}, above ${EPOCH_MAX}`, { offset: at })
  return epoch
}

function zxidAt(bytes: Uint8Array, at: number): Zxid {
  return zxidFromHalves(epochAt(bytes, at), readU32(bytes, at + 4))
}

/** The upper half of the largest safe integer is that of the largest ZXID. */
function safeAt(bytes: Uint8Array, at: number): number {
  return zxidAt(bytes, at)
}

function decodePropose(bytes: Uint8Array): Propose {
  const covered = readU32(bytes, 8)
  if (covered !== PROPOSE_HEAD_BYTES) throw corruptFrame(`a PROPOSE has a head of ${covered} bytes`)
  const epoch = epochAt(bytes, 12)
  const committed = zxidAt(bytes, 16)
  const runBytes = readU32(bytes, 36)
  if (runBytes !== bytes.length - PROPOSE_HEAD_BYTES)
    throw corruptFrame(`a PROPOSE has ${bytes.length - PROPOSE_HEAD_BYTES} bytes behind its head, not ${runBytes}`)
  return { kind: 'PROPOSE', epoch, committed, run: runOf(view(bytes, PROPOSE_HEAD_BYTES, bytes.length), zxidAt(bytes, 24), readU32(bytes, 32)) }
}

/** `runFromBytes` speaks of a disk's corruption; on a wire the remedy is another. */
function runOf(bytes: Uint8Array, previous: Zxid, previousChecksum: number): Run {
  try {
    return runFromBytes(bytes, previous, previousChecksum)
  } catch (cause) {
    throw corruptFrame(`the run of a PROPOSE is damaged: ${(cause as Error).message}`, { cause })
  }
}

function decodePing(bytes: Uint8Array): Ping {
  expectBytes(bytes, PING_BYTES)
  return { kind: 'PING', epoch: epochAt(bytes, 12), committed: zxidAt(bytes, 16), round: safeAt(bytes, 24), wall: safeAt(bytes, 32) }
}

function decodePong(bytes: Uint8Array): Pong {
  expectAtLeast(bytes, PONG_HEAD_BYTES)
  const notes: { machine: number; note: Uint8Array }[] = []
  const count = (bytes[32]! << 8) | bytes[33]!
  if (count > NOTES_MAX) throw corruptFrame(`a PONG claims ${count} notes`)
  let at = PONG_HEAD_BYTES
  for (let i = 0; i < count; i++) {
    const end = itemEnd(bytes, at)
    notes.push({ machine: bytes[at]!, note: view(bytes, at + ITEM_HEAD_BYTES, end) })
    at = end
  }
  expectBytes(bytes, at)
  return { kind: 'PONG', epoch: epochAt(bytes, 12), round: safeAt(bytes, 16), wall: safeAt(bytes, 24), notes }
}

function decodeChunk(bytes: Uint8Array): Chunk {
  expectAtLeast(bytes, CHUNK_HEAD_BYTES)
  const last = bytes[28]!
  if (last > 1) throw corruptFrame(`a CHUNK's mark of the last is ${last}`)
  return { kind: 'CHUNK', transfer: safeAt(bytes, 12), index: safeAt(bytes, 20), last: last === 1, bytes: view(bytes, CHUNK_HEAD_BYTES, bytes.length) }
}

function decodeRequests(bytes: Uint8Array): Requests {
  expectAtLeast(bytes, REQUESTS_HEAD_BYTES)
  const count = readU32(bytes, 36)
  if (count > REQUESTS_MAX || count * ITEM_HEAD_BYTES > bytes.length - REQUESTS_HEAD_BYTES) {
    throw corruptFrame(`a REQUESTS of ${bytes.length} bytes claims ${count} requests`)
  }
  const requests: Request[] = []
  let at = REQUESTS_HEAD_BYTES
  for (let i = 0; i < count; i++) {
    const end = itemEnd(bytes, at)
    requests.push({ machine: bytes[at]!, payload: view(bytes, at + ITEM_HEAD_BYTES, end) })
    at = end
  }
  expectBytes(bytes, at)
  return { kind: 'REQUESTS', origin: zxidAt(bytes, 12), first: safeAt(bytes, 20), confirmed: safeAt(bytes, 28), requests }
}

/** Where the request or note at `at` ends. */
function itemEnd(bytes: Uint8Array, at: number): number {
  if (bytes.length - at < ITEM_HEAD_BYTES) throw corruptFrame('an item is cut off', { offset: at })
  const length = readU32(bytes, at + 1)
  if (length > bytes.length - at - ITEM_HEAD_BYTES)
    throw corruptFrame(`an item claims ${length} bytes of ${bytes.length - at - ITEM_HEAD_BYTES}`, { offset: at })
  return at + ITEM_HEAD_BYTES + length
}
