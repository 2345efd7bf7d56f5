import type { AntiphonError, Run, Snapshot, Zxid } from '@antiphon/ports'
import { damageOf, type Verification } from '@antiphon/storage-kit'
import { existingFolder, type FolderView, folderClosed, isLocked, snapshotOf } from '@antiphon/storage-kit/node'
import { Examination, type StoreDescription } from './examine.ts'

const LOOKS_MAX = 5

/**
 * Reads a store's folder without taking it: also while a replica runs on it, which is not disturbed. Nothing in the folder is changed but LMDB's lock file. What is seen is what an
 * `open()` would have found at some moment of the call; it stays readable until `close`. Until then LMDB uses none of the pages again that are freed meanwhile: the file grows.
 * @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FAILED
 */
export async function viewFolder(folder: string): Promise<FolderView<StoreDescription>> {
  const path = await existingFolder(folder)
  const inUse = await isLocked(path)
  const examination = await examine(path, inUse)
  const { state } = examination
  let description: StoreDescription
  try {
    description = examination.describe()
  } catch (error) {
    examination.end()
    throw error
  }
  let isOpen = true
  const expectOpen = (): void => {
    if (!isOpen) throw folderClosed()
  }
  return {
    state,
    description,
    inUse,
    async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
      expectOpen()
      return examination.read(after, upTo, bytesMax)
    },
    async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
      expectOpen()
      const reader = examination.snapshot(zxid)
      return reader === null ? null : snapshotOf(reader, () => undefined, expectOpen)
    },
    async close() {
      isOpen = false
      examination.end()
    },
  }
}

/**
 * Reads all of a store's folder: every checksum, and that everything continues what was before it, in log and snapshots. Damage is not thrown but told. Works on a folder that
 * a replica has open, and changes nothing but LMDB's lock file.
 * @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FAILED
 */
export async function verifyFolder(folder: string): Promise<Verification<StoreDescription> & { readonly inUse: boolean }> {
  const path = await existingFolder(folder)
  const inUse = await isLocked(path)
  let before = await verifyOnce(path, inUse)
  // Beside a store that writes, it has to be found again.
  for (let looks = 1; inUse && before.damages.length > 0 && looks < LOOKS_MAX; looks++) {
    const again = await verifyOnce(path, inUse)
    const same = JSON.stringify(again.damages) === JSON.stringify(before.damages)
    before = again
    if (same) break
  }
  return { ...before, inUse }
}

async function verifyOnce(path: string, inUse: boolean): Promise<Verification<StoreDescription>> {
  let examination: Examination
  try {
    examination = await examine(path, inUse)
  } catch (error) {
    return { store: null, entries: 0, entryBytes: 0, chunks: 0, chunkBytes: 0, damages: [damageOf(error)] }
  }
  try {
    return await examination.verify()
  } finally {
    examination.end()
  }
}

/** Beside a store that works, snapshots and the moment of the log may not fit together, and files go between two looks. */
async function examine(path: string, inUse: boolean): Promise<Examination> {
  for (let looks = 1; ; looks++) {
    try {
      return await Examination.of(path)
    } catch (error) {
      const { code, details } = error as AntiphonError
      const passing = code === 'CORRUPT' || details?.['errno'] === 'ENOENT'
      if (!inUse || !passing || looks === LOOKS_MAX) throw error
    }
  }
}
