import type { LogStore } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'

export const STORES = ['file', 'lmdb'] as const
export type StoreName = (typeof STORES)[number]

/** Small, so that segments end, snapshots replace them and a full disk is noticed, within seconds. */
const SEGMENT_BYTES = 1024 * 1024
const AHEAD_BYTES = 4 * 1024

export function storeIn(store: StoreName, folder: string): LogStore {
  return store === 'file' ? fileStorage({ folder, segmentBytes: SEGMENT_BYTES, aheadBytes: AHEAD_BYTES }) : lmdbStorage({ folder, aheadBytes: AHEAD_BYTES })
}
