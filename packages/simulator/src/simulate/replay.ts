import type { CommittedBatch, Millis, StateMachine, Zxid } from '@antiphon/ports'
import { WALL_AT_START } from '../clock.ts'
import { HostTime, under, underUntil } from './host-time.ts'
import { joined, lent } from './recorder.ts'
import type { Entry } from './types.ts'

/** A fresh machine that is led through the entries of a run. `world` tells times and chances of different hosts apart. */
export class Replay<Request, Result> {
  readonly machine: StateMachine<Request, Result>
  readonly #time: HostTime

  constructor(make: () => StateMachine<Request, Result>, world: number) {
    this.machine = make()
    this.#time = new HostTime(WALL_AT_START + world * 86_400_000, world)
  }

  /** Results as bytes, null where the machine gave none. */
  apply(entries: readonly Entry[], ours: boolean): (Uint8Array | null)[] {
    if (entries.length === 0) return []
    const { machine } = this
    const batch = new Batch(entries, ours)
    const results = under(this.#time, () => machine.apply(batch))
    const told = entries.map((_, i) => (results[i] === undefined ? null : machine.encodeResult(results[i] as Result).slice()))
    batch.bytes.fill(0xdd)
    return told
  }

  /** Entry by entry. */
  applyEach(entries: readonly Entry[]): (Uint8Array | null)[] {
    return entries.flatMap((entry) => this.apply([entry], true))
  }

  chunks(): Uint8Array[] {
    return under(this.#time, () => [...this.machine.snapshot()].map((chunk) => chunk.slice()))
  }

  snapshot(): Uint8Array {
    return joined(this.chunks())
  }

  /** A view that is read later. */
  view(): Iterable<Uint8Array> {
    return under(this.#time, () => this.machine.snapshot())
  }

  read(view: Iterable<Uint8Array>): Uint8Array {
    return under(this.#time, () => joined([...view].map((chunk) => chunk.slice())))
  }

  restore(zxid: Zxid, chunks: readonly Uint8Array[]): Promise<void> {
    return underUntil(this.#time, () => this.machine.restore(zxid, lent(chunks)))
  }

  digest(): bigint | null {
    return this.machine.digest === undefined ? null : under(this.#time, () => this.machine.digest!())
  }
}

class Batch implements CommittedBatch {
  readonly length: number
  readonly bytes: Uint8Array
  readonly #entries: readonly Entry[]
  readonly #starts: number[] = []
  readonly #ours: boolean

  constructor(entries: readonly Entry[], ours: boolean) {
    this.length = entries.length
    this.#entries = entries
    this.#ours = ours
    let at = 0
    for (const { bytes } of entries) {
      this.#starts.push(at)
      at += bytes.length
    }
    this.bytes = joined(entries.map((entry) => entry.bytes))
  }

  start(index: number): number {
    return this.#starts[index]!
  }
  end(index: number): number {
    return this.#starts[index]! + this.#entries[index]!.bytes.length
  }
  change(index: number): Uint8Array {
    return this.bytes.subarray(this.start(index), this.end(index))
  }
  zxid(index: number): Zxid {
    return this.#entries[index]!.zxid
  }
  time(index: number): Millis {
    return this.#entries[index]!.time
  }
  needsResult(): boolean {
    return this.#ours
  }
}

export function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const AROUND = 24
const PRINTABLE = /^[\x20-\x7e\n\t]*$/

/** Where two pieces of bytes part, for people. */
export function difference(one: Uint8Array, other: Uint8Array): string {
  let at = 0
  while (at < one.length && at < other.length && one[at] === other[at]) at++
  return `at byte ${at}: ${excerpt(one, at)} and ${excerpt(other, at)}`
}

function excerpt(bytes: Uint8Array, at: number): string {
  if (at >= bytes.length) return `its end (${bytes.length} bytes)`
  const part = bytes.subarray(Math.max(0, at - AROUND), at + AROUND)
  const text = new TextDecoder().decode(part)
  return PRINTABLE.test(text) ? `\`${text}\`` : Array.from(part, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
