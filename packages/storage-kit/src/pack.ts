import { epochOf, type Run, type Write } from '@antiphon/ports'
import { cutAfter, cutBehind, encodeFounding, entryLength, entryZxid } from '@antiphon/wire'
import {
  EPOCHS_BYTES,
  INSTALL_BYTES,
  padded,
  putEpochs,
  putRecordHead,
  putRunFixed,
  RECORD_EPOCHS,
  RECORD_FOUNDING,
  RECORD_HEAD_BYTES,
  RECORD_INSTALL,
  RECORD_RUN,
  RECORD_TRUNCATE,
  RUN_FIXED_BYTES,
  TRUNCATE_BYTES,
} from './records.ts'
import { putU32, putU64 } from './words.ts'

/** Whole writes as records: one piece of memory that can be handed to another thread. */
export interface Pack {
  /** 0 for the log, else the staged generation whose log it goes to. */
  readonly target: number
  /** Begins with the installation of a generation: nothing goes into a batch in front of it. */
  readonly installs: boolean
  readonly writes: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

const BUFFER_BYTES_AT_FIRST = 16_384
const BUFFERS_KEPT = 4
/** Larger memory is left to the collector. */
const BUFFER_BYTES_KEPT = 4 * 1024 * 1024

/** Makes packs. Run bytes are copied here, once: others go on reading the originals. */
export class Packer {
  /** Never shared, empty neither: whoever takes it may transfer it to another thread. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #length = 0
  #writes = 0
  #target = 0
  #installs = false
  readonly #spare: ArrayBuffer[] = []

  get empty(): boolean {
    return this.#writes === 0
  }

  get bytesUsed(): number {
    return this.#length
  }

  /** Whether a write of this kind may join what is packed. */
  takes(target: number, install: boolean): boolean {
    return this.#writes === 0 || (this.#target === target && !install)
  }

  add(write: Write): void {
    if (this.#writes === 0) {
      this.#target = 0
      this.#installs = write.install !== null
    }
    this.#writes++
    if (write.install !== null) {
      const at = this.#record(RECORD_INSTALL, INSTALL_BYTES)
      this.#bytes.fill(0, at, at + INSTALL_BYTES)
      putU32(this.#bytes, at, write.install)
    }
    if (write.founding !== null) {
      const founding = encodeFounding(write.founding)
      const at = this.#record(RECORD_FOUNDING, founding.length)
      this.#bytes.set(founding, at)
    }
    if (write.truncateTo !== null) {
      const at = this.#record(RECORD_TRUNCATE, TRUNCATE_BYTES)
      putU64(this.#bytes, at, write.truncateTo.zxid)
      putU32(this.#bytes, at + 8, write.truncateTo.checksum)
      putU32(this.#bytes, at + 12, 0)
      putU64(this.#bytes, at + 16, 0)
    }
    this.#runs(write.append)
    if (write.epochs !== null) {
      const at = this.#record(RECORD_EPOCHS, EPOCHS_BYTES)
      putEpochs(this.#bytes, at, write.epochs)
    }
  }

  addStaged(generation: number, runs: readonly Run[]): void {
    if (this.#writes === 0) {
      this.#target = generation
      this.#installs = false
    }
    this.#writes++
    this.#runs(runs)
  }

  /** What was packed; null when there is nothing. The memory goes with it. */
  take(): Pack | null {
    if (this.#writes === 0) return null
    const pack: Pack = { target: this.#target, installs: this.#installs, writes: this.#writes, bytes: this.#bytes.subarray(0, this.#length) }
    this.#bytes = new Uint8Array(0)
    this.#length = 0
    this.#writes = 0
    return pack
  }

  /** Memory of a pack that nobody needs any more. */
  recycle(buffer: ArrayBuffer): void {
    if (this.#spare.length < BUFFERS_KEPT && buffer.byteLength >= BUFFER_BYTES_AT_FIRST && buffer.byteLength <= BUFFER_BYTES_KEPT) this.#spare.push(buffer)
  }

  #runs(runs: readonly Run[]): void {
    for (const run of runs) {
      if (epochOf(run.first) === epochOf(run.last)) this.#run(run)
      else for (const part of splitByEpoch(run)) this.#run(part)
    }
  }

  #run(run: Run): void {
    const at = this.#record(RECORD_RUN, RUN_FIXED_BYTES + run.bytes.length)
    putRunFixed(this.#bytes, at, run)
    this.#bytes.set(run.bytes, at + RUN_FIXED_BYTES)
  }

  /** Room for a record of `length` payload bytes, its head written; where the payload goes. */
  #record(kind: number, length: number): number {
    const at = this.#length
    const end = at + RECORD_HEAD_BYTES + length
    const next = padded(end)
    if (next > this.#bytes.length) this.#grow(next)
    putRecordHead(this.#bytes, at, kind, length)
    this.#bytes.fill(0, end, next)
    this.#length = next
    return at + RECORD_HEAD_BYTES
  }

  #grow(needed: number): void {
    const spare = this.#spare.findIndex((buffer) => buffer.byteLength >= needed)
    const grown = spare >= 0 ? this.#spare.splice(spare, 1)[0]! : new ArrayBuffer(Math.max(needed, this.#length * 2, BUFFER_BYTES_AT_FIRST))
    const bytes = new Uint8Array(grown)
    bytes.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = bytes
  }
}

/** A record holds entries of one epoch: end points are then read off its head. */
function splitByEpoch(run: Run): Run[] {
  const parts: Run[] = []
  let rest: Run | null = run
  while (rest !== null) {
    const epoch = epochOf(rest.first)
    let at = 0
    for (
      let next = entryLength(rest.bytes, 0);
      next < rest.bytes.length && epochOf(entryZxid(rest.bytes, next)) === epoch;
      next += entryLength(rest.bytes, next)
    )
      at = next
    const last = entryZxid(rest.bytes, at)
    parts.push(cutBehind(rest, last)!)
    rest = cutAfter(rest, last)
  }
  return parts
}
