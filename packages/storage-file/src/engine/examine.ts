import { type AntiphonError, type Checksum, corrupt, invalidArgument, type StoredState, type Zxid } from '@antiphon/ports'
import {
  ASIDE,
  chunksIn,
  continues,
  corruptAt,
  type Damage,
  type Disk,
  damageOf,
  diskError,
  entriesBetween,
  type FileHandle,
  foreignFolder,
  isForeign,
  type SnapshotDescription,
  type SnapshotPosition,
  type SnapshotReader,
  snapshotName,
  type Verification,
} from '@antiphon/storage-kit'
import { FileEngine } from './engine.ts'
import { FORMAT_VERSION, MARKER_NAME, parseName, segmentName } from './format.ts'
import type { SegmentSummary } from './log-summary.ts'
import { OverlayDisk } from './overlay-disk.ts'

export interface SegmentDescription extends SegmentSummary {
  /** Of the file, what is filled ahead included. */
  readonly bytes: number
}

/** What a folder holds, as an `open()` would find it. */
export interface StoreDescription extends StoredState {
  readonly formatVersion: number
  /** Of the installed snapshot and log. */
  readonly generation: number
  readonly lastBatch: number
  /** In the log. */
  readonly entries: number
  /** The last batch is an empty one: rot in those before it is seen. */
  readonly sealed: boolean
  readonly segments: readonly SegmentDescription[]
  /** Ascending. A damaged one is left out. */
  readonly snapshots: readonly SnapshotDescription[]
  /** Files of the store that nothing refers to: the next `open()` removes them. */
  readonly leftovers: readonly string[]
  /** Bytes behind the last whole batch, to be cut off by the next `open()`: a crash tore them, or they are being written. */
  readonly torn: { readonly file: string; readonly offset: number } | null
}

const READ_BYTES = 1024 * 1024
/** No store has it: a store that has it afterwards was made here. */
const NO_STORE_ID = '0'.repeat(32)

/** An engine on a folder as it stands, whoever else has it open; nothing is changed there. */
export class Examination {
  readonly engine: FileEngine
  readonly state: StoredState
  /** Damage that the store goes on in spite of. */
  readonly troubles: readonly AntiphonError[]
  readonly #disk: OverlayDisk
  /** As they were before recovery did its work. */
  readonly #originals: ReadonlyMap<string, FileHandle>

