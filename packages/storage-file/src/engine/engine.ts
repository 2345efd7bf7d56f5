import { type AntiphonError, invalidArgument, type Run, type SnapshotMeta, type StoredState, type StoreId, type Zxid } from '@antiphon/ports'
import {
  type Disk,
  EngineBase,
  type Pack,
  type Point,
  putRecordHead,
  putU32,
  putU64,
  RECORD_HEAD_BYTES,
  RECORD_INSTALL,
  recordKind,
  u32,
} from '@antiphon/storage-kit'
import { Assembler, applyBatch } from './batch.ts'
import { RECORD_SEAL } from './format.ts'
import { LogBehind } from './log-behind.ts'
import { emptyLog, type Identity, type Log, LogFiles, type LogSettings, NO_EPOCHS, SEAL_BYTES } from './log-files.ts'
import { LogIndex, type Segment } from './log-index.ts'
import { LogReader } from './log-reader.ts'
import { type SegmentSummary, segmentsOf } from './log-summary.ts'
import { recover } from './recovery.ts'
import { type EngineOptions, engineSettings } from './settings.ts'

/**
 * The file store, synchronous and pure over a `Disk`. One at a time on a folder: its host sees to that.
 *
 * `submit` any number of packs, then `flush`: each flush carries the oldest ones, as one numbered batch, to the disk and makes it durable by one write and one `sync`.
 * In idle moments `background` does a step of what can wait, and `seal` closes a batch that nothing follows.
 */
export class FileEngine extends EngineBase<Log> {
  readonly #settings: LogSettings
  readonly #reader: LogReader
  #files: LogFiles
  #identity: Identity = { storeId: '', founding: null, epochs: NO_EPOCHS }
  #log: Log = emptyLog(0, false)
  #behind: LogBehind
  #sealed = true
  readonly #assembler = new Assembler()
  /** Files of a generation that was replaced: they stay until a batch follows the installation, so that its rot cannot bring them back. */
  #outdated: string[] = []

  constructor(disk: Disk, options: EngineOptions = {}) {
    const { batchBytesMax, ...settings } = engineSettings(options)
    super(disk, batchBytesMax)
    this.#settings = settings
    this.#reader = new LogReader(this.disk)
    this.#behind = new LogBehind(this.disk)
    this.#files = new LogFiles(this.disk, this.#settings, 1)
  }

  /** The last batch is an empty one: rot in those before it is seen. */
  get sealed(): boolean {
    return this.#sealed
  }

