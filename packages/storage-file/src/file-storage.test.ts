import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { AntiphonError, LogStore, Run, Write, Zxid } from '@antiphon/ports'
import { ZERO, zxidOf } from '@antiphon/ports'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { ALL, Model, runBehind, STORE_ID, type Tail, writeOf } from './engine/history.test-support.ts'
import { type FileStorageOptions, fileStorage } from './index.ts'

let folder = ''
const stores: LogStore[] = []

beforeAll(buildWorker)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'antiphon-files-'))
})
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()))
  await rm(folder, { recursive: true, force: true })
})

function make(options: Partial<FileStorageOptions> = {}): LogStore {
  const store = fileStorage({ folder: join(folder, 'store'), ...options })
  stores.push(store)
  return store
}

function write(store: LogStore, parts: Partial<Write>): Promise<void> {
  return new Promise((resolve, reject) => store.write(writeOf(parts), (error) => (error === null ? resolve() : reject(error))))
}

async function* chunksOf(count: number, bytes: number): AsyncIterable<Uint8Array> {
  for (let i = 0; i < count; i++) yield new Uint8Array(bytes).fill(i)
}

async function entriesOf(store: LogStore, bytesMax: number): Promise<number> {
  let entries = 0
  for (let after: Zxid = ZERO; ; ) {
    const runs = await store.read(after, ALL, bytesMax)
    if (runs.length === 0) return entries
    for (const run of runs) {
      expect(run.previous).toBe(after)
      entries += run.entries
      after = run.last
    }
  }
}

for (const mainThread of [false, true]) {
  describe(mainThread ? 'in the main thread' : 'in a worker', () => {
    test('many writes at once are gathered, completed in order, and there afterwards', async () => {
      const store = make({ mainThread, segmentBytes: 256 * 1024 })
      await store.open(STORE_ID)
      const order: number[] = []
      let tail: Tail | null = null
      const runs: Run[] = []
      for (let i = 0; i < 2000; i++) {
        const run = runBehind(tail, 1, 3)
        runs.push(run)
        tail = run
      }
      await Promise.all(runs.map((run, i) => write(store, { append: [run] }).then(() => order.push(i))))
      expect(order).toEqual(runs.map((_, i) => i))
      expect(await entriesOf(store, 10_000)).toBe(6000)
      await store.close()
      expect((await store.open(STORE_ID)).log.last).toBe(zxidOf(1, 6000))
      expect(await entriesOf(store, 1 << 20)).toBe(6000)
    })

    test('a snapshot is streamed in and out again, in the same chunks', async () => {
      const store = make({ mainThread })
      await store.open(STORE_ID)
      const run = runBehind(null, 1, 10)
      await write(store, { append: [run] })
      const meta = new Model(undefined, null, [run]).metaAt(run)
      expect(await store.saveSnapshot(meta, chunksOf(200, 20_000))).toBe(true)
      const snapshot = (await store.openSnapshot())!
      expect(snapshot).toMatchObject({ meta, bytes: 4_000_000 })
      let count = 0
      for await (const chunk of snapshot.chunks()) {
        expect(Buffer.from(chunk).equals(Buffer.alloc(20_000, count))).toBe(true)
        count++
      }
      expect(count).toBe(200)
      await snapshot.close()
      await store.close()
      expect((await store.open(STORE_ID)).snapshot).toEqual(meta)
    })

    test('a snapshot whose source breaks off leaves nothing behind', async () => {
      const store = make({ mainThread })
      await store.open(STORE_ID)
      const run = runBehind(null, 1, 10)
      await write(store, { append: [run] })
      const broken = (async function* () {
        yield* chunksOf(100, 20_000)
        throw new Error('torn')
      })()
      await expect(store.saveSnapshot(new Model(undefined, null, [run]).metaAt(run), broken)).rejects.toThrow('torn')
      expect(await store.openSnapshot()).toBe(null)
      expect((await readdir(join(folder, 'store'))).filter((name) => name.startsWith('snapshot'))).toEqual([])
    })

    test('a staged generation takes the place of everything', async () => {
      const store = make({ mainThread })
      await store.open(STORE_ID)
      await write(store, { append: [runBehind(null, 1, 10)] })
      const base = runBehind(null, 2, 5)
      const behind = runBehind(base, 2, 5)
      const generation = await store.stage(new Model(undefined, null, [base]).metaAt(base), chunksOf(3, 10))
      const staged = new Promise((resolve) => store.stageAppend(generation, [behind], resolve))
      await write(store, { install: generation, epochs: { accepted: 2, acceptedFrom: null, current: 2 } })
      expect(await staged).toBe(null)
      expect((await store.read(base.last, ALL, 1 << 20))[0]).toMatchObject({ last: behind.last })
      await store.close()
      expect((await store.open(STORE_ID)).log).toMatchObject({ start: base.last, last: behind.last, checksum: behind.checksum })
    })

    test('errors come as they are, and the store then answers with them', async () => {
      const store = make({ mainThread })
      await store.open(STORE_ID)
      const run = runBehind(null, 1, 10)
      await write(store, { append: [run] })
      const refused = write(store, { truncateTo: { zxid: zxidOf(1, 3), checksum: 1 } })
      const after = write(store, { append: [runBehind(run, 1, 1)] })
      await expect(refused).rejects.toMatchObject({ name: 'AntiphonError', code: 'DIVERGED', remedy: expect.any(String) })
      await expect(after).rejects.toMatchObject({ code: 'DIVERGED' })
      await expect(store.read(ZERO, ALL, 1)).rejects.toMatchObject({ code: 'DIVERGED' })
      await store.close()
      expect((await store.open(STORE_ID)).log.last).toBe(run.last)
    })
  })
}

