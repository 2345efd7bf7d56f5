export {
  type Call,
  ChunkFramer,
  chunksIn,
  diskError,
  EngineServer,
  type Flushed,
  LOCK_NAME,
  type Pack,
  Packer,
  type Reply,
  type Request,
  restoredError,
  type SnapshotFrames,
  type SnapshotPosition,
  type SnapshotTotals,
  type StoredError,
} from '@antiphon/storage-kit'
export { CheckedDisk, type Disk, type FileHandle } from './disk.ts'
export { type EngineOptions, engineSettings, FileEngine } from './engine.ts'
export {
  type Damage,
  Examination,
  type SegmentDescription,
  type SnapshotDescription,
  type StoreDescription,
  type Verification,
  verifyStore,
} from './examine.ts'
export { MARKER_NAME, parseName, snapshotName } from './format.ts'
export { DiskFault, MemoryDisk } from './memory-disk.ts'
export { OverlayDisk } from './overlay-disk.ts'
export { SnapshotReader, SnapshotWriter } from './snapshot-files.ts'
export { SnapshotShelf } from './snapshot-shelf.ts'
