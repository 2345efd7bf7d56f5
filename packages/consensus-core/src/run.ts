import { crc32, crc32OfView, crc32OfWord } from './crc32.ts'
import { corrupt } from './errors.ts'
import type { Checksum, Millis } from './types.ts'
import { EPOCH_MAX, epochOf, follows, type Zxid, zxidFromHalves } from './zxid.ts'

/**
 * Consecutive entries in one piece of memory, framed once by the primary, never mutated. The same bytes stand in the primary's log, on every
 * wire and in every follower's log.
 *
 * An entry:
 *
 * ```
 *  0  u32  length of the whole entry, this field and the checksum included
 *  4  u64  ZXID            (epoch u32, counter u32; all numbers big-endian)
 * 12  u64  previous ZXID
 * 20  u64  origin: ZXID of the entry that registered it; 0 for the reign's own
 * 28  u64  sequence: the request's number at its origin, from 1; 0 for the reign's own
 * 36  u32  pending: sequence minus the number up to which the origin has seen results
 * 40  u64  time: the leader's wall clock, milliseconds; never decreases along the history
 * 48  u8   machine: 0 is the shell (registrations, membership), 1.. the machines in the order of the settings
 * 49  u8   kind: 0 change, 1 refusal
 * 50  u16  0
 * 52  ...  payload
 * end-4 u32 seal
 * ```
 *
 * The history's checksum at an entry is the CRC-32 of all bytes of the history up to its end, so it covers every predecessor. The *seal* is the
 * CRC up to just before it, rotated left by 15: stored unrotated it would bring the CRC to its constant residue, and with it the chain to an end.
 * A whole run is therefore checked by one pass over its bytes, and can still be cut behind any entry.
 */
export interface Run {
  /** The ZXID before `first`. */
  readonly previous: Zxid
  /** The history's checksum at `previous`. */
  readonly previousChecksum: Checksum
  readonly first: Zxid
  readonly last: Zxid
  /** The history's checksum at `last`. */
  readonly checksum: Checksum
  /** Wall time of the entry at `last`. */
  readonly time: Millis
  readonly entries: number
  readonly bytes: Uint8Array
}

export const ENTRY_HEAD_BYTES = 52
export const ENTRY_SEAL_BYTES = 4
export const ENTRY_OVERHEAD_BYTES: number = ENTRY_HEAD_BYTES + ENTRY_SEAL_BYTES
/** The shell's own machine number. */
export const SHELL_MACHINE = 0
export const KIND_CHANGE = 0
export const KIND_REFUSAL = 1
const SEAL_ROTATION = 15
const UNIT = 0x1_0000_0000

/** The head of an entry that is about to be framed. */
export interface EntryHead {
  readonly origin: Zxid
  readonly sequence: number
  readonly pending: number
  readonly machine: number
  readonly kind: number
}

function seal(crc: number): number {
  return ((crc << SEAL_ROTATION) | (crc >>> (32 - SEAL_ROTATION))) >>> 0
}

function unseal(sealed: number): number {
  return ((sealed >>> SEAL_ROTATION) | (sealed << (32 - SEAL_ROTATION))) >>> 0
}

export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** An unsigned 64-bit number that is known to be a safe integer. */
export function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * UNIT + readU32(bytes, at + 4)
}

export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  const upper = value < UNIT ? 0 : Math.floor(value / UNIT)
  writeU32(bytes, at, upper)
  writeU32(bytes, at + 4, value - upper * UNIT)
}

function setU64(view: DataView, at: number, value: number): void {
  const upper = value < UNIT ? 0 : Math.floor(value / UNIT)
  view.setUint32(at, upper)
  view.setUint32(at + 4, value - upper * UNIT)
}

