import type { LogStore } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'

export const STORES = ['file', 'lmdb'] as const
export type StoreName = (typeof STORES)[number]

/** Small, so that segments end, snapshots replace them and a full disk is noticed, within seconds. */
const SEGMENT_BYTES = 1024 * 1024
const AHEAD_BYTES = 64 * 1024
/** The package is not one of every checkout: a name that only the run resolves. */
const LMDB: string = '@antiphon/storage-lmdb'

/** @throws Error when the store's package is not there */
export async function storeIn(store: StoreName, folder: string): Promise<LogStore> {
  if (store === 'file') return fileStorage({ folder, segmentBytes: SEGMENT_BYTES, aheadBytes: AHEAD_BYTES })
  const { lmdbStorage } = (await import(LMDB).catch((cause: unknown) => {
    throw new Error(`${LMDB} is missing here, and with it the store \`lmdb\``, { cause })
  })) as { lmdbStorage(options: { folder: string }): LogStore }
  return lmdbStorage({ folder })
}
