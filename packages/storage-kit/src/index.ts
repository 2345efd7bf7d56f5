export { CheckedDisk, type Disk, type FileHandle } from './disk.ts'
export type { Engine, Flushed, SnapshotSink, SnapshotSource } from './engine.ts'
export { EngineBase, type Found, type Installed } from './engine-base.ts'
export { corruptAt, diskError, diverged, expectVersion, restoredError, type StoredError, storedError, storeFailure } from './errors.ts'
export { continues, type Damage, damageOf, entriesBetween, type SnapshotDescription, type Verification } from './examination.ts'
export { ASIDE, foreignFolder, isForeign, LOCK_NAME } from './folder-names.ts'
export {
  ChunkFramer,
  chunksIn,
  chunksSeed,
  FRAME_HEAD_BYTES,
  type SnapshotFrames,
  type SnapshotPosition,
  type SnapshotTotals,
} from './frames.ts'
export { type Pack, Packer } from './pack.ts'
export {
  EPOCHS_BYTES,
  INSTALL_BYTES,
  type Point,
  padded,
  putEpochs,
  putRecordHead,
  putRunFixed,
  RECORD_EPOCHS,
  RECORD_FOUNDING,
  RECORD_HEAD_BYTES,
  RECORD_INSTALL,
  RECORD_MAGIC,
  RECORD_RUN,
  RECORD_TRUNCATE,
  RUN_FIXED_BYTES,
  type RunHead,
  readEpochs,
  recordKind,
  recordLength,
  recordSpan,
  runHeadAt,
  TRUNCATE_BYTES,
  takeEpochs,
} from './records.ts'
export { type Call, EngineServer, type Reply, type Request } from './server.ts'
export { SnapshotReader, SnapshotWriter } from './snapshots/files.ts'
export { parseSnapshotName, snapshotName } from './snapshots/names.ts'
export { type DamagedSnapshot, newestSound, noOtherSnapshot } from './snapshots/sound.ts'
export { putU32, putU64, u32, u64 } from './words.ts'
