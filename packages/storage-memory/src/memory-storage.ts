import {
  AntiphonError,
  type Epochs,
  type Founding,
  formatZxid,
  invalidArgument,
  type LogStore,
  type Run,
  type Snapshot,
  type SnapshotMeta,
  type StoredState,
  type StoreId,
  type Write,
  type Zxid,
} from '@antiphon/ports'
import { MemoryLog, type Point } from './memory-log.ts'
import { Completions, nextTurn } from './turns.ts'

export interface MemoryStorageOptions {
  /** Runs `callback` later, never from inside: when completions are delivered, all that are due in one call. The host's next turn unless given; a simulator gives its own. */
  readonly defer?: (callback: () => void) => void
}

/**
 * A `LogStore` in this process's memory: the reference for what a store does, for tests, browsers and ensembles that may forget. What it holds outlives `close()` and is
 * there at the next `open()` of the same object; it does not outlive the process.
 */
export function memoryStorage(options: MemoryStorageOptions = {}): LogStore {
  return new MemoryStorage(options)
}

interface HeldSnapshot {
  readonly meta: SnapshotMeta
  readonly chunks: readonly Uint8Array[]
  readonly bytes: number
}

interface Staged {
  readonly snapshot: HeldSnapshot
  readonly log: MemoryLog
}

type Done = (error: AntiphonError | null) => void

class MemoryStorage implements LogStore {
  readonly supports = { durable: false, browser: true }
  readonly #completions: Completions<AntiphonError>
  #opened = false
  #failed: AntiphonError | null = null
  #storeId: StoreId | null = null
  #founding: Founding | null = null
  #epochs: Epochs = { accepted: 0, acceptedFrom: null, current: 0 }
  #log = new MemoryLog(null)
  /** Ascending; all of the installed generation. */
  #snapshots: HeldSnapshot[] = []
  #staged = new Map<number, Staged>()
  #generationsGiven = 0
  #installed = 0

  constructor(options: MemoryStorageOptions) {
    this.#completions = new Completions(options.defer ?? nextTurn())
  }

