import type { StoreId } from '@antiphon/ports'
import { ASIDE, type CheckedDisk, corruptAt, expectVersion, foreignFolder, isForeign } from '@antiphon/storage-kit'
import { decodeMarker, encodeMarker, encodeSegmentHead, FORMAT_VERSION, MARKER_NAME, parseName, type SegmentHead, segmentName } from './format.ts'
import { NO_EPOCHS } from './log-files.ts'
import { LogIndex } from './log-index.ts'

/** Which store the folder holds; one that was never finished is begun anew. @throws AntiphonError CORRUPT, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED */
export function identify(disk: CheckedDisk, freshStoreId: StoreId): StoreId {
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
    left: null,
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
