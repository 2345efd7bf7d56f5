import { join } from 'node:path'
import { AntiphonError, type Checksum, formatZxid, invalidArgument, type Run, type StoredState, type Zxid } from '@antiphon/ports'
import {
  ASIDE,
  CheckedDisk,
  chunksIn,
  continues,
  corruptAt,
  type Damage,
  damageOf,
  entriesBetween,
  foreignFolder,
  isForeign,
  LOCK_NAME,
  parseSnapshotName,
  type SnapshotDescription,
  type SnapshotPosition,
  SnapshotReader,
  type Verification,
} from '@antiphon/storage-kit'
import { NodeDisk } from '@antiphon/storage-kit/node'
import { DATA_NAME, damaged, FORMAT_VERSION, LMDB_LOCK_NAME, MARKER_NAME } from './format.ts'
import { readMarker } from './recovery.ts'
import { type Moment, type SegmentDescription, ViewProcess } from './view-process.ts'

/** What a folder holds, as an `open()` would find it. */
export interface StoreDescription extends StoredState {
  readonly formatVersion: number
  /** Of the installed snapshot and log. */
  readonly generation: number
  /** Number of the last commit. */
  readonly lastBatch: number
  /** In the log. */
  readonly entries: number
  readonly segments: readonly SegmentDescription[]
  /** Ascending. A damaged one is left out. */
  readonly snapshots: readonly SnapshotDescription[]
  /** Of the environment's file. */
  readonly dataBytes: number
  /** Files and sub-databases that nothing refers to: they are removed when the store is opened, and thereafter. */
  readonly leftovers: readonly string[]
}

interface Held {
  readonly zxid: Zxid
  readonly file: string
  /** The store may remove it at any time: what is asked of it is asked at first. */
  readonly bytes: number
  readonly reader: SnapshotReader | AntiphonError
}

const READ_BYTES = 1024 * 1024
const OWN_FILES = new Set([MARKER_NAME, DATA_NAME, LMDB_LOCK_NAME, LOCK_NAME])

/** A store as it stood at one moment, whoever else has it open; nothing is changed but LMDB's lock file. */
export class Examination {
  readonly state: StoredState
  readonly #disk: CheckedDisk
  readonly #view: ViewProcess
  readonly #moment: Moment
  readonly #snapshots: readonly Held[]
  readonly #names: readonly string[]

  private constructor(disk: CheckedDisk, view: ViewProcess, moment: Moment, snapshots: readonly Held[], names: readonly string[]) {
    this.#disk = disk
    this.#view = view
    this.#moment = moment
    this.#snapshots = snapshots
    this.#names = names
    const { storeId, founding, epochs, start, tail, endPoints } = moment
    const newest = snapshots.at(-1)?.reader ?? null
    if (newest instanceof AntiphonError) throw newest
    const log = { start: start.zxid, last: tail.zxid, checksum: tail.checksum, endPoints, time: tail.time }
    this.state = { storeId, founding, epochs, snapshot: newest?.meta ?? null, log }
  }

  /** @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FAILED */
  static async of(folder: string): Promise<Examination> {
    const disk = new CheckedDisk(new NodeDisk(folder))
    const before = disk.list()
    expectStore(before)
    const marker = readMarker(disk)
    if (!before.includes(DATA_NAME)) throw damaged('the file', 'it is not there')
    const view = new ViewProcess()
    let held: Held[] = []
    try {
      const moment = await view.open(join(folder, DATA_NAME), marker)
      const names = disk.list()
      held = openAll(disk, names, moment)
      const examination = new Examination(disk, view, moment, held, names)
      await examination.#expectSound()
      return examination
    } catch (error) {
      closeAll(held)
      view.end()
      throw error
    }
  }

