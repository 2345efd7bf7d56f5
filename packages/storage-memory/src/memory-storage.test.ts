import { type EpochEnd, epochOf, type LogStore, type Run, type SnapshotMeta, type StoreId, type Write, ZERO, type Zxid, zxidOf } from '@antiphon/ports'
import { endPointsOf, RunBuilder } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { memoryStorage } from './index.ts'

const ID = 'a'.repeat(32) as StoreId
const EMPTY: Omit<Write, 'ticket'> = { founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [] }
let tickets = 0

function run(previous: Pick<Run, 'last' | 'checksum'> | null, epoch: number, entries: number, payload = 'x'): Run {
  const builder = new RunBuilder()
  builder.begin(previous?.last ?? ZERO, previous?.checksum ?? 0, epoch, 1_000 + epoch)
  for (let i = 0; i < entries; i++) {
    builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new TextEncoder().encode(`${payload}${i}`))
  }
  return builder.finish()!
}

function metaAt(at: Run, endPoints: readonly EpochEnd[] = endPointsOf(at)): SnapshotMeta {
  return { zxid: at.last, checksum: at.checksum, endPoints, time: at.time }
}

function write(store: LogStore, parts: Partial<Write>): Promise<void> {
  return new Promise((resolve, reject) => store.write({ ...EMPTY, ticket: ++tickets, ...parts }, (error) => (error === null ? resolve() : reject(error))))
}

async function readAll(store: LogStore, after: Zxid = ZERO, bytesMax = 1 << 20): Promise<Zxid[]> {
  const runs = await store.read(after, Number.MAX_SAFE_INTEGER as Zxid, bytesMax)
  return runs.map(({ last }) => last)
}

async function* chunksOf(...texts: string[]): AsyncIterable<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text)
}

async function textsOf(store: LogStore): Promise<string[]> {
  const texts: string[] = []
  for await (const chunk of (await store.openSnapshot())!.chunks()) texts.push(new TextDecoder().decode(chunk))
  return texts
}

test('what was written is there when the same object is opened again, under the id of the first opening', async () => {
  const store = memoryStorage()
  const empty = await store.open(ID)
  expect(empty).toEqual({
    storeId: ID,
    founding: null,
    epochs: { accepted: 0, acceptedFrom: null, current: 0 },
    snapshot: null,
    log: { start: 0, last: 0, checksum: 0, endPoints: [], time: 0 },
  })
  const first = run(null, 1, 3)
  const second = run(first, 2, 2)
  const epochs = { accepted: 2, acceptedFrom: null, current: 2 }
  await write(store, { append: [first, second], epochs })
  await store.close()
  const state = await store.open('b'.repeat(32))
  expect(state.storeId).toBe(ID)
  expect(state.epochs).toEqual(epochs)
  expect(state.log).toEqual({
    start: 0,
    last: second.last,
    checksum: second.checksum,
    endPoints: [...endPointsOf(first), ...endPointsOf(second)],
    time: second.time,
  })
})

test('completions come in order, in one turn, and never from inside', async () => {
  const turns: (() => void)[] = []
  const store = memoryStorage({ defer: (callback) => turns.push(callback) })
  await store.open(ID)
  const done: number[] = []
  const first = run(null, 1, 1)
  store.write({ ...EMPTY, ticket: 1, append: [first] }, () => done.push(1))
  store.write({ ...EMPTY, ticket: 2, append: [run(first, 1, 1)] }, () => {
    done.push(2)
    store.write({ ...EMPTY, ticket: 3 }, () => done.push(3))
  })
  expect(done).toEqual([])
  expect(turns.length).toBe(1)
  turns.shift()!()
  expect(done).toEqual([1, 2])
  turns.shift()!()
  expect(done).toEqual([1, 2, 3])
})

test('a write is readable on return', async () => {
  const store = memoryStorage({ defer: () => {} })
  await store.open(ID)
  const only = run(null, 1, 2)
  store.write({ ...EMPTY, ticket: 1, append: [only] }, () => {})
  expect(await readAll(store)).toEqual([only.last])
})

test('a read is cut to its bounds and to its bytes, but has one entry at least', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const first = run(null, 1, 10)
  await write(store, { append: [first, run(first, 1, 10)] })
  expect(await readAll(store, zxidOf(1, 4), 1)).toEqual([zxidOf(1, 5)])
  expect(await readAll(store, zxidOf(1, 4), 58 * 3)).toEqual([zxidOf(1, 7)])
  expect(await readAll(store, zxidOf(1, 4))).toEqual([zxidOf(1, 10), zxidOf(1, 20)])
  const [cut] = await store.read(zxidOf(1, 12), zxidOf(1, 15), 1 << 20)
  expect(cut).toMatchObject({ previous: zxidOf(1, 12), first: zxidOf(1, 13), last: zxidOf(1, 15), entries: 3 })
  expect(await readAll(store, zxidOf(1, 20))).toEqual([])
})

