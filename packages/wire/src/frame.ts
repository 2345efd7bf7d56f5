import { crc32, readU32, writeU32 } from '@antiphon/consensus-core'
import { corruptFrame, foreignVersion } from './faults.ts'

/**
 * A frame is one message. Its head is the same for every kind, in every version:
 *
 * ```
 *  0  u32  checksum: CRC-32 of bytes [4, covered)
 *  4  u8   protocol version
 *  5  u8   kind
 *  6  u16  0
 *  8  u32  covered: the frame's length; of a PROPOSE, the length up to its run, whose own chain of checksums covers the rest
 * 12  ...  the kind's fields; all numbers big-endian
 * ```
 */
export const FRAME_HEAD_BYTES = 12
export const PROTOCOL_VERSION = 1

/** On the wire; a number is never given twice. */
export const KINDS = {
  IDENTITY: 1,
  FOUNDING: 2,
  VOTE: 3,
  CEPOCH: 4,
  NEWEPOCH: 5,
  'ACK-E': 6,
  TRUNC: 7,
  DIFF: 8,
  SNAP: 9,
  CHUNK: 10,
  STORED: 11,
  RECEIVED: 12,
  NEWLEADER: 13,
  'ACK-LD': 14,
  'COMMIT-LD': 15,
  PROPOSE: 16,
  ACK: 17,
  COMMIT: 18,
  PING: 19,
  PONG: 20,
  READ: 21,
  'READ-POINT': 22,
  REGISTER: 23,
  REQUESTS: 24,
  RESEND: 25,
  RETIRED: 26,
  DIGEST: 27,
  VERDICT: 28,
  REBUILD: 29,
} as const

const KIND_MAX = 29

/** Epoch, committed, previous ZXID, previous checksum, length of the run. */
export const PROPOSE_HEAD_BYTES: number = FRAME_HEAD_BYTES + 28

/** Fills in a head; the fields behind it are written already. `checksum` comes last: `sealHead`. */
export function writeHead(bytes: Uint8Array, kind: number, covered: number): void {
  bytes[4] = PROTOCOL_VERSION
  bytes[5] = kind
  bytes[6] = 0
  bytes[7] = 0
  writeU32(bytes, 8, covered)
}

/** A frame in one piece, its fields behind the head written: head and checksum are added. */
export function sealWhole(bytes: Uint8Array, kind: number): Uint8Array[] {
  writeHead(bytes, kind, bytes.length)
  writeU32(bytes, 0, crc32(bytes, 0, 4, bytes.length))
  return [bytes]
}

/**
 * Checks everything that is common to all frames, and returns the kind. Behind it, bytes [0, covered) are as the sender made them, and whatever is wrong in them is
 * the sender's doing.
 * @throws AntiphonError CORRUPT, VERSION_MISMATCH
 */
export function openFrame(bytes: Uint8Array): number {
  const length = bytes.length
  if (length < FRAME_HEAD_BYTES) throw corruptFrame(`a frame has ${length} bytes`)
  const covered = readU32(bytes, 8)
  if (covered < FRAME_HEAD_BYTES || covered > length) throw corruptFrame(`a frame of ${length} bytes claims ${covered}`)
  if (crc32(bytes, 0, 4, covered) !== readU32(bytes, 0)) throw corruptFrame('the checksum of a frame does not match', { bytes: length })
  if (bytes[4] !== PROTOCOL_VERSION) throw foreignVersion(`a frame is of protocol version ${bytes[4]}, not ${PROTOCOL_VERSION}`, { version: bytes[4] })
  const kind = bytes[5]!
  if (kind === 0 || kind > KIND_MAX) throw foreignVersion(`a frame is of unknown kind ${kind}`, { kind })
  if (bytes[6] !== 0 || bytes[7] !== 0) throw corruptFrame('a frame has reserved bits set', { kind })
  if (covered !== length && kind !== KINDS.PROPOSE) throw corruptFrame(`${length - covered} bytes follow a frame`, { kind })
  return kind
}
