import { corrupt, type Epochs, type Founding, type StoreId, type Zxid } from '@antiphon/ports'
import {
  ASIDE,
  type CheckedDisk,
  corruptAt,
  expectVersion,
  type FileHandle,
  foreignFolder,
  isForeign,
  type Point,
  RECORD_EPOCHS,
  RECORD_FOUNDING,
  RECORD_HEAD_BYTES,
  RECORD_RUN,
  RECORD_TRUNCATE,
  readEpochs,
  recordLength,
  runHeadAt,
  snapshotName,
  u32,
  u64,
} from '@antiphon/storage-kit'
import { decodeFounding } from '@antiphon/wire'
import {
  decodeMarker,
  encodeMarker,
  encodeSegmentHead,
  FORMAT_VERSION,
  MARKER_NAME,
  parseName,
  RECORD_SEAL,
  recordSalt,
  type SegmentHead,
  samePoint,
  segmentName,
} from './format.ts'
import { emptyLog, type Log, type LogSettings } from './log-files.ts'
import { LogIndex, type Segment } from './log-index.ts'
import { FileReader, findLaterRecord, isPrefix, type RecordVisit, type Scan, scanBatches } from './scan.ts'

/** What the folder holds, all of it durable. */
export interface Recovered {
  readonly storeId: StoreId
  readonly founding: Founding | null
  readonly epochs: Epochs
  readonly log: Log
  /** The last batch is an empty one, or there is none. */
  readonly sealed: boolean
  /** Of the installed generation, ascending. */
  readonly snapshots: readonly Zxid[]
  /** Files of generations before the installed one: not to be removed before a batch follows the installation. */
  readonly outdated: readonly string[]
  readonly nextNumber: number
  readonly nextGeneration: number
}

export const NO_EPOCHS: Epochs = { accepted: 0, acceptedFrom: null, current: 0 }

/**
 * Recovers, in this order: the marker; a folder that was never finished is begun anew. Which generation is installed. Its segments, each batch verified. The last
 * segment's live records are copied to a fresh file, because what can be read back need not be durable (rule 4). Leftovers are removed.
 * @throws AntiphonError CORRUPT, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED
 */
export function recover(disk: CheckedDisk, freshStoreId: StoreId, settings: LogSettings): Recovered {
  const storeId = identify(disk, freshStoreId)
  const names = disk.list()
  const opened: LogFile[] = []
  try {
    return new Recovery(disk, storeId, names, opened).run(settings)
  } finally {
    for (const { file } of opened) if (file !== null) disk.close(file)
  }
}

function identify(disk: CheckedDisk, freshStoreId: StoreId): StoreId {
  const names = disk.list()
  if (!names.includes(MARKER_NAME)) {
    if (isForeign(names, MARKER_NAME)) throw foreignFolder(names, MARKER_NAME)
    return create(disk, names, freshStoreId)
  }
  const file = disk.open(MARKER_NAME, 'read')
  try {
    const bytes = new Uint8Array(Math.min(disk.size(file), 4096))
    const marker = disk.read(file, bytes, 0) === bytes.length ? decodeMarker(bytes) : null
    if (marker === null) {
      if (names.some((name) => parseName(name) !== null)) throw corruptAt(MARKER_NAME, 0, 'the checksum does not match')
      return create(disk, names, freshStoreId)
    }
    expectVersion(marker.version, FORMAT_VERSION, 'the store')
    return marker.storeId
  } finally {
    disk.close(file)
  }
}

/** The marker gets its name last: a folder with it holds a whole store. */
function create(disk: CheckedDisk, names: readonly string[], storeId: StoreId): StoreId {
  const leftovers = names.filter((name) => parseName(name) !== null)
  for (const name of leftovers) disk.remove(name)
  // Without the marker they would be somebody else's files.
  if (leftovers.length > 0) disk.syncDirectory()
  for (const name of [MARKER_NAME, MARKER_NAME + ASIDE]) if (names.includes(name)) disk.remove(name)
  writeWhole(disk, MARKER_NAME + ASIDE, encodeMarker(storeId))
  disk.syncDirectory()
  const head: SegmentHead = {
    storeId,
    generation: 0,
    staged: false,
    installs: false,
    firstBatch: 1,
    previous: new LogIndex().start,
    epochs: NO_EPOCHS,
    founding: null,
  }
  writeWhole(disk, segmentName(0, 1), encodeSegmentHead(head))
  disk.syncDirectory()
  disk.rename(MARKER_NAME + ASIDE, MARKER_NAME)
  disk.syncDirectory()
  return storeId
}

