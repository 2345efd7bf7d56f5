import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { afterAll, beforeAll, expect, test } from 'vitest'

const STORE_ID = '0123456789abcdef'.repeat(2)
const MAKERS = { 'file store': fileStorage, 'LMDB store': lmdbStorage } as const

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'antiphon-folders-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test.each([
  ['file store', 'LMDB store'],
  ['LMDB store', 'file store'],
] as const)('a folder of the %s is foreign to the %s', async (ours, other) => {
  const own = join(folder, ours)
  const store = MAKERS[ours]({ folder: own, mainThread: true })
  await store.open(STORE_ID)
  await store.close()
  await expect(MAKERS[other]({ folder: own, mainThread: true }).open(STORE_ID)).rejects.toMatchObject({ code: 'FOLDER_FOREIGN' })
})
