import { AntiphonError, type Run, type Snapshot, type SnapshotMeta, type Write, ZERO, type Zxid } from '@antiphon/ports'
import { ArrayStore, type Content, type Done, type Saved } from './array-store.ts'

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

// Snapshots.

export class AlwaysASnapshot extends ArrayStore {
  override async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    const found = await super.openSnapshot(zxid)
    return found ?? { meta: { zxid: ZERO, checksum: 0, endPoints: [], time: 0 }, bytes: 0, async *chunks() {}, async close() {} }
  }
}

export class OnlyAsynchronous extends ArrayStore {
  protected override async collect(chunks: Chunks): Promise<Uint8Array[]> {
    if (!(Symbol.asyncIterator in chunks)) throw new AntiphonError('INVALID_ARGUMENT', 'a plain source', { remedy: 'Give an asynchronous one.' })
    return super.collect(chunks)
  }
}

export class SnapshotsInMemory extends ArrayStore {
  protected override keep(content: Content): void {
    super.keep({ ...content, snapshots: content.base.zxid > ZERO ? content.snapshots : [] })
  }
}

/** After a reopening it finds the newest one alone. */
export class OpensTheNewest extends ArrayStore {
  override openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    return zxid === undefined || zxid === this.content.snapshots.at(-1)?.meta.zxid ? super.openSnapshot(zxid) : Promise.resolve(null)
  }
}

export class KeepsTheFirst extends ArrayStore {
  override async saveSnapshot(meta: SnapshotMeta, chunks: Chunks): Promise<boolean> {
    if (!this.content.snapshots.some((saved) => saved.meta.zxid === meta.zxid)) return super.saveSnapshot(meta, chunks)
    await this.collect(chunks)
    return true
  }
}

/** A snapshot can be opened from its first chunk on. */
export class ShowsUnfinished extends ArrayStore {
  override async saveSnapshot(meta: SnapshotMeta, chunks: Chunks): Promise<boolean> {
    const { content } = this
    const shown: Saved = { meta, chunks: [] }
    this.content = { ...content, snapshots: [...content.snapshots.filter((saved) => saved.meta.zxid !== meta.zxid), shown] }
    const copies: Uint8Array[] = []
    try {
      for await (const chunk of chunks) copies.push(chunk.slice())
    } catch (error) {
      this.content = content
      throw error
    }
    this.content = { ...this.content, snapshots: this.content.snapshots.filter((saved) => saved !== shown) }
    return super.saveSnapshot(meta, copies)
  }
}

/** What a source has given before it broke off is taken for all of it. */
export class KeepsTheBroken extends ArrayStore {
  protected override async collect(chunks: Chunks): Promise<Uint8Array[]> {
    const copies: Uint8Array[] = []
    try {
      for await (const chunk of chunks) copies.push(chunk.slice())
    } catch {
      // So be it.
    }
    return copies
  }
}

/** Chunks are looked up when they are asked for. */
export class PinsNothing extends ArrayStore {
  override async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    const found = await super.openSnapshot(zxid)
    const now = (): readonly Uint8Array[] => this.content.snapshots.find(({ meta }) => meta.zxid === found?.meta.zxid)?.chunks ?? []
    return (
      found && {
        ...found,
        async *chunks() {
          yield* now()
        },
      }
    )
  }
}

export class OvertakesInstalls extends ArrayStore {
  override async saveSnapshot(meta: SnapshotMeta, chunks: Chunks): Promise<boolean> {
    await super.saveSnapshot(meta, chunks)
    return true
  }
}

// Compaction.

/** Keeps two snapshots, and the log behind the newer one. */
export class CompactsToTheNewest extends ArrayStore {
  protected override floor(snapshots: readonly Saved[], keepFrom: Zxid): number {
    return Math.min(snapshots.at(-1)?.meta.zxid ?? 0, keepFrom - 1)
  }
}

export class CompactsTooMuch extends ArrayStore {
  protected override floor(snapshots: readonly Saved[]): number {
    return snapshots[0]?.meta.zxid ?? 0
  }
}

export class CompactsWithoutASnapshot extends ArrayStore {
  protected override floor(snapshots: readonly Saved[], keepFrom: Zxid): number {
    return snapshots.length === 0 ? keepFrom : super.floor(snapshots, keepFrom)
  }
}

export class CompactsTheFoundingAway extends ArrayStore {
  override compact(retain: number, keepFrom: Zxid): Promise<Zxid> {
    if (this.content.snapshots.length > 0) this.content = { ...this.content, founding: null }
    return super.compact(retain, keepFrom)
  }
}

// Generations.

/** A leader's snapshot is taken for one of our own as soon as it is here. */
export class ShowsStaged extends ArrayStore {
  override async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const copies = await this.collect(chunks)
    this.content = { ...this.content, snapshots: [...this.content.snapshots, { meta, chunks: copies }] }
    return super.stage(meta, toAsync(copies))
  }
}

/** What was staged when the store was closed takes the place of the rest. */
export class InstallsAtClose extends ArrayStore {
  override async close(): Promise<void> {
    const [staged] = this.staged.values()
    if (staged !== undefined && this.shelf.owner === this)
      this.shelf.content = { ...this.content, snapshots: [staged.saved], base: staged.saved.meta, runs: staged.runs }
    await super.close()
  }
}

export class InstallsWithoutItsLog extends ArrayStore {
  protected override next(write: Write): Content {
    const staged = write.install === null ? undefined : this.staged.get(write.install)
    if (staged !== undefined) staged.runs = []
    return super.next(write)
  }
}

export class InstallsAnotherFounding extends ArrayStore {
  protected override next(write: Write): Content {
    const content = super.next(write)
    return write.install === null ? content : { ...content, founding: null }
  }
}

/** An append to a generation waits for its turn, and an install does not wait for it. */
export class StagesLate extends ArrayStore {
  override stageAppend(generation: number, runs: readonly Run[], done: Done): void {
    setTimeout(() => super.stageAppend(generation, runs, done), 3)
  }
}

/** One source after the other. */
export class OneSourceAtATime extends ArrayStore {
  #last: Promise<unknown> = Promise.resolve()

  protected override collect(chunks: Chunks): Promise<Uint8Array[]> {
    const collected = this.#last.then(() => super.collect(chunks))
    this.#last = collected.catch(() => {})
    return collected
  }
}

/** What a source has given before it was given up stands in front of what the next one gives. */
export class GoesOnWithAnother extends ArrayStore {
  readonly #begun = new Map<Zxid, Uint8Array[]>()

  override stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const copies = this.#begun.get(meta.zxid) ?? []
    this.#begun.set(meta.zxid, copies)
    async function* both(): AsyncGenerator<Uint8Array> {
      for await (const chunk of chunks) copies.push(chunk.slice())
      yield* copies
    }
    return super.stage(meta, both())
  }
}

/** What was being staged when the store was closed is found as a snapshot. */
export class LeavesUnfinished extends ArrayStore {
  #unfinished: Saved | null = null

  override async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    this.#unfinished = { meta, chunks: [] }
    const generation = await super.stage(meta, chunks)
    this.#unfinished = null
    return generation
  }
  override async close(): Promise<void> {
    const { owner, content } = this.shelf
    if (this.#unfinished !== null && owner === this) this.shelf.content = { ...content, snapshots: [...content.snapshots, this.#unfinished] }
    await super.close()
  }
}

export class UsesNumbersAgain extends ArrayStore {
  override discard(generation: number): void {
    super.discard(generation)
    this.generations = Math.max(0, ...this.staged.keys())
  }
}

async function* toAsync(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
