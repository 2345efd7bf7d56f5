import { AntiphonError, type CommittedBatch, type PrimaryContext, type Proposer, type StateMachine, type Zxid, zxidOf } from '@antiphon/ports'

export function batchOf(changes: readonly Uint8Array[], firstCounter = 1, ours = true): CommittedBatch {
  const bytes = new Uint8Array(changes.reduce((sum, change) => sum + change.length, 0) + 7)
  const starts: number[] = []
  // As in a run, changes do not begin at 0 and are not adjacent to each other's ends.
  let at = 3
  for (const change of changes) {
    starts.push(at)
    bytes.set(change, at)
    at += change.length
  }
  const end = (index: number): number => starts[index]! + changes[index]!.length
  return {
    length: changes.length,
    bytes,
    start: (index) => starts[index]!,
    end,
    change: (index) => bytes.subarray(starts[index], end(index)),
    zxid: (index) => zxidOf(1, firstCounter + index),
    time: (index) => 1000 + firstCounter + index,
    needsResult: () => ours,
  }
}

export function contextOf(overrides: Partial<PrimaryContext> = {}): PrimaryContext {
  let drawn = 0
  return { epoch: 1, zxid: zxidOf(1, 1), time: 1_700_000_000_000, monotonic: 0, tickMs: 100, changeBytesMax: 1024 * 1024, random: () => ++drawn, ...overrides }
}

// biome-ignore lint/suspicious/noExplicitAny: requests and results are the machines' own.
type AnyMachine = StateMachine<any, any>

/** One leader and its followers without any network: what the leader prepares is applied everywhere, in batches. Requests go through `attach`, as in a replica. */
export class Rehearsal<M extends AnyMachine> {
  readonly leader: M
  readonly followers: readonly M[]
  context: PrimaryContext = contextOf()
  /** How many requests the leader prepares before they are applied. */
  batch = 1
  readonly changes: Uint8Array[] = []
  readonly #waiting: { change: Uint8Array; resolve: (result: unknown) => void }[] = []

  constructor(leader: M, ...followers: M[]) {
    this.leader = leader
    this.followers = followers
    const proposer: Proposer<unknown, unknown> = {
      propose: (request) => this.propose(leader.encodeRequest(request)),
      read: () => Promise.resolve(),
    }
    leader.attach?.(proposer)
  }

  propose(request: Uint8Array): Promise<unknown> {
    return new Promise((resolve, reject) => {
      try {
        this.#waiting.push({ change: this.leader.prepare === undefined ? request : this.leader.prepare(request, this.context), resolve })
      } catch (thrown) {
        // As the shell does it: a refusal travels as code and message.
        const error = thrown as Error & { refusal?: string | null; code?: string }
        reject(new AntiphonError('REFUSED', error.message, { refusal: error.refusal ?? error.code ?? error.name, remedy: 'Look at the state.' }))
        return
      }
      if (this.#waiting.length >= this.batch) this.flush()
    })
  }

  flush(): void {
    const waiting = this.#waiting.splice(0)
    if (waiting.length === 0) return
    const changes = waiting.map(({ change }) => change)
    const first = this.changes.length + 1
    this.changes.push(...changes)
    for (const follower of this.followers) follower.apply(batchOf(changes, first, false))
    const results = this.leader.apply(batchOf(changes, first))
    waiting.forEach(({ resolve }, index) => {
      resolve(results[index])
    })
  }

  get zxid(): Zxid {
    return zxidOf(1, this.changes.length)
  }
}

export function collect(chunks: Iterable<Uint8Array>): Uint8Array {
  return Buffer.concat([...chunks])
}

export async function* asChunks(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.slice(at, at + length)
}

/** A text in which everything that a state may hold, and its order, shows. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(show).join(',')}]`
  if (value instanceof Map) return `Map{${[...value].map(([key, item]) => `${show(key)}=>${show(item)}`).join(',')}}`
  if (value instanceof Set) return `Set{${[...value].map(show).join(',')}}`
  if (value instanceof Date) return `Date(${value.getTime()})`
  if (value instanceof Uint8Array) return `bytes(${[...value].join(' ')})`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : String(value)
  const prefix = Object.getPrototypeOf(value) === null ? 'dict' : ''
  return `${prefix}{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${show(item)}`)
    .join(',')}}`
}
