import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LogStore, Run, Snapshot } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'
import { memoryStorage } from '@antiphon/storage-memory'
import { migrate } from '@antiphon/storage-tools'
import { expect, onTestFinished, test } from 'vitest'
import { numbered, startOn, written } from './ensemble.ts'

const FRESH = 'f'.repeat(32)

async function filesIn(name: string): Promise<LogStore> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-migrate-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return fileStorage({ folder: join(folder, name), mainThread: true, segmentBytes: 16 * 1024 })
}

/** A store with one behaviour changed. */
function spoilt(store: LogStore, changes: Partial<LogStore>): LogStore {
  return new Proxy(store, {
    get(target, key) {
      const value = (changes as Record<PropertyKey, unknown>)[key] ?? Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test.each([
  ['memory', 'files', 30],
  ['files', 'memory', 30],
  ['files', 'files', 100_000],
])('what stood in %s stands in %s, and the member goes on from it', async (from, to, snapshotEveryEntries) => {
  const make = (kind: string): Promise<LogStore> | LogStore => (kind === 'files' ? filesIn('store') : memoryStorage())
  const stores = new Map<number, LogStore>([
    [1, await make(from)],
    [2, memoryStorage()],
    [3, memoryStorage()],
  ])
  const texts = numbered(80)
  await written(stores, texts, { snapshotEveryEntries })
  const before = await stores.get(1)!.open(FRESH)
  await stores.get(1)!.close()
  const store = await make(to)
  const migrated = await migrate(stores.get(1)!, store)
  expect({ ...migrated.state, log: { ...migrated.state.log, start: 0 } }).toEqual({ ...before, log: { ...before.log, start: 0 } })
  expect(migrated.entries).toBe(before.log.last - (before.snapshot?.zxid ?? before.log.last - migrated.entries))
  expect(migrated.entries).toBeGreaterThan(0)
  expect(migrated.snapshotBytes > 0).toBe(before.snapshot !== null)

  stores.set(1, store)
  const running = await startOn(stores)
  expect(running[0]!.replica.status()).toMatchObject({ votes: true, storeId: before.storeId })
  expect((await running[0]!.machine.read()).notes).toEqual(texts)
  expect(await running[0]!.machine.dispatch.note('more')).toBe(81)
})

test('a target that is not new, a source that is empty, and one store for both are refused', async () => {
  const stores = new Map([[1, memoryStorage()]])
  await written(stores, numbered(3))
  const refusal = { code: 'INVALID_ARGUMENT', remedy: expect.stringMatching(/\w/) }
  const used = memoryStorage()
  await used.open(FRESH)
  await used.close()
  await expect(migrate(stores.get(1)!, used)).rejects.toMatchObject(refusal)
  await expect(migrate(memoryStorage(), memoryStorage())).rejects.toMatchObject(refusal)
  await expect(migrate(stores.get(1)!, stores.get(1)!)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
  const target = memoryStorage()
  await migrate(stores.get(1)!, target)
  await expect(migrate(stores.get(1)!, target)).rejects.toMatchObject(refusal)
  expect((await stores.get(1)!.open(FRESH)).founding).not.toBe(null)
})

test('a new store that does not have what the old one has is found out', async () => {
  const stores = new Map([[1, memoryStorage()]])
  await written(stores, numbered(40), { snapshotEveryEntries: 15 })
  const source = stores.get(1)!
  const expectFound = async (changes: (store: LogStore) => Partial<LogStore>): Promise<void> => {
    const store = memoryStorage()
    await expect(migrate(source, spoilt(store, changes(store)))).rejects.toMatchObject({ code: 'CORRUPT', remedy: expect.stringMatching(/\w/) })
  }
  await expectFound((store) => ({
    open: async (id) => {
      const state = await store.open(id)
      return state.founding === null ? state : { ...state, epochs: { ...state.epochs, current: state.epochs.current - 1 } }
    },
  }))
  await expectFound((store) => ({
    read: async (after, upTo, bytesMax) =>
      (await store.read(after, upTo, bytesMax)).map((run): Run => ({ ...run, bytes: run.bytes.with(run.bytes.length - 9, run.bytes.at(-9)! ^ 1) })),
  }))
  await expectFound((store) => ({ read: async (after, upTo, bytesMax) => (await store.read(after, upTo, bytesMax)).slice(1) }))
  for (const change of [
    (chunk: Uint8Array) => chunk.with(0, chunk[0]! ^ 1),
    (chunk: Uint8Array) => chunk.subarray(1),
    (chunk: Uint8Array) => Buffer.concat([chunk, chunk]),
  ]) {
    await expectFound((store) => ({
      openSnapshot: async (zxid) => {
        const snapshot = (await store.openSnapshot(zxid)) as Snapshot
        return {
          ...snapshot,
          async *chunks() {
            for await (const chunk of snapshot.chunks()) yield change(chunk)
          },
        }
      },
    }))
  }
  await expectFound((store) => ({
    stage: (meta, chunks) => store.stage({ ...meta, time: meta.time + 1 }, chunks),
  }))
})
