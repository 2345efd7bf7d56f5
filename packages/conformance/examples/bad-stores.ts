import { AntiphonError, epochOf, type Run, type StoredState, type StoreId, type Write, ZERO, type Zxid } from '@antiphon/ports'
import { ArrayStore, type Content, type Done, truncated } from './array-store.ts'

const NO_EPOCHS: Content['epochs'] = { accepted: 0, acceptedFrom: null, current: 0 }

// What open() reports.

export class ReportsATime extends ArrayStore {
  override async open(freshStoreId: StoreId): Promise<StoredState> {
    const state = await super.open(freshStoreId)
    return state.log.last === ZERO ? { ...state, log: { ...state.log, time: 1 } } : state
  }
}

export class TakesEachIdOffered extends ArrayStore {
  override async open(freshStoreId: StoreId): Promise<StoredState> {
    return { ...(await super.open(freshStoreId)), storeId: freshStoreId }
  }
}

/** Looks at the end of each run alone. */
export class OneEndPerRun extends ArrayStore {
  override async open(freshStoreId: StoreId): Promise<StoredState> {
    const state = await super.open(freshStoreId)
    const epochs = new Set(this.content.runs.map((run) => epochOf(run.last)))
    return { ...state, log: { ...state.log, endPoints: state.log.endPoints.filter(({ epoch }) => epochs.has(epoch) || this.content.base.zxid > ZERO) } }
  }
}

// What is answered, and when.

/** Answers at once, before anything is durable. */
export class Early extends ArrayStore {
  protected override enqueue(done: Done, content: Content | null): void {
    setTimeout(() => done(null), 0)
    setTimeout(() => super.enqueue(() => {}, content), 20)
  }
}

export class FromInside extends ArrayStore {
  protected override enqueue(done: Done, content: Content | null): void {
    done(this.persist(content))
  }
}

/** Answers every second one after the one behind it. */
export class Reorders extends ArrayStore {
  #held: (() => void) | null = null

  protected override answer(done: Done, error: AntiphonError | null): void {
    const held = this.#held
    this.#held = held === null ? () => done(error) : null
    if (held === null) return
    done(error)
    held()
  }
}

/** A write of nothing needs no flush: it is answered at once. */
export class AnswersNothingFirst extends ArrayStore {
  override write(write: Write, done: Done): void {
    if (write.append.length > 0 || write.epochs !== null || write.founding !== null || write.truncateTo !== null || write.install !== null)
      super.write(write, done)
    else setTimeout(() => done(null), 0)
  }
}

export class AnswersTwice extends ArrayStore {
  protected override answer(done: Done, error: AntiphonError | null): void {
    done(error)
    done(error)
  }
}

export class SwallowsErrors extends ArrayStore {
  protected override answer(done: Done): void {
    done(null)
  }
}

/** What fails is told once; what comes next is tried as if nothing had been. */
export class GoesOn extends ArrayStore {
  protected override persist(content: Content | null): AntiphonError | null {
    if (!this.shelf.failNextFlush && content !== null) {
      this.keep(content)
      return null
    }
    this.shelf.failNextFlush = false
    return new AntiphonError('DISK_FAILED', 'the flush failed', { remedy: 'Try again.' })
  }
}

// What a write does.

/** Looks at the write only once the core uses its arrays again. */
export class ReadsLate extends ArrayStore {
  override write(write: Write, done: Done): void {
    setTimeout(() => super.write(write, done), 0)
  }
}

/** Remembers the core's array, and looks into it when it flushes. */
export class KeepsArrays extends ArrayStore {
  readonly #appended = new Map<Content, { readonly append: readonly Run[]; readonly length: number }>()

  protected override next(write: Write): Content {
    const content = { ...super.next(write) }
    this.#appended.set(content, { append: write.append, length: write.append.length })
    return content
  }
  protected override persist(content: Content | null): AntiphonError | null {
    const appended = content === null ? undefined : this.#appended.get(content)
    if (content === null || appended === undefined) return super.persist(content)
    return super.persist({ ...content, runs: content.runs.slice(0, content.runs.length - appended.length + appended.append.length) })
  }
}

export class DropsTruncations extends ArrayStore {
  protected override next(write: Write): Content {
    return super.next({ ...write, truncateTo: null })
  }
}

export class ForgetsEpochs extends ArrayStore {
  protected override next(write: Write): Content {
    const content = super.next(write)
    return write.truncateTo === null ? content : { ...content, epochs: write.epochs ?? NO_EPOCHS }
  }
}

export class AppendsBeforeItTruncates extends ArrayStore {
  protected override next(write: Write): Content {
    if (write.truncateTo === null || write.append.length === 0) return super.next(write)
    const { content } = this
    this.content = super.next({ ...write, truncateTo: null })
    try {
      return super.next({ ...write, append: [] })
    } finally {
      this.content = content
    }
  }
}

export class NeverEmpty extends ArrayStore {
  protected override next(write: Write): Content {
    return super.next(write.truncateTo?.zxid === ZERO ? { ...write, truncateTo: null } : write)
  }
}