  /** @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FAILED */
  constructor(below: Disk) {
    expectStore(below)
    const disk = overlay(below)
    this.#disk = disk
    this.#originals = new Map(disk.list().map((name) => [name, disk.open(name, 'read')]))
    this.engine = new FileEngine(this.#disk, { aheadBytes: 0 })
    try {
      this.state = this.engine.open(NO_STORE_ID)
      if (this.state.storeId === NO_STORE_ID) throw corruptAt(MARKER_NAME, 0, 'the checksum does not match')
      while (this.engine.lookBehind());
      this.troubles = this.engine.takeTroubles()
    } catch (error) {
      this.#disk.end()
      throw error
    }
  }

  /** @throws AntiphonError DISK_FAILED */
  describe(): StoreDescription {
    const segments = this.engine.segments().map((segment) => ({ ...segment, bytes: this.#sizeOf(segment.file) }))
    const { generation } = segments[0]!
    const snapshots: SnapshotDescription[] = []
    for (const zxid of this.engine.snapshots) {
      const file = snapshotName(generation, zxid)
      const reader = this.#tryOpen(zxid)
      if (reader === null) continue
      snapshots.push({ file, bytes: this.#sizeOf(file), meta: reader.meta, chunkBytes: reader.bytes })
      this.engine.closeSnapshot(reader)
    }
    const passedOver = this.troubles.map(({ details }) => String(details['file']))
    const used = new Set([
      MARKER_NAME,
      ...passedOver,
      ...segments.map(({ file }) => file),
      ...this.engine.snapshots.map((zxid) => snapshotName(generation, zxid)),
    ])
    const { lastBatch, sealed } = this.engine
    return {
      ...this.state,
      formatVersion: FORMAT_VERSION,
      generation,
      lastBatch,
      entries: entriesBetween(this.state.log.endPoints, this.state.log.start, this.state.log.last),
      sealed,
      segments,
      snapshots,
      leftovers: [...this.#originals.keys()].filter((name) => !used.has(name)),
      torn: this.#torn(segments.at(-1)!),
    }
  }

  /** Reads all of it back: every entry, every chunk of every snapshot. @throws AntiphonError DISK_FAILED, VERSION_MISMATCH */
  verify(): Verification<StoreDescription> {
    const store = this.describe()
    const damages: Damage[] = []
    const read = { entries: 0, entryBytes: 0, chunks: 0, chunkBytes: 0 }
    for (const trouble of this.troubles) damages.push(damageOf(trouble))
    collect(damages, () => {
      for (const { entries, bytes } of this.#entries()) {
        read.entries += entries
        read.entryBytes += bytes
      }
    })
    for (const zxid of this.engine.snapshots) {
      collect(damages, () => {
        for (const chunk of this.#chunks(zxid, snapshotName(store.generation, zxid))) {
          read.chunks++
          read.chunkBytes += chunk.length
        }
      })
    }
    return { store, ...read, damages }
  }

  end(): void {
    this.#disk.end()
  }

  *#entries(): Generator<{ readonly entries: number; readonly bytes: number }> {
    const { last, checksum } = this.state.log
    let after = this.engine.indexedFrom
    let end: Checksum | null = null
    while (after < last) {
      const runs = this.engine.read(after, last, READ_BYTES)
      if (runs.length === 0) throw corruptAt(this.#segmentOf(after), 0, 'the log ends before its last entry')
      for (const run of runs) {
        if (!continues(run, after, end)) throw corruptAt(this.#segmentOf(after), 0, 'entries do not follow the ones before them')
        yield { entries: run.entries, bytes: run.bytes.length }
        after = run.last
        end = run.checksum
      }
    }
    if (end !== null && end !== checksum) throw corruptAt(this.#segmentOf(after), 0, 'the log does not end in the checksum that it should have')
  }

  *#chunks(zxid: Zxid, file: string): Generator<Uint8Array> {
    const reader = this.engine.openSnapshot(zxid)
    if (reader === null) throw corruptAt(file, 0, 'the snapshot is gone')
    try {
      const { meta } = reader
      const [point] = meta.zxid > this.engine.indexedFrom ? this.engine.read((meta.zxid - 1) as Zxid, meta.zxid, 1) : []
      if (meta.zxid !== zxid || (point !== undefined && point.checksum !== meta.checksum))
        throw corruptAt(file, 0, 'the snapshot is not one of the history in the log')
      for (let position: SnapshotPosition | null = reader.begin; position !== null; ) {
        const { bytes, next }: { bytes: Uint8Array; next: SnapshotPosition | null } = reader.read(position, READ_BYTES)
        yield* chunksIn(bytes)
        position = next
      }
    } finally {
      this.engine.closeSnapshot(reader)
    }
  }

  #segmentOf(zxid: Zxid): string {
    return (this.engine.segments().findLast(({ previous }) => previous <= zxid) ?? { file: segmentName(0, 1) }).file
  }

  #tryOpen(zxid: Zxid): SnapshotReader | null {
    try {
      return this.engine.openSnapshot(zxid)
    } catch (error) {
      if ((error as AntiphonError).code === 'CORRUPT') return null
      throw error
    }
  }

  /** Does anything but zeros stand behind the last whole batch? */
  #torn({ file, end }: SegmentDescription): StoreDescription['torn'] {
    const original = this.#originals.get(file)
    if (original === undefined) return null
    const bytes = new Uint8Array(READ_BYTES)
    for (let at = end; ; ) {
      const count = this.#disk.read(original, bytes, at)
      if (count === 0) return null
      for (let i = 0; i < count; i++) if (bytes[i] !== 0) return { file, offset: end }
      at += count
    }
  }

  #sizeOf(name: string): number {
    const original = this.#originals.get(name)
    return original === undefined ? 0 : this.#disk.size(original)
  }
}

/**
 * Damage that is found in a folder that a store is writing to has to be found again, at the same place of a new look.
 * @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FAILED
 */
export function verifyStore(below: Disk): Verification<StoreDescription> {
  let before = verifyOnce(below)
  for (let looks = 1; before.damages.length > 0 && looks < LOOKS_MAX; looks++) {
    const again = verifyOnce(below)
    if (JSON.stringify(again.damages) === JSON.stringify(before.damages)) return again
    before = again
  }
  return before
}

const LOOKS_MAX = 5

function verifyOnce(below: Disk): Verification<StoreDescription> {
  let examination: Examination
  try {
    examination = new Examination(below)
  } catch (error) {
    const damages: Damage[] = []
    collect(damages, () => {
      throw error
    })
    return { store: null, entries: 0, entryBytes: 0, chunks: 0, chunkBytes: 0, damages }
  }
  try {
    return examination.verify()
  } finally {
    examination.end()
  }
}

function collect(damages: Damage[], look: () => void): void {
  try {
    look()
  } catch (error) {
    const others = (error as Partial<AntiphonError>).details?.['others'] ?? []
    damages.push(damageOf(error), ...(others as readonly Damage[]))
  }
}

function expectStore(disk: Disk): void {
  let names: readonly string[]
  try {
    names = disk.list()
  } catch (error) {
    throw diskError(error, 'listing', 'the folder')
  }
  if (names.includes(MARKER_NAME)) return
  if (!names.includes(MARKER_NAME + ASIDE) && names.some((name) => parseName(name) !== null))
    throw corrupt(`the files of a store, and no ${MARKER_NAME}`, { file: MARKER_NAME, offset: 0 })
  if (isForeign(names, MARKER_NAME)) throw foreignFolder(names, MARKER_NAME)
  throw invalidArgument('there is no store in the folder', 'Name the folder of a store.')
}

function overlay(below: Disk): OverlayDisk {
  try {
    return new OverlayDisk(below)
  } catch (error) {
    throw diskError(error, 'reading', 'the folder')
  }
}
