export { type Disk, diskError, type FileHandle } from './disk.ts'
export { type EngineOptions, engineSettings, FileEngine, type Flushed } from './engine.ts'
export { LOCK_NAME } from './format.ts'
export { DiskFault, MemoryDisk } from './memory-disk.ts'
export { type Pack, Packer } from './pack.ts'
export { foreignFolder, isForeign } from './recovery.ts'
export { type Call, EngineServer, type Reply, type Request, restoredError, type StoredError } from './server.ts'
export {
  ChunkFramer,
  chunksIn,
  type SnapshotFrames,
  type SnapshotPosition,
  SnapshotReader,
  type SnapshotTotals,
  SnapshotWriter,
} from './snapshot-files.ts'
