import { AntiphonError, formatZxid, invalidArgument, type Run, type SnapshotMeta, type StoredState, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import { CheckedDisk, type Disk } from './disk.ts'
import type { Engine, Flushed } from './engine.ts'
import { corruptAt, diverged, storeFailure } from './errors.ts'
import { FileGarbage } from './file-garbage.ts'
import type { SnapshotTotals } from './frames.ts'
import type { Pack } from './pack.ts'
import type { Point } from './records.ts'
import { SnapshotReader, SnapshotWriter } from './snapshots/files.ts'
import { snapshotName } from './snapshots/names.ts'
import { SnapshotShelf } from './snapshots/shelf.ts'
import { type DamagedSnapshot, passedOver } from './snapshots/sound.ts'

/** A generation that is not installed: a leader's snapshot, and the log behind it. */
interface Staged<Log> {
  readonly meta: SnapshotMeta
  readonly log: Log
}

/** What `install` has done. */
export interface Installed<Log> extends Staged<Log> {
  /** Files of the snapshots that were replaced. */
  readonly replaced: readonly string[]
}

/** What recovery found. */
export interface Found {
  readonly storeId: StoreId
  readonly generation: number
  /** Generations are not numbered twice. */
  readonly nextGeneration: number
  /** Finished snapshots of the generation, ascending. */
  readonly snapshots: readonly Zxid[]
  /** Newer ones that are passed over; they stay until there is a newer one. */
  readonly damaged?: readonly DamagedSnapshot[]
}

const NOTHING: Flushed = { packs: [], error: null }
const NO_TROUBLES: readonly AntiphonError[] = []

/**
 * The half of an engine that does not depend on how the log is kept: packs that wait, the store's failure, generations, and snapshots as files in one folder.
 * `Log` is one generation's log as the other half keeps it.
 */
export abstract class EngineBase<Log> implements Engine {
  protected readonly disk: CheckedDisk
  protected readonly garbage: FileGarbage
  readonly #batchBytesMax: number
  readonly #pending: Pack[] = []
  readonly #staged = new Map<number, Staged<Log>>()
  #shelf = new SnapshotShelf()
  #storeId: StoreId = ''
  #generation = 0
  #nextGeneration = 1
  #failed: AntiphonError | null = null
  /** Files of snapshots that were passed over. */
  #damaged: string[] = []
  readonly #troubles: AntiphonError[] = []

  /** `batchBytesMax`: what the packs of one flush come to at most, unless one alone is larger. */
  protected constructor(disk: Disk, batchBytesMax: number) {
    this.disk = new CheckedDisk(disk)
    this.garbage = new FileGarbage(this.disk)
    this.#batchBytesMax = batchBytesMax
  }

  abstract readonly sealed: boolean
  abstract readonly lastBatch: number
  abstract seal(): boolean
  abstract background(): boolean
  abstract close(): void

  /** Calls `adopt`, then `checkNewest`. @throws AntiphonError */
  protected abstract recover(freshStoreId: StoreId): StoredState
  /** Recovery has failed: lets go of every file. Never throws. */
  protected abstract release(): void
  /** Makes packs of one target durable, as one batch; `staged`: the log they go to, null for the installed one. After it has thrown the store has failed. */
  protected abstract write(packs: readonly Pack[], staged: Log | null): void
  /** The ZXID behind which the installed log begins. */
  protected abstract get start(): Zxid
  /** `after` is not below `start`. */
  protected abstract readLog(after: Zxid, upTo: Zxid, bytesMax: number): Run[]
  /** The place in the installed log; null when it does not hold it. @throws AntiphonError CORRUPT, DISK_FAILED */
  protected abstract pointAt(zxid: Zxid): Point | null
  /** An empty log behind a staged snapshot. */
  protected abstract logBehind(meta: SnapshotMeta, generation: number): Log
  /** A staged log is void. */
  protected abstract discardLog(log: Log): void
  /** The installed log may begin later: nothing is needed at or below `limit`; and nothing from `keepFrom` on goes even if it is damaged. After it has thrown the store has failed. */
  protected abstract dropThrough(limit: Zxid, keepFrom: Zxid): void

  /** What stopped the store for good; null while it works. */
  get failed(): AntiphonError | null {
    return this.#failed
  }

  takeTroubles(): readonly AntiphonError[] {
    return this.#troubles.length === 0 ? NO_TROUBLES : this.#troubles.splice(0)
  }

  /** To be told: the store goes on in spite of it. */
  protected trouble(error: AntiphonError): void {
    this.#troubles.push(error)
  }

  get pending(): number {
    return this.#pending.length
  }

  /** Of the installed generation; ascending. */
  get snapshots(): readonly Zxid[] {
    return this.#shelf.zxids
  }

  protected get storeId(): StoreId {
    return this.#storeId
  }

  protected get generation(): number {
    return this.#generation
  }

  protected get nextGeneration(): number {
    return this.#nextGeneration
  }

  /** Of the newest snapshot: nothing is truncated below it. */
  protected get floor(): Zxid {
    return this.#shelf.newest?.zxid ?? ZERO
  }

  protected get stagedLogs(): Log[] {
    return [...this.#staged.values()].map(({ log }) => log)
  }

  /** @throws AntiphonError CORRUPT, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED */
  open(freshStoreId: StoreId): StoredState {
    try {
      return this.recover(freshStoreId)
    } catch (error) {
      this.closeReaders()
      this.release()
      // It has not begun to work: nobody takes what it says for the failure of one snapshot.
      if (error instanceof AntiphonError) this.#failed ??= error
      throw this.fail(error)
    }
  }

  protected adopt({ storeId, generation, nextGeneration, snapshots, damaged = [] }: Found): void {
    this.#storeId = storeId
    this.#generation = generation
    this.#nextGeneration = nextGeneration
    this.#shelf = new SnapshotShelf(snapshots.map((zxid) => ({ zxid, name: snapshotName(generation, zxid) })))
    this.#damaged = damaged.map(({ name }) => name)
    for (const each of damaged) this.trouble(passedOver(each, snapshots.at(-1) ?? null))
  }

  /** @throws AntiphonError CORRUPT, VERSION_MISMATCH, DISK_FAILED */
  protected checkNewest(): SnapshotMeta | null {
    const newest = this.#shelf.newest
    if (newest === undefined) return null
    const reader = new SnapshotReader(this.disk, newest.name, this.#storeId, this.#generation)
    reader.close()
    const { meta } = reader
    if (meta.zxid !== newest.zxid || this.pointAt(meta.zxid)?.checksum !== meta.checksum)
      throw corruptAt(newest.name, 0, 'the snapshot is not one of the history in the log')
    return meta
  }

  submit(pack: Pack): void {
    this.#pending.push(pack)
  }

  flush(): Flushed {
    const packs = this.#gather()
    if (packs.length === 0) return NOTHING
    if (this.#failed !== null) return { packs, error: this.#failed }
    const { target } = packs[0]!
    const staged = target === 0 ? null : this.#staged.get(target)
    if (staged === undefined) return { packs, error: invalidArgument(`generation ${target} is not staged`) }
    try {
      this.write(packs, staged === null ? null : staged.log)
      return { packs, error: null }
    } catch (error) {
      return { packs, error: this.fail(error) }
    }
  }

  /** Of one target, from the front; an installation begins a batch. */
  #gather(): Pack[] {
    const first = this.#pending[0]
    if (first === undefined) return []
    let count = 1
    let bytes = first.bytes.length
    for (; count < this.#pending.length; count++) {
      const next = this.#pending[count]!
      bytes += next.bytes.length
      if (next.target !== first.target || next.installs || bytes > this.#batchBytesMax) break
    }
    return this.#pending.splice(0, count)
  }

  /** Entries of flushed batches: the host flushes first when it wants what is pending. @throws AntiphonError INVALID_ARGUMENT, CORRUPT, DISK_FAILED */
  read(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    this.#assertWorking()
    const { start } = this
    if (after < start) throw invalidArgument(`entries behind ${formatZxid(after)} are compacted away: the log starts at ${formatZxid(start)}`)
    return this.readLog(after, upTo, bytesMax)
  }

  /** @throws AntiphonError INVALID_ARGUMENT, DIVERGED when the log does not hold that place; DISK_FULL, DISK_FAILED */
  beginSnapshot(meta: SnapshotMeta): SnapshotWriter {
    this.#assertWorking()
    this.#assertInLog(meta)
    return this.#newSnapshot(this.#generation, meta)
  }

  /** @throws AntiphonError DISK_FULL, DISK_FAILED */
  beginStaging(meta: SnapshotMeta): SnapshotWriter {
    this.#assertWorking()
    return this.#newSnapshot(this.#nextGeneration++, meta)
  }

  /** @throws AntiphonError DISK_FULL: the snapshot is void; DISK_FAILED: the store may have failed. */
  appendSnapshot(writer: SnapshotWriter, frames: Uint8Array): void {
    this.#assertWorking()
    this.#guard(() => writer.append(frames))
  }

  /** @throws AntiphonError DISK_FULL, DISK_FAILED */
  finishSnapshot(writer: SnapshotWriter, totals: SnapshotTotals): boolean {
    this.#assertWorking()
    const { meta, name, generation } = writer
    if (generation !== this.#generation) {
      writer.abort()
      return false
    }
    this.#assertInLog(meta)
    this.#guard(() => writer.finish(totals))
    this.#shelf.add(meta, name)
    // One at the same place was replaced by it.
    this.garbage.add(...this.#damaged.splice(0).filter((damaged) => damaged !== name))
    return true
  }

  /** @throws AntiphonError DISK_FULL, DISK_FAILED */
  finishStaging(writer: SnapshotWriter, totals: SnapshotTotals): number {
    this.#assertWorking()
    const { meta, generation } = writer
    this.#guard(() => writer.finish(totals))
    this.#staged.set(generation, { meta, log: this.logBehind(meta, generation) })
    return generation
  }

  /** @throws AntiphonError CORRUPT, DISK_FAILED */
  openSnapshot(zxid?: Zxid): SnapshotReader | null {
    this.#assertWorking()
    const held = zxid === undefined ? this.#shelf.newest : this.#shelf.at(zxid)
    if (held === undefined) return null
    const reader = new SnapshotReader(this.disk, held.name, this.#storeId, this.#generation)
    this.#shelf.pin(reader)
    return reader
  }

  closeSnapshot(reader: SnapshotReader): void {
    this.garbage.add(...this.#shelf.unpin(reader))
  }

  protected closeReaders(): void {
    this.#shelf.unpinAll()
  }

  discard(generation: number): void {
    const staged = this.#staged.get(generation)
    if (staged === undefined) return
    this.#staged.delete(generation)
    this.discardLog(staged.log)
    this.garbage.add(snapshotName(generation, staged.meta.zxid))
  }

  /** Part of a write: the staged generation is the installed one. @throws AntiphonError INVALID_ARGUMENT */
  protected install(generation: number): Installed<Log> {
    const staged = this.#staged.get(generation)
    if (staged === undefined) throw invalidArgument(`generation ${generation} is not staged`)
    // A later open() would take the higher one for the newer.
    if (generation < this.#generation) throw invalidArgument(`generation ${generation} was staged before ${this.#generation} was installed`)
    this.#staged.delete(generation)
    this.#generation = generation
    const replaced = [...this.#shelf.keep(0), ...this.#damaged.splice(0)]
    this.#shelf.add(staged.meta, snapshotName(generation, staged.meta.zxid))
    return { ...staged, replaced }
  }

  /** Keeps the newest `retain` snapshots and the log behind the oldest of them, and nothing at or after `keepFrom` goes. @throws AntiphonError INVALID_ARGUMENT, DISK_FULL, DISK_FAILED */
  compact(retain: number, keepFrom: Zxid): Zxid {
    this.#assertWorking()
    if (!Number.isInteger(retain) || retain < 1) throw invalidArgument(`${retain} snapshots cannot be kept`, 'Keep 1 or more.')
    this.garbage.add(...this.#shelf.keep(retain))
    const { oldest } = this.#shelf
    if (oldest === undefined) return this.start
    try {
      this.dropThrough(Math.min(oldest.zxid, keepFrom - 1) as Zxid, keepFrom)
    } catch (error) {
      throw this.fail(error)
    }
    return this.start
  }

  #newSnapshot(generation: number, meta: SnapshotMeta): SnapshotWriter {
    return new SnapshotWriter(this.disk, snapshotName(generation, meta.zxid), meta, this.#storeId, generation)
  }

  #assertInLog(meta: SnapshotMeta): void {
    const point = this.pointAt(meta.zxid)
    if (point === null) throw invalidArgument(`a snapshot at ${formatZxid(meta.zxid)}, which the log does not hold`)
    if (point.checksum !== meta.checksum) throw diverged(meta.zxid)
  }

  #assertWorking(): void {
    if (this.#failed !== null) throw this.#failed
  }

  /** A flush or a rename that failed is the store's end; a write of a snapshot that failed is only the snapshot's. */
  #guard(action: () => void): void {
    try {
      action()
    } catch (error) {
      const { details } = error as Partial<AntiphonError>
      if (details?.['operation'] === 'flushing' || details?.['operation'] === 'renaming') throw this.fail(error)
      throw error
    }
  }

  /** The store has failed, unless it had before: what it says from here on. */
  protected fail(error: unknown): AntiphonError {
    this.#failed ??= storeFailure(error)
    return this.#failed
  }
}
