import type { AntiphonError, Epochs, Founding, LogStore, PeerId, Run, Snapshot, StoredState, StoreId, StoreSupport, Write, Zxid } from '@antiphon/ports'
import type { DiskImage, StoreDisk } from '../disk/flat-disk.ts'
import type { History } from '../history.ts'
import { assert, assertEqual, ConformanceError, concat, type Deferred, deferred, fail, within } from '../suite.ts'

/** What an adapter's author provides. */
export interface LogStoreSetup {
  /** As the stores declare it: gates the cases. */
  readonly supports: StoreSupport
  /** A store that is created again over the same place finds what was there; as `supports.durable` unless told. */
  readonly reopens?: boolean
  /** A second store over a place in use is refused; as `supports.durable` unless told. */
  readonly exclusive?: boolean
  /** Pulls the plug (`StorePlace.crash`); not unless told. */
  readonly crashes?: boolean
  /** Breaks a flush (`StorePlace.failNextFlush`); not unless told. */
  readonly breaks?: boolean
  /** A fresh, empty place: a folder, a database. One per case. */
  place(): Promise<StorePlace>
  /** A place on a disk that is recorded and can be made to fail, with `files` on it and nothing else. Gates the cases about crash points and failing disks. */
  recorded?(files: DiskImage): Promise<RecordedPlace>
  /** How to damage what a store has left. Gates the cases about flipped bits; `recorded` serves as well. */
  readonly damages?: Damages
  /** How many damaged or interrupted copies one case examines: all unless told. Less is for places that are slow to make. */
  readonly copiesMax?: number
}

/** Access to what a closed store has left. Names and bytes need not be files: a store over a database may give its records. */
export interface Damages {
  files(place: StorePlace): Promise<DiskImage>
  /** A place with these files and nothing else. */
  place(files: DiskImage): Promise<StorePlace>
}

/** A place whose disk is the suite's to read along and to break. */
export interface RecordedPlace extends StorePlace {
  readonly disk: StoreDisk
}

/** Where one store lives, from one process to the next. */
export interface StorePlace {
  /** A store over this place, not yet open: what was durable when the one before it ended is there. */
  create(): LogStore
  /** The power fails: the open store's process is gone, and with it all that was not durable. */
  crash?(): Promise<void>
  /** The next flush fails, as a broken disk's would. */
  failNextFlush?(): void
  /** The place is no longer needed. */
  remove(): Promise<void>
}

/** What a case needs of the adapter. */
export type StoreNeed = 'always' | 'reopens' | 'exclusive' | 'crashes' | 'breaks' | 'recorded' | 'damages'
/** Part of the suite: adds its cases. */
export type StoreCases = (add: (name: string, need: StoreNeed, body: (bench: Bench, state: StoredState) => Promise<void>) => void) => void
/** The same, for cases that make their places themselves. */
export type StorePlaceCases = (add: (name: string, need: StoreNeed, body: (setup: LogStoreSetup) => Promise<void>, timeoutMs?: number) => void) => void

export const STORE_ID: StoreId = '00112233445566778899aabbccddeeff'
export const OTHER_STORE_ID: StoreId = 'ffeeddccbbaa99887766554433221100'

export const FOUNDING: Founding = {
  ensembleId: '0123456789abcdef0123456789abcdef',
  configuration: {
    version: 0 as Zxid,
    members: [
      { id: 1 as PeerId, role: 'voter', weight: 1, group: 0, storeId: STORE_ID },
      { id: 2 as PeerId, role: 'voter', weight: 1, group: 0, storeId: OTHER_STORE_ID },
      { id: 9 as PeerId, role: 'observer', weight: 1, group: 0, storeId: null },
    ],
  },
}

export function epochs(accepted: number, current: number): Epochs {
  return { accepted, acceptedFrom: { leader: 2 as PeerId, nonce: accepted * 1_000_003 }, current }
}

/** One place with an open store, and what the contract says of every write noted on the way. */
export class Bench {
  readonly place: StorePlace
  /** Tickets in the order in which `done` came. */
  readonly completed: number[] = []
  store: LogStore
  /** What was told that must not be told, whoever was listening. */
  breach: string | null = null
  /** What the first store has told by itself. */
  readonly troubles: AntiphonError[] = []
  #ticket = 0
  #inside = false
  /** Writes that no `done` was told of yet. */
  readonly #underWay: Set<Deferred<void>> = new Set()

  /** With a store that is not open yet. */
  constructor(place: StorePlace) {
    this.place = place
    this.store = place.create()
    this.store.watch?.((error) => this.troubles.push(error))
  }

  start(freshStoreId: StoreId): Promise<StoredState> {
    return within(this.store.open(freshStoreId), 'open()')
  }

  async end(): Promise<void> {
    await within(this.store.close(), 'close()').catch(() => {})
    await this.place.remove()
  }

  /** Runs `body` on a fresh place; leaves nothing behind, whatever happens. */
  static async use(setup: LogStoreSetup, body: (bench: Bench, state: StoredState) => Promise<void>): Promise<void> {
    const bench = new Bench(await setup.place())
    try {
      const state = await bench.start(STORE_ID)
      assertEqual({ ...bench.store.supports }, { ...setup.supports }, '`supports` of the store')
      await body(bench, state)
      await within(bench.store.close(), 'close()')
      if (bench.breach !== null) fail(bench.breach)
    } finally {
      await bench.end()
    }
  }