export class TruncatesBlindly extends ArrayStore {
  protected override truncate(content: Content, to: NonNullable<Write['truncateTo']>): Content {
    return truncated(content, to.zxid)
  }
}

/** Founding and epochs are kept with entries, or not at all. */
export class NeedsEntries extends ArrayStore {
  protected override next(write: Write): Content {
    return super.next(write.append.length > 0 || write.truncateTo !== null || write.install !== null ? write : { ...write, founding: null, epochs: null })
  }
}

export class SmallRuns extends ArrayStore {
  protected override next(write: Write): Content {
    if (write.append.some((run) => run.bytes.length > 1 << 20)) throw new AntiphonError('TOO_LARGE', 'a long run', { remedy: 'Write less.' })
    return super.next(write)
  }
}

// What lasts.

/** Opened a second time, it takes entries and keeps none. */
export class ReadOnlyLater extends ArrayStore {
  #entries: readonly Run[] | null = null

  override async open(freshStoreId: StoreId): Promise<StoredState> {
    const state = await super.open(freshStoreId)
    if (state.log.last > ZERO) this.#entries = this.content.runs
    return state
  }
  protected override keep(content: Content): void {
    super.keep(this.#entries === null ? content : { ...content, runs: this.#entries })
  }
}

/** Flushes epochs apart from entries, epochs first: between the two an epoch claims a history that is not there. */
export class Torn extends ArrayStore {
  protected override persist(content: Content | null): AntiphonError | null {
    const error = super.persist(content === null ? null : { ...this.shelf.content, epochs: content.epochs })
    setTimeout(() => super.persist(content), 5)
    return error
  }
}

/** Shortens the file when there is time. */
export class TruncatesLater extends ArrayStore {
  protected override persist(content: Content | null): AntiphonError | null {
    const before = this.shelf.content.runs
    if (content === null || content.runs.length >= before.length || content.runs.length === 0) return super.persist(content)
    const error = super.persist({ ...content, runs: before })
    setTimeout(() => {
      if (this.shelf.owner === this) super.persist(content)
    }, 5)
    return error
  }
}

/** An installed generation is claimed first and put into place a moment later. */
export class InstallsInTwo extends ArrayStore {
  readonly #installing = new Set<Content>()

  protected override next(write: Write): Content {
    const content = { ...super.next(write) }
    if (write.install !== null) this.#installing.add(content)
    return content
  }
  protected override enqueue(done: Done, content: Content | null): void {
    if (content === null || !this.#installing.has(content)) return super.enqueue(done, content)
    super.enqueue(() => {}, { ...this.shelf.content, epochs: content.epochs })
    setTimeout(() => super.enqueue(done, content), 8)
  }
}

// What is read.

/** Readable only what is durable. */
export class ReadsDurable extends ArrayStore {
  override read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    const { content } = this
    this.content = this.shelf.content
    const found = super.read(after, upTo, bytesMax)
    this.content = content
    return found
  }
}

/** What was truncated can be read for a while. */
export class ReadsBehindTheEnd extends ArrayStore {
  #before: Content | null = null

  protected override next(write: Write): Content {
    if (write.truncateTo !== null) this.#before = this.content
    else if (write.append.length > 0) this.#before = null
    return super.next(write)
  }
  override read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    const { content } = this
    if (this.#before !== null && after >= (content.runs.at(-1)?.last ?? ZERO)) this.content = this.#before
    const found = super.read(after, upTo, bytesMax)
    this.content = content
    return found
  }
}

export class IgnoresUpTo extends ArrayStore {
  override read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    return after >= upTo ? super.read(after, upTo, bytesMax) : super.read(after, this.content.runs.at(-1)?.last ?? upTo, bytesMax)
  }
}

export class IgnoresBytesMax extends ArrayStore {
  override read(after: Zxid, upTo: Zxid): Promise<readonly Run[]> {
    return super.read(after, upTo, 1 << 30)
  }
}

/** Begins where it can, whatever was asked for. */
export class ReadsWhatItHas extends ArrayStore {
  override async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    return super.read(Math.max(after, this.content.base.zxid) as Zxid, upTo, bytesMax)
  }
}

// Ends.

export class ClosesAtOnce extends ArrayStore {
  override async close(): Promise<void> {
    void super.close()
    if (this.shelf.owner === this) this.shelf.owner = null
  }
}

/** Tells what waits that it is durable, and goes. */
export class ClosesWithoutAFlush extends ArrayStore {
  override async close(): Promise<void> {
    for (const waiting of this.waiting.splice(0)) this.answer(waiting.done, null)
    await super.close()
  }
}

export class NeverClosed extends ArrayStore {
  override read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    return super.read(after, upTo, bytesMax).catch((error) => {
      if (error.code !== 'CLOSED') throw error
      return []
    })
  }
}

export class NoLock extends ArrayStore {
  protected override isTaken(): boolean {
    return false
  }
}

/** The place stays taken when its store is closed. */
export class NeverUnlocks extends ArrayStore {
  protected override isTaken(): boolean {
    if (this.shelf.owner !== null || this.shelf.refused) this.shelf.refused = true
    return this.shelf.refused
  }
}