  async open(freshStoreId: StoreId): Promise<StoredState> {
    if (this.#opened) {
      throw new AntiphonError('FOLDER_IN_USE', 'this memory store is open already', {
        remedy: 'Give every replica a store of its own, and close() one before it is opened again.',
      })
    }
    this.#opened = true
    this.#failed = null
    this.#storeId ??= freshStoreId
    this.#staged.clear()
    const { zxid: last, checksum, time } = this.#log.tail
    return {
      storeId: this.#storeId,
      founding: this.#founding,
      epochs: this.#epochs,
      snapshot: this.#snapshots.at(-1)?.meta ?? null,
      log: { start: this.#log.start, last, checksum, endPoints: [...this.#log.endPoints], time },
    }
  }

  write(write: Write, done: Done): void {
    if (this.#opened) this.#failed ??= this.#carryOut(write)
    this.#completions.push(done, this.#opened ? this.#failed : closed())
  }

  /** All of `write` or nothing: everything is checked before anything is changed. */
  #carryOut(write: Write): AntiphonError | null {
    const staged = write.install === null ? null : this.#staged.get(write.install)
    if (staged === undefined) return invalidArgument(`generation ${write.install} is not staged`)
    const log = staged === null ? this.#log : staged.log
    let cut: Point | null = null
    if (write.truncateTo !== null) {
      const { zxid, checksum } = write.truncateTo
      cut = log.pointAt(zxid)
      if (cut === null) return invalidArgument(`truncation to ${formatZxid(zxid)}, which the log does not hold`)
      if (cut.checksum !== checksum) return diverged(zxid)
      const floor = staged === null ? this.#snapshots.at(-1) : staged.snapshot
      if (floor !== undefined && zxid < floor.meta.zxid)
        return invalidArgument(`truncation to ${formatZxid(zxid)}, below the snapshot at ${formatZxid(floor.meta.zxid)}`)
    }
    const refusal = checkContinuity(cut ?? log.tail, write.append)
    if (refusal !== null) return refusal

    if (staged !== null) {
      this.#log = staged.log
      this.#snapshots = [staged.snapshot]
      this.#staged.delete(write.install!)
      this.#installed = write.install!
    }
    if (write.founding !== null) this.#founding = write.founding
    if (cut !== null) log.truncate(cut)
    for (const run of write.append) log.append(run)
    if (write.epochs !== null) this.#epochs = write.epochs
    return null
  }

  async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    this.#assertOpen()
    if (after < this.#log.start)
      throw invalidArgument(`entries behind ${formatZxid(after)} are compacted away: the log starts at ${formatZxid(this.#log.start)}`)
    return this.#log.read(after, upTo, bytesMax)
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<boolean> {
    this.#assertOpen()
    this.#assertInLog(meta)
    const generation = this.#installed
    const held = await hold(meta, chunks, () => this.#opened && this.#installed === generation)
    this.#assertOpen()
    if (held === null || this.#installed !== generation) return false
    this.#assertInLog(meta)
    this.#snapshots = [...this.#snapshots.filter((other) => other.meta.zxid !== meta.zxid), held].sort((a, b) => a.meta.zxid - b.meta.zxid)
    return true
  }

  async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    this.#assertOpen()
    const held = zxid === undefined ? this.#snapshots.at(-1) : this.#snapshots.find(({ meta }) => meta.zxid === zxid)
    if (held === undefined) return null
    return {
      meta: held.meta,
      bytes: held.bytes,
      async *chunks() {
        yield* held.chunks
      },
      async close() {},
    }
  }

  async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    this.#assertOpen()
    const generation = ++this.#generationsGiven
    const snapshot = await hold(meta, chunks, () => this.#opened)
    this.#assertOpen()
    this.#staged.set(generation, { snapshot: snapshot!, log: new MemoryLog(meta) })
    return generation
  }

  stageAppend(generation: number, runs: readonly Run[], done: Done): void {
    this.#completions.push(done, this.#opened ? (this.#failed ?? this.#appendStaged(generation, runs)) : closed())
  }

  #appendStaged(generation: number, runs: readonly Run[]): AntiphonError | null {
    const staged = this.#staged.get(generation)
    if (staged === undefined) return invalidArgument(`generation ${generation} is not staged`)
    const refusal = checkContinuity(staged.log.tail, runs)
    if (refusal === null) for (const run of runs) staged.log.append(run)
    return refusal
  }

  discard(generation: number): void {
    this.#staged.delete(generation)
  }

  async compact(retain: number, keepFrom: Zxid): Promise<Zxid> {
    this.#assertOpen()
    if (!Number.isInteger(retain) || retain < 1) throw invalidArgument(`${retain} snapshots cannot be kept`, 'Keep 1 or more.')
    this.#snapshots = this.#snapshots.slice(-retain)
    const oldest = this.#snapshots[0]
    if (oldest !== undefined) this.#log.dropThrough(Math.min(oldest.meta.zxid, keepFrom - 1) as Zxid)
    return this.#log.start
  }

  async close(): Promise<void> {
    this.#opened = false
    if (this.#completions.pending) await new Promise<void>((resolve) => this.#completions.push(() => resolve(), null))
  }

  #assertOpen(): void {
    if (!this.#opened) throw closed()
    if (this.#failed !== null) throw this.#failed
  }

  #assertInLog(meta: SnapshotMeta): void {
    const point = this.#log.pointAt(meta.zxid)
    if (point === null) throw invalidArgument(`a snapshot at ${formatZxid(meta.zxid)}, which the log does not hold`)
    if (point.checksum !== meta.checksum) throw diverged(meta.zxid)
  }
}

/** Copies the chunks: whoever makes them may use their memory again. Null as soon as nobody wants them any more. */
async function hold(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, wanted: () => boolean): Promise<HeldSnapshot | null> {
  const copies: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    if (!wanted()) return null
    copies.push(new Uint8Array(chunk))
    bytes += chunk.length
  }
  return { meta, chunks: copies, bytes }
}

function checkContinuity(from: Point, runs: readonly Run[]): AntiphonError | null {
  let { zxid, checksum } = from
  for (const run of runs) {
    if (run.previous !== zxid) return invalidArgument(`a run behind ${formatZxid(run.previous)} cannot follow ${formatZxid(zxid)}`)
    if (run.previousChecksum !== checksum) return diverged(zxid)
    zxid = run.last
    checksum = run.checksum
  }
  return null
}

function diverged(zxid: Zxid): AntiphonError {
  return new AntiphonError('DIVERGED', `the history at ${formatZxid(zxid)} has another checksum here`, {
    remedy: 'Keep this store as it is for examination; wipe the member that differs from a quorum and let it be readmitted.',
    details: { zxid },
  })
}

function closed(): AntiphonError {
  return new AntiphonError('CLOSED', 'the store is closed', { remedy: 'open() it first.' })
}
