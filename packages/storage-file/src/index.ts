export type { Damage, SegmentDescription, SnapshotDescription, StoreDescription, Verification } from './engine/index.ts'
export { type FileStorageOptions, fileStorage } from './file-storage.ts'
export { type FolderView, verifyFolder, viewFolder } from './folder-view.ts'
