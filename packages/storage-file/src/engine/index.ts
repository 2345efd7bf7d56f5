export {
  type Call,
  ChunkFramer,
  chunksIn,
  type Disk,
  diskError,
  EngineServer,
  type FileHandle,
  type Flushed,
  LOCK_NAME,
  type Pack,
  Packer,
  type Reply,
  type Request,
  restoredError,
  type SnapshotFrames,
  type SnapshotPosition,
  SnapshotReader,
  type SnapshotTotals,
  SnapshotWriter,
  type StoredError,
  snapshotName,
} from '@antiphon/storage-kit'
export { FileEngine } from './engine.ts'
export { Examination, type SegmentDescription, type StoreDescription, verifyStore } from './examine.ts'
export { MARKER_NAME, parseName } from './format.ts'
export { DiskFault, MemoryDisk } from './memory-disk.ts'
export { OverlayDisk } from './overlay-disk.ts'
export { type EngineOptions, engineSettings } from './settings.ts'
