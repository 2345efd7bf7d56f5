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
export type { Disk, FileHandle } from './disk.ts'
export { type EngineOptions, engineSettings, FileEngine } from './engine.ts'
export { MARKER_NAME } from './format.ts'
export { DiskFault, MemoryDisk } from './memory-disk.ts'
export { SnapshotReader, SnapshotWriter } from './snapshot-files.ts'
