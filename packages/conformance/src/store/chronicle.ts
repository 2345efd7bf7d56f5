import type { Epochs, Founding, SnapshotMeta, StoredState, Write, Zxid } from '@antiphon/ports'
import type { History } from '../history.ts'
import { ConformanceError, concat, equal, fail, within } from '../suite.ts'
import { type Bench, readChunks, STORE_ID } from './setup.ts'

/** What a store holds between two of a workload's steps. */
export interface Content {
  readonly history: History
  readonly epochs: Epochs
  readonly founding: Founding | null
  /** Those that must be there, ascending. */
  readonly snapshots: readonly { readonly meta: SnapshotMeta; readonly chunks: readonly Uint8Array[] }[]
  /** The log begins here or below. */
  readonly startMax: Zxid
}

type WriteContent = Partial<Omit<Write, 'ticket' | 'afterwards'>>

/** The workload cannot go on: the store has reported an error. */
export class Stopped extends Error {}

/** Every content that a store was led through, and how far it has reported them durable. */
export class Chronicle {
  readonly bench: Bench
  readonly contents: Content[]
  /** The newest content that was reported durable; -1 before `open` has resolved. */
  told = -1
  /** The first error that the store has reported, and whether a write was told. */
  failure: { readonly error: unknown; readonly ofWrite: boolean } | null = null
  /** What was told against the contract. */
  breach: string | null = null
  /** Called whenever `told` has risen. */
  onTold: () => void = () => {}
  readonly #reopens: boolean
  #underWay: Promise<void>[] = []

  /** `reopens`: the store is closed, opened and examined after each settled step. */
  constructor(bench: Bench, start: Content, reopens: boolean) {
    this.bench = bench
    this.contents = [start]
    this.#reopens = reopens
  }

  get issued(): number {
    return this.contents.length - 1
  }
  get newest(): Content {
    return this.contents.at(-1) ?? fail('no content')
  }

  async open(): Promise<void> {
    await this.#watch(this.bench.start(STORE_ID), 0, false)
    await this.settle()
  }

  write(write: WriteContent, next: Partial<Content>): void {
    this.#watch(this.bench.write(write), this.#issue(next), true)
  }

  /** A step that is no write; `next` is what it leads to. */
  async step<T>(promise: Promise<T>, what: string, next: Partial<Content>): Promise<T> {
    const index = this.#issue(next)
    const awaited = within(promise, what)
    await this.#watch(
      awaited.then(() => undefined),
      index,
      false,
    )
    await this.settled()
    return awaited
  }

  /** Waits for everything that is under way. @throws Stopped */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.splice(0))
    if (this.failure !== null) throw new Stopped()
  }

  /** The same, and examines the store when the workload is one that reopens. */
  async settle(): Promise<void> {
    await this.settled()
    if (!this.#reopens) return
    const state = await this.bench.reopen()
    await this.assertHolds(this.bench, state, this.told, this.issued, 'after reopening')
  }

  /** The store holds one of the contents `from` to `to`, whole; which one. */
  async assertHolds(bench: Bench, state: StoredState, from: number, to: number, when: string): Promise<number> {
    if (from >= 0 && state.storeId !== STORE_ID) fail(`${when}: the store has another id`)
    let why = ''
    for (let index = to; index >= Math.max(0, from); index--) {
      const difference = await differenceOf(bench, state, this.contents[index]!)
      if (difference === null) return index
      why = difference
    }
    return fail(
      `${when}: what is there is none of the contents ${Math.max(0, from)} (reported durable) to ${to} (the last that was written); of the first it differs in ${why}`,
    )
  }

  #issue(next: Partial<Content>): number {
    const history = next.history ?? this.newest.history
    return this.contents.push({ ...this.newest, ...next, history: history.upTo(history.last) }) - 1
  }

  #watch(promise: Promise<unknown>, index: number, ofWrite: boolean): Promise<void> {
    const watched = promise.then(
      () => {
        if (ofWrite && this.failure?.ofWrite === true) this.breach ??= 'a write was reported durable after one before it had failed'
        if (this.failure !== null) return
        this.told = Math.max(this.told, index)
        this.onTold()
      },
      (error: unknown) => {
        if (error instanceof ConformanceError) this.breach ??= error.message
        else if (!(error instanceof Error && error.name === 'AntiphonError')) this.breach ??= `failed with ${String(error)}, which is no AntiphonError`
        if (this.failure?.ofWrite !== true) this.failure = { error, ofWrite }
      },
    )
    this.#underWay.push(watched)
    return watched
  }
}

/** Null when the store holds exactly this. Reads what `open` alone need not look at: a rot may be found by that. */
async function differenceOf(bench: Bench, state: StoredState, content: Content): Promise<string | null> {
  const { history } = content
  const { log } = state
  for (const [what, actual, expected] of [
    ['the epochs', state.epochs, content.epochs],
    ['the founding', state.founding, content.founding],
    ['the end of the log', [log.last, log.checksum, log.time], [history.last, history.checksum, history.time]],
    ['the end points', log.endPoints, history.endPoints],
    ['the snapshot', state.snapshot, content.snapshots.at(-1)?.meta ?? null],
  ] as const)
    if (!equal(actual, expected)) return what
  if (log.start < history.start || log.start > content.startMax) return `the start of the log: ${log.start} instead of ${history.start} to ${content.startMax}`
  const runs = await bench.read(log.start, log.last)
  if (!equal(concat(runs.map((run) => run.bytes)), concat(history.bytesAfter(log.start)))) return 'the entries'
  for (const { meta, chunks } of content.snapshots) {
    const snapshot = await within(bench.store.openSnapshot(meta.zxid), 'openSnapshot()')
    if (snapshot === null) return `the snapshot at ${meta.zxid}, which is gone`
    try {
      if (!equal(await within(readChunks(snapshot), 'the chunks of a snapshot'), chunks)) return `the chunks of the snapshot at ${meta.zxid}`
    } finally {
      await snapshot.close()
    }
  }
  return null
}