test('a folder in use is refused, in this process too and by another path, and free again afterwards', async () => {
  const first = make()
  await first.open(STORE_ID)
  await expect(first.open(STORE_ID)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
  await symlink(join(folder, 'store'), join(folder, 'link'))
  for (const path of ['store', 'link'])
    await expect(make({ folder: join(folder, path) }).open(STORE_ID)).rejects.toMatchObject({ code: 'FOLDER_IN_USE', remedy: expect.any(String) })
  await write(first, { append: [runBehind(null, 1, 1)] })
  await first.close()
  expect((await make().open(STORE_ID)).log.last).toBe(zxidOf(1, 1))
})

test('two that open at once: one gets the folder', async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => make().open(STORE_ID)))
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(1)
  for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'FOLDER_IN_USE' })
})

test("somebody else's folder is refused, and nothing is put into it", async () => {
  await writeFile(join(folder, 'letter.txt'), 'dear')
  await expect(make({ folder }).open(STORE_ID)).rejects.toMatchObject({ code: 'FOLDER_FOREIGN' })
  expect(await readdir(folder)).toEqual(['letter.txt'])
  await expect(make({ folder: join(folder, 'letter.txt') }).open(STORE_ID)).rejects.toMatchObject({ code: 'INVALID_SETTINGS' })
})

test('folders are made, several levels of them', async () => {
  const store = make({ folder: join(folder, 'a', 'b', 'c') })
  await store.open(STORE_ID)
  expect(await readdir(join(folder, 'a', 'b', 'c'))).toContain('antiphon-store')
})

test('settings are checked', () => {
  expect(() => fileStorage({ folder: '' })).toThrowError(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => fileStorage({ folder, segmentBytes: 10 })).toThrowError(expect.objectContaining({ code: 'INVALID_SETTINGS', remedy: expect.any(String) }))
  expect(() => fileStorage({ folder, sealAfterMs: 0 })).toThrowError(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
})

test('a closed store finishes what it accepted, leaves no lock, and answers CLOSED', async () => {
  const store = make()
  await store.open(STORE_ID)
  let error: AntiphonError | null | undefined
  store.write(writeOf({ append: [runBehind(null, 1, 1)] }), (result) => {
    error = result
  })
  await Promise.all([store.close(), store.close()])
  expect(error).toBe(null)
  expect(await readdir(join(folder, 'store'))).not.toContain('antiphon-lock')
  await expect(write(store, {})).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(store.compact(1, ZERO)).rejects.toMatchObject({ code: 'CLOSED' })
  await make().close()
})

test('a batch that nothing follows is sealed after a while', async () => {
  const store = make({ sealAfterMs: 5, aheadBytes: 0 })
  await store.open(STORE_ID)
  await write(store, { append: [runBehind(null, 1, 1)] })
  const log = join(folder, 'store', 'log-00000000-00000001')
  const written = async (): Promise<number> => (await readFile(log)).findLastIndex((byte) => byte !== 0)
  const before = await written()
  await expect.poll(written).toBeGreaterThan(before)
  const sealed = await written()
  await write(store, { epochs: { accepted: 1, acceptedFrom: null, current: 0 } })
  await expect.poll(written).toBeGreaterThan(sealed)
})

/** Appends until it is killed; tells the counter of each entry that is durable. */
const APPENDER = `
import { fileStorage } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
import { RunBuilder } from ${JSON.stringify(new URL('../../wire/dist/index.js', import.meta.url).href)}
const store = fileStorage({ folder: process.argv[1], segmentBytes: 65536 })
const { log } = await store.open('${STORE_ID}')
console.log('open ' + log.last % 2 ** 32)
const builder = new RunBuilder()
let tail = { last: log.last, checksum: log.checksum }
let underWay = 0
const fill = () => {
  while (underWay < 20) {
    builder.begin(tail.last, tail.checksum, 1, 1)
    builder.add({ origin: 0, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array(100))
    const run = builder.finish()
    tail = run
    underWay++
    store.write({ ticket: 1, founding: null, install: null, truncateTo: null, append: [run], epochs: null, afterwards: [] }, (error) => {
      underWay--
      console.log(error === null ? 'durable ' + run.last % 2 ** 32 : 'failed ' + error.message)
      fill()
    })
  }
}
fill()
`

function appender(): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', APPENDER, join(folder, 'store')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
}

test('a process that is killed in the midst of its appends: everything that it called durable is there, and the folder is free', async () => {
  let durable = 0
  for (let round = 0; round < 3; round++) {
    const child = appender()
    const ended = once(child, 'exit')
    for await (const line of createInterface({ input: child.stdout! })) {
      const [word, number] = line.split(' ')
      expect(word).not.toBe('failed')
      if (word === 'open') expect(Number(number)).toBeGreaterThanOrEqual(durable)
      if (word === 'durable') durable = Number(number)
      if (durable > 300 * (round + 1)) child.kill('SIGKILL')
    }
    expect((await ended)[1]).toBe('SIGKILL')
  }
  const store = make()
  const { log } = await store.open(STORE_ID)
  expect(log.last).toBeGreaterThanOrEqual(zxidOf(1, durable))
  expect(await entriesOf(store, 1 << 16)).toBe(log.last % 2 ** 32)
})

test('a store that another process holds is refused', async () => {
  const child = appender()
  const ended = once(child, 'exit')
  await once(createInterface({ input: child.stdout! }), 'line')
  await expect(make().open(STORE_ID)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
  child.kill('SIGKILL')
  await ended
  expect((await make().open(STORE_ID)).storeId).toBe(STORE_ID)
})
