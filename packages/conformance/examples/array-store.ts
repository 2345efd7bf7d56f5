import {
  AntiphonError,
  corrupt,
  type EpochEnd,
  epochOf,
  invalidArgument,
  type LogStore,
  type Run,
  type Snapshot,
  type SnapshotMeta,
  type StoredState,
  type StoreId,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { cutAfter, cutBehind, endPointsOf, entryLength, entryZxid } from '@antiphon/wire'

export interface Saved {
  readonly meta: SnapshotMeta
  readonly chunks: readonly Uint8Array[]
}

/** Everything that a store keeps. Never changed, only replaced: that makes each write one piece. */
export interface Content {
  readonly storeId: StoreId | null
  readonly founding: StoredState['founding']
  readonly epochs: StoredState['epochs']
  /** Ascending. */
  readonly snapshots: readonly Saved[]
  /** What the log begins behind. */
  readonly base: SnapshotMeta
  readonly runs: readonly Run[]
}

export type Done = (error: AntiphonError | null) => void

const NOTHING: SnapshotMeta = { zxid: ZERO, checksum: 0, endPoints: [], time: 0 }

/** The "disk" of an ArrayStore: what a power failure leaves, and faults to order. */
export class Shelf {
  content: Content = { storeId: null, founding: null, epochs: { accepted: 0, acceptedFrom: null, current: 0 }, snapshots: [], base: NOTHING, runs: [] }
  owner: ArrayStore | null = null
  failNextFlush = false
  /** Somebody was sent away. */
  refused = false

  /** The power fails: whoever writes here is gone. */
  crash(): void {
    this.owner = null
  }
}

/** A third party's store, as simple as the contract allows: content is replaced as a whole, a "flush" takes a turn of the loop. */
export class ArrayStore implements LogStore {
  readonly supports: LogStore['supports'] = { durable: true, browser: true }
  protected readonly shelf: Shelf
  /** What is readable; `shelf.content` is what is durable. */
  protected content: Content
  protected readonly staged: Map<number, { readonly saved: Saved; runs: readonly Run[] }> = new Map()
  protected generations = 0
  #installs = 0
  #failure: AntiphonError | null = null
  protected waiting: { readonly done: Done; readonly content: Content | null }[] = []
  #idle: (() => void)[] = []
  #open = false

  constructor(shelf: Shelf) {
    this.shelf = shelf
    this.content = shelf.content
  }

  async open(freshStoreId: StoreId): Promise<StoredState> {
    if (this.isTaken()) throw new AntiphonError('FOLDER_IN_USE', 'another store is open here', { remedy: 'Close it first.' })
    this.shelf.owner = this
    this.#open = true
    try {
      const found = this.load()
      this.content = { ...found, storeId: found.storeId ?? freshStoreId }
      if (found.storeId === null) this.keep(this.content)
    } catch (error) {
      await this.close()
      throw failed(error)
    }
    const { storeId, founding, epochs, snapshots, base } = this.content
    const last = tailOf(this.content)
    const log = { start: base.zxid, last: last.zxid, checksum: last.checksum, endPoints: last.endPoints, time: last.time }
    return { storeId: storeId ?? freshStoreId, founding, epochs, snapshot: snapshots.at(-1)?.meta ?? null, log }
  }

  write(write: Write, done: Done): void {
    if (!this.#open) return this.#later(done, closed())
    try {
      this.content = this.next(write)
      this.enqueue(done, this.content)
    } catch (error) {
      this.#failure ??= failed(error)
      this.enqueue(done, null)
    }
  }

  /** The content once `write` is carried out, in the order of its fields. @throws AntiphonError */
  protected next(write: Write): Content {
    let content = this.content
    if (write.founding !== null) content = { ...content, founding: write.founding }
    if (write.install !== null) {
      const staged = this.staged.get(write.install)
      if (staged === undefined) throw invalidArgument(`there is no generation ${write.install}`)
      this.staged.delete(write.install)
      this.#installs++
      content = { ...content, snapshots: [staged.saved], base: staged.saved.meta, runs: staged.runs }
    }
    if (write.truncateTo !== null) content = this.truncate(content, write.truncateTo)
    if (write.append.length > 0) content = { ...content, runs: [...content.runs, ...write.append] }
    if (write.epochs !== null) content = { ...content, epochs: write.epochs }
    return content
  }

  /** @throws AntiphonError CORRUPT: the history is not the one that was named. */
  protected truncate(content: Content, to: NonNullable<Write['truncateTo']>): Content {
    const cut = truncated(content, to.zxid)
    const tail = tailOf(cut)
    if (tail.zxid !== to.zxid || tail.checksum !== to.checksum) throw corrupt(`the history at ${to.zxid} is not the one that was named`)
    return cut
  }

  async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    if (!this.#open) throw closed()
    if (after < this.content.base.zxid) throw invalidArgument(`the log begins behind ${after}`)
    const found: Run[] = []
    let room = bytesMax
    for (const whole of this.content.runs) {
      if (whole.last <= after || (room <= 0 && found.length > 0)) continue
      const tail = cutAfter(whole, after)
      const run = tail === null || tail.first > upTo ? null : cutBehind(tail, upTo)
      if (run === null) break
      const fitting = found.length > 0 && run.bytes.length > room ? null : firstBytes(run, room)
      if (fitting === null) break
      found.push(fitting)
      if (fitting.last !== run.last) break
      room -= fitting.bytes.length
    }
    return found
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<boolean> {
    const installs = this.#installs
    const copies = await this.collect(chunks)
    if (installs !== this.#installs) return false
    const snapshots = [...this.content.snapshots.filter((saved) => saved.meta.zxid < meta.zxid), { meta, chunks: copies }]
    this.content = { ...this.content, snapshots }
    await this.flushed()
    return true
  }

  protected async collect(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array[]> {
    const copies: Uint8Array[] = []
    for await (const chunk of chunks) copies.push(chunk.slice())
    return copies
  }

  async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    const { snapshots } = this.content
    const saved = zxid === undefined ? snapshots.at(-1) : snapshots.find(({ meta }) => meta.zxid === zxid)
    if (saved === undefined) return null
    return {
      meta: saved.meta,
      bytes: saved.chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      async *chunks() {
        yield* saved.chunks
      },
      async close() {},
    }
  }

  async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const generation = ++this.generations
    this.staged.set(generation, { saved: { meta, chunks: await this.collect(chunks) }, runs: [] })
    return generation
  }

  stageAppend(generation: number, runs: readonly Run[], done: Done): void {
    const staged = this.staged.get(generation)
    if (staged !== undefined) staged.runs = [...staged.runs, ...runs]
    this.#later(done, staged === undefined ? invalidArgument(`there is no generation ${generation}`) : null)
  }

  discard(generation: number): void {
    this.staged.delete(generation)
  }

  async compact(retain: number, keepFrom: Zxid): Promise<Zxid> {
    const snapshots = this.content.snapshots.slice(-retain)
    const floor = this.floor(snapshots, keepFrom)
    const dropped = this.content.runs.filter((run) => run.last <= floor)
    const end = dropped.at(-1)
    const base =
      end === undefined ? this.content.base : { zxid: end.last, checksum: end.checksum, endPoints: endsOf(this.content.base, dropped), time: end.time }
    this.content = { ...this.content, snapshots, base, runs: this.content.runs.slice(dropped.length) }
    await this.flushed()
    return base.zxid
  }

  /** The log may be forgotten up to here. */
  protected floor(snapshots: readonly Saved[], keepFrom: Zxid): number {
    return Math.min(snapshots[0]?.meta.zxid ?? 0, keepFrom - 1)
  }

  async close(): Promise<void> {
    this.#open = false
    if (this.waiting.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
    if (this.shelf.owner === this) this.shelf.owner = null
  }

  /** In the order of the calls; one flush serves all that wait for it. */
  protected enqueue(done: Done, content: Content | null): void {
    this.waiting.push({ done, content })
    if (this.waiting.length === 1) setTimeout(() => this.#flush(), 1)
  }

  #flush(): void {
    const waiting = this.waiting
    this.waiting = []
    // A process that is gone writes nothing and answers nobody.
    if (this.shelf.owner === this) for (const { done, content } of waiting) this.answer(done, this.persist(content))
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  protected answer(done: Done, error: AntiphonError | null): void {
    done(error)
  }

  protected persist(content: Content | null): AntiphonError | null {
    if (this.shelf.failNextFlush) {
      this.shelf.failNextFlush = false
      this.#failure ??= new AntiphonError('DISK_FAILED', 'the flush failed', { remedy: 'Replace the disk.' })
    }
    try {
      if (this.#failure === null && content !== null) this.keep(content)
    } catch (error) {
      this.#failure = failed(error)
    }
    return this.#failure
  }

  protected isTaken(): boolean {
    return this.shelf.owner !== null
  }

  /** What is durable. @throws AntiphonError */
  protected load(): Content {
    return this.shelf.content
  }

  /** Makes it durable. */
  protected keep(content: Content): void {
    this.shelf.content = content
  }

  protected flushed(): Promise<void> {
    const { content } = this
    return new Promise((resolve, reject) => this.enqueue((error) => (error === null ? resolve() : reject(error)), content))
  }

  #later(done: Done, error: AntiphonError | null): void {
    setTimeout(() => done(error), 0)
  }
}

function tailOf({ base, runs }: Content): SnapshotMeta {
  const last = runs.at(-1)
  return last === undefined ? base : { zxid: last.last, checksum: last.checksum, endPoints: endsOf(base, runs), time: last.time }
}

function endsOf(base: SnapshotMeta, runs: readonly Run[]): EpochEnd[] {
  const ends = new Map(base.endPoints.map((end) => [end.epoch, end]))
  for (const run of runs) for (const end of endPointsOf(run)) ends.set(end.epoch, end)
  return [...ends.values()]
}

export function truncated(content: Content, zxid: Zxid): Content {
  const runs = content.runs.flatMap((run) => (run.first > zxid ? [] : (cutBehind(run, zxid) ?? [])))
  const base = zxid <= content.base.zxid ? { ...content.base, endPoints: content.base.endPoints.filter((end) => end.epoch <= epochOf(zxid)) } : content.base
  return { ...content, runs, base }
}

function firstBytes(run: Run, bytesMax: number): Run {
  let end = entryLength(run.bytes, 0)
  let last = run.first
  while (end < run.bytes.length && end + entryLength(run.bytes, end) <= bytesMax) {
    last = entryZxid(run.bytes, end)
    end += entryLength(run.bytes, end)
  }
  return cutBehind(run, last) ?? run
}

function failed(error: unknown): AntiphonError {
  if (error instanceof AntiphonError) return error
  const full = (error as { code?: string }).code === 'ENOSPC'
  return new AntiphonError(full ? 'DISK_FULL' : 'DISK_FAILED', String(error), { remedy: full ? 'Free some space.' : 'Replace the disk.', cause: error })
}

function closed(): AntiphonError {
  return new AntiphonError('CLOSED', 'the store is closed', { remedy: 'Open it first.' })
}
