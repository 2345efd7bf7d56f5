import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { fileStorage } from './index.ts'

const ID = '0123456789abcdef'.repeat(2)

test('a store that was closed before it was opened can be closed afterwards', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-reopen-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const store = fileStorage({ folder, mainThread: true })
  await store.close()
  await store.open(ID)
  await store.close()
  await store.open(ID)
  await store.close()
})

test('a store whose first open failed is closed by close() after the second', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-reopen-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'foreign'), 'x')
  const store = fileStorage({ folder, mainThread: true })
  await expect(store.open(ID)).rejects.toMatchObject({ code: 'FOLDER_FOREIGN' })
  await store.close() // as Replica.start does
  await rm(join(folder, 'foreign'))
  await store.open(ID)
  await store.close()
  const other = fileStorage({ folder, mainThread: true })
  await other.open(ID)
  await other.close()
})
