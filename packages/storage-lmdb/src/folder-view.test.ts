import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LogStore, type Run, ZERO } from '@antiphon/ports'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { lmdbStorage, verifyFolder, viewFolder } from './index.ts'
import { chunksOf, readAll, STORE_ID, Workload } from './workload.test-support.ts'

const PAGE = 4096
/** 23 writes: several segments, truncations, an entry on several pages; snapshots beside it. */
const WRITES = 23

// The process that reads runs what was built.
beforeAll(buildWorker)

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-lmdb-view-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function opened(folder: string, mainThread = true): Promise<LogStore> {
  const store = lmdbStorage({ folder, mainThread, segmentBytes: 8 * 1024, aheadBytes: 0 })
  onTestFinished(() => store.close())
  return store.open(STORE_ID).then(() => store)
}

async function* asyncly<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

async function carryOut(store: LogStore, workload: Workload): Promise<void> {
  const { write, staged, meta } = workload.next()
  let install: number | null = null
  if (staged !== null) {
    install = await store.stage(meta, asyncly(chunksOf(meta)))
    store.stageAppend(install, [staged], () => undefined)
  }
  await new Promise<void>((resolve, reject) => store.write({ ...write, install }, (error) => (error === null ? resolve() : reject(error))))
}

async function save(store: LogStore, workload: Workload): Promise<void> {
  const meta = workload.meta()
  await store.saveSnapshot(meta, chunksOf(meta))
}

/** A closed store: the workload, and a snapshot after each tenth write. */
async function filled(): Promise<{ folder: string; workload: Workload }> {
  const folder = await scratch()
  const store = await opened(folder)
  const workload = new Workload()
  while (workload.number < WRITES) {
    await carryOut(store, workload)
    if (workload.number % 10 === 0) await save(store, workload)
  }
  await store.close()
  return { folder, workload }
}

test.each([true, false])(
  'a folder is read while its store writes, truncates, installs and compacts (in the thread of the store: %s); the view stays as it was',
  async (mainThread) => {
    const folder = await scratch()
    const store = await opened(folder, mainThread)
    const workload = new Workload()
    while (workload.number < 10) await carryOut(store, workload)
    await save(store, workload)
    const then = Workload.at(10)
    const view = await viewFolder(folder)
    expect(view.inUse).toBe(true)
    while (workload.number < 60) {
      await carryOut(store, workload)
      if (workload.number % 10 === 0) {
        await save(store, workload)
        await store.compact(1, workload.meta().zxid)
      }
    }
    expect(await then.differs({ ...store, read: view.read.bind(view), openSnapshot: view.openSnapshot.bind(view) }, view.state)).toBeNull()
    const { description } = view
    expect(description).toMatchObject({ formatVersion: 1, generation: 0, leftovers: [], log: view.state.log })
    expect(description.segments.length).toBeGreaterThan(2)
    expect(description.segments.reduce((sum, { entries }) => sum + entries, 0)).toBe(description.entries)
    expect(description.snapshots).toMatchObject([{ meta: then.meta() }])
    await view.close()
    await expect(view.read(ZERO, then.meta().zxid, 1000)).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await verifyFolder(folder)).toMatchObject({ damages: [], inUse: true, store: { log: { last: workload.meta().zxid } } })
    await carryOut(store, workload)
    expect(Buffer.concat(await readAll(store, (workload.meta().zxid - 1) as never, workload.meta().zxid)).length).toBeGreaterThan(0)
  },
)

test('all of a store is read back, and nothing but the lock file of LMDB is touched', async () => {
  const { folder, workload } = await filled()
  const names = (await readdir(folder)).filter((name) => name !== 'data.mdb-lock').sort()
  const before = await Promise.all(names.map((name) => readFile(join(folder, name))))
  const { store, damages, entries, chunks, inUse } = await verifyFolder(folder)
  expect({ damages, inUse }).toEqual({ damages: [], inUse: false })
  expect(entries).toBe(workload.runs.reduce((sum, run) => sum + run.entries, 0))
  expect(chunks).toBe(2 * chunksOf(workload.meta()).length)
  expect(store?.snapshots).toHaveLength(2)
  expect((await readdir(folder)).filter((name) => name !== 'data.mdb-lock').sort()).toEqual(names)
  expect(await Promise.all(names.map((name) => readFile(join(folder, name))))).toEqual(before)
})

