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
import {
  ASIDE,
  EngineBase,
  type Found,
  foreignFolder,
  isForeign,
  type Pack,
  type Point,
  parseSnapshotName,
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
  u32,
  u64,
} from '@antiphon/storage-kit'
import { NodeDisk } from '@antiphon/storage-kit/node'
import { decodeFounding } from '@antiphon/wire'
import { Database, Environment } from './environment.ts'
import {
  DATA_NAME,
  damaged,
  encodeEnds,
  encodeFoundingValue,
  encodeHead,
  encodeMarker,
  encodeSegments,
  type Head,
  KEY_ENDS,
  KEY_FOUNDING,
  KEY_HEAD,
  KEY_SEGMENTS,
  LMDB_LOCK_NAME,
  MARKER_NAME,
  valueChecksum,
} from './format.ts'
import { Log } from './log.ts'
import { leftovers, readMarker, readStored } from './recovery.ts'
import { ZeroFill } from './zero-fill.ts'

export interface EngineOptions {
  /** About how large a sub-database of the log becomes before the next one is begun: what compaction frees in one step. 16 MiB unless told. */
  readonly segmentBytes?: number
  /** How much of the address space LMDB's map takes at first; it doubles when it is full. 256 MiB unless told. */
  readonly mapBytes?: number
  /** How far behind LMDB's last page the file is kept zero-filled, in idle moments: a flush of zero-filled blocks is cheaper. 4 MiB unless told; 0: not at all. */
  readonly aheadBytes?: number
  /** What the packs of one commit come to at most, unless one alone is larger. 8 MiB unless told. */
  readonly batchBytesMax?: number
}

const NO_EPOCHS: Epochs = { accepted: 0, acceptedFrom: null, current: 0 }

/**
 * The LMDB store, synchronous: log, epochs, founding and identity in one environment, snapshots as files beside it. One at a time on a folder: its host sees to that.
 *
 * Each flush carries the oldest packs as one transaction, which is durable when it has returned. Nothing is ever changed in place: a truncation begins a new sub-database, compaction and
 * installation let go of whole ones, and `background` drops those, one in each step.
 */
export class LmdbEngine extends EngineBase<Log> {
  /** A transaction is there whole or not: none is mistaken for a torn one. */
  readonly sealed = true
  readonly #folder: string
  readonly #settings: Required<EngineOptions>
  readonly #zeroFill: ZeroFill
  #environment: Environment | null = null
  #founding: Founding | null = null
  #foundingChanged = false
  #epochs: Epochs = NO_EPOCHS
  #nextSegment = 1
  #commits = 0
  /** Of the values beside the head, as they were last stored. */
  #checksums = { founding: 0, ends: 0, segments: 0 }
  #log!: Log
  /** Sub-databases of which nothing is needed any more; of those that an earlier process left, the names. */
  #outdated: (Database | string)[] = []

  constructor(folder: string, options: EngineOptions = {}) {
    const settings = engineSettings(options)
    super(new NodeDisk(folder), settings.batchBytesMax)
    this.#folder = folder
    this.#settings = settings
    this.#zeroFill = new ZeroFill(this.disk, settings.aheadBytes)
  }

  get lastBatch(): number {
    return this.#commits
  }

  protected release(): void {
    this.#zeroFill.close()
    this.#environment?.close()
    this.#environment = null
  }