function writeWhole(disk: CheckedDisk, name: string, bytes: Uint8Array): void {
  const file = disk.open(name, 'create')
  try {
    disk.write(file, bytes, 0)
    disk.sync(file)
  } finally {
    disk.close(file)
  }
}

interface LogFile {
  readonly name: string
  readonly generation: number
  readonly number: number
  file: FileHandle | null
  readonly reader: FileReader
  readonly head: SegmentHead | null
  /** Of the head. */
  readonly begin: number
}

class Recovery {
  readonly #disk: CheckedDisk
  readonly #storeId: StoreId
  readonly #names: readonly string[]
  readonly #opened: LogFile[]
  readonly #garbage: string[] = []
  #log: Log = emptyLog(0, false)
  #founding: Founding | null = null
  #epochs: Epochs = NO_EPOCHS
  #sealed = false
  /** Where the batches of one segment did not go on in the next, which is sound only if a snapshot stands for what came before. */
  #gap: { readonly file: string; readonly offset: number } | null = null

  constructor(disk: CheckedDisk, storeId: StoreId, names: readonly string[], opened: LogFile[]) {
    this.#disk = disk
    this.#storeId = storeId
    this.#names = names
    this.#opened = opened
  }

  run(settings: LogSettings): Recovered {
    const files = this.#openAll()
    const { installed, above, below } = this.#chooseGeneration(files)
    const generation = installed[0]!.generation
    this.#log = emptyLog(generation, false)
    this.#scan(installed)
    for (const file of above) this.#assertDead(file)
    const snapshots = this.#snapshots(generation)
    for (const { name } of above) this.#garbage.push(name)
    for (const name of this.#garbage) this.#disk.remove(name)
    this.#copyLast(settings)
    const outdated = below.map(({ name }) => name)
    for (const name of this.#names) {
      const parsed = parseName(name)
      if (parsed?.kind === 'snapshot' && !parsed.aside && parsed.generation < generation) outdated.push(name)
    }
    const numbers = files.map(({ number }) => number)
    const generations = this.#names.map((name) => parseName(name)?.generation ?? 0)
    return {
      storeId: this.#storeId,
      founding: this.#founding,
      epochs: this.#epochs,
      log: this.#log,
      sealed: this.#sealed || this.#log.lastBatch === 0,
      snapshots,
      outdated,
      nextNumber: Math.max(0, ...numbers) + 1,
      nextGeneration: Math.max(0, ...generations) + 1,
    }
  }

  #openAll(): LogFile[] {
    const found: LogFile[] = []
    for (const name of this.#names) {
      const parsed = parseName(name)
      if (parsed === null && name !== MARKER_NAME + ASIDE) continue
      if (parsed === null || parsed.aside) {
        this.#garbage.push(name)
        continue
      }
      if (parsed.kind !== 'log') continue
      const file = this.#disk.open(name, 'write')
      const reader = new FileReader(this.#disk, file)
      const decoded = reader.head()
      if (decoded !== null && (decoded.head.storeId !== this.#storeId || decoded.head.generation !== parsed.generation)) {
        throw corruptAt(name, 0, `the file is of store ${decoded.head.storeId}, generation ${decoded.head.generation}, or has another's name`)
      }
      const { generation, number } = parsed
      const logFile: LogFile = { name, generation, number, file, reader, head: decoded?.head ?? null, begin: decoded?.length ?? 0 }
      this.#opened.push(logFile)
      found.push(logFile)
    }
    return found.sort((a, b) => a.number - b.number)
  }

  /** The highest generation whose installation is whole; staged ones, and an installation that was torn, are above it. */
  #chooseGeneration(files: readonly LogFile[]): { installed: LogFile[]; above: LogFile[]; below: LogFile[] } {
    const generations = [...new Set(files.map(({ generation }) => generation))].sort((a, b) => b - a)
    const above: LogFile[] = []
    for (const generation of generations) {
      const own = files.filter((file) => file.generation === generation)
      const main = own.filter(({ head }) => head !== null && !head.staged)
      if (main.length > 0 && this.#stands(main)) return { installed: own, above, below: files.filter((file) => file.generation < generation) }
      above.push(...own)
    }
    const first = files[0]?.name
    throw first === undefined ? corrupt('the marker of a store, and no log', { file: MARKER_NAME, offset: 0 }) : corruptAt(first, 0, 'no log whose head holds')
  }

  #stands(main: readonly LogFile[]): boolean {
    const { name, head, reader, begin } = main[0]!
    if (!head!.installs) return true
    const salt = recordSalt(this.#storeId, head!.generation)
    let whole = false
    const { bad, end } = scanBatches(reader, begin, salt, head!.firstBatch, false, () => (whole = true))
    if (whole) return true
    // Another reading: a whole generation depends on it.
    reader.release()
    const again = scanBatches(reader, begin, salt, head!.firstBatch, false, () => (whole = true))
    if (whole) throw corruptAt(name, Math.min(end, again.end), 'two readings of what stands here differ')
    // By a reading of its own, each time.
    const finds = (): boolean => {
      reader.release()
      return findLaterRecord(reader, begin, salt, head!.firstBatch, false) !== null
    }
    if (finds() || finds() || main.length > 1)
      throw corruptAt(name, bad?.offset ?? end, 'the installation of a generation does not hold, but later batches follow it')
    return false
  }

  /** Reads the installed generation's log. */
  #scan(files: readonly LogFile[]): void {
    const lastAt = files.findLastIndex(({ head }) => head !== null)
    for (let i = 0; i < files.length; i++) {
      const file = files[i]!
      if (i > lastAt) {
        this.#assertDead(file)
        this.#garbage.push(file.name)
        continue
      }
      if (file.head === null) throw corruptAt(file.name, 0, 'the head does not hold, but later segments follow')
      this.#scanSegment(file, file.head, i === lastAt)
    }
  }

  #scanSegment(file: LogFile, head: SegmentHead, last: boolean): void {
    const { name, reader, begin } = file
    const log = this.#log
    const before = log.segments.at(-1)?.head
    // Batches of a staged log are numbered by themselves: that one of them fits a later segment's number means nothing.
    const continues = before !== undefined && before.staged === head.staged && head.firstBatch === log.lastBatch + 1
    const follows = before !== undefined && head.installs ? samePoint(head.previous, log.index.tail) : continues
    if (!follows) this.#restart(name, head.previous)
    else if (!samePoint(head.previous, log.index.tail)) throw corruptAt(name, 0, 'the head does not name the history that the segment follows')
    if (!head.staged) {
      this.#epochs = head.epochs
      this.#founding = head.founding
    }
    const salt = recordSalt(this.#storeId, head.generation)
    const segment: Segment = { name, number: file.number, head, file: null, begin, end: begin, filled: reader.size }
    this.#log.segments.push(segment)
    const scan = scanBatches(reader, begin, salt, head.firstBatch, head.staged, (records) => this.#apply(segment, records))
    const { end, lastBatch, bad } = scan
    segment.end = end
    this.#log.lastBatch = lastBatch
    if (bad !== null && !last) throw corruptAt(name, bad.offset, `${bad.reason}, but later segments follow`)
    if (last) {
      this.#assertLast(name, reader, scan, salt, head.staged)
      this.#assertSame(segment, scan, new FileReader(this.#disk, file.file!))
    }
    reader.release()
  }

  /** What is behind the end is dropped for good, so two readings must agree on where it is: a disk may once give what stands in another place. */
  #assertSame({ name, head, begin }: Segment, { end, lastBatch }: Pick<Scan, 'end' | 'lastBatch'>, reader: FileReader): void {
    const salt = recordSalt(this.#storeId, head.generation)
    const again = scanBatches(reader, begin, salt, head.firstBatch, head.staged, () => undefined)
    if (again.end !== end || again.lastBatch !== lastBatch) throw corruptAt(name, Math.min(end, again.end), 'two readings of what stands here differ')
    this.#assertLast(name, reader, again, salt, head.staged)
  }

  /** Behind the last whole batch stands at most what was torn, which nothing follows (rule 2). */
  #assertLast(name: string, reader: FileReader, { end, lastBatch, bad }: Scan, salt: number, staged: boolean): void {
    const later = findLaterRecord(reader, end, salt, lastBatch + 1, staged)
    if (later === null) return
    throw corruptAt(name, bad?.offset ?? end, `${bad?.reason ?? 'nothing is written here'}, but batch ${later.batch} follows at ${later.offset}`)
  }

  /** The log begins with this segment: those before it are leftovers of a compaction, or missed (which the snapshot tells). */
  #restart(name: string, previous: Point): void {
    const last = this.#log.segments.at(-1)
    if (last !== undefined) {
      this.#gap = { file: last.name, offset: last.end }
      for (const segment of this.#log.segments) this.#garbage.push(segment.name)
    } else if (previous.zxid > 0) {
      this.#gap = { file: name, offset: 0 }
    }
    this.#log = emptyLog(this.#log.generation, false, new LogIndex(previous))
  }

  #apply(segment: Segment, records: readonly RecordVisit[]): void {
    const { index } = this.#log
    this.#sealed = records.length === 1 && records[0]!.kind === RECORD_SEAL
    for (const { kind, offset, next, bytes } of records) {
      const at = RECORD_HEAD_BYTES
      if (kind === RECORD_RUN) {
        const run = runHeadAt(bytes, at)
        const { tail } = index
        if (run.previous !== tail.zxid || run.previousChecksum !== tail.checksum)
          throw corruptAt(segment.name, offset, 'entries do not follow the history before them')
        index.append(segment, offset, next, run)
      } else if (kind === RECORD_TRUNCATE) {
        index.truncate({ zxid: u64(bytes, at) as Zxid, checksum: u32(bytes, at + 8), time: u64(bytes, at + 16) })
      } else if (kind === RECORD_EPOCHS) {
        this.#epochs = readEpochs(bytes, at)
      } else if (kind === RECORD_FOUNDING) {
        this.#founding = decodeFounding(bytes.subarray(at, at + recordLength(bytes, 0)))
      }
    }
  }