test('a byte that has changed in any entry is found, and told by its sub-database; the rest is read all the same', { timeout: 60_000 }, async () => {
  const { folder, workload } = await filled()
  const file = join(folder, 'data.mdb')
  const whole = await readFile(file)
  const intact = await verifyFolder(folder)
  // Where the newest snapshot stands, the store cannot be opened at all.
  const newest = intact.store!.snapshot!.zxid
  for (const run of pick(workload.runs, 6).filter(({ last }) => last !== newest)) {
    const bytes = Buffer.from(whole)
    for (let copy = whole.indexOf(run.bytes); copy >= 0; copy = whole.indexOf(run.bytes, copy + 1)) bytes[copy + run.bytes.length - 1]! ^= 1
    await writeFile(file, bytes)
    const { damages, entries, chunks } = await verifyFolder(folder)
    expect(damages).toEqual([{ file: 'data.mdb', offset: null, what: expect.stringMatching(/^data\.mdb: log-[0-9a-f]{8}: /) }])
    expect(entries).toBeLessThan(intact.entries)
    expect(chunks).toBe(intact.chunks)
  }
})

test('a byte that has changed anywhere, and a file that was cut short, are told or change nothing: whoever asks lives on', { timeout: 120_000 }, async () => {
  const { folder } = await filled()
  const file = join(folder, 'data.mdb')
  const whole = await readFile(file)
  const intact = await verifyFolder(folder)
  let found = 0
  // The heads of pages, where LMDB's own structure stands.
  for (let page = 0; page < whole.length / PAGE; page += 2) {
    const bytes = Buffer.from(whole)
    bytes[page * PAGE + [12, 18, 21, 26][(page / 2) % 4]!]! ^= 0xff
    await rm(`${file}-lock`, { force: true })
    await writeFile(file, bytes)
    const verified = await verifyFolder(folder).catch((error: { code: string }) => error.code)
    if (typeof verified === 'string') expect(['DISK_FAILED', 'VERSION_MISMATCH']).toContain(verified)
    else if (verified.damages.length === 0) expect(verified).toEqual(intact)
    if (typeof verified === 'string' || verified.damages.length > 0) found++
  }
  expect(found).toBeGreaterThan(0)
  await writeFile(file, whole)
  await truncate(file, PAGE * Math.floor(whole.length / PAGE / 4))
  const { damages } = await verifyFolder(folder)
  expect(damages.length).toBeGreaterThan(0)
})

test.each(['antiphon-lmdb', 'snapshot'])('a byte that has changed in the file %s is found there, and a missing data file too', async (kind) => {
  const { folder } = await filled()
  const name = (await readdir(folder)).find((one) => one.startsWith(kind))!
  const bytes = await readFile(join(folder, name))
  bytes[bytes.length - 40 < 0 ? 10 : bytes.length - 40]! ^= 1
  await writeFile(join(folder, name), bytes)
  expect((await verifyFolder(folder)).damages).toMatchObject([{ file: name }])
  await rm(join(folder, 'data.mdb'))
  expect((await verifyFolder(folder)).damages).toHaveLength(1)
})

test('what is no store is refused', async () => {
  const folder = await scratch()
  for (const look of [viewFolder, verifyFolder]) {
    await expect(look(folder)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(look(join(folder, 'absent'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  }
  await writeFile(join(folder, 'mine.txt'), 'x')
  for (const look of [viewFolder, verifyFolder]) await expect(look(folder)).rejects.toMatchObject({ code: 'FOLDER_FOREIGN' })
})

function pick(runs: readonly Run[], count: number): Run[] {
  return Array.from({ length: count }, (_, i) => runs[Math.floor((i * runs.length) / count)]!)
}