// Fields of the entry at `at` in a run's bytes: read in place, so that nothing is allocated per entry.
export function entryLength(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at)
}
export function entryZxid(bytes: Uint8Array, at: number): Zxid {
  return zxidFromHalves(readU32(bytes, at + 4), readU32(bytes, at + 8))
}
export function entryPrevious(bytes: Uint8Array, at: number): Zxid {
  return zxidFromHalves(readU32(bytes, at + 12), readU32(bytes, at + 16))
}
export function entryOrigin(bytes: Uint8Array, at: number): Zxid {
  return zxidFromHalves(readU32(bytes, at + 20), readU32(bytes, at + 24))
}
export function entrySequence(bytes: Uint8Array, at: number): number {
  return readU64(bytes, at + 28)
}
export function entryPending(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at + 36)
}
export function entryTime(bytes: Uint8Array, at: number): Millis {
  return readU64(bytes, at + 40)
}
export function entryMachine(bytes: Uint8Array, at: number): number {
  return bytes[at + 48]!
}
export function entryKind(bytes: Uint8Array, at: number): number {
  return bytes[at + 49]!
}
export function payloadStart(at: number): number {
  return at + ENTRY_HEAD_BYTES
}
export function payloadEnd(bytes: Uint8Array, at: number): number {
  return at + readU32(bytes, at) - ENTRY_SEAL_BYTES
}
/** The history's checksum behind the entry at `at`, from its seal alone. */
export function checksumBehind(bytes: Uint8Array, at: number): Checksum {
  const sealed = readU32(bytes, at + readU32(bytes, at) - ENTRY_SEAL_BYTES)
  return crc32OfWord(sealed, unseal(sealed))
}

/**
 * Frames a batch. The primary alone uses it: `begin` with the tail of the history, `add` per change, `finish`. A builder is used again for the next
 * batch; the bytes of a finished run belong to the run.
 */
export class RunBuilder {
  #bytes: Uint8Array
  /** Of `#bytes`: a number goes in at once, where an array takes it byte by byte. */
  #view: DataView
  #length = 0
  #previous: Zxid = 0 as Zxid
  #previousChecksum: Checksum = 0
  #first: Zxid = 0 as Zxid
  #tail: Zxid = 0 as Zxid
  #checksum: Checksum = 0
  #time: Millis = 0
  #entries = 0
  #epoch = 0

  constructor(bytesAtFirst = 16_384) {
    this.#bytes = new Uint8Array(bytesAtFirst)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get entries(): number {
    return this.#entries
  }
  get bytesUsed(): number {
    return this.#length
  }
  /** The ZXID that the next `add` gives. */
  get next(): Zxid {
    return this.#entries === 0 && epochOf(this.#previous) !== this.#epoch ? zxidFromHalves(this.#epoch, 1) : ((this.#tail + 1) as Zxid)
  }

  /** `time` is the reign's: never less than the last entry's. */
  begin(previous: Zxid, previousChecksum: Checksum, epoch: number, time: Millis): void {
    this.#length = 0
    this.#entries = 0
    this.#previous = previous
    this.#previousChecksum = previousChecksum
    this.#tail = previous
    this.#checksum = previousChecksum
    this.#epoch = epoch
    this.#time = time
  }