  /** As an `open()` does. */
  async #expectSound(): Promise<void> {
    const { log, snapshot } = this.state
    if (log.start > (snapshot?.zxid ?? 0)) throw damaged('the log', `it begins behind ${formatZxid(log.start)}, and no snapshot stands for what came before`)
    const newest = this.#snapshots.at(-1)
    if (newest !== undefined) await this.#expectInHistory(newest)
  }

  /** @throws AntiphonError DISK_FAILED */
  describe(): StoreDescription {
    const { generation, commits, segments, leftovers } = this.#moment
    const { log } = this.state
    const snapshots: SnapshotDescription[] = []
    for (const { file, bytes, reader } of this.#snapshots) {
      if (!(reader instanceof AntiphonError)) snapshots.push({ file, bytes, meta: reader.meta, chunkBytes: reader.bytes })
    }
    const used = new Set([...OWN_FILES, ...this.#snapshots.map(({ file }) => file)])
    return {
      ...this.state,
      formatVersion: FORMAT_VERSION,
      generation,
      lastBatch: commits,
      entries: entriesBetween(log.endPoints, log.start, log.last),
      segments,
      snapshots,
      dataBytes: sizeOf(this.#disk, DATA_NAME),
      leftovers: [...leftovers, ...this.#names.filter((name) => !used.has(name) && !isLater(name, this.#moment))],
    }
  }

  read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<Run[]> {
    return this.#view.read(after, upTo, bytesMax)
  }

  /** The newest one, or the one at `zxid`. @throws AntiphonError CORRUPT */
  snapshot(zxid?: Zxid): SnapshotReader | null {
    const held = zxid === undefined ? this.#snapshots.at(-1) : this.#snapshots.find((one) => one.zxid === zxid)
    if (held === undefined) return null
    if (held.reader instanceof AntiphonError) throw held.reader
    return held.reader
  }

  /** Reads all of it back: every entry, every chunk of every snapshot. @throws AntiphonError DISK_FAILED, VERSION_MISMATCH */
  async verify(): Promise<Verification<StoreDescription>> {
    const store = this.describe()
    const damages: Damage[] = []
    const collect = async (look: () => Promise<void>): Promise<void> =>
      look().catch((error: unknown) => {
        const damage = damageOf(error)
        if (!damages.some(({ file, what }) => file === damage.file && what === damage.what)) damages.push(damage)
      })
    const read = { entries: 0, entryBytes: 0, chunks: 0, chunkBytes: 0 }
    let end: Checksum | null = this.#moment.start.checksum
    for (const segment of store.segments) {
      await collect(async () => {
        const known = end
        end = null
        end = await this.#readSegment(segment, known, ({ entries, bytes }) => {
          read.entries += entries
          read.entryBytes += bytes.length
        })
      })
    }
    if (end !== null && end !== this.#moment.tail.checksum) damages.push(damageOf(damaged('the log', 'it does not end in the checksum that it should have')))
    for (const held of this.#snapshots) {
      await collect(async () => {
        for await (const chunk of this.#chunks(held)) {
          read.chunks++
          read.chunkBytes += chunk.length
        }
      })
    }
    return { store, ...read, damages }
  }

  /** Of the history, the checksum behind the segment. */
  async #readSegment({ database, previous, last }: SegmentDescription, before: Checksum | null, taken: (run: Run) => void): Promise<Checksum | null> {
    let [after, checksum] = [previous, before]
    while (after < last) {
      const runs = await this.read(after, last, READ_BYTES)
      if (runs.length === 0) throw damaged(database, 'the log ends before its last entry')
      for (const run of runs) {
        if (!continues(run, after, checksum)) throw damaged(database, 'entries do not follow the ones before them')
        taken(run)
        after = run.last
        checksum = run.checksum
      }
    }
    return checksum
  }

  async *#chunks(held: Held): AsyncGenerator<Uint8Array> {
    if (held.reader instanceof AntiphonError) throw held.reader
    for (let position: SnapshotPosition | null = held.reader.begin; position !== null; ) {
      const { bytes, next }: { bytes: Uint8Array; next: SnapshotPosition | null } = held.reader.read(position, READ_BYTES)
      yield* chunksIn(bytes)
      position = next
    }
    await this.#expectInHistory(held)
  }

  /** What lies before the log cannot be compared with it. */
  async #expectInHistory({ zxid, file, reader }: Held): Promise<void> {
    if (reader instanceof AntiphonError) throw reader
    const point = zxid < this.state.log.start ? null : await this.#view.pointAt(zxid)
    if (reader.meta.zxid !== zxid || (zxid >= this.state.log.start && point?.checksum !== reader.meta.checksum))
      throw corruptAt(file, 0, 'the snapshot is not one of the history in the log')
  }

  end(): void {
    closeAll(this.#snapshots)
    this.#view.end()
  }
}

/** Those of the moment's generation; what was saved after it is not part of it. */
function openAll(disk: CheckedDisk, names: readonly string[], { storeId, generation, tail }: Moment): Held[] {
  const held: Held[] = []
  for (const file of names) {
    const parsed = parseSnapshotName(file)
    if (parsed === null || parsed.aside || parsed.generation !== generation || parsed.zxid > tail.zxid) continue
    held.push({ zxid: parsed.zxid, file, bytes: sizeOf(disk, file), reader: tryOpen(disk, file, storeId, generation) })
  }
  return held.sort((a, b) => a.zxid - b.zxid)
}

function tryOpen(disk: CheckedDisk, file: string, storeId: string, generation: number): SnapshotReader | AntiphonError {
  try {
    return new SnapshotReader(disk, file, storeId, generation)
  } catch (error) {
    if ((error as AntiphonError).code !== 'CORRUPT') throw error
    return error as AntiphonError
  }
}

function closeAll(snapshots: readonly Held[]): void {
  for (const { reader } of snapshots) if (!(reader instanceof AntiphonError)) reader.close()
}

/** A snapshot that was saved after the moment. */
function isLater(name: string, { generation, tail }: Moment): boolean {
  const parsed = parseSnapshotName(name)
  return parsed !== null && !parsed.aside && parsed.generation === generation && parsed.zxid > tail.zxid
}

function sizeOf(disk: CheckedDisk, name: string): number {
  const file = disk.open(name, 'read')
  try {
    return disk.size(file)
  } finally {
    disk.close(file)
  }
}

function expectStore(names: readonly string[]): void {
  if (names.includes(MARKER_NAME)) return
  if (!names.includes(MARKER_NAME + ASIDE) && isForeign(names, MARKER_NAME)) throw foreignFolder(names, MARKER_NAME)
  throw invalidArgument('there is no store in the folder', 'Name the folder of a store.')
}