test('truncation goes by ZXID and checksum, and takes the end points back', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const first = run(null, 1, 10)
  const second = run(first, 2, 5)
  await write(store, { append: [first, second], epochs: { accepted: 2, acceptedFrom: null, current: 2 } })
  const cut = (await store.read(ZERO, zxidOf(1, 4), 1 << 20))[0]!
  const other = run(cut, 3, 1, 'other')
  await write(store, { truncateTo: { zxid: cut.last, checksum: cut.checksum }, append: [other] })
  await store.close()
  const { log, epochs } = await store.open(ID)
  expect(log.last).toBe(zxidOf(3, 1))
  expect(log.endPoints).toEqual([{ epoch: 1, last: cut.last, checksum: cut.checksum }, ...endPointsOf(other)])
  expect(epochs.accepted).toBe(2)
  await expect(write(store, { truncateTo: { zxid: cut.last, checksum: 1 } })).rejects.toMatchObject({ code: 'DIVERGED' })
})

test('a refused write changes nothing, and every later one fails with it', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const first = run(null, 1, 3)
  await write(store, { append: [first] })
  const gap = run(run(first, 1, 1), 1, 1)
  const founding = { ensembleId: 'c'.repeat(32), configuration: { version: ZERO, members: [] } }
  await expect(write(store, { founding, truncateTo: { zxid: ZERO, checksum: 0 }, append: [gap] })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await expect(write(store, { append: [run(first, 1, 1)] })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await store.close()
  const state = await store.open(ID)
  expect(state.founding).toBe(null)
  expect(state.log.last).toBe(first.last)
})

test('a staged generation is invisible until a write installs it, then takes the place of snapshot and log', async () => {
  const store = memoryStorage()
  await store.open(ID)
  await write(store, { append: [run(null, 1, 5, 'old')] })
  const base = run(null, 2, 8)
  const behind = run(base, 2, 4)
  const generation = await store.stage(metaAt(base), chunksOf('new ', 'state'))
  expect(generation).toBe(1)
  await new Promise((resolve) => store.stageAppend(generation, [behind], resolve))
  expect(await store.openSnapshot()).toBe(null)
  expect(await readAll(store)).toEqual([zxidOf(1, 5)])
  const next = run(behind, 3, 1)
  await write(store, { install: generation, append: [next], epochs: { accepted: 3, acceptedFrom: null, current: 3 } })
  expect(await textsOf(store)).toEqual(['new ', 'state'])
  expect(await readAll(store, base.last)).toEqual([behind.last, next.last])
  await expect(store.read(ZERO, next.last, 1)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await store.close()
  const state = await store.open(ID)
  expect(state.snapshot).toEqual(metaAt(base))
  expect(state.log).toMatchObject({ start: base.last, last: next.last, checksum: next.checksum })
  expect(state.log.endPoints.map(({ epoch }) => epoch)).toEqual([2, 3])
})

test('a discarded generation cannot be installed, and none outlives close()', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const base = run(null, 1, 2)
  const first = await store.stage(metaAt(base), chunksOf('a'))
  store.discard(first)
  store.discard(99)
  await expect(write(store, { install: first })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  await store.close()
  await store.open(ID)
  const second = await store.stage(metaAt(base), chunksOf('a'))
  expect(second).toBe(2)
  await store.close()
  await store.open(ID)
  await expect(write(store, { install: second })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test('a snapshot of our own is void when an install overtakes it', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const own = run(null, 1, 3)
  await write(store, { append: [own] })
  const base = run(null, 2, 8)
  const generation = await store.stage(metaAt(base), chunksOf('leader'))
  const saved = store.saveSnapshot(
    metaAt(own),
    (async function* () {
      yield new Uint8Array(1)
      await write(store, { install: generation })
      yield new Uint8Array(1)
    })(),
  )
  expect(await saved).toBe(false)
  expect(await textsOf(store)).toEqual(['leader'])
})

test('a snapshot that its source breaks off leaves nothing', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const own = run(null, 1, 3)
  await write(store, { append: [own] })
  const broken = (async function* () {
    yield new Uint8Array(1)
    throw new Error('torn')
  })()
  await expect(store.saveSnapshot(metaAt(own), broken)).rejects.toThrow('torn')
  expect(await store.openSnapshot()).toBe(null)
  await expect(store.saveSnapshot({ ...metaAt(own), checksum: 1 }, chunksOf('x'))).rejects.toMatchObject({ code: 'DIVERGED' })
})

test('compaction keeps the newest snapshots, the log behind the oldest of them, and what is asked for', async () => {
  const store = memoryStorage()
  await store.open(ID)
  const runs: Run[] = []
  for (let i = 0; i < 5; i++) {
    const next = run(runs.at(-1) ?? null, 1, 10)
    runs.push(next)
    await write(store, { append: [next] })
    await store.saveSnapshot(metaAt(next), chunksOf(`${i}`))
  }
  expect(await store.compact(2, zxidOf(1, 25))).toBe(zxidOf(1, 20))
  expect(await store.compact(2, Number.MAX_SAFE_INTEGER as Zxid)).toBe(zxidOf(1, 40))
  expect(epochOf(zxidOf(1, 40))).toBe(1)
  expect(await textsOf(store)).toEqual(['4'])
  await expect(store.compact(0, ZERO)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test('a closed store finishes what it accepted and answers CLOSED afterwards', async () => {
  const store = memoryStorage()
  await store.open(ID)
  await expect(store.open(ID)).rejects.toMatchObject({ code: 'FOLDER_IN_USE' })
  let done = false
  store.write({ ...EMPTY, ticket: 1, append: [run(null, 1, 1)] }, () => (done = true))
  await store.close()
  expect(done).toBe(true)
  await store.close()
  await expect(write(store, {})).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(store.read(ZERO, ZERO, 1)).rejects.toMatchObject({ code: 'CLOSED' })
})
