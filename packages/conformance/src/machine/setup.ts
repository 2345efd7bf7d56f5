import type { CommittedBatch, PrimaryContext, StateMachine, Zxid } from '@antiphon/ports'
import { bytesOf, concat, within } from '../suite.ts'

/** What a machine's author provides. */
export interface StateMachineSetup<Request, Result> {
  /** A machine in its first state; each call gives another, all alike. */
  create(): StateMachine<Request, Result>
  /** Twenty or more requests that follow one another from the first state, none of them refused: the more kinds, the better the proof. */
  readonly requests: readonly Request[]
  /** Requests that `prepare` refuses, wherever they stand among `requests`. */
  readonly refused?: readonly Request[]
  /** Requests that lead from the first state to one whose snapshot has several chunks; `requests` can follow them. Gates the case about slices. */
  readonly bulk?: readonly Request[]
}

/** A change with what its entry will say of it. */
export interface Change {
  readonly bytes: Uint8Array
  readonly time: number
}

/** One request's context: what a primary gives out depends on nothing but the request's number, so that two ways to prepare it can be compared. */
export function contextOf(number: number): PrimaryContext {
  let state = (number + 1) * 40_503
  return {
    epoch: 1,
    zxid: zxidOf(number),
    time: timeOf(number),
    monotonic: timeOf(number) - timeOf(0),
    tickMs: 100,
    changeBytesMax: 1 << 20,
    random() {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return state
    },
  }
}

function zxidOf(number: number): Zxid {
  return (2 ** 32 + number + 1) as Zxid
}

export function timeOf(number: number): number {
  return 1_700_000_000_000 + number * 13
}

/** Prepares request `number` as the primary does; a machine without `prepare` takes the request as the change. */
export function prepare<Request, Result>(machine: StateMachine<Request, Result>, request: Request, number: number): Change {
  const bytes = machine.encodeRequest(request)
  return { bytes: machine.prepare === undefined ? bytes : machine.prepare(bytes, contextOf(number)).slice(), time: timeOf(number) }
}

/** What all requests become, as one primary prepares them: each is applied before the next is prepared. */
export function changesOf<Request, Result>(setup: StateMachineSetup<Request, Result>, requests: readonly Request[] = setup.requests): Change[] {
  const primary = setup.create()
  primary.leading?.(contextOf(0))
  return requests.map((request, number) => {
    const change = prepare(primary, request, number)
    applyAll(primary, [change], number)
    return change
  })
}

/** Changes as they lie in a log: one piece of memory, with something else between them. */
export class Batch implements CommittedBatch {
  readonly length: number
  readonly bytes: Uint8Array
  readonly #starts: number[] = []
  readonly #changes: readonly Change[]
  readonly #first: number
  readonly #ours: boolean

  /** `first` is the number of the batch's first change in the whole history. */
  constructor(changes: readonly Change[], first: number, ours: boolean = true) {
    this.length = changes.length
    this.#changes = changes
    this.#first = first
    this.#ours = ours
    const pieces: Uint8Array[] = []
    let at = 0
    for (const [index, { bytes }] of changes.entries()) {
      const between = bytesOf(52 + index, index)
      pieces.push(between, bytes)
      this.#starts.push(at + between.length)
      at += between.length + bytes.length
    }
    this.bytes = concat([...pieces, bytesOf(4, 99)])
  }

  start(index: number): number {
    return this.#starts[index]!
  }
  end(index: number): number {
    return this.#starts[index]! + this.#changes[index]!.bytes.length
  }
  change(index: number): Uint8Array {
    return this.bytes.subarray(this.start(index), this.end(index))
  }
  zxid(index: number): Zxid {
    return zxidOf(this.#first + index)
  }
  time(index: number): number {
    return this.#changes[index]!.time
  }
  needsResult(): boolean {
    return this.#ours
  }
}

/** Applies `changes` as one batch; the memory is taken away afterwards, as the contract allows. */
export function applyAll<Request, Result>(
  machine: StateMachine<Request, Result>,
  changes: readonly Change[],
  first: number,
  ours = true,
  fill = 0xdd,
): readonly Result[] {
  const batch = new Batch(changes, first, ours)
  const results = machine.apply(batch)
  batch.bytes.fill(fill)
  return results
}

export function snapshotOf<Request, Result>(machine: StateMachine<Request, Result>): Uint8Array[] {
  return Array.from(machine.snapshot(), (chunk) => chunk.slice())
}

export async function restore<Request, Result>(machine: StateMachine<Request, Result>, applied: number, chunks: readonly Uint8Array[]): Promise<void> {
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      const lent = chunk.slice()
      yield lent
      lent.fill(0xdd)
    }
  }
  await within(machine.restore((2 ** 32 + applied) as Zxid, source()), 'restore()')
}