  /** The log's files and what stands in each, in order. */
  segments(): SegmentSummary[] {
    return segmentsOf(this.#log)
  }

  /** Number of the log's last batch. */
  get lastBatch(): number {
    return this.#log.lastBatch
  }

  protected recover(freshStoreId: StoreId): StoredState {
    const found = recover(this.disk, freshStoreId, this.#settings)
    const { storeId, founding, epochs } = found
    this.#identity = { storeId, founding, epochs }
    this.#log = found.log
    this.#sealed = found.sealed
    this.#files = new LogFiles(this.disk, this.#settings, found.nextNumber)
    this.#behind = found.behind
    const { nextGeneration, snapshots, damaged } = found
    this.adopt({ storeId, generation: found.log.generation, nextGeneration, snapshots, damaged })
    const snapshot = this.checkNewest()
    if (snapshot !== null) this.#log.index.adoptEndPoints(snapshot.zxid, snapshot.endPoints)
    if (found.outdated.length > 0) {
      this.#outdated = [...found.outdated]
      if (this.#sealed) this.#releaseOutdated()
      else if (!this.seal()) throw this.failed!
      this.garbage.removeAll()
    }
    const { tail, endPoints } = this.#log.index
    return {
      storeId,
      founding,
      epochs,
      snapshot,
      log: { start: this.start, last: tail.zxid, checksum: tail.checksum, endPoints: [...endPoints], time: tail.time },
    }
  }

  /** Lets an empty batch follow the last one, so that rot in it can be told from tearing. False when that was not needed, or failed. */
  seal(): boolean {
    if (this.#sealed || this.failed !== null || this.pending > 0) return false
    const bytes = new Uint8Array(SEAL_BYTES)
    putRecordHead(bytes, 0, RECORD_SEAL, 0)
    try {
      this.#writeBatch(this.#log, [{ target: 0, installs: false, writes: 0, bytes }], false)
      this.#sealed = true
      return true
    } catch (error) {
      this.fail(error)
      return false
    }
  }

  /** One step, of a millisecond or so, of what can wait: removal of files, zero-filling, reading what was not read when the store was opened. False when nothing is left. */
  background(): boolean {
    if (this.failed !== null) return false
    if (this.garbage.removeOne()) return true
    try {
      return this.#files.fill(this.#log) || this.lookBehind()
    } catch (error) {
      this.fail(error)
      return false
    }
  }

  /**
   * One step of reading what was not read when the store was opened; false when nothing is left. Damage there is no end of the store, for the newest snapshot stands for all of it:
   * it is told, and whoever reads there is refused.
   */
  lookBehind(): boolean {
    if (this.#behind.isEmpty || this.#behind.damage !== null) return false
    try {
      this.#behind.step(this.#log.index)
    } catch (error) {
      this.trouble(error as AntiphonError)
    }
    return true
  }

  /** What is behind it was read, or can not be. */
  get indexedFrom(): Zxid {
    return this.#log.index.start.zxid
  }

  /** Whether everything behind `zxid` can be read at once; if not, a step was done towards that. @throws AntiphonError CORRUPT, DISK_FAILED */
  reaches(zxid: Zxid): boolean {
    if (this.failed !== null) throw this.failed
    if (this.#behind.isEmpty || zxid >= this.indexedFrom) return true
    this.#behind.step(this.#log.index)
    return false
  }

  protected get start(): Zxid {
    return Math.min(this.indexedFrom, this.#behind.start) as Zxid
  }

  protected readLog(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    while (!this.reaches(after));
    return this.#reader.read(this.#log.index, after, upTo, bytesMax)
  }

  protected pointAt(zxid: Zxid): Point | null {
    while (!this.reaches(zxid));
    return this.#reader.pointAt(this.#log.index, zxid)
  }

  protected logBehind({ zxid, checksum, time, endPoints }: SnapshotMeta, generation: number): Log {
    return emptyLog(generation, true, new LogIndex({ zxid, checksum, time }, endPoints))
  }

  protected discardLog({ segments }: Log): void {
    this.#drop(segments)
  }

  protected dropThrough(limit: Zxid, keepFrom: Zxid): void {
    const { segments, index } = this.#log
    const needed = this.#behind.firstNeeded(limit, keepFrom) ?? index.extents.find(({ end }) => end.zxid > limit)?.segment ?? segments.at(-1)!
    const dropped = segments.splice(0, segments.indexOf(needed))
    if (dropped.length > 0) {
      this.#behind.dropBefore(needed)
      index.dropBefore(needed)
    }
    this.#drop(dropped)
  }

  /** Seals the log, removes what is to go, closes every file. What is pending was flushed before. Never throws. */
  close(): void {
    this.seal()
    const spare = this.#files.takeSpare()
    if (spare !== null) this.garbage.add(spare)
    if (this.failed === null) while (this.garbage.removeOne());
    this.closeReaders()
    this.release()
  }

  protected release(): void {
    this.#behind.close()
    for (const { segments } of [this.#log, ...this.stagedLogs]) for (const segment of segments) this.#closeSegment(segment)
  }

  protected write(packs: readonly Pack[], staged: Log | null): void {
    this.#writeBatch(staged ?? this.#log, packs, packs[0]!.installs)
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
      applyBatch(this.#reader, this.#identity, this.floor, log, place, batch, place.prefix?.length ?? 0)
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
  #install(bytes: Uint8Array): readonly string[] {
    if (recordKind(bytes, 0) !== RECORD_INSTALL) throw invalidArgument('an installation that does not begin with its record')
    const { meta, log, replaced } = this.install(u32(bytes, RECORD_HEAD_BYTES))
    const { tail } = log.index
    putU32(bytes, RECORD_HEAD_BYTES + 4, meta.checksum)
    putU64(bytes, RECORD_HEAD_BYTES + 8, meta.zxid)
    putU64(bytes, RECORD_HEAD_BYTES + 16, tail.zxid)
    putU32(bytes, RECORD_HEAD_BYTES + 24, tail.checksum)
    log.staged = false
    log.lastBatch = this.#log.lastBatch
    this.#log = log
    this.#behind.close()
    this.#behind = new LogBehind(this.disk)
    return replaced
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
    this.garbage.add(...this.#outdated)
    this.#outdated = []
  }

  #drop(segments: readonly Segment[]): void {
    for (const segment of segments) {
      this.#closeSegment(segment)
      this.garbage.add(segment.name)
    }
  }

  #closeSegment(segment: Segment): void {
    try {
      if (segment.file !== null) this.disk.close(segment.file)
    } catch {
      // It was flushed before.
    }
    segment.file = null
  }
}
