import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type LogStore, type Write, ZERO, type Zxid } from '@antiphon/ports'
import { crc32 } from '@antiphon/wire'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { type LmdbStorageOptions, lmdbStorage } from './index.ts'
import { readAll, runBehind, STORE_ID } from './workload.test-support.ts'

const OTHER_ID = 'fedcba9876543210'.repeat(2)

let folder = ''
const stores: LogStore[] = []

beforeAll(buildWorker)
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'antiphon-lmdb-'))
})
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()))
  await rm(folder, { recursive: true, force: true })
})

function make(options: Partial<LmdbStorageOptions> = {}): LogStore {
  const store = lmdbStorage({ folder: join(folder, 'store'), ...options })
  stores.push(store)
  return store
}

function write(store: LogStore, parts: Partial<Write>): Promise<void> {
  const whole = { ticket: 1, founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [], ...parts }
  return new Promise((resolve, reject) => store.write(whole, (error) => (error === null ? resolve() : reject(error))))
}

/** Appends `count` runs of about `bytes` each; where the history ends. */
async function fill(
  store: LogStore,
  count: number,
  bytes: number,
  from?: { last: Zxid; checksum: number },
): Promise<{ last: Zxid; checksum: number; time: number }> {
  let last = from as ReturnType<typeof runBehind> | undefined
  const written: Promise<void>[] = []
  for (let i = 0; i < count; i++) {
    last = runBehind(last, 1, 1, bytes, i)
    written.push(write(store, { append: [last] }))
  }
  await Promise.all(written)
  return last!
}

const metaAt = ({ last, checksum, time }: { last: Zxid; checksum: number; time: number }) => ({
  zxid: last,
  checksum,
  time,
  endPoints: [{ epoch: 1, last, checksum }],
})

test('a folder with other files is refused and left as it is', async () => {
  await writeFile(join(folder, 'mine.txt'), 'x')
  await expect(make({ folder }).open(STORE_ID)).rejects.toMatchObject({ code: 'FOLDER_FOREIGN' })
  expect(await readdir(folder)).toEqual(['mine.txt'])
})

