import type { AntiphonError, Run, Snapshot, Zxid } from '@antiphon/ports'
import type { Verification } from '@antiphon/storage-kit'
import { existingFolder, type FolderView, folderClosed, isLocked, NodeDisk, snapshotOf } from '@antiphon/storage-kit/node'
import { Examination, type StoreDescription, verifyStore } from './engine/index.ts'

/**
 * Reads a store's folder without taking it: also while a replica runs on it, which is not disturbed. Nothing in the folder is changed. What is seen is what an `open()` would have
 * found at some moment of the call; it stays readable until `close`, whatever the replica removes meanwhile. Reads hold the calling thread. Costs the memory of one or two segments of the log.
 * @throws AntiphonError INVALID_ARGUMENT when there is no store; FOLDER_FOREIGN, CORRUPT, VERSION_MISMATCH, DISK_FAILED
 */
export async function viewFolder(folder: string): Promise<FolderView<StoreDescription>> {
  const path = await existingFolder(folder)
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
    if (!isOpen) throw folderClosed()
  }
  return {
    state,
    description,
    troubles: examination.troubles,
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
export async function verifyFolder(folder: string): Promise<Verification<StoreDescription> & { readonly inUse: boolean }> {
  const path = await existingFolder(folder)
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
