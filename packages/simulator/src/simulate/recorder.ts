import { type CommittedBatch, type PeerId, type PrimaryContext, type StateMachine, ZERO, type Zxid } from '@antiphon/ports'
import { WALL_AT_START } from '../clock.ts'
import { HostTime, under, underUntil } from './host-time.ts'
import type { Entry } from './types.ts'

/** What a primary was given with a call, so that the call can be made again. */
export interface Given {
  readonly epoch: number
  readonly zxid: Zxid
  readonly time: number
  readonly monotonic: number
  readonly tickMs: number
  readonly changeBytesMax: number
  /** What it drew. */
  readonly drawn: number[]
  /** The host's own time and chance. */
  readonly wall: number
  readonly seed: number
}

/** One call of a machine that bears on what its reigns prepare. */
export type MachineEvent =
  | { readonly kind: 'leading'; readonly at: Zxid; readonly given: Given }
  | { readonly kind: 'prepare'; readonly request: Uint8Array; readonly given: Given /** Null: refused. */; readonly change: Uint8Array | null }
  | { readonly kind: 'unprepare' | 'abandon' }
  | { readonly kind: 'tick'; readonly given: Given }
  | { readonly kind: 'heard'; readonly from: PeerId; readonly note: Uint8Array; readonly monotonic: number }
  | { readonly kind: 'apply'; readonly upTo: Zxid }
  | { readonly kind: 'restore' }

/** One process's machine, and what it showed. `at`: the last of its entries that it held. */
export interface Witness {
  readonly member: PeerId
  readonly events: MachineEvent[]
  readonly results: { readonly at: Zxid; readonly bytes: Uint8Array }[]
  readonly digests: { readonly at: Zxid; readonly digest: bigint }[]
  readonly snapshots: { readonly at: Zxid; readonly bytes: Uint8Array }[]
  restores: number
  at: Zxid
  over: boolean
}

/** Watches a user's machines at work, without a word to them. */
export class Recorder<Request, Result> {
  readonly entries: Entry[] = []
  readonly witnesses: Witness[] = []
  threw: { readonly where: string; readonly at: Zxid; readonly member: PeerId; readonly error: unknown } | null = null
  readonly #make: () => StateMachine<Request, Result>
  readonly #machines = new Map<Witness, StateMachine<Request, Result>>()
  #seeds = 0

  constructor(make: () => StateMachine<Request, Result>) {
    this.#make = make
  }

  /** The last place that is known. */
  get last(): Zxid {
    return this.entries.at(-1)?.zxid ?? ZERO
  }

  /** The states of those that live, all of them level. */
  settled(): void {
    for (const [witness, machine] of this.#machines) {
      if (witness.over) continue
      const bytes = under(timeOf(witness, 0), () => joined([...machine.snapshot()].map((chunk) => chunk.slice())))
      witness.snapshots.push({ at: witness.at, bytes })
    }
  }

  /** A machine for a process of `member`, which has no other any more. */
  machineOf(member: PeerId, origin: number): StateMachine<Request, Result> {
    for (const { over, member: of } of this.witnesses) if (!over && of === member) this.#endOf(member)
    const machine = this.#make()
    const witness: Witness = { member, events: [], results: [], digests: [], snapshots: [], restores: 0, at: ZERO, over: false }
    this.witnesses.push(witness)
    this.#machines.set(witness, machine)
    return this.#watched(machine, witness, origin)
  }

