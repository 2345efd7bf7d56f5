import { AntiphonError, formatZxid, invalidArgument, type Run, type SnapshotMeta, type StoredState, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import {
  diverged,
  type Engine,
  type Flushed,
  type Pack,
  putRecordHead,
  putU32,
  putU64,
  RECORD_HEAD_BYTES,
  RECORD_INSTALL,
  recordKind,
  type SnapshotTotals,
  storeFailure,
  u32,
} from '@antiphon/storage-kit'
import { Assembler, applyBatch } from './batch.ts'
import { CheckedDisk, type Disk } from './disk.ts'
import { corruptAt, RECORD_SEAL, snapshotName } from './format.ts'
import { emptyLog, type Identity, type Log, LogFiles, type LogSettings, SEAL_BYTES } from './log-files.ts'
import { LogIndex, type Segment } from './log-index.ts'
import { LogReader } from './log-reader.ts'
import { type SegmentSummary, segmentsOf } from './log-summary.ts'
import { NO_EPOCHS, recover } from './recovery.ts'
import { SnapshotReader, SnapshotWriter } from './snapshot-files.ts'
import { SnapshotShelf } from './snapshot-shelf.ts'

export interface EngineOptions {
  /** A log segment is left when the next batch would make it longer than this. 64 MiB unless told. */
  readonly segmentBytes?: number
  /** How far in front of the writes files are kept zero-filled, in idle moments: a flush of zero-filled blocks is cheaper. 16 MiB unless told; 0: not at all. */
  readonly aheadBytes?: number
  /** What the packs of one batch come to at most, unless one alone is larger. 8 MiB unless told. */
  readonly batchBytesMax?: number
}

interface Staged {
  readonly meta: SnapshotMeta
  readonly log: Log
}

const FILL_BYTES = 512 * 1024
const NOTHING: Flushed = { packs: [], error: null }

/**
 * The file store, synchronous and pure over a `Disk`. One at a time on a folder: its host sees to that.
 *
 * `submit` any number of packs, then `flush`: each flush carries the oldest ones, as one numbered batch, to the disk and makes it durable by one write and one `sync`.
 * In idle moments `background` does a step of what can wait, and `seal` closes a batch that nothing follows.
 */
export class FileEngine implements Engine {
  readonly #disk: CheckedDisk
  readonly #settings: LogSettings
  readonly #batchBytesMax: number
  readonly #reader: LogReader
  #files: LogFiles
  #identity: Identity = { storeId: '', founding: null, epochs: NO_EPOCHS }
  #log: Log = emptyLog(0, false)
  #sealed = true
  readonly #staged = new Map<number, Staged>()
  #shelf = new SnapshotShelf()
  #nextGeneration = 1
  readonly #pending: Pack[] = []
  readonly #assembler = new Assembler()
  #failed: AntiphonError | null = null
  /** Files that nothing refers to any more. */
  readonly #garbage: string[] = []
  /** Files of a generation that was replaced: they stay until a batch follows the installation, so that its rot cannot bring them back. */
  #outdated: string[] = []

  constructor(disk: Disk, options: EngineOptions = {}) {
    const { batchBytesMax, ...settings } = engineSettings(options)
    this.#batchBytesMax = batchBytesMax
    this.#settings = settings
    this.#disk = new CheckedDisk(disk)
    this.#reader = new LogReader(this.#disk)
    this.#files = new LogFiles(this.#disk, this.#settings, 1)
  }

  /** What stopped the store for good; null while it works. */
  get failed(): AntiphonError | null {
    return this.#failed
  }

  /** Packs that wait for a flush. */
  get pending(): number {
    return this.#pending.length
  }

  /** The last batch is an empty one: rot in those before it is seen. */
  get sealed(): boolean {
    return this.#sealed
  }

  /** Of the installed generation; ascending. */
  get snapshots(): readonly Zxid[] {
    return this.#shelf.zxids
  }

  /** The log's files and what stands in each, in order. */
  segments(): SegmentSummary[] {
    return segmentsOf(this.#log)
  }

  /** Number of the log's last batch. */
  get lastBatch(): number {
    return this.#log.lastBatch
  }

  /**
   * Recovers; everything that is reported is durable. A new, empty folder takes `freshStoreId` for ever. Once, before anything else.
   * @throws AntiphonError CORRUPT, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED
   */
  open(freshStoreId: StoreId): StoredState {
    try {
      return this.#open(freshStoreId)
    } catch (error) {
      this.#closeFiles()
      // It has not begun to work: nobody takes what it says for the failure of one snapshot.
      if (error instanceof AntiphonError) this.#failed ??= error
      throw this.#fail(error)
    }
  }

  #open(freshStoreId: StoreId): StoredState {
    const found = recover(this.#disk, freshStoreId, this.#settings)
    const { storeId, founding, epochs } = found
    this.#identity = { storeId, founding, epochs }
    this.#log = found.log
    this.#sealed = found.sealed
    this.#nextGeneration = found.nextGeneration
    this.#files = new LogFiles(this.#disk, this.#settings, found.nextNumber)
    this.#shelf = new SnapshotShelf(found.snapshots.map((zxid) => ({ zxid, name: snapshotName(found.log.generation, zxid) })))
    const snapshot = this.#checkNewest()
    if (found.outdated.length > 0) {
      this.#outdated = [...found.outdated]
      if (this.#sealed) this.#releaseOutdated()
      else if (!this.seal()) throw this.#failed!
      while (this.#garbage.length > 0) this.#disk.remove(this.#garbage.pop()!)
    }
    const { start, tail, endPoints } = this.#log.index
    return {
      storeId,
      founding,
      epochs,
      snapshot,
      log: { start: start.zxid, last: tail.zxid, checksum: tail.checksum, endPoints: [...endPoints], time: tail.time },
    }
  }

  #checkNewest(): SnapshotMeta | null {
    const newest = this.#shelf.newest
    if (newest === undefined) return null
    const reader = new SnapshotReader(this.#disk, newest.name, this.#identity.storeId, this.#log.generation)
    reader.close()
    const { meta } = reader
    const point = this.#reader.pointAt(this.#log.index, meta.zxid)
    if (meta.zxid !== newest.zxid || point?.checksum !== meta.checksum) throw corruptAt(newest.name, 0, 'the snapshot is not one of the history in the log')
    this.#log.index.adoptEndPoints(meta.zxid, meta.endPoints)
    return meta
  }

  /** For a later flush; the pack's memory belongs to the engine until then. */
  submit(pack: Pack): void {
    this.#pending.push(pack)
  }

  /** Carries out one batch. Never throws: after a failure the store has failed, and this and every later flush says so. A staged pack whose generation is gone fails alone. */
  flush(): Flushed {
    const packs = this.#gather()
    if (packs.length === 0) return NOTHING
    if (this.#failed !== null) return { packs, error: this.#failed }
    const { target, installs } = packs[0]!
    const staged = target === 0 ? null : this.#staged.get(target)
    if (staged === undefined) return { packs, error: invalidArgument(`generation ${target} is not staged`) }
    try {
      this.#writeBatch(staged === null ? this.#log : staged.log, packs, installs)
      return { packs, error: null }
    } catch (error) {
      return { packs, error: this.#fail(error) }
    }
  }

  /** Lets an empty batch follow the last one, so that rot in it can be told from tearing. False when that was not needed, or failed. */
  seal(): boolean {
    if (this.#sealed || this.#failed !== null || this.#pending.length > 0) return false
    const bytes = new Uint8Array(SEAL_BYTES)
    putRecordHead(bytes, 0, RECORD_SEAL, 0)
    try {
      this.#writeBatch(this.#log, [{ target: 0, installs: false, writes: 0, bytes }], false)
      this.#sealed = true
      return true
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  /** One step, of a millisecond or so, of what can wait: removal of files, zero-filling. False when nothing is left. */
  background(): boolean {
    if (this.#failed !== null) return false
    const name = this.#garbage.pop()
    if (name !== undefined) {
      try {
        this.#disk.remove(name)
      } catch {
        // It is in nobody's way, and removed when the store is opened.
      }
      return true
    }
    try {
      return this.#files.fill(this.#log)
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  /** Entries of flushed batches: the host flushes first when it wants what is pending. @throws AntiphonError INVALID_ARGUMENT, CORRUPT, DISK_FAILED */
  read(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    this.#assertWorking()
    const { start } = this.#log.index
    if (after < start.zxid) throw invalidArgument(`entries behind ${formatZxid(after)} are compacted away: the log starts at ${formatZxid(start.zxid)}`)
    return this.#reader.read(this.#log.index, after, upTo, bytesMax)
  }

  /** Of our own. @throws AntiphonError INVALID_ARGUMENT, DIVERGED when the log does not hold that place; DISK_FULL, DISK_FAILED */
  beginSnapshot(meta: SnapshotMeta): SnapshotWriter {
    this.#assertWorking()
    this.#assertInLog(meta)
    return this.#newSnapshot(this.#log.generation, meta)
  }

  /** Of a leader, into a generation of its own: the writer's. @throws AntiphonError DISK_FULL, DISK_FAILED */
  beginStaging(meta: SnapshotMeta): SnapshotWriter {
    this.#assertWorking()
    return this.#newSnapshot(this.#nextGeneration++, meta)
  }

  /** @throws AntiphonError DISK_FULL: the snapshot is void; DISK_FAILED: the store may have failed. */
  appendSnapshot(writer: SnapshotWriter, frames: Uint8Array): void {
    this.#assertWorking()
    this.#guard(() => writer.append(frames))
  }

  /** Durable under its name; false when it is void: another generation was installed meanwhile. @throws AntiphonError DISK_FULL, DISK_FAILED */
  finishSnapshot(writer: SnapshotWriter, totals: SnapshotTotals): boolean {
    this.#assertWorking()
    const { meta, name, generation } = writer
    if (generation !== this.#log.generation) {
      writer.abort()
      return false
    }
    this.#assertInLog(meta)
    this.#guard(() => writer.finish(totals))
    this.#shelf.add(meta, name)
    return true
  }

  /** The generation's snapshot is durable and takes entries behind it. @throws AntiphonError DISK_FULL, DISK_FAILED */
  finishStaging(writer: SnapshotWriter, totals: SnapshotTotals): number {
    this.#assertWorking()
    const { meta, generation } = writer
    this.#guard(() => writer.finish(totals))
    const { zxid, checksum, time } = meta
    this.#staged.set(generation, { meta, log: emptyLog(generation, true, new LogIndex({ zxid, checksum, time }, meta.endPoints)) })
    return generation
  }

  /** The newest one, or the one at `zxid`; it stays until `closeSnapshot`. Null when there is none. @throws AntiphonError CORRUPT, DISK_FAILED */
  openSnapshot(zxid?: Zxid): SnapshotReader | null {
    this.#assertWorking()
    const held = zxid === undefined ? this.#shelf.newest : this.#shelf.at(zxid)
    if (held === undefined) return null
    const reader = new SnapshotReader(this.#disk, held.name, this.#identity.storeId, this.#log.generation)
    this.#shelf.pin(reader)
    return reader
  }

  closeSnapshot(reader: SnapshotReader): void {
    this.#garbage.push(...this.#shelf.unpin(reader))
  }

  /** The staged generation is void. Unknown numbers are ignored. */
  discard(generation: number): void {
    const staged = this.#staged.get(generation)
    if (staged === undefined) return
    this.#staged.delete(generation)
    this.#drop(staged.log.segments)
    this.#garbage.push(snapshotName(generation, staged.meta.zxid))
  }

  /** Keeps the newest `retain` snapshots and the log behind the oldest of them, and nothing at or after `keepFrom` goes. The log's new start. @throws AntiphonError INVALID_ARGUMENT */
  compact(retain: number, keepFrom: Zxid): Zxid {
    this.#assertWorking()
    if (!Number.isInteger(retain) || retain < 1) throw invalidArgument(`${retain} snapshots cannot be kept`, 'Keep 1 or more.')
    this.#garbage.push(...this.#shelf.keep(retain))
    const { oldest } = this.#shelf
    if (oldest === undefined) return this.#log.index.start.zxid
    const limit = Math.min(oldest.zxid, keepFrom - 1)
    const { segments, index } = this.#log
    const needed = index.extents.find(({ end }) => end.zxid > limit)?.segment ?? segments.at(-1)!
    const dropped = segments.splice(0, segments.indexOf(needed))
    if (dropped.length > 0) index.dropBefore(needed)
    this.#drop(dropped)
    return index.start.zxid
  }

  /** Seals the log, removes what is to go, closes every file. What is pending was flushed before. Never throws. */
  close(): void {
    this.seal()
    const spare = this.#files.takeSpare()
    if (spare !== null) this.#garbage.push(spare)
    while (this.#garbage.length > 0 && this.background());
    this.#closeFiles()
  }

  #closeFiles(): void {
    this.#shelf.unpinAll()
    for (const log of [this.#log, ...[...this.#staged.values()].map((staged) => staged.log)]) for (const segment of log.segments) this.#closeSegment(segment)
  }

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

  #writeBatch(log: Log, packs: readonly Pack[], installs: boolean): void {
    let bytes = 0
    for (const pack of packs) bytes += pack.bytes.length
    if (bytes === 0) return
    const replaced = this.#log
    const sealing = packs[0]!.writes === 0
    const snapshots = installs ? this.#install(packs[0]!.bytes) : []
    if (installs) log = this.#log
    const place = this.#files.place(log, bytes, installs ? 'install' : sealing ? 'seal' : 'append', this.#identity)
    const batch = this.#assembler.assemble(place, packs, bytes)
    this.#reader.underway = { segment: place.segment, offset: place.offset, bytes: batch }
    try {
      applyBatch(this.#reader, this.#identity, this.#shelf.newest?.zxid ?? ZERO, log, place, batch, place.prefix?.length ?? 0)
      this.#files.write(log, place, batch)
    } finally {
      this.#reader.underway = null
    }
    log.lastBatch++
    if (log.staged) return
    this.#sealed = false
    this.#releaseOutdated()
    if (installs) this.#replace(replaced, snapshots)
  }

  /** The staged generation whose installation begins `bytes` becomes the log; its INSTALL record is completed. The names of the snapshots that this replaces. */
  #install(bytes: Uint8Array): string[] {
    const generation = u32(bytes, RECORD_HEAD_BYTES)
    const staged = this.#staged.get(generation)
    if (recordKind(bytes, 0) !== RECORD_INSTALL || staged === undefined) throw invalidArgument(`generation ${generation} is not staged`)
    // A later open() would take the higher one for the newer.
    if (generation < this.#log.generation) throw invalidArgument(`generation ${generation} was staged before ${this.#log.generation} was installed`)
    const { tail } = staged.log.index
    putU32(bytes, RECORD_HEAD_BYTES + 4, staged.meta.checksum)
    putU64(bytes, RECORD_HEAD_BYTES + 8, staged.meta.zxid)
    putU64(bytes, RECORD_HEAD_BYTES + 16, tail.zxid)
    putU32(bytes, RECORD_HEAD_BYTES + 24, tail.checksum)
    staged.log.staged = false
    staged.log.lastBatch = this.#log.lastBatch
    this.#staged.delete(generation)
    const snapshots = this.#shelf.keep(0)
    this.#shelf.add(staged.meta, snapshotName(generation, staged.meta.zxid))
    this.#log = staged.log
    return snapshots
  }

  /** Its files go when a batch has followed the installation. */
  #replace(log: Log, snapshots: readonly string[]): void {
    this.#outdated.push(...snapshots)
    for (const segment of log.segments) {
      this.#closeSegment(segment)
      this.#outdated.push(segment.name)
    }
    const spare = this.#files.takeSpare()
    if (spare !== null) this.#outdated.push(spare)
  }

  #releaseOutdated(): void {
    this.#garbage.push(...this.#outdated)
    this.#outdated = []
  }

  #newSnapshot(generation: number, meta: SnapshotMeta): SnapshotWriter {
    return new SnapshotWriter(this.#disk, snapshotName(generation, meta.zxid), meta, this.#identity.storeId, generation)
  }

  #drop(segments: readonly Segment[]): void {
    for (const segment of segments) {
      this.#closeSegment(segment)
      this.#garbage.push(segment.name)
    }
  }

  #closeSegment(segment: Segment): void {
    try {
      if (segment.file !== null) this.#disk.close(segment.file)
    } catch {
      // It was flushed before.
    }
    segment.file = null
  }

  #assertInLog(meta: SnapshotMeta): void {
    const point = this.#reader.pointAt(this.#log.index, meta.zxid)
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
      if (details?.['operation'] === 'flushing' || details?.['operation'] === 'renaming') this.#fail(error)
      throw error
    }
  }

  #fail(error: unknown): AntiphonError {
    this.#failed ??= storeFailure(error)
    return this.#failed
  }
}

/** The options, checked, with what is not told filled in. @throws AntiphonError INVALID_SETTINGS */
export function engineSettings(options: EngineOptions): LogSettings & { readonly batchBytesMax: number } {
  const segmentBytes = atLeast(options.segmentBytes ?? 64 * 1024 * 1024, 1024, 'segmentBytes')
  const aheadBytes = Math.min(segmentBytes, atLeast(options.aheadBytes ?? 16 * 1024 * 1024, 0, 'aheadBytes'))
  const batchBytesMax = atLeast(options.batchBytesMax ?? 8 * 1024 * 1024, 1, 'batchBytesMax')
  return { segmentBytes, aheadBytes, fillBytes: Math.min(FILL_BYTES, aheadBytes), batchBytesMax }
}

function atLeast(value: number, min: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= min && value <= 2 ** 30) return value
  throw new AntiphonError('INVALID_SETTINGS', `${name} must be an integer from ${min} to 2^30, not ${value}`, {
    remedy: `Correct \`${name}\`, or leave it out.`,
  })
}
