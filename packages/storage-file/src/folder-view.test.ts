import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LogStore, type Run, ZERO } from '@antiphon/ports'
import { expect, onTestFinished, test } from 'vitest'
import { ALL, Model, runBehind, STORE_ID, type Tail, writeOf } from './engine/history.test-support.ts'
import { fileStorage, verifyFolder, viewFolder } from './index.ts'

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-view-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function append(store: LogStore, run: Run): Promise<void> {
  return new Promise((resolve, reject) => store.write(writeOf({ append: [run] }), (error) => (error === null ? resolve() : reject(error))))
}

async function open(folder: string): Promise<LogStore> {
  const store = fileStorage({ folder, mainThread: true, segmentBytes: 64 * 1024 })
  onTestFinished(() => store.close())
  await store.open(STORE_ID)
  return store
}

async function filesIn(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).sort()
  return new Map(await Promise.all(names.map(async (name) => [name, (await readFile(join(folder, name))).toString('base64')] as const)))
}

test('a folder is read while its store writes, compacts and takes snapshots; the view stays as it was', async () => {
  const folder = await scratch()
  const store = await open(folder)
  const runs: Run[] = []
  let tail: Tail | null = null
  const write = async (): Promise<void> => {
    const run = runBehind(tail, 1, 5, 300)
    tail = run
    runs.push(run)
    await append(store, run)
  }
  const snapshot = async (): Promise<void> => {
    const model = new Model(undefined, null, runs)
    await store.saveSnapshot(model.metaAt(runs.at(-1)!), [new Uint8Array(5000).fill(runs.length)])
  }
  for (let i = 0; i < 60; i++) await write()
  await snapshot()
  const count = runs.length
  const view = await viewFolder(folder)
  expect(view.inUse).toBe(true)
  expect(view.state).toMatchObject({ storeId: STORE_ID, log: { last: runs.at(-1)!.last }, snapshot: { zxid: runs.at(-1)!.last } })

  for (let i = 0; i < 200; i++) await write()
  await snapshot()
  expect(await store.compact(1, ALL)).toBeGreaterThan(runs[count - 1]!.last)
  for (let i = 0; i < 20; i++) {
    await write()
    expect((await verifyFolder(folder)).damages).toEqual([])
  }

  let after = ZERO
  for (let read = await view.read(after, ALL, 10_000); read.length > 0; read = await view.read(after, ALL, 10_000)) after = read.at(-1)!.last
  expect(after).toBe(runs[count - 1]!.last)
  const held = (await view.openSnapshot())!
  for await (const chunk of held.chunks()) expect(Buffer.from(chunk).equals(Buffer.alloc(5000, count))).toBe(true)
  await held.close()
  await view.close()
  await expect(view.read(ZERO, ALL, 1)).rejects.toMatchObject({ code: 'CLOSED' })
})

test('nothing in the folder is changed, and it can be taken meanwhile', async () => {
  const folder = await scratch()
  const store = await open(folder)
  await append(store, runBehind(null, 1, 3))
  await store.close()
  const before = await filesIn(folder)
  const view = await viewFolder(folder)
  expect(view.inUse).toBe(false)
  expect(await filesIn(folder)).toEqual(before)
  await store.open(STORE_ID)
  await view.close()
  expect((await verifyFolder(folder)).inUse).toBe(true)
})

test('what is no folder of a store is refused by name, with a remedy', async () => {
  const folder = await scratch()
  await writeFile(join(folder, 'file'), 'x')
  await mkdir(join(folder, 'empty'))
  for (const [path, code] of [
    [join(folder, 'absent'), 'INVALID_ARGUMENT'],
    [join(folder, 'file'), 'INVALID_ARGUMENT'],
    [join(folder, 'file', 'under'), 'INVALID_ARGUMENT'],
    [join(folder, 'empty'), 'INVALID_ARGUMENT'],
    ['', 'INVALID_ARGUMENT'],
    [folder, 'FOLDER_FOREIGN'],
  ] as const) {
    const refusal = { code, remedy: expect.stringMatching(/\w/) }
    await expect(viewFolder(path)).rejects.toMatchObject(refusal)
    await expect(verifyFolder(path)).rejects.toMatchObject(refusal)
  }
})
