import { corrupt, type Epochs, type Founding, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import {
  ASIDE,
  type CheckedDisk,
  corruptAt,
  type DamagedSnapshot,
  type FileHandle,
  newestSound,
  noOtherSnapshot,
  type Point,
  RECORD_EPOCHS,
  RECORD_FOUNDING,
  RECORD_HEAD_BYTES,
  readEpochs,
  recordLength,
  snapshotName,
} from '@antiphon/storage-kit'
import { decodeFounding } from '@antiphon/wire'
import { encodeSegmentHead, MARKER_NAME, parseName, RECORD_SEAL, recordSalt, type SegmentHead, samePoint } from './format.ts'
import { LogBehind, takeIntoIndex } from './log-behind.ts'
import { emptyLog, type Log, type LogSettings, NO_EPOCHS } from './log-files.ts'
import { LogIndex, type Segment } from './log-index.ts'
import { identify } from './marker.ts'
import { FileReader, findLaterRecord, isPrefix, type RecordVisit, type Scan, scanBatches } from './scan.ts'

/** What the folder holds, all of it durable. */
export interface Recovered {
  readonly storeId: StoreId
  readonly founding: Founding | null
  readonly epochs: Epochs
  readonly log: Log
  /** The last batch is an empty one, or there is none. */
  readonly sealed: boolean
  /** What the log holds in front of its index. */
  readonly behind: LogBehind
  /** Of the installed generation, ascending; the last one holds. */
  readonly snapshots: readonly Zxid[]
  /** Newer ones, newest first. The log stands for them. */
  readonly damaged: readonly DamagedSnapshot[]
  /** Files of generations before the installed one: not to be removed before a batch follows the installation. */
  readonly outdated: readonly string[]
  readonly nextNumber: number
  readonly nextGeneration: number
}

/**
 * Recovers, in this order: the marker; a folder that was never finished is begun anew. Which generation is installed. Its newest snapshot that holds. The segments that it does not
 * stand for, each batch verified; those before are only found to be there. The last segment's live records are copied to a fresh file, because what can be read back need not be
 * durable (rule 4). Leftovers are removed.
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

type LiveFile = LogFile & { readonly head: SegmentHead }

function isLive(file: LogFile): file is LiveFile {
  return file.head !== null
}

/**
 * `from`: the last one that begins at or below the snapshot at `base`; whatever is above it in the history stands there or later. `begin`: from there on none is missing. Where heads
 * do not tell, everything is to be scanned.
 */
function rangesOf(files: readonly LiveFile[], base: Zxid): { readonly begin: number; readonly from: number } {
  const from = Math.max(
    0,
    files.findLastIndex(({ head }) => head.previous.zxid <= base),
  )
  let begin = from
  while (begin > 0 && files[begin]!.head.left?.number === files[begin - 1]!.number) begin--
  const { left, firstBatch, installs } = files[begin]!.head
  const isFirst = firstBatch === 1 || installs
  return begin > 0 && left === null && !isFirst ? { begin: 0, from: 0 } : { begin, from }
}

class Recovery {
  readonly #disk: CheckedDisk
  readonly #storeId: StoreId
  readonly #names: readonly string[]
  readonly #opened: LogFile[]
  #behind: LogBehind
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
    this.#behind = new LogBehind(disk)
  }

  run(settings: LogSettings): Recovered {
    const files = this.#openAll()
    const { installed, above, below } = this.#chooseGeneration(files)
    const generation = installed[0]!.generation
    this.#log = emptyLog(generation, false)
    const found = this.#findSnapshots(generation)
    const { meta: snapshot, damaged } = newestSound(this.#disk, found, this.#storeId, generation)
    this.#scan(installed, snapshot?.zxid ?? ZERO)
    for (const file of above) this.#assertDead(file)
    this.#assertReaches(generation, found.at(-1) ?? ZERO, snapshot?.zxid ?? ZERO, damaged)
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
      behind: this.#behind,
      snapshots: found.slice(0, found.length - damaged.length),
      damaged,
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
    const first = (): boolean => {
      whole = true
      return false
    }
    const { bad, end } = scanBatches(reader, begin, salt, head!.firstBatch, false, first)
    if (whole) return true
    // Another reading: a whole generation depends on it.
    reader.release()
    const again = scanBatches(reader, begin, salt, head!.firstBatch, false, first)
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

  /** Reads the installed generation's log, from where the snapshot at `base` does not stand for it. */
  #scan(files: readonly LogFile[], base: Zxid): void {
    const lastAt = files.findLastIndex(({ head }) => head !== null)
    const live: LiveFile[] = []
    for (const file of files.slice(0, lastAt + 1)) {
      if (!isLive(file)) throw corruptAt(file.name, 0, 'the head does not hold, but later segments follow')
      live.push(file)
    }
    const { begin, from } = rangesOf(live, base)
    // Leftovers of a compaction.
    for (const { name } of live.slice(0, begin)) this.#garbage.push(name)
    for (let i = from; i < live.length; i++) this.#scanSegment(live[i]!, live[i]!.head, i === live.length - 1)
    const behind = live.slice(begin, from)
    if (this.#log.segments[0]!.name === live[from]!.name) this.#trust(behind, live[from]!)
    else for (const { name } of behind) this.#garbage.push(name)
    for (const file of files.slice(lastAt + 1)) {
      this.#assertDead(file)
      this.#garbage.push(file.name)
    }
  }

  /** What follows them begins in `next`. */
  #trust(files: readonly LiveFile[], next: LiveFile): void {
    const segments = files.map(({ name, number, head, begin, reader }, i): Segment => {
      const { left } = (files[i + 1] ?? next).head
      return { name, number, head, file: null, begin, end: left!.end, filled: reader.size, lowest: left!.lowest }
    })
    this.#log.segments.unshift(...segments)
    this.#behind = new LogBehind(this.#disk, segments, next.head)
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
    const segment: Segment = { name, number: file.number, head, file: null, begin, end: begin, filled: reader.size, lowest: head.previous.zxid }
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
    const again = scanBatches(reader, begin, salt, head.firstBatch, head.staged, () => true)
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

  #apply(segment: Segment, records: readonly RecordVisit[]): true {
    const { index } = this.#log
    this.#sealed = records.length === 1 && records[0]!.kind === RECORD_SEAL
    for (const record of records) {
      takeIntoIndex(index, segment, record)
      const { kind, bytes } = record
      const at = RECORD_HEAD_BYTES
      if (kind === RECORD_EPOCHS) this.#epochs = readEpochs(bytes, at)
      else if (kind === RECORD_FOUNDING) this.#founding = decodeFounding(bytes.subarray(at, at + recordLength(bytes, 0)))
    }
    return true
  }

  /** Nothing of a file that does not count may prove that it had been reported. By two readings, for it is dropped. */
  #assertDead({ name, reader, head, generation }: LogFile): void {
    if (head?.staged) return
    for (let readings = 0; readings < 2; readings++) {
      const later = findLaterRecord(reader, 0, recordSalt(this.#storeId, generation), this.#log.lastBatch + 1, false)
      if (later !== null) throw corruptAt(name, 0, `the head does not hold, but batch ${later.batch} follows at ${later.offset}`)
      reader.release()
    }
  }

  /** Those of the installed generation, ascending. */
  #findSnapshots(generation: number): Zxid[] {
    const found: Zxid[] = []
    for (const name of this.#names) {
      const parsed = parseName(name)
      if (parsed?.kind !== 'snapshot' || parsed.aside) continue
      if (parsed.generation === generation) found.push(parsed.number as Zxid)
      else if (parsed.generation > generation) this.#garbage.push(name)
    }
    return found.sort((a, b) => a - b)
  }

  /** Snapshot, at `base`, and log together have everything. `newest` may be one of the damaged snapshots. */
  #assertReaches(generation: number, newest: Zxid, base: Zxid, damaged: readonly DamagedSnapshot[]): void {
    const { start, tail } = this.#log.index
    if (start.zxid > base) {
      if (damaged.length > 0) throw noOtherSnapshot(damaged)
      const { file, offset } = this.#gap ?? { file: this.#log.segments[0]!.name, offset: 0 }
      throw corruptAt(file, offset, 'what follows here is missing, and no snapshot stands for it')
    }
    if (newest > tail.zxid) throw corruptAt(snapshotName(generation, newest), 0, 'the snapshot is ahead of the log')
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