  /** Nothing of a file that does not count may prove that it had been reported. */
  #assertDead({ name, reader, head, generation }: LogFile): void {
    if (head?.staged) return
    const later = findLaterRecord(reader, 0, recordSalt(this.#storeId, generation), this.#log.lastBatch + 1, false)
    if (later !== null) throw corruptAt(name, 0, `the head does not hold, but batch ${later.batch} follows at ${later.offset}`)
  }

  #snapshots(generation: number): Zxid[] {
    const found: Zxid[] = []
    for (const name of this.#names) {
      const parsed = parseName(name)
      if (parsed?.kind !== 'snapshot' || parsed.aside) continue
      if (parsed.generation === generation) found.push(parsed.number as Zxid)
      else if (parsed.generation > generation) this.#garbage.push(name)
    }
    found.sort((a, b) => a - b)
    const newest = found.at(-1) ?? 0
    const { start, tail } = this.#log.index
    if (start.zxid > newest) {
      const { file, offset } = this.#gap ?? { file: this.#log.segments[0]!.name, offset: 0 }
      throw corruptAt(file, offset, 'what follows here is missing, and no snapshot stands for it')
    }
    if (newest > tail.zxid) throw corruptAt(snapshotName(generation, newest as Zxid), 0, 'the snapshot is ahead of the log')
    return found
  }

