import { entryTime, entryZxid, payloadEnd, payloadStart } from '@antiphon/consensus-core'
import type { CommittedBatch, Millis, Zxid } from '@antiphon/ports'

/** Some consecutive changes of one machine, as places in a run's bytes; the same object for every batch. `waited` tells whether anybody waits for a number of ours. */
export class MachineBatch implements CommittedBatch {
  length = 0
  bytes: Uint8Array = new Uint8Array(0)
  #at: Int32Array = new Int32Array(256)
  /** Our own numbers; 0 for others' changes. */
  #sequences: Float64Array = new Float64Array(256)
  readonly #waited: (sequence: number) => boolean

  constructor(waited: (sequence: number) => boolean) {
    this.#waited = waited
  }

  begin(bytes: Uint8Array): void {
    this.bytes = bytes
    this.length = 0
  }

  /** The entry at `at`; `sequence` is its number if it is ours, else 0. */
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
  isOurs(index: number): boolean {
    const sequence = this.#sequences[index]!
    return sequence !== 0 && this.#waited(sequence)
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
