import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { AntiphonError, invalidArgument, type LogStore, type Run, type Snapshot, type StoredState, type Zxid } from '@antiphon/ports'
import { chunksIn, diskError, type SnapshotPosition, type SnapshotSource } from '@antiphon/storage-kit'
import { isLocked, NodeDisk } from '@antiphon/storage-kit/node'
import { Examination, type StoreDescription, type Verification, verifyStore } from './engine/index.ts'

/** A store's folder as it stood when it was opened, for reading. Reads hold the calling thread. */
export interface FolderView extends Pick<LogStore, 'read' | 'openSnapshot' | 'close'> {
  readonly state: StoredState
  readonly description: StoreDescription
  /** A store has the folder open. */
  readonly inUse: boolean
}

const PIECE_BYTES = 256 * 1024

/**
 * Reads a store's folder without taking it: also while a replica runs on it, which is not disturbed. Nothing in the folder is changed. What is seen is what an `open()` would have
 * found at some moment of the call; it stays readable until `close`, whatever the replica removes meanwhile. Costs the memory of one or two segments of the log.
 * @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FAILED
 */
export async function viewFolder(folder: string): Promise<FolderView> {
  const path = await folderAt(folder)
  const inUse = await isLocked(path)
  const disk = new NodeDisk(path)
  const examination = inUse ? examineInUse(disk) : new Examination(disk)
  const { engine, state } = examination
  let description: StoreDescription
  try {
    description = examination.describe()
  } catch (error) {
    examination.end()
    throw error
  }
  let isOpen = true
  const expectOpen = (): void => {
    if (!isOpen) throw new AntiphonError('CLOSED', 'the folder is closed', { remedy: 'Open it again.' })
  }
  return {
    state,
    description,
    inUse,
    async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
      expectOpen()
      return engine.read(after, upTo, bytesMax)
    },
    async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
      expectOpen()
      const reader = engine.openSnapshot(zxid)
      return reader === null ? null : snapshotOf(reader, () => engine.closeSnapshot(reader), expectOpen)
    },
    async close() {
      isOpen = false
      examination.end()
    },
  }
}

/**
 * Reads all of a store's folder: every checksum, and that everything continues what was before it, in log and snapshots. Damage is not thrown but told. Works on a folder that
 * a replica has open, and changes nothing.
 * @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FAILED
 */
export async function verifyFolder(folder: string): Promise<Verification & { readonly inUse: boolean }> {
  const path = await folderAt(folder)
  return { ...verifyStore(new NodeDisk(path)), inUse: await isLocked(path) }
}

const LOOKS_MAX = 5

/** What looks like damage beside a store that writes may be a file of which half had been written: it is looked at again. */
function examineInUse(disk: NodeDisk): Examination {
  for (let looks = 1; ; looks++) {
    try {
      return new Examination(disk)
    } catch (error) {
      if (looks === LOOKS_MAX || (error as AntiphonError).code !== 'CORRUPT') throw error
    }
  }
}

async function folderAt(folder: string): Promise<string> {
  if (typeof folder !== 'string' || folder === '') throw invalidArgument('no folder is named', "Name a store's folder.")
  const path = resolve(folder)
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') throw invalidArgument(`there is no folder ${path}`, "Name a store's folder.")
    throw diskError(error, 'opening', path)
  })
  if (!found.isDirectory()) throw invalidArgument(`${path} is a file, not a folder`, "Name a store's folder.")
  return path
}

function snapshotOf(reader: SnapshotSource, close: () => void, expectOpen: () => void): Snapshot {
  const { meta, bytes } = reader
  return {
    meta,
    bytes,
    async *chunks() {
      for (let position: SnapshotPosition | null = reader.begin; position !== null; ) {
        expectOpen()
        const frames: { readonly bytes: Uint8Array; readonly next: SnapshotPosition | null } = reader.read(position, PIECE_BYTES)
        yield* chunksIn(frames.bytes)
        position = frames.next
      }
    },
    async close() {
      close()
    },
  }
}