  /** What can be read need not be on the disk: an earlier process may have seen a flush fail. So the last segment begins anew in a file that was flushed here. */
  #copyLast({ segmentBytes, aheadBytes, fillBytes }: LogSettings): void {
    const segment = this.#log.segments.at(-1)!
    const margin = Math.max(0, Math.min(fillBytes, aheadBytes, segmentBytes - segment.end))
    const from = this.#opened.find(({ name }) => name === segment.name)!
    const aside = segment.name + ASIDE
    const to = this.#disk.open(aside, 'create')
    try {
      const bytes = new Uint8Array(Math.min(segment.end, 1024 * 1024))
      for (let offset = 0; offset < segment.end; offset += bytes.length) {
        const part = bytes.subarray(0, Math.min(bytes.length, segment.end - offset))
        if (this.#disk.read(from.file!, part, offset) < part.length) throw corruptAt(segment.name, offset, 'the file ends early')
        this.#disk.write(to, part, offset)
      }
      if (margin > 0) this.#disk.write(to, new Uint8Array(margin), segment.end)
      this.#disk.sync(to)
      const copied = new FileReader(this.#disk, to)
      const copiedHead = copied.head()
      if (copiedHead === null || !sameBytes(encodeSegmentHead(copiedHead.head), encodeSegmentHead(segment.head)))
        throw corruptAt(segment.name, 0, 'what was copied is not what was read before')
      this.#assertSame(segment, { end: segment.end, lastBatch: this.#log.lastBatch }, copied)
    } finally {
      this.#disk.close(to)
    }
    this.#disk.close(from.file!)
    from.file = null
    this.#disk.rename(aside, segment.name)
    this.#disk.syncDirectory()
    segment.filled = segment.end + margin
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && isPrefix(a, b)
}
