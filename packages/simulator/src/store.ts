import { crc32 } from '@antiphon/consensus-core'
import {
  type AntiphonError,
  formatZxid,
  type LogStore,
  type PeerId,
  type Run,
  type Snapshot,
  type SnapshotMeta,
  type StoredState,
  type StoreId,
  type StoreSupport,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import type { SimDisk } from './disk.ts'
import type { StoreRecord } from './durability.ts'
import type { EngineStore } from './engine-store.ts'
import { Violation } from './violation.ts'
import type { ProcessStore, World } from './world.ts'

type Done = (error: AntiphonError | null) => void

/** The store of one process: the real one, and beside it the record of what it was told and what it has called durable. Silent once the process is dead. */
export class SimStore implements LogStore, ProcessStore {
  readonly supports: StoreSupport
  readonly #world: World
  readonly #member: PeerId
  readonly #record: StoreRecord
  readonly #inner: EngineStore
  readonly #disk: SimDisk
  #over = false

  constructor(world: World, member: PeerId, inner: EngineStore, disk: SimDisk) {
    this.supports = inner.supports
    this.#world = world
    this.#member = member
    this.#record = world.durability.record(member)
    this.#inner = inner
    this.#disk = disk
  }

  /** The process is dead: nothing that is under way is told any more. */
  stop(): void {
    this.#over = true
  }

  /** The same, and the machine's disk loses what was not flushed, in part. */
  crash(): void {
    this.#over = true
    this.#inner.crash()
  }

  /** The process alone is gone. */
  kill(): void {
    this.#over = true
    this.#inner.kill()
  }

  watch(trouble: (error: AntiphonError) => void): void {
    this.#inner.watch((error) => {
      this.#guard(() => {
        if (!this.#disk.excuses(error.code)) throw new Violation('fault', `member ${this.#member}'s store has trouble with a sound disk: ${error.message}`)
      })
      if (!this.#over) trouble(error)
    })
  }

  async open(freshStoreId: StoreId): Promise<StoredState> {
    const stored = await this.#mine(this.#inner.open(freshStoreId))
    const { timeline, trace } = this.#world
    const { log, epochs, snapshot } = stored
    trace.add(
      timeline.now,
      this.#member,
      50,
      log.last,
      epochs.accepted,
      () =>
        `opens its store: ${formatZxid(log.start)} to ${formatZxid(log.last)}, epochs ${epochs.accepted}/${epochs.current}, snapshot ${formatZxid(snapshot?.zxid ?? ZERO)}`,
    )
    this.#guard(() => {
      const { durability } = this.#world
      const { images, at, isOlder } = this.#record.reopened(this.#member, stored, this.#disk.excuses('CORRUPT'))
      this.#world.count(stored.founding === null ? 'opened empty' : 'opened founded')
      if (at > 0) this.#world.count('opened with more than was durable')
      if (at < images - 1) this.#world.count('opened without what was not durable')
      if (snapshot !== null) this.#world.count('opened with a snapshot')
      if (isOlder) this.#world.count('opened without its newest snapshot')
      if (snapshot !== null && snapshot.zxid === log.last) this.#world.count('opened with a snapshot alone')
      if (log.start > ZERO) this.#world.count('opened with a compacted log')
      if (!durability.isCounted(this.#member)) this.#world.count('opened in a place where it does not count')
    })
    return stored
  }

  write(write: Write, done: Done): void {
    this.#guard(() => {
      for (const run of write.append) this.#sawRun(run)
      this.#record.told(write)
    })
    const { ticket } = write
    this.#inner.write(write, (error) => {
      if (this.#over) return
      if (error === null && this.#record.becameDurable(ticket)) this.#guard(() => this.#world.durability.shrunk(this.#member))
      done(error)
    })
  }

  read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    return this.#mine(this.#inner.read(after, upTo, bytesMax))
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<boolean> {
    const saved = await this.#mine(this.#inner.saveSnapshot(meta, this.#watched(meta, chunks)))
    if (saved) this.#record.snapshotSaved(meta.zxid)
    this.#world.count(saved ? 'snapshot' : 'snapshot void')
    return saved
  }

  openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    return this.#mine(this.#inner.openSnapshot(zxid))
  }

  async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    const generation = await this.#mine(this.#inner.stage(meta, this.#watched(meta, chunks)))
    this.#record.staged(generation, meta)
    this.#world.count('staged')
    return generation
  }

  stageAppend(generation: number, runs: readonly Run[], done: Done): void {
    this.#guard(() => {
      for (const run of runs) this.#sawRun(run)
      this.#record.stagedAppend(generation, runs)
    })
    this.#inner.stageAppend(generation, runs, (error) => {
      if (!this.#over) done(error)
    })
  }

  discard(generation: number): void {
    this.#inner.discard(generation)
  }

  async compact(retain: number, keepFrom: Zxid): Promise<Zxid> {
    const needed = this.#world.neededByTransfers(this.#member)
    const start = await this.#mine(this.#inner.compact(retain, keepFrom))
    this.#guard(() => {
      if (start > needed)
        throw new Violation('core', `member ${this.#member} compacts up to ${formatZxid(start)} while a transfer needs what is behind ${formatZxid(needed)}`)
    })
    this.#world.count('compact')
    return start
  }

  close(): Promise<void> {
    return this.#mine(this.#inner.close())
  }

  async *#watched(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    let bytes = 0
    let digest = 0
    for await (const chunk of chunks) {
      bytes += chunk.length
      digest = crc32(chunk, digest)
      yield chunk
    }
    if (!this.#world.corruption.hasHappened) this.#guard(() => this.#world.durability.sawSnapshot(this.#member, meta, bytes, digest))
  }

  /** Of a dead process nothing comes back, not even an error. */
  async #mine<T>(promise: Promise<T>): Promise<T> {
    try {
      const value = await promise
      return this.#over ? await never() : value
    } catch (error) {
      return this.#over ? await never() : Promise.reject(error as Error)
    }
  }

  #sawRun(run: Run): void {
    this.#world.durability.sawRun(this.#member, run)
  }

  #guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#world.report(error instanceof Violation ? error : new Violation('crash', String((error as Error).stack)))
    }
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}