  /** What is not told is null. */
  write(content: Partial<Omit<Write, 'ticket' | 'afterwards'>>): Promise<void> {
    const ticket = ++this.#ticket
    const result = this.#promised()
    let calls = 0
    const done = (error: AntiphonError | null): void => {
      calls++
      if (calls > 1) {
        this.breach ??= `done of write ${ticket} was called twice`
        return
      }
      if (this.#inside) return result.reject(new ConformanceError(`done of write ${ticket} was called from inside the store's write()`))
      this.completed.push(ticket)
      if (error === null) result.resolve()
      else result.reject(error)
    }
    this.#inside = true
    try {
      this.store.write({ ticket, founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [], ...content }, done)
    } catch (cause) {
      fail(`write() threw: ${String(cause)}`)
    } finally {
      this.#inside = false
    }
    return this.#awaited(result, `done of write ${ticket}`)
  }

  stageAppend(generation: number, runs: readonly Run[]): Promise<void> {
    const result = this.#promised()
    let inside = true
    let calls = 0
    this.store.stageAppend(generation, runs, (error) => {
      if (++calls > 1) this.breach ??= 'done of stageAppend was called twice'
      if (inside) result.reject(new ConformanceError('done of stageAppend was called from inside'))
      else if (error === null) result.resolve()
      else result.reject(error)
    })
    inside = false
    return this.#awaited(result, 'done of stageAppend')
  }

  #promised(): Deferred<void> {
    const result = deferred<void>()
    this.#underWay.add(result)
    return result
  }

  #awaited({ promise }: Deferred<void>, what: string): Promise<void> {
    const awaited = within(promise, what)
    // The case may be watching something else when this one is refused.
    awaited.catch(() => {})
    return awaited
  }

  /** Ends the store in an orderly way and recovers it, as the next process would. */
  async reopen(freshStoreId: StoreId = OTHER_STORE_ID): Promise<StoredState> {
    await within(this.store.close(), 'close()')
    this.store = this.place.create()
    return within(this.store.open(freshStoreId), 'open() of a store that was there before')
  }

  /** Pulls the plug and recovers. Only for cases that are gated by `crash`. */
  async crash(): Promise<StoredState> {
    assert(this.place.crash !== undefined, 'the set-up says `crashes`, but its places have no `crash`')
    await this.place.crash()
    for (const { reject } of this.#underWay) reject(new ConformanceError('the plug was pulled'))
    this.store = this.place.create()
    return within(this.store.open(OTHER_STORE_ID), 'open() after a crash')
  }

  /** The whole log is what `history` says, read as a transfer would read it. */
  async holds(history: History, after: Zxid = history.start): Promise<void> {
    const runs = await this.read(after, history.last)
    assertEqual(concat(runs.map((run) => run.bytes)), concat(history.bytesAfter(after)), `the entries above ${after}`)
  }

  /** Reads (after, upTo] in as many calls as it takes, each answer contiguous with the one before. */
  async read(after: Zxid, upTo: Zxid, bytesMax: number = 1 << 20): Promise<readonly Run[]> {
    const runs: Run[] = []
    for (let at = after; at < upTo; ) {
      const some = await within(this.store.read(at, upTo, bytesMax), `read(${at}, ${upTo}, ${bytesMax})`)
      assert(some.length > 0, `read(${at}, ${upTo}) gave nothing`)
      for (const run of some) {
        assertEqual(run.previous, at, 'a run does not follow the one before: its `previous`')
        assert(run.last > at && run.last <= upTo, `read(${at}, ${upTo}) gave a run up to ${run.last}`)
        at = run.last
        runs.push(run)
      }
    }
    return runs
  }
}

/** The state tells of exactly this history. */
export function assertLog(state: StoredState, history: History): void {
  assertEqual(state.log.last, history.last, 'log.last')
  assertEqual(state.log.checksum, history.checksum, 'log.checksum')
  assertEqual(state.log.endPoints, history.endPoints, 'log.endPoints')
  assertEqual(state.log.time, history.time, 'log.time')
  assert(state.log.start <= (state.snapshot?.zxid ?? 0), `log.start ${state.log.start} is above the snapshot`)
}

export async function readChunks(snapshot: Snapshot): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of snapshot.chunks()) chunks.push(chunk.slice())
  return chunks
}

/** The newest snapshot is `history`'s, with these chunks. */
export async function assertSnapshot(store: LogStore, history: History, chunks: readonly Uint8Array[]): Promise<void> {
  const snapshot = (await within(store.openSnapshot(), 'openSnapshot()')) ?? fail('there is no snapshot')
  try {
    assertEqual(snapshot.meta, history.meta(), 'the meta of the snapshot')
    assertEqual(await within(readChunks(snapshot), 'the chunks of a snapshot'), chunks, 'the chunks of the snapshot')
  } finally {
    await snapshot.close()
  }
}

export async function* later(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield chunk
  }
}

/** A source that stops before its last chunk until it is let go. */
export function held(chunks: readonly Uint8Array[]): {
  source: AsyncIterable<Uint8Array>
  reached: Promise<void>
  release: () => void
  breakOff: (error: Error) => void
} {
  const gate = deferred<void>()
  const reached = deferred<void>()
  gate.promise.catch(() => {})
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks.slice(0, -1)) yield chunk
    reached.resolve()
    await gate.promise
    yield* chunks.slice(-1)
  }
  return { source: source(), reached: reached.promise, release: () => gate.resolve(), breakOff: (error) => gate.reject(error) }
}

/** Rejected with an AntiphonError; resolves with it. */
export async function refused(promise: Promise<unknown>, what: string): Promise<AntiphonError> {
  try {
    await within(promise, what)
  } catch (error) {
    if (error instanceof Error && error.name === 'AntiphonError') return error as AntiphonError
    throw error
  }
  return fail(`${what} was not refused`)
}
