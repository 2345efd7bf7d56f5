import { entryTime, entryZxid, payloadEnd, payloadStart } from '@antiphon/consensus-core'
import type { CommittedBatch, Millis, Zxid } from '@antiphon/ports'

/** In the place of a number of ours. */
export const OTHERS = -1

/** Some consecutive changes of one machine, as places in a run's bytes; the same object for every batch. */
export class MachineBatch implements CommittedBatch {
  length = 0
  bytes: Uint8Array = new Uint8Array(0)
  #at: Int32Array = new Int32Array(256)
  /** Our own numbers; OTHERS for what others numbered; 0 for what has no number. */
  #sequences: Float64Array = new Float64Array(256)

  begin(bytes: Uint8Array): void {
    this.bytes = bytes
    this.length = 0
  }

  /** The entry at `at`; `sequence` is its number if it is ours, OTHERS if another's, 0 if it has none. */
  add(at: number, sequence: number): void {
    if (this.length === this.#at.length) this.#grow()
    this.#at[this.length] = at
    this.#sequences[this.length++] = sequence
  }

  sequence(index: number): number {
    return this.#sequences[index]!
  }

  start(index: number): number {
    return payloadStart(this.#at[index]!)
  }
  end(index: number): number {
    return payloadEnd(this.bytes, this.#at[index]!)
  }
  change(index: number): Uint8Array {
    return this.bytes.subarray(this.start(index), this.end(index))
  }
  zxid(index: number): Zxid {
    return entryZxid(this.bytes, this.#at[index]!)
  }
  time(index: number): Millis {
    return entryTime(this.bytes, this.#at[index]!)
  }
  needsResult(index: number): boolean {
    return this.#sequences[index] !== 0
  }

  /** First and last change, for a report of what went wrong. */
  range(): { first: Zxid; last: Zxid } {
    return { first: this.zxid(0), last: this.zxid(this.length - 1) }
  }

  #grow(): void {
    const at = new Int32Array(this.#at.length * 2)
    const sequences = new Float64Array(at.length)
    at.set(this.#at)
    sequences.set(this.#sequences)
    this.#at = at
    this.#sequences = sequences
  }
}
