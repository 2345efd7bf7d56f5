import { crc32, type PeerId, readU32, type StoreId, writeU32 } from '@antiphon/consensus-core'
import { readHex, writeHex } from './bytes.ts'
import { corruptFrame, foreignVersion } from './faults.ts'
import { PROTOCOL_VERSION } from './frame.ts'
import { ID_DIGITS } from './records.ts'

/** Both ends included. */
export interface VersionRange {
  readonly min: number
  readonly max: number
}

/** What this build speaks. */
export const PROTOCOL_VERSIONS: VersionRange = { min: PROTOCOL_VERSION, max: PROTOCOL_VERSION }

/**
 * The first words on a connection, both ways; `Transport.start` carries them.
 *
 * ```
 *  0  8 bytes  'ANTIPHON'
 *  8  u16      length of the whole greeting
 * 10  u16      lowest protocol version
 * 12  u16      highest protocol version
 * 14  u8       peer id
 * 15  u8       0
 * 16  16 bytes store id
 * 32  ...      what a version above ours adds; ours adds nothing
 * end-4 u32    CRC-32 of all that stands before it
 * ```
 */
export interface Greeting {
  readonly versions: VersionRange
  readonly peer: PeerId
  readonly storeId: StoreId
}

const MAGIC: readonly number[] = [...'ANTIPHON'].map((letter) => letter.charCodeAt(0))
const FIXED_BYTES = 32
const GREETING_BYTES: number = FIXED_BYTES + 4
const LENGTH_MAX = 1024

/** @throws AntiphonError INVALID_ARGUMENT when `storeId` is not 32 lower-case hexadecimal digits. */
export function encodeGreeting(greeting: Greeting): Uint8Array {
  const bytes = new Uint8Array(GREETING_BYTES)
  bytes.set(MAGIC)
  writeU16(bytes, 8, GREETING_BYTES)
  writeU16(bytes, 10, greeting.versions.min)
  writeU16(bytes, 12, greeting.versions.max)
  bytes[14] = greeting.peer
  writeHex(bytes, 16, greeting.storeId, ID_DIGITS)
  writeU32(bytes, FIXED_BYTES, crc32(bytes, 0, 0, FIXED_BYTES))
  return bytes
}

/**
 * The part that we know of a greeting. What a peer adds behind it is passed over when that peer speaks a version above ours.
 * @throws AntiphonError CORRUPT when the bytes are no greeting.
 */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  if (bytes.length < GREETING_BYTES || bytes.length > LENGTH_MAX) throw corruptFrame(`a greeting has ${bytes.length} bytes`)
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) throw corruptFrame('what has connected is not a replica: it does not greet')
  if (readU16(bytes, 8) !== bytes.length) throw corruptFrame(`a greeting of ${bytes.length} bytes claims ${readU16(bytes, 8)}`)
  const end = bytes.length - 4
  if (crc32(bytes, 0, 0, end) !== readU32(bytes, end)) throw corruptFrame('the checksum of a greeting does not match')
  const min = readU16(bytes, 10)
  const max = readU16(bytes, 12)
  if (min === 0 || min > max) throw corruptFrame(`a greeting announces versions ${min} to ${max}`)
  if (max <= PROTOCOL_VERSIONS.max && (bytes.length !== GREETING_BYTES || bytes[15] !== 0))
    throw corruptFrame('a greeting has more in it than its version knows')
  if (bytes[14] === 0) throw corruptFrame('a greeting names peer 0')
  return { versions: { min, max }, peer: bytes[14] as PeerId, storeId: readHex(bytes, 16, ID_DIGITS) }
}

/** The highest version that both speak. @throws AntiphonError VERSION_MISMATCH when there is none. */
export function negotiate(ours: VersionRange, theirs: VersionRange): number {
  const version = Math.min(ours.max, theirs.max)
  if (version < ours.min || version < theirs.min) {
    throw foreignVersion(`we speak protocol versions ${ours.min} to ${ours.max}, the peer ${theirs.min} to ${theirs.max}`, { ours, theirs })
  }
  return version
}

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}