  #endOf(member: PeerId): void {
    for (const witness of this.#machines.keys()) {
      if (witness.member !== member) continue
      witness.over = true
      this.#machines.delete(witness)
    }
  }

  #watched(machine: StateMachine<Request, Result>, witness: Witness, origin: number): StateMachine<Request, Result> {
    const guard = <T>(where: string, work: () => T): T => {
      try {
        return under(timeOf(witness, origin), work)
      } catch (error) {
        this.threw ??= { where, at: witness.at, member: witness.member, error }
        throw error
      }
    }
    const given = (context: PrimaryContext): Given => {
      const { epoch, zxid, time, monotonic, tickMs, changeBytesMax } = context
      return { epoch, zxid, time, monotonic, tickMs, changeBytesMax, drawn: [], wall: time + origin * 1000, seed: ++this.#seeds }
    }
    const watched: StateMachine<Request, Result> = {
      name: machine.name,
      version: machine.version,
      encodeRequest: (request) => machine.encodeRequest(request),
      decodeRequest: (bytes) => machine.decodeRequest(bytes),
      encodeResult: (result) => machine.encodeResult(result),
      decodeResult: (bytes) => machine.decodeResult(bytes),
      apply: (batch) => {
        this.#note(batch)
        const upTo = batch.zxid(batch.length - 1)
        witness.events.push({ kind: 'apply', upTo })
        const results = guard('apply', () => machine.apply(batch))
        witness.at = upTo
        for (let i = 0; i < batch.length; i++) {
          const result = results[i]
          if (result !== undefined && batch.needsResult(i)) witness.results.push({ at: batch.zxid(i), bytes: machine.encodeResult(result).slice() })
        }
        if (machine.digest !== undefined) witness.digests.push({ at: upTo, digest: guard('digest', () => machine.digest!()) })
        return results
      },
      snapshot: () =>
        this.#read(
          witness,
          witness.at,
          guard('snapshot', () => machine.snapshot()),
          guard,
        ),
      restore: async (zxid, chunks) => {
        const held: Uint8Array[] = []
        for await (const chunk of chunks) held.push(chunk.slice())
        witness.events.push({ kind: 'restore' })
        witness.restores++
        try {
          await underUntil(timeOf(witness, origin), () => machine.restore(zxid, lent(held)))
        } catch (error) {
          this.threw ??= { where: 'restore', at: zxid, member: witness.member, error }
          throw error
        }
        witness.at = this.entries.findLast((entry) => entry.zxid <= zxid)?.zxid ?? ZERO
      },
    }
    if (machine.prepare !== undefined) {
      watched.prepare = (bytes, context) => {
        const told = given(context)
        const request = bytes.slice()
        try {
          const change = under(new HostTime(told.wall, told.seed), () => machine.prepare!(bytes, listening(context, told.drawn)))
          witness.events.push({ kind: 'prepare', request, given: told, change: change.slice() })
          return change
        } catch (error) {
          witness.events.push({ kind: 'prepare', request, given: told, change: null })
          throw error
        }
      }
    }
    if (machine.unprepare !== undefined) {
      watched.unprepare = () => {
        witness.events.push({ kind: 'unprepare' })
        guard('unprepare', () => machine.unprepare!())
      }
    }
    // Always there: where the reigns of a machine begin and end is of interest whether it looks or not.
    watched.leading = (context) => {
      const told = given(context)
      witness.events.push({ kind: 'leading', at: witness.at, given: told })
      guard('leading', () => machine.leading?.(listening(context, told.drawn)))
    }
    watched.abandon = () => {
      witness.events.push({ kind: 'abandon' })
      guard('abandon', () => machine.abandon?.())
    }
    if (machine.tick !== undefined) {
      watched.tick = (context) => {
        const told = given(context)
        witness.events.push({ kind: 'tick', given: told })
        return under(new HostTime(told.wall, told.seed), () => machine.tick!(listening(context, told.drawn)))
      }
    }
    if (machine.note !== undefined) watched.note = () => guard('note', () => machine.note!())
    if (machine.heard !== undefined) {
      watched.heard = (from, note, monotonic) => {
        witness.events.push({ kind: 'heard', from, note: note.slice(), monotonic })
        guard('heard', () => machine.heard!(from, note, monotonic))
      }
    }
    if (machine.digest !== undefined) watched.digest = () => machine.digest!()
    if (machine.attach !== undefined) watched.attach = (proposer) => machine.attach!(proposer)
    return watched
  }

  #note(batch: CommittedBatch): void {
    for (let i = 0; i < batch.length; i++) {
      const zxid = batch.zxid(i)
      if (zxid > this.last) this.entries.push({ zxid, time: batch.time(i), bytes: batch.change(i).slice() })
    }
  }

  /** `at`: where the view was taken. */
  *#read(witness: Witness, at: Zxid, view: Iterable<Uint8Array>, guard: <T>(where: string, work: () => T) => T): Iterable<Uint8Array> {
    const chunks: Uint8Array[] = []
    const iterator = view[Symbol.iterator]()
    for (;;) {
      const next = guard('snapshot', () => iterator.next())
      if (next.done === true) break
      chunks.push(next.value.slice())
      yield next.value
    }
    witness.snapshots.push({ at, bytes: joined(chunks) })
  }
}

/** Each process has a clock of its own, hours from the others'. */
function timeOf({ member, at }: Witness, origin: number): HostTime {
  return new HostTime(
    WALL_AT_START + member * 3_600_000 + origin * 60_000 + (at % 0x1_0000_0000) * 1000,
    member * 1_000_003 + origin * 4099 + (at % 0x1_0000_0000),
  )
}

function listening(context: PrimaryContext, drawn: number[]): PrimaryContext {
  return {
    epoch: context.epoch,
    zxid: context.zxid,
    time: context.time,
    monotonic: context.monotonic,
    tickMs: context.tickMs,
    changeBytesMax: context.changeBytesMax,
    random: () => {
      const number = context.random()
      drawn.push(number)
      return number
    },
  }
}

/** Chunks as a store gives them: their memory is not the machine's to keep. */
export async function* lent(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) {
    const copy = chunk.slice()
    yield copy
    copy.fill(0xdd)
  }
}

export function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
