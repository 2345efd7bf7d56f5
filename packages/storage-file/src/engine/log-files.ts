import type { Epochs, Founding, StoreId } from '@antiphon/ports'
import { type CheckedDisk, type FileHandle, padded, RECORD_HEAD_BYTES } from '@antiphon/storage-kit'
import { encodeSegmentHead, type SegmentHead, segmentName } from './format.ts'
import { LogIndex, type Segment } from './log-index.ts'

/** What survives every truncation, compaction and installation (rule 3). */
export interface Identity {
  readonly storeId: StoreId
  founding: Founding | null
  epochs: Epochs
}

export const NO_EPOCHS: Epochs = { accepted: 0, acceptedFrom: null, current: 0 }

export interface LogSettings {
  /** A segment is left when the next batch would make it longer; a larger batch gets a larger segment. */
  readonly segmentBytes: number
  /** How far in front of the writes files are kept zero-filled. 0: not at all. */
  readonly aheadBytes: number
  /** How much of that in one step, flush included. */
  readonly fillBytes: number
}

/** Room that is kept for the empty batch that seals the last one. */
export const SEAL_BYTES: number = padded(RECORD_HEAD_BYTES)

/** One generation's log: its files and where in them the history stands. */
export interface Log {
  readonly generation: number
  /** Not installed: has batches numbered by itself, from 1. */
  staged: boolean
  readonly index: LogIndex
  /** Ascending; the last one is written to. */
  readonly segments: Segment[]
  lastBatch: number
}

export function emptyLog(generation: number, staged: boolean, index: LogIndex = new LogIndex()): Log {
  return { generation, staged, index, segments: [], lastBatch: 0 }
}

/** Where the next batch of a log goes. */
export interface Place {
  readonly segment: Segment
  readonly offset: number
  /** The segment's head, when it is a new one: written with the batch, flushed with it. */
  readonly prefix: Uint8Array | null
}

/** From here on a flush waits for its bytes and not for the disk's turn: filled blocks gain nothing, and every byte would be written twice. */
const LARGE_BATCH_BYTES = 64 * 1024

/** Creates, fills and leaves segments. */
export class LogFiles {
  readonly #disk: CheckedDisk
  readonly #settings: LogSettings
  /** Of one step; made when the first is taken. */
  #zeros: Uint8Array = new Uint8Array(0)
  #nextNumber: number
  /** The next segment, not yet with a head. Its name is durable. */
  #spare: { readonly name: string; readonly generation: number; readonly number: number; readonly file: FileHandle; filled: number } | null = null
  /** The disk took no more: nothing is filled ahead until a segment begins. */
  #full = false
  #lastBatchBytes = 0

  constructor(disk: CheckedDisk, settings: LogSettings, nextNumber: number) {
    this.#disk = disk
    this.#settings = settings
    this.#nextNumber = nextNumber
  }

  /** Where a batch of `bytes` goes; one that installs the generation begins a segment. Nothing is done to the disk yet. */
  place(log: Log, bytes: number, does: 'append' | 'install' | 'seal', identity: Identity): Place {
    const last = log.segments.at(-1)
    const reserve = does === 'seal' ? 0 : SEAL_BYTES
    if (last !== undefined && does !== 'install' && (last.end + bytes + reserve <= this.#settings.segmentBytes || last.end === last.begin)) {
      return { segment: last, offset: last.end, prefix: null }
    }
    const head: SegmentHead = {
      storeId: identity.storeId,
      founding: identity.founding,
      epochs: identity.epochs,
      generation: log.generation,
      staged: log.staged,
      installs: does === 'install',
      firstBatch: log.lastBatch + 1,
      previous: log.index.tail,
      left: last === undefined ? null : { number: last.number, end: last.end, lowest: last.lowest },
    }
    const prefix = encodeSegmentHead(head)
    const number = this.#spare !== null && this.#spare.generation === log.generation ? this.#spare.number : this.#nextNumber++
    const name = segmentName(log.generation, number)
    const segment: Segment = { name, number, head, file: null, begin: prefix.length, end: 0, filled: 0, lowest: head.previous.zxid }
    return { segment, offset: 0, prefix }
  }

  /** One write and one flush; of the folder too when the segment's name is new. */
  write(log: Log, { segment, offset, prefix }: Place, bytes: Uint8Array): void {
    let named = true
    if (prefix !== null) {
      if (this.#spare?.number === segment.number) {
        segment.file = this.#spare.file
        segment.filled = this.#spare.filled
        this.#spare = null
      } else {
        segment.file = this.#disk.open(segment.name, 'create')
        named = false
      }
      log.segments.push(segment)
      this.#full = false
    }
    segment.file ??= this.#disk.open(segment.name, 'write')
    this.#disk.write(segment.file, bytes, offset)
    this.#disk.sync(segment.file)
    if (!named) this.#disk.syncDirectory()
    this.#lastBatchBytes = bytes.length
    segment.end = offset + bytes.length
    segment.filled = Math.max(segment.filled, segment.end)
  }

  /** The spare of a generation that is no longer written to: its name, to be removed; null when there is none. */
  takeSpare(): string | null {
    const spare = this.#spare
    this.#spare = null
    if (spare === null) return null
    try {
      this.#disk.close(spare.file)
    } catch {
      // There is nothing in it.
    }
    return spare.name
  }

  /** One step of zero-filling, flushed; false when nothing is left to be filled, or while batches are large: the seal that follows the last of them is not. @throws AntiphonError DISK_FAILED: the store has failed. */
  fill(log: Log): boolean {
    const { segmentBytes, aheadBytes, fillBytes } = this.#settings
    // In whole steps: topping up behind every batch would cost each of them a second flush.
    const wholeSteps = (bytes: number): number => Math.min(segmentBytes, Math.floor(bytes / fillBytes) * fillBytes)
    const current = log.segments.at(-1)
    if (aheadBytes === 0 || this.#full || this.#lastBatchBytes >= LARGE_BATCH_BYTES || current === undefined || current.file === null) return false
    const wanted = wholeSteps(current.end + aheadBytes)
    if (current.filled < wanted) {
      current.filled = this.#fillFile(current.file, current.filled, wanted)
      return true
    }
    const wantedNext = wholeSteps(current.end + aheadBytes - Math.max(segmentBytes, current.end))
    if (wantedNext <= 0) return false
    if (this.#spare === null) {
      const number = this.#nextNumber++
      const name = segmentName(log.generation, number)
      const file = this.#tryCreate(name)
      if (file === null) return false
      this.#spare = { name, generation: log.generation, number, file, filled: 0 }
      this.#disk.syncDirectory()
      return true
    }
    if (this.#spare.filled >= wantedNext) return false
    this.#spare.filled = this.#fillFile(this.#spare.file, this.#spare.filled, wantedNext)
    return true
  }

  /** How far it is filled afterwards. A disk that takes no more is no fault here: it is one when a batch finds no room. */
  #fillFile(file: FileHandle, from: number, to: number): number {
    const { fillBytes } = this.#settings
    if (this.#zeros.length < fillBytes) this.#zeros = new Uint8Array(fillBytes)
    const count = Math.min(to - from, fillBytes)
    try {
      this.#disk.write(file, this.#zeros.subarray(0, count), from)
    } catch {
      this.#full = true
      return from
    }
    this.#disk.sync(file)
    return from + count
  }

  #tryCreate(name: string): FileHandle | null {
    try {
      return this.#disk.open(name, 'create')
    } catch {
      this.#full = true
      return null
    }
  }
}