  /** Frames one entry; the caller has checked that the counter is not exhausted and the payload is within its limit. */
  add(head: EntryHead, payload: Uint8Array): Zxid {
    const length = ENTRY_OVERHEAD_BYTES + payload.length
    const at = this.#length
    if (at + length > this.#bytes.length) this.#grow(at + length)
    const view = this.#view
    const zxid = this.next
    view.setUint32(at, length)
    setU64(view, at + 4, zxid)
    setU64(view, at + 12, this.#tail)
    setU64(view, at + 20, head.origin)
    setU64(view, at + 28, head.sequence)
    view.setUint32(at + 36, head.pending)
    setU64(view, at + 40, this.#time)
    view.setUint32(at + 48, (head.machine << 24) | (head.kind << 16))
    this.#bytes.set(payload, at + ENTRY_HEAD_BYTES)
    const sealAt = at + length - ENTRY_SEAL_BYTES
    const crc = crc32OfView(view, this.#checksum, at, sealAt)
    const sealed = seal(crc)
    view.setUint32(sealAt, sealed)
    this.#checksum = crc32OfWord(sealed, crc)
    if (this.#entries === 0) this.#first = zxid
    this.#tail = zxid
    this.#entries++
    this.#length = at + length
    return zxid
  }

  /** The framed run, or null when nothing was added. */
  finish(): Run | null {
    if (this.#entries === 0) return null
    return {
      previous: this.#previous,
      previousChecksum: this.#previousChecksum,
      first: this.#first,
      last: this.#tail,
      checksum: this.#checksum,
      time: this.#time,
      entries: this.#entries,
      bytes: this.#bytes.slice(0, this.#length),
    }
  }

  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
  }
}

/**
 * Takes in bytes from a wire or a disk: checks that they are whole entries, each naming its predecessor, in ZXID order, and that the chain of checksums from
 * `previousChecksum` holds. The run keeps `bytes` as they are.
 * @throws AntiphonError CORRUPT
 */
export function runFromBytes(bytes: Uint8Array, previous: Zxid, previousChecksum: Checksum): Run {
  const end = bytes.length
  let at = 0
  let tail = previous
  let entries = 0
  let first = previous
  let lastAt = 0
  let time = 0
  while (at < end) {
    if (end - at < ENTRY_OVERHEAD_BYTES) throw corrupt(`a run ends in ${end - at} bytes that are no entry`, { offset: at })
    const length = readU32(bytes, at)
    if (length < ENTRY_OVERHEAD_BYTES || length > end - at) throw corrupt(`an entry claims ${length} bytes of ${end - at}`, { offset: at })
    const epoch = readU32(bytes, at + 4)
    const zxid = zxidFromHalves(epoch, readU32(bytes, at + 8))
    if (epoch > EPOCH_MAX || entryPrevious(bytes, at) !== tail || !follows(tail, zxid)) throw corrupt('an entry does not name its predecessor', { offset: at })
    if (readU32(bytes, at + 20) > EPOCH_MAX || readU32(bytes, at + 28) > EPOCH_MAX || readU32(bytes, at + 40) > EPOCH_MAX)
      throw corrupt('an entry has a field out of range', { offset: at })
    const stamped = entryTime(bytes, at)
    if (stamped < time) throw corrupt('time goes back within a run', { offset: at })
    time = stamped
    if (entries === 0) first = zxid
    tail = zxid
    lastAt = at
    entries++
    at += length
  }
  if (entries === 0) throw corrupt('a run without entries')
  const sealAt = end - ENTRY_SEAL_BYTES
  const crc = crc32(bytes, previousChecksum, 0, sealAt)
  const sealed = seal(crc)
  if (sealed !== readU32(bytes, sealAt)) throw corrupt('the checksum of a run does not match', { offset: lastAt, first, last: tail })
  return { previous, previousChecksum, first, last: tail, checksum: crc32OfWord(sealed, crc), time, entries, bytes }
}

/** The entries of `run` above `after`, sharing its bytes; the run itself when all are; null when none is. */
export function cutAfter(run: Run, after: Zxid): Run | null {
  if (after < run.first) return run
  if (after >= run.last) return null
  let at = 0
  let entries = run.entries
  for (;;) {
    const zxid = entryZxid(run.bytes, at)
    const next = at + entryLength(run.bytes, at)
    entries--
    if (zxid === after || entryZxid(run.bytes, next) > after) {
      return {
        ...run,
        previous: zxid,
        previousChecksum: checksumBehind(run.bytes, at),
        first: entryZxid(run.bytes, next),
        entries,
        bytes: run.bytes.subarray(next),
      }
    }
    at = next
  }
}

/** The entries of `run` up to and including `upTo`, sharing its bytes; the run itself when all are; null when none is. */
export function cutBehind(run: Run, upTo: Zxid): Run | null {
  if (upTo >= run.last) return run
  if (upTo < run.first) return null
  let at = 0
  let entries = 1
  while (entryZxid(run.bytes, at + entryLength(run.bytes, at)) <= upTo) {
    at += entryLength(run.bytes, at)
    entries++
  }
  return {
    ...run,
    last: entryZxid(run.bytes, at),
    checksum: checksumBehind(run.bytes, at),
    time: entryTime(run.bytes, at),
    entries,
    bytes: run.bytes.subarray(0, at + entryLength(run.bytes, at)),
  }
}

/** The epoch end points that `run` adds: the last entry of each epoch in it, ascending. Cheap when the run is of one epoch, as live ones are. */
export function endPointsOf(run: Run): { epoch: number; last: Zxid; checksum: Checksum }[] {
  const ends: { epoch: number; last: Zxid; checksum: Checksum }[] = []
  const lastEpoch = epochOf(run.last)
  if (epochOf(run.first) !== lastEpoch) {
    let at = 0
    for (let next = entryLength(run.bytes, 0); next < run.bytes.length; next += entryLength(run.bytes, next)) {
      const epoch = epochOf(entryZxid(run.bytes, at))
      if (epochOf(entryZxid(run.bytes, next)) !== epoch) ends.push({ epoch, last: entryZxid(run.bytes, at), checksum: checksumBehind(run.bytes, at) })
      at = next
    }
  }
  ends.push({ epoch: lastEpoch, last: run.last, checksum: run.checksum })
  return ends
}
