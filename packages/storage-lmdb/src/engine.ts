import {
  AntiphonError,
  type Epochs,
  type Founding,
  formatZxid,
  invalidArgument,
  type Run,
  type SnapshotMeta,
  type StoredState,
  type StoreId,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { NodeDisk } from '@antiphon/storage-file'
import { CheckedDisk, parseName, SnapshotReader, SnapshotShelf, SnapshotWriter, snapshotName } from '@antiphon/storage-file/engine'
import {
  ASIDE,
  diverged,
  type Engine,
  type Flushed,
  foreignFolder,
  isForeign,
  type Pack,
  RECORD_EPOCHS,
  RECORD_FOUNDING,
  RECORD_HEAD_BYTES,
  RECORD_INSTALL,
  RECORD_RUN,
  RECORD_TRUNCATE,
  RUN_FIXED_BYTES,
  readEpochs,
  recordKind,
  recordLength,
  recordSpan,
  runHeadAt,
  type SnapshotTotals,
  storeFailure,
  u32,
  u64,
} from '@antiphon/storage-kit'
import { decodeFounding } from '@antiphon/wire'
import { Database, Environment } from './environment.ts'
import {
  DATA_NAME,
  damaged,
  decodeEnds,
  decodeFoundingValue,
  decodeHead,
  decodeMarker,
  decodeSegments,
  encodeEnds,
  encodeFoundingValue,
  encodeHead,
  encodeMarker,
  encodeSegments,
  FORMAT_VERSION,
  type Head,
  KEY_ENDS,
  KEY_FOUNDING,
  KEY_HEAD,
  KEY_SEGMENTS,
  LMDB_LOCK_NAME,
  MARKER_NAME,
  segmentName,
  valueChecksum,
} from './format.ts'
import { Log } from './log.ts'

export interface EngineOptions {
  /** About how large a sub-database of the log becomes before the next one is begun: what compaction frees in one step. 16 MiB unless told. */
  readonly segmentBytes?: number
  /** How much of the address space LMDB's map takes at first; it doubles when it is full. 256 MiB unless told. */
  readonly mapBytes?: number
  /** What the packs of one commit come to at most, unless one alone is larger. 8 MiB unless told. */
  readonly batchBytesMax?: number
}

interface Staged {
  readonly meta: SnapshotMeta
  readonly log: Log
}

const NO_EPOCHS: Epochs = { accepted: 0, acceptedFrom: null, current: 0 }
const NOTHING: Flushed = { packs: [], error: null }

/**
 * The LMDB store, synchronous: log, epochs, founding and identity in one environment, snapshots as files beside it. One at a time on a folder: its host sees to that.
 *
 * Each flush carries the oldest packs as one transaction, which is durable when it has returned. Nothing is ever changed in place: a truncation begins a new sub-database, compaction and
 * installation let go of whole ones, and `background` drops those, one in each step.
 */
export class LmdbEngine implements Engine {
  /** A transaction is there whole or not: none is mistaken for a torn one. */
  readonly sealed = true
  readonly #folder: string
  readonly #disk: CheckedDisk
  readonly #settings: Required<EngineOptions>
  #environment: Environment | null = null
  #storeId: StoreId = ''
  #founding: Founding | null = null
  #foundingChanged = false
  #epochs: Epochs = NO_EPOCHS
  #generation = 0
  #nextGeneration = 1
  #nextSegment = 1
  #commits = 0
  /** Of the values beside the head, as they were last stored. */
  #checksums = { founding: 0, ends: 0, segments: 0 }
  #log!: Log
  #shelf = new SnapshotShelf()
  readonly #staged = new Map<number, Staged>()
  readonly #pending: Pack[] = []
  #failed: AntiphonError | null = null
  /** Sub-databases of which nothing is needed any more; of those that an earlier process left, the names. */
  #garbage: (Database | string)[] = []
  /** Files that nothing refers to any more. */
  readonly #files: string[] = []

  constructor(folder: string, options: EngineOptions = {}) {
    this.#folder = folder
    this.#settings = engineSettings(options)
    this.#disk = new CheckedDisk(new NodeDisk(folder))
  }

  /** What stopped the store for good; null while it works. */
  get failed(): AntiphonError | null {
    return this.#failed
  }

  get pending(): number {
    return this.#pending.length
  }

  get lastBatch(): number {
    return this.#commits
  }

  /** @throws AntiphonError CORRUPT, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED */
  open(freshStoreId: StoreId): StoredState {
    try {
      return this.#open(freshStoreId)
    } catch (error) {
      this.#environment?.close()
      // It has not begun to work: nobody takes what it says for the failure of one snapshot.
      if (error instanceof AntiphonError) this.#failed ??= error
      throw this.#fail(error)
    }
  }

  #open(freshStoreId: StoreId): StoredState {
    const names = this.#disk.list()
    if (names.includes(MARKER_NAME)) this.#recover(names)
    else this.#create(names, freshStoreId)
    const snapshot = this.#checkNewest()
    const { start, tail, endPoints } = this.#log
    if (start.zxid > (snapshot?.zxid ?? ZERO))
      throw damaged('the log', `it begins behind ${formatZxid(start.zxid)}, and no snapshot stands for what came before`)
    return {
      storeId: this.#storeId,
      founding: this.#founding,
      epochs: this.#epochs,
      snapshot,
      log: { start: start.zxid, last: tail.zxid, checksum: tail.checksum, endPoints, time: tail.time },
    }
  }

  /** The marker gets its name last: what has none holds nothing, and is begun anew. */
  #create(names: readonly string[], freshStoreId: StoreId): void {
    if (isForeign(names, MARKER_NAME)) throw foreignFolder(names, MARKER_NAME)
    const aside = MARKER_NAME + ASIDE
    for (const name of [aside, DATA_NAME, LMDB_LOCK_NAME]) if (names.includes(name)) this.#disk.remove(name)
    const file = this.#disk.open(aside, 'create')
    try {
      this.#disk.write(file, encodeMarker(freshStoreId), 0)
      this.#disk.sync(file)
    } finally {
      this.#disk.close(file)
    }
    this.#disk.syncDirectory()
    this.#storeId = freshStoreId
    this.#environment = new Environment(`${this.#folder}/${DATA_NAME}`, this.#settings.mapBytes)
    this.#log = new Log(this.#environment, freshStoreId, this.#settings.segmentBytes)
    this.#commit(() => undefined)
    this.#disk.syncDirectory()
    this.#disk.rename(aside, MARKER_NAME)
    this.#disk.syncDirectory()
  }

  #recover(names: readonly string[]): void {
    const marker = this.#readMarker()
    if (!names.includes(DATA_NAME)) throw damaged('the file', 'it is not there')
    const environment = new Environment(`${this.#folder}/${DATA_NAME}`, this.#settings.mapBytes)
    this.#environment = environment
    const stored = environment.read(() => [KEY_HEAD, KEY_FOUNDING, KEY_ENDS, KEY_SEGMENTS].map((key) => environment.root.get(key)))
    const [headBytes, foundingBytes, endsBytes, segmentsBytes] = stored
    if (headBytes == null) throw damaged('the head', 'it is not there')
    const head = decodeHead(headBytes)
    if (head === null) throw versionMismatch(u32(headBytes, 4) >>> 16)
    if (head.storeId !== marker) throw damaged('the head', 'it is of another store than the marker')
    this.#adopt(head)
    this.#founding = foundingBytes == null ? null : decodeFoundingValue(foundingBytes)
    this.#checksums = {
      founding: tied(foundingBytes, head.foundingChecksum, 'the founding'),
      ends: tied(endsBytes, head.endsChecksum, 'the end points'),
      segments: tied(segmentsBytes, head.segmentsChecksum, 'the list of segments'),
    }
    const segments = decodeSegments(segmentsBytes!)
    const databases = new Set(environment.names())
    for (const { number } of segments) if (!databases.delete(segmentName(number))) throw damaged(segmentName(number), 'it is not there')
    this.#log = new Log(environment, head.storeId, this.#settings.segmentBytes, head.tail, decodeEnds(endsBytes!))
    // Rule 4: what is read may be on its way to the disk only. A page that was read cannot be told from one that is durable, but LMDB names no page before it was flushed, and what
    // this commit names is durable with it.
    this.#commit(() => this.#log.adopt(segments))
    this.#garbage = [...databases]
    this.#takeFiles(names)
  }

  #readMarker(): StoreId {
    const file = this.#disk.open(MARKER_NAME, 'read')
    try {
      const bytes = new Uint8Array(Math.min(this.#disk.size(file), 4096))
      const marker = this.#disk.read(file, bytes, 0) === bytes.length ? decodeMarker(bytes) : null
      if (marker === null) throw damaged(MARKER_NAME, 'the checksum does not match', { file: MARKER_NAME })
      if (marker.version !== FORMAT_VERSION) throw versionMismatch(marker.version)
      return marker.storeId
    } finally {
      this.#disk.close(file)
    }
  }

  #adopt(head: Head): void {
    this.#storeId = head.storeId
    this.#epochs = head.epochs
    this.#generation = head.generation
    this.#nextGeneration = head.nextGeneration
    this.#nextSegment = head.nextSegment
    this.#commits = head.commits
  }

  /** Finished snapshots of the installed generation count; everything else goes. */
  #takeFiles(names: readonly string[]): void {
    const snapshots: { zxid: Zxid; name: string }[] = []
    for (const name of names) {
      const parsed = parseName(name)
      if (parsed?.kind !== 'snapshot') {
        if (name === MARKER_NAME + ASIDE) this.#files.push(name)
        continue
      }
      this.#nextGeneration = Math.max(this.#nextGeneration, parsed.generation + 1)
      if (parsed.generation === this.#generation && !parsed.aside) snapshots.push({ zxid: parsed.number as Zxid, name })
      else this.#disk.remove(name)
    }
    this.#shelf = new SnapshotShelf(snapshots.sort((a, b) => a.zxid - b.zxid))
  }

  #checkNewest(): SnapshotMeta | null {
    const newest = this.#shelf.newest
    if (newest === undefined) return null
    const reader = new SnapshotReader(this.#disk, newest.name, this.#storeId, this.#generation)
    reader.close()
    const { meta } = reader
    const point = this.#environment!.read(() => this.#log.pointAt(meta.zxid))
    if (meta.zxid !== newest.zxid || point?.checksum !== meta.checksum)
      throw damaged(newest.name, 'the snapshot is not one of the history in the log', { file: newest.name })
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
      this.#write(packs, staged?.log ?? null)
      return { packs, error: null }
    } catch (error) {
      return { packs, error: this.#fail(error) }
    }
  }

  seal(): boolean {
    return false
  }

  /** One sub-database, or one file. */
  background(): boolean {
    if (this.#failed !== null) return false
    const file = this.#files.pop()
    if (file !== undefined) {
      try {
        this.#disk.remove(file)
      } catch {
        // It is in nobody's way, and removed when the store is opened.
      }
      return true
    }
    const garbage = this.#garbage.pop()
    if (garbage === undefined) return false
    try {
      this.#environment!.commit(() => this.#drop(garbage))
      return true
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  /** Within a commit. */
  #drop(garbage: Database | string): void {
    const database = garbage instanceof Database ? garbage : this.#environment!.database(garbage)
    database.drop()
  }

  /** Entries of flushed batches: the host flushes first when it wants what is pending. @throws AntiphonError INVALID_ARGUMENT, CORRUPT, DISK_FAILED */
  read(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    this.#assertWorking()
    const { start } = this.#log
    if (after < start.zxid) throw invalidArgument(`entries behind ${formatZxid(after)} are compacted away: the log starts at ${formatZxid(start.zxid)}`)
    return this.#environment!.read(() => this.#log.read(after, upTo, bytesMax))
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
    return true
  }

  /** @throws AntiphonError DISK_FULL, DISK_FAILED */
  finishStaging(writer: SnapshotWriter, totals: SnapshotTotals): number {
    this.#assertWorking()
    const { meta, generation } = writer
    this.#guard(() => writer.finish(totals))
    const { zxid, checksum, time } = meta
    this.#staged.set(generation, {
      meta,
      log: new Log(this.#environment!, this.#storeId, this.#settings.segmentBytes, { zxid, checksum, time }, meta.endPoints),
    })
    return generation
  }

  /** @throws AntiphonError CORRUPT, DISK_FAILED */
  openSnapshot(zxid?: Zxid): SnapshotReader | null {
    this.#assertWorking()
    const held = zxid === undefined ? this.#shelf.newest : this.#shelf.at(zxid)
    if (held === undefined) return null
    const reader = new SnapshotReader(this.#disk, held.name, this.#storeId, this.#generation)
    this.#shelf.pin(reader)
    return reader
  }

  closeSnapshot(reader: SnapshotReader): void {
    this.#files.push(...this.#shelf.unpin(reader))
  }

  discard(generation: number): void {
    const staged = this.#staged.get(generation)
    if (staged === undefined) return
    this.#staged.delete(generation)
    this.#garbage.push(...staged.log.dropAll())
    this.#files.push(snapshotName(generation, staged.meta.zxid))
  }

  /** @throws AntiphonError INVALID_ARGUMENT, DISK_FULL, DISK_FAILED */
  compact(retain: number, keepFrom: Zxid): Zxid {
    this.#assertWorking()
    if (!Number.isInteger(retain) || retain < 1) throw invalidArgument(`${retain} snapshots cannot be kept`, 'Keep 1 or more.')
    this.#files.push(...this.#shelf.keep(retain))
    const { oldest } = this.#shelf
    if (oldest !== undefined) {
      const dropped = this.#log.dropThrough(Math.min(oldest.zxid, keepFrom - 1) as Zxid)
      if (dropped.length > 0) {
        try {
          this.#commit(() => undefined)
        } catch (error) {
          throw this.#fail(error)
        }
        this.#garbage.push(...dropped)
      }
    }
    return this.#log.start.zxid
  }

  close(): void {
    while (this.background());
    this.#shelf.unpinAll()
    this.#environment?.close()
  }

  #gather(): Pack[] {
    const first = this.#pending[0]
    if (first === undefined) return []
    let count = 1
    let bytes = first.bytes.length
    for (; count < this.#pending.length; count++) {
      const next = this.#pending[count]!
      bytes += next.bytes.length
      if (next.target !== first.target || next.installs || bytes > this.#settings.batchBytesMax) break
    }
    return this.#pending.splice(0, count)
  }

  /** One transaction. */
  #write(packs: readonly Pack[], staged: Log | null): void {
    if (packs.every(({ bytes }) => bytes.length === 0)) return
    const databases: Database[] = []
    const files: string[] = []
    this.#commit(() => {
      for (const { bytes } of packs) this.#carryOut(bytes, staged, databases, files)
      staged?.settle()
    })
    this.#garbage.push(...databases)
    this.#files.push(...files)
  }

  /** Within a commit. What is let go of is added to `databases` and `files`. @throws AntiphonError INVALID_ARGUMENT, DIVERGED, CORRUPT */
  #carryOut(bytes: Uint8Array, staged: Log | null, databases: Database[], files: string[]): void {
    const newSegment = (): number => this.#nextSegment++
    for (let at = 0; at < bytes.length; at += recordSpan(bytes, at)) {
      const log = staged ?? this.#log
      const payload = at + RECORD_HEAD_BYTES
      const end = payload + recordLength(bytes, at)
      switch (recordKind(bytes, at)) {
        case RECORD_RUN:
          log.append(runHeadAt(bytes, payload), bytes, payload + RUN_FIXED_BYTES, end, newSegment)
          break
        case RECORD_TRUNCATE:
          databases.push(...log.truncate(u64(bytes, payload) as Zxid, u32(bytes, payload + 8), this.#shelf.newest?.zxid ?? ZERO, newSegment))
          break
        case RECORD_EPOCHS:
          this.#epochs = readEpochs(bytes, payload)
          break
        case RECORD_FOUNDING:
          this.#founding = decodeFounding(bytes.slice(payload, end))
          this.#foundingChanged = true
          break
        case RECORD_INSTALL:
          this.#install(u32(bytes, payload), databases, files)
          break
        default:
          throw invalidArgument(`a record of kind ${recordKind(bytes, at)}`)
      }
    }
  }

  /** Within a commit: the staged generation takes the place of snapshots and log. */
  #install(generation: number, databases: Database[], files: string[]): void {
    const staged = this.#staged.get(generation)
    if (staged === undefined) throw invalidArgument(`generation ${generation} is not staged`)
    // A later open() would take the files of the higher one for leftovers.
    if (generation < this.#generation) throw invalidArgument(`generation ${generation} was staged before ${this.#generation} was installed`)
    databases.push(...this.#log.dropAll())
    files.push(...this.#shelf.keep(0))
    this.#staged.delete(generation)
    this.#generation = generation
    this.#log = staged.log
    this.#shelf.add(staged.meta, snapshotName(generation, staged.meta.zxid))
  }

  /** `work`, and the head that makes it count, in one transaction. @throws AntiphonError: the store has failed. */
  #commit(work: () => void): void {
    const { root } = this.#environment!
    const garbage = this.#garbage
    const segments = this.#nextSegment
    this.#environment!.commit(() => {
      work()
      // Under load there are no idle moments: more is dropped than is begun, so that it does not pile up.
      for (let i = segments - 1; i < this.#nextSegment && garbage.length > 0; i++) this.#drop(garbage.pop()!)
      const log = this.#log
      log.settle()
      if (this.#foundingChanged) this.#checksums.founding = put(root, KEY_FOUNDING, encodeFoundingValue(this.#founding!))
      if (log.endsChanged) this.#checksums.ends = put(root, KEY_ENDS, encodeEnds(log.closedEnds))
      if (log.segmentsChanged) this.#checksums.segments = put(root, KEY_SEGMENTS, encodeSegments(log.segments))
      this.#commits++
      put(root, KEY_HEAD, encodeHead(this.#head()))
    })
    this.#foundingChanged = false
    this.#log.endsChanged = false
    this.#log.segmentsChanged = false
  }

  #head(): Head {
    return {
      storeId: this.#storeId,
      generation: this.#generation,
      nextGeneration: this.#nextGeneration,
      nextSegment: this.#nextSegment,
      commits: this.#commits,
      epochs: this.#epochs,
      tail: this.#log.tail,
      foundingChecksum: this.#checksums.founding,
      endsChecksum: this.#checksums.ends,
      segmentsChecksum: this.#checksums.segments,
    }
  }

  #newSnapshot(generation: number, meta: SnapshotMeta): SnapshotWriter {
    return new SnapshotWriter(this.#disk, snapshotName(generation, meta.zxid), meta, this.#storeId, generation)
  }

  #assertInLog(meta: SnapshotMeta): void {
    const point = this.#environment!.read(() => this.#log.pointAt(meta.zxid))
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
      if (details?.['operation'] === 'flushing' || details?.['operation'] === 'renaming') throw this.#fail(error)
      throw error
    }
  }

  #fail(error: unknown): AntiphonError {
    this.#failed ??= storeFailure(error)
    return this.#failed
  }
}

