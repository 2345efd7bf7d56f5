import { formatZxid, invalidArgument, type Zxid } from '@antiphon/ports'
import {
  diverged,
  type Pack,
  putU64,
  RECORD_EPOCHS,
  RECORD_FOUNDING,
  RECORD_HEAD_BYTES,
  RECORD_RUN,
  RECORD_TRUNCATE,
  type RunHead,
  readEpochs,
  recordKind,
  recordLength,
  recordSpan,
  runHeadAt,
  u32,
  u64,
} from '@antiphon/storage-kit'
import { decodeFounding } from '@antiphon/wire'
import { FLAG_BATCH_END, FLAG_STAGED, recordSalt, sealRecord } from './format.ts'
import type { Identity, Log, Place } from './log-files.ts'
import type { LogIndex, Segment } from './log-index.ts'
import type { LogReader } from './log-reader.ts'

/** Puts packs into one piece behind the head of their segment, if that is new. Its memory is used again. */
export class Assembler {
  #scratch: Uint8Array = new Uint8Array(0)

  assemble({ prefix }: Place, packs: readonly Pack[], bytes: number): Uint8Array {
    if (prefix === null && packs.length === 1) return packs[0]!.bytes
    const total = (prefix?.length ?? 0) + bytes
    if (this.#scratch.length < total) this.#scratch = new Uint8Array(Math.max(total, 2 * this.#scratch.length))
    let at = 0
    if (prefix !== null) {
      this.#scratch.set(prefix)
      at = prefix.length
    }
    for (const pack of packs) {
      this.#scratch.set(pack.bytes, at)
      at += pack.bytes.length
    }
    return this.#scratch.subarray(0, total)
  }
}

/**
 * Checks each record of the batch in `bytes` from `begin` on against the history, takes it into index and identity, and completes it for its place. `floor`: the newest
 * snapshot, below which nothing is truncated. Nothing is on disk yet; after it has thrown the store has failed.
 * @throws AntiphonError INVALID_ARGUMENT, DIVERGED, CORRUPT, DISK_FAILED
 */
export function applyBatch(reader: LogReader, identity: Identity, floor: Zxid, log: Log, { segment, offset }: Place, bytes: Uint8Array, begin: number): void {
  const salt = recordSalt(identity.storeId, log.generation)
  const batch = log.lastBatch + 1
  const flags = log.staged ? FLAG_STAGED : 0
  for (let at = begin, number = 0; at < bytes.length; number++) {
    const next = at + recordSpan(bytes, at)
    const payload = at + RECORD_HEAD_BYTES
    switch (recordKind(bytes, at)) {
      case RECORD_RUN:
        append(log.index, segment, offset + at, offset + next, runHeadAt(bytes, payload))
        break
      case RECORD_TRUNCATE:
        truncate(reader, log.index, segment, floor, bytes, payload)
        break
      case RECORD_EPOCHS:
        identity.epochs = readEpochs(bytes, payload)
        break
      case RECORD_FOUNDING:
        identity.founding = decodeFounding(bytes.subarray(payload, payload + recordLength(bytes, at)))
        break
      default:
    }
    sealRecord(bytes, at, salt, offset + at, batch, number, next === bytes.length ? flags | FLAG_BATCH_END : flags)
    at = next
  }
}

function append(index: LogIndex, segment: Segment, from: number, to: number, run: RunHead): void {
  const { tail } = index
  if (run.previous !== tail.zxid) throw invalidArgument(`a run behind ${formatZxid(run.previous)} cannot follow ${formatZxid(tail.zxid)}`)
  if (run.previousChecksum !== tail.checksum) throw diverged(tail.zxid)
  index.append(segment, from, to, run)
}

function truncate(reader: LogReader, index: LogIndex, segment: Segment, floor: Zxid, bytes: Uint8Array, payload: number): void {
  const zxid = u64(bytes, payload) as Zxid
  const point = reader.pointAt(index, zxid)
  if (point === null) throw invalidArgument(`truncation to ${formatZxid(zxid)}, which the log does not hold`)
  if (point.checksum !== u32(bytes, payload + 8)) throw diverged(zxid)
  if (zxid < floor) throw invalidArgument(`truncation to ${formatZxid(zxid)}, below the snapshot at ${formatZxid(floor)}`)
  putU64(bytes, payload + 16, point.time)
  index.truncate(point)
  if (zxid < segment.lowest) segment.lowest = zxid
}
