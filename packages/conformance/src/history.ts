import { type Checksum, type EpochEnd, epochOf, type Run, type SnapshotMeta, ZERO, type Zxid } from '@antiphon/ports'
import { cutAfter, endPointsOf, RunBuilder } from '@antiphon/wire'
import { assert, bytesOf, fail } from './suite.ts'

/** A history to feed a store with, and to compare what comes back with. */
export class History {
  readonly runs: Run[]
  /** Where it begins: a log behind a snapshot does not begin with the first entry. */
  readonly start: Zxid
  readonly #startTime: number
  #endPoints: EpochEnd[]

  constructor(runs: readonly Run[] = [], endPoints: readonly EpochEnd[] = [], start: Zxid = ZERO, startTime = 0) {
    this.runs = [...runs]
    this.#endPoints = [...endPoints]
    this.start = start
    this.#startTime = startTime
  }

  get last(): Zxid {
    return this.runs.at(-1)?.last ?? this.start
  }
  get checksum(): Checksum {
    return this.runs.at(-1)?.checksum ?? this.#endPoints.at(-1)?.checksum ?? 0
  }
  get time(): number {
    return this.runs.at(-1)?.time ?? this.#startTime
  }
  get endPoints(): readonly EpochEnd[] {
    return this.#endPoints
  }

  /** Frames the next batch of `epoch` and takes it in. */
  extend(epoch: number, entries: number, payloadBytes = 40): Run {
    const builder = new RunBuilder(64)
    builder.begin(this.last, this.checksum, epoch, this.time + 7)
    for (let i = 0; i < entries; i++) {
      const sequence = this.runs.length * 1000 + i + 1
      builder.add({ origin: ZERO, sequence, pending: 0, machine: 1, kind: 0 }, bytesOf(payloadBytes + (i % 5), epoch * 7919 + sequence))
    }
    const run = builder.finish() ?? fail('a run of no entries')
    this.runs.push(run)
    this.#endPoints = [...this.#endPoints.filter((end) => end.epoch < epochOf(run.first)), ...endPointsOf(run)]
    return run
  }

  /** The history that ends at `upTo`, which is the end of one of its runs. */
  upTo(upTo: Zxid): History {
    const runs = this.runs.filter((run) => run.last <= upTo)
    const last = runs.at(-1)
    assert(last === undefined ? upTo === this.start : last.last === upTo, `the suite's own mistake: no run ends at ${upTo}`)
    const kept = this.#endPoints.filter((end) => end.last < upTo && end.epoch < epochOf(upTo))
    return new History(runs, last === undefined ? kept : [...kept, { epoch: epochOf(upTo), last: upTo, checksum: last.checksum }], this.start, this.#startTime)
  }

  /** What a snapshot of the history's end is headed with. */
  meta(): SnapshotMeta {
    return { zxid: this.last, checksum: this.checksum, endPoints: this.#endPoints, time: this.time }
  }

  /** The log that stands behind a snapshot of this history's end. */
  behind(): History {
    return new History([], this.#endPoints, this.last, this.time)
  }

  /** The bytes of every entry above `after`. */
  bytesAfter(after: Zxid): Uint8Array[] {
    return this.runs.flatMap((run) => cutAfter(run, after)?.bytes ?? [])
  }
}