function put(root: Database, key: number, value: Uint8Array): number {
  root.put(key, value)
  return valueChecksum(value)
}

/** The value is the one that the head speaks of: pages of another commit are not taken for it. */
function tied(value: Uint8Array | null | undefined, checksum: number, what: string): number {
  if ((value == null ? 0 : valueChecksum(value)) !== checksum) throw damaged(what, 'it is not the one that the head speaks of')
  return checksum
}

function versionMismatch(version: number): AntiphonError {
  return new AntiphonError('VERSION_MISMATCH', `the store has format version ${version}; this program knows ${FORMAT_VERSION}`, {
    remedy: 'Start the version of the program that wrote it, or a later one.',
    details: { version },
  })
}

/** The options, checked, with what is not told filled in. @throws AntiphonError INVALID_SETTINGS */
export function engineSettings(options: EngineOptions): Required<EngineOptions> {
  return {
    segmentBytes: within(options.segmentBytes ?? 16 * 1024 * 1024, 1024, 2 ** 30, 'segmentBytes'),
    mapBytes: within(options.mapBytes ?? 256 * 1024 * 1024, 1024 * 1024, 2 ** 44, 'mapBytes'),
    batchBytesMax: within(options.batchBytesMax ?? 8 * 1024 * 1024, 1, 2 ** 28, 'batchBytesMax'),
  }
}

function within(value: number, min: number, max: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new AntiphonError('INVALID_SETTINGS', `${name} must be an integer from ${min} to ${max}, not ${value}`, {
    remedy: `Correct \`${name}\`, or leave it out.`,
  })
}