  protected recover(freshStoreId: StoreId): StoredState {
    const names = this.disk.list()
    if (names.includes(MARKER_NAME)) this.#reopen(names)
    else this.#create(names, freshStoreId)
    const snapshot = this.checkNewest()
    const { start, tail, endPoints } = this.#log
    if (start.zxid > (snapshot?.zxid ?? ZERO))
      throw damaged('the log', `it begins behind ${formatZxid(start.zxid)}, and no snapshot stands for what came before`)
    return {
      storeId: this.storeId,
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
    for (const name of [aside, DATA_NAME, LMDB_LOCK_NAME]) if (names.includes(name)) this.disk.remove(name)
    const file = this.disk.open(aside, 'create')
    try {
      this.disk.write(file, encodeMarker(freshStoreId), 0)
      this.disk.sync(file)
    } finally {
      this.disk.close(file)
    }
    this.disk.syncDirectory()
    this.adopt({ storeId: freshStoreId, generation: 0, nextGeneration: 1, snapshots: [] })
    this.#environment = new Environment(`${this.#folder}/${DATA_NAME}`, this.#settings.mapBytes)
    this.#log = new Log(this.#environment, freshStoreId, this.#settings.segmentBytes)
    this.#commit(() => undefined)
    this.disk.syncDirectory()
    this.disk.rename(aside, MARKER_NAME)
    this.disk.syncDirectory()
  }

  #reopen(names: readonly string[]): void {
    const marker = readMarker(this.disk)
    if (!names.includes(DATA_NAME)) throw damaged('the file', 'it is not there')
    const environment = new Environment(`${this.#folder}/${DATA_NAME}`, this.#settings.mapBytes)
    this.#environment = environment
    const { head, founding, ends, segments } = environment.read(() => readStored(environment.root, marker))
    this.#adoptHead(head, names)
    this.#founding = founding
    this.#checksums = { founding: head.foundingChecksum, ends: head.endsChecksum, segments: head.segmentsChecksum }
    const outdated = leftovers(environment.names(), segments)
    this.#log = new Log(environment, head.storeId, this.#settings.segmentBytes, head.tail, ends)
    // Rule 4: what is read may be on its way to the disk only. A page that was read cannot be told from one that is durable, but LMDB names no page before it was flushed, and what
    // this commit names is durable with it.
    this.#commit(() => this.#log.adopt(segments))
    this.#outdated = outdated
    this.garbage.removeAll()
  }

  #adoptHead(head: Head, names: readonly string[]): void {
    const { storeId, generation } = head
    this.adopt({ storeId, generation, ...this.#takeFiles(names, generation, head.nextGeneration) })
    this.#epochs = head.epochs
    this.#nextSegment = head.nextSegment
    this.#commits = head.commits
  }

  /** Finished snapshots of the installed generation count; everything else goes. */
  #takeFiles(names: readonly string[], generation: number, nextGeneration: number): Pick<Found, 'nextGeneration' | 'snapshots'> {
    const snapshots: Zxid[] = []
    for (const name of names) {
      const parsed = parseSnapshotName(name)
      if (parsed === null) {
        if (name === MARKER_NAME + ASIDE) this.garbage.add(name)
        continue
      }
      nextGeneration = Math.max(nextGeneration, parsed.generation + 1)
      if (parsed.generation === generation && !parsed.aside) snapshots.push(parsed.zxid)
      else this.garbage.add(name)
    }
    return { nextGeneration, snapshots: snapshots.sort((a, b) => a - b) }
  }

  seal(): boolean {
    return false
  }

  /** One sub-database, one file, or one step of zero-filling. */
  background(): boolean {
    const environment = this.#environment
    if (this.failed !== null || environment === null) return false
    if (this.#tidy(environment)) return true
    try {
      return this.#zeroFill.step(() => environment.end)
    } catch (error) {
      this.fail(error)
      return false
    }
  }

  /** False when nothing is left to go, or it failed. */
  #tidy(environment: Environment): boolean {
    if (this.garbage.removeOne()) return true
    const outdated = this.#outdated.pop()
    if (outdated === undefined) return false
    try {
      this.#reserve(environment, 0)
      environment.commit(() => this.#drop(outdated))
      return true
    } catch (error) {
      this.fail(error)
      return false
    }
  }

  /** Within a commit. */
  #drop(outdated: Database | string): void {
    const database = outdated instanceof Database ? outdated : this.#environment!.database(outdated)
    database.drop()
  }

  protected get start(): Zxid {
    return this.#log.start.zxid
  }

  protected readLog(after: Zxid, upTo: Zxid, bytesMax: number): Run[] {
    return this.#environment!.read(() => this.#log.read(after, upTo, bytesMax))
  }

  protected pointAt(zxid: Zxid): Point | null {
    return this.#environment!.read(() => this.#log.pointAt(zxid))
  }

  protected logBehind({ zxid, checksum, time, endPoints }: SnapshotMeta): Log {
    return new Log(this.#environment!, this.storeId, this.#settings.segmentBytes, { zxid, checksum, time }, endPoints)
  }

  protected discardLog(log: Log): void {
    this.#outdated.push(...log.dropAll())
  }

  protected dropThrough(limit: Zxid): void {
    this.#environment!.releaseDead()
    const dropped = this.#log.dropThrough(limit)
    if (dropped.length === 0) return
    this.#commit(() => undefined)
    this.#outdated.push(...dropped)
  }

  close(): void {
    const environment = this.#environment
    if (environment !== null) while (this.failed === null && this.#tidy(environment));
    this.closeReaders()
    this.release()
  }

  /** One transaction. */
  protected write(packs: readonly Pack[], staged: Log | null): void {
    if (packs.every(({ bytes }) => bytes.length === 0)) return
    const databases: Database[] = []
    const files: string[] = []
    let total = 0
    for (const { bytes } of packs) total += bytes.length
    this.#commit(() => {
      for (const { bytes } of packs) this.#carryOut(bytes, staged, databases, files)
      staged?.settle()
    }, total)
    this.#outdated.push(...databases)
    this.garbage.add(...files)
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
          databases.push(...log.truncate(u64(bytes, payload) as Zxid, u32(bytes, payload + 8), this.floor, newSegment))
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
    databases.push(...this.#log.dropAll())
    const { log, replaced } = this.install(generation)
    files.push(...replaced)
    this.#log = log
  }

  /** `work`, and the head that makes it count, in one transaction. @throws AntiphonError: the store has failed. */
  #commit(work: () => void, bytes = 0): void {
    const environment = this.#environment!
    const { root } = environment
    this.#reserve(environment, bytes)
    const outdated = this.#outdated
    const segments = this.#nextSegment
    environment.commit(() => {
      work()
      // Under load there are no idle moments: more is dropped than is begun, so that it does not pile up.
      for (let i = segments - 1; i < this.#nextSegment && outdated.length > 0; i++) this.#drop(outdated.pop()!)
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

  /** Of a database that is dropped, and of the lists, which may be long, the pages are few beside their own. */
  #reserve(environment: Environment, bytes: number): void {
    const lists = this.#settings.segmentBytes / 256 + 64 * (this.#log?.segments.length ?? 0) + 16 * (this.#log?.closedEnds.length ?? 0)
    this.#zeroFill.reserve(bytes + lists, () => environment.end)
  }

  #head(): Head {
    return {
      storeId: this.storeId,
      generation: this.generation,
      nextGeneration: this.nextGeneration,
      nextSegment: this.#nextSegment,
      commits: this.#commits,
      epochs: this.#epochs,
      tail: this.#log.tail,
      foundingChecksum: this.#checksums.founding,
      endsChecksum: this.#checksums.ends,
      segmentsChecksum: this.#checksums.segments,
    }
  }
}

function put(root: Database, key: number, value: Uint8Array): number {
  root.put(key, value)
  return valueChecksum(value)
}

/** The options, checked, with what is not told filled in. @throws AntiphonError INVALID_SETTINGS */
export function engineSettings(options: EngineOptions): Required<EngineOptions> {
  return {
    segmentBytes: within(options.segmentBytes ?? 16 * 1024 * 1024, 1024, 2 ** 30, 'segmentBytes'),
    aheadBytes: within(options.aheadBytes ?? 4 * 1024 * 1024, 0, 2 ** 30, 'aheadBytes'),
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