test('a folder in use is refused, by whatever path, and free again afterwards', async () => {
  const first = make()
  await first.open(STORE_ID)
  await expect(make({ folder: `${folder}/./store` }).open(OTHER_ID)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
  await first.close()
  expect((await make().open(OTHER_ID)).storeId).toBe(STORE_ID)
})

test('a store of a later format is refused by its version, and a marker that does not hold as corrupt', async () => {
  const store = make({ mainThread: true })
  await store.open(STORE_ID)
  await store.close()
  const marker = join(folder, 'store', 'antiphon-lmdb')
  const bytes = await readFile(marker)
  bytes[5] = 9
  await writeFile(marker, bytes)
  await expect(make({ mainThread: true }).open(STORE_ID)).rejects.toMatchObject({ code: 'CORRUPT' })
  bytes.writeUInt32BE(crc32(bytes, 0, 0, bytes.length - 4), bytes.length - 4)
  await writeFile(marker, bytes)
  await expect(make({ mainThread: true }).open(STORE_ID)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
})

test('a folder that was never finished is begun anew; one whose data is gone is not', async () => {
  const store = make({ mainThread: true })
  await store.open(STORE_ID)
  await store.close()
  const data = join(folder, 'store', 'data.mdb')
  await rm(data)
  await expect(make({ mainThread: true }).open(OTHER_ID)).rejects.toMatchObject({ code: 'CORRUPT' })
  await writeFile(data, '')
  await expect(make({ mainThread: true }).open(OTHER_ID)).rejects.toMatchObject({ code: 'CORRUPT' })
  await rm(join(folder, 'store', 'antiphon-lmdb'))
  await writeFile(join(folder, 'store', 'antiphon-lmdb.new'), 'half')
  expect((await make({ mainThread: true }).open(OTHER_ID)).storeId).toBe(OTHER_ID)
})

test('a folder of its own is demanded, and settings within their ranges', () => {
  expect(() => lmdbStorage({ folder: '' })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => lmdbStorage({ folder, segmentBytes: 3 })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => lmdbStorage({ folder, mapBytes: 0.5 })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
})

test('the map grows with what is written, and what was read before it grew stays what it was', async () => {
  const store = make({ mapBytes: 1024 * 1024 })
  await store.open(STORE_ID)
  const first = await fill(store, 4, 100_000)
  const before = await readAll(store, ZERO, first.last)
  const copy = before.map((bytes) => bytes.slice())
  const last = await fill(store, 120, 100_000, first)
  expect(before).toEqual(copy)
  expect((await stat(join(folder, 'store', 'data.mdb'))).size).toBeGreaterThan(12_000_000)
  expect((await readAll(store, ZERO, last.last)).reduce((sum, { length }) => sum + length, 0)).toBeGreaterThan(12_000_000)
})

test('what compaction lets go of is used again, although entries are read all the time, and a process that read was killed: no reader holds it', async () => {
  const store = make({ segmentBytes: 64 * 1024, aheadBytes: 0, mapBytes: 1024 * 1024 })
  await store.open(STORE_ID)
  await killReader(join(folder, 'store', 'data.mdb'))
  let tail: Awaited<ReturnType<typeof fill>> | undefined
  for (let round = 0; round < 12; round++) {
    tail = await fill(store, 100, 10_000, tail)
    await store.read((tail.last - 50) as Zxid, tail.last, 100_000)
    await store.saveSnapshot(metaAt(tail), [new Uint8Array(10)])
    expect(await store.compact(1, (tail.last + 1) as Zxid)).toBeGreaterThan(tail.last - 20)
  }
  // Of 12 MB that were written; room for the next commit of 1 MB is in it.
  expect((await stat(join(folder, 'store', 'data.mdb'))).size).toBeLessThan(6_000_000)
  // Removed in an idle moment.
  const snapshots = async (): Promise<string[]> => (await readdir(join(folder, 'store'))).filter((name) => name.startsWith('snapshot-'))
  await expect.poll(snapshots, { timeout: 10_000 }).toHaveLength(1)
})

test('the file is zero-filled ahead in idle moments, steps on with what is written, and holds what it held', async () => {
  const aheadBytes = 1024 * 1024
  const store = make({ aheadBytes })
  await store.open(STORE_ID)
  const file = join(folder, 'store', 'data.mdb')
  const size = async (): Promise<number> => (await stat(file)).size
  await expect.poll(size, { timeout: 10_000 }).toBeGreaterThan(aheadBytes / 2)
  const tail = await fill(store, 30, 100_000)
  await expect.poll(size, { timeout: 10_000 }).toBeGreaterThan(30 * 100_000 + aheadBytes / 2)
  await store.close()
  const closed = await size()
  expect((await readFile(file)).subarray(-aheadBytes / 4).every((byte) => byte === 0)).toBe(true)
  const again = make({ aheadBytes: 0 })
  expect((await again.open(STORE_ID)).log.last).toBe(tail.last)
  const longer = await fill(again, 2, 10_000, tail)
  // What was filled is what LMDB writes to next.
  expect(await size()).toBe(closed)
  expect(Buffer.concat(await readAll(again, tail.last, longer.last)).length).toBeGreaterThan(20_000)
})

/** A process that looks at the environment, as `viewFolder` does, and does not live to let go of it. */
async function killReader(path: string): Promise<void> {
  const reader = fork(fileURLToPath(new URL('../dist/view-child.js', import.meta.url)), [], { execArgv: [], serialization: 'advanced' })
  const answered = once(reader, 'message')
  reader.send({ id: 1, question: { ask: 'open', path, marker: STORE_ID } })
  expect((await answered)[0]).toMatchObject({ id: 1, value: { storeId: STORE_ID } })
  const ended = once(reader, 'exit')
  reader.kill('SIGKILL')
  await ended
}

test('a segment that is missing from the data is corruption, not an empty place', async () => {
  const store = make({ mainThread: true, segmentBytes: 16 * 1024 })
  await store.open(STORE_ID)
  await fill(store, 20, 5_000)
  await store.close()
  const { open } = await import('lmdb')
  const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
  const data = open({ path: join(folder, 'store', 'data.mdb'), noSubdir: true, overlappingSync: false, maxDbs: 64, ...binary })
  data.openDB('log-00000002', binary).dropSync()
  await data.close()
  await expect(make({ mainThread: true }).open(STORE_ID)).rejects.toMatchObject({ code: 'CORRUPT' })
})
