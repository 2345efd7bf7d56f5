import {
  type EpochEnd,
  type Epochs,
  type Founding,
  type Random,
  type Run,
  type SnapshotMeta,
  type StoredState,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { cutAfter, cutBehind, endPointsOf, RunBuilder } from '@antiphon/wire'

export const STORE_ID: string = '0123456789abcdef'.repeat(2)
export const ALL: Zxid = Number.MAX_SAFE_INTEGER as Zxid

/** The same numbers for the same seed. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return {
    uint32() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
      return (mixed ^ (mixed >>> 14)) >>> 0
    },
  }
}

export interface Tail {
  readonly last: Zxid
  readonly checksum: number
}

/** `entries` entries of `payloadBytes` each behind `previous`. */
export function runBehind(previous: Tail | null, epoch: number, entries: number, payloadBytes = 20, fill = 7): Run {
  const builder = new RunBuilder()
  builder.begin(previous?.last ?? ZERO, previous?.checksum ?? 0, epoch, 1_000_000 + epoch)
  const payload = new Uint8Array(payloadBytes).fill(fill)
  for (let i = 0; i < entries; i++) builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, payload)
  return builder.finish()!
}

export function writeOf(parts: Partial<Write>): Write {
  return { ticket: 1, founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [], ...parts }
}

/** What a store should hold: changed only by making another. */
export class Model {
  readonly epochs: Epochs
  readonly founding: Founding | null
  /** The history behind `base`. */
  readonly runs: readonly Run[]
  readonly base: SnapshotMeta | null

  constructor(
    epochs: Epochs = { accepted: 0, acceptedFrom: null, current: 0 },
    founding: Founding | null = null,
    runs: readonly Run[] = [],
    base: SnapshotMeta | null = null,
  ) {
    this.epochs = epochs
    this.founding = founding
    this.runs = runs
    this.base = base
  }

  get tail(): Tail {
    return this.runs.at(-1) ?? (this.base === null ? { last: ZERO, checksum: 0 } : { last: this.base.zxid, checksum: this.base.checksum })
  }

  get endPoints(): EpochEnd[] {
    const ends: EpochEnd[] = [...(this.base?.endPoints ?? [])]
    for (const end of this.runs.flatMap(endPointsOf)) {
      if (ends.at(-1)?.epoch === end.epoch) ends.pop()
      ends.push(end)
    }
    return ends
  }

  /** The places where the history can be cut, the start included. */
  get places(): Tail[] {
    const first = new Model(this.epochs, null, [], this.base).tail
    return [first, ...this.runs]
  }

  after(write: Write, staged: Model | null = null): Model {
    const from = write.install === null ? this : staged!
    let runs = [...from.runs]
    const { truncateTo } = write
    if (truncateTo !== null) runs = runs.flatMap((run) => cutBehind(run, truncateTo.zxid) ?? [])
    return new Model(write.epochs ?? this.epochs, write.founding ?? this.founding, [...runs, ...write.append], from.base)
  }

  metaAt(place: Tail): SnapshotMeta {
    const cut = new Model(
      this.epochs,
      null,
      this.runs.flatMap((run) => cutBehind(run, place.last) ?? []),
      this.base,
    )
    const time = cut.runs.at(-1)?.time ?? this.base?.time ?? 0
    return { zxid: place.last, checksum: place.checksum, endPoints: cut.endPoints, time }
  }

  bytesAfter(start: Zxid): Uint8Array {
    return concat(this.runs.flatMap((run) => cutAfter(run, start) ?? []).map(({ bytes }) => bytes))
  }

  /** Null when `state`, and what `read` gives, is this model; else what differs. */
  differs(state: StoredState, read: (after: Zxid) => readonly Run[]): string | null {
    const { last, checksum } = this.tail
    if (JSON.stringify(state.epochs) !== JSON.stringify(this.epochs)) return `epochs ${JSON.stringify(state.epochs)} instead of ${JSON.stringify(this.epochs)}`
    if (JSON.stringify(state.founding) !== JSON.stringify(this.founding)) return 'founding'
    if (state.log.last !== last || state.log.checksum !== checksum) return `tail ${state.log.last} instead of ${last}`
    const time = this.runs.at(-1)?.time ?? this.base?.time ?? 0
    if (state.log.time !== time) return `time ${state.log.time} instead of ${time}`
    if (JSON.stringify(state.log.endPoints) !== JSON.stringify(this.endPoints))
      return `end points ${JSON.stringify(state.log.endPoints)} instead of ${JSON.stringify(this.endPoints)}`
    if (state.log.start < (this.base?.zxid ?? ZERO) || state.log.start > (state.snapshot?.zxid ?? ZERO)) return `start ${state.log.start}`
    const found: Uint8Array[] = []
    let after = state.log.start
    for (;;) {
      const runs = read(after)
      if (runs.length === 0) break
      for (const run of runs) {
        if (run.previous !== after) return 'a run that does not follow'
        after = run.last
        found.push(run.bytes)
      }
    }
    return Buffer.from(concat(found)).equals(this.bytesAfter(state.log.start)) ? null : 'entries'
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
