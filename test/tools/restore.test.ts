import type { AntiphonError, LogStore, Zxid } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { type BackupOptions, backup, restore, verifyBackup } from '@antiphon/storage-tools'
import { expect, test } from 'vitest'
import { FRESH, numbered, opened, startOn, stores, written } from './ensemble.ts'

async function backedUp(store: LogStore, options: BackupOptions = {}): Promise<Uint8Array> {
  const state = await store.open(FRESH)
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of backup({ state, read: store.read.bind(store), openSnapshot: store.openSnapshot.bind(store) }, options)) pieces.push(piece)
  } finally {
    await store.close()
  }
  return Buffer.concat(pieces)
}

function streamed(bytes: Uint8Array, bytesEach = 1000): () => AsyncIterable<Uint8Array> {
  return async function* () {
    for (let at = 0; at < bytes.length; at += bytesEach) yield bytes.subarray(at, at + bytesEach)
  }
}

test.each([
  ['with a snapshot and a log behind it', 30],
  ['with a log alone', 100_000],
])('a backup %s becomes a new ensemble that has the data and goes on', async (_, snapshotEveryEntries) => {
  const old = stores(1, 2, 3)
  const texts = numbered(70)
  await written(old, texts, { snapshotEveryEntries })
  const before = await opened(old.get(2)!)
  expect(before.snapshot === null).toBe(snapshotEveryEntries > 100)

  const bytes = await backedUp(old.get(2)!)
  const made = stores(1, 2, 3)
  const restored = await restore(
    streamed(bytes),
    [...made].map(([id, store]) => ({ id, store })),
  )

  const states = await Promise.all([...made.values()].map(opened))
  const ids = new Set([before, ...states].map(({ storeId }) => storeId))
  expect(ids.size).toBe(4)
  expect(restored.ensembleId).not.toBe(before.founding!.ensembleId)
  for (const { founding, log, snapshot, epochs } of states) {
    expect(founding).toEqual({ ensembleId: restored.ensembleId, configuration: { version: 0, members: expect.any(Array) } })
    expect(founding!.configuration.members.map(({ id, storeId }) => [id, storeId])).toEqual(restored.members.map(({ id, storeId }) => [id, storeId]))
    expect([log.last, log.checksum, snapshot?.zxid]).toEqual([before.log.last, before.log.checksum, before.snapshot?.zxid])
    expect(epochs).toEqual({ accepted: before.epochs.current, acceptedFrom: null, current: before.epochs.current })
  }

  const running = await startOn(made)
  expect((await running[1]!.machine.read()).notes).toEqual(texts)
  expect(await running[2]!.machine.dispatch.note('after')).toBe(71)
  await Promise.all(running.map(({ replica }) => replica.read('linearizable')))
  for (const { machine, replica } of running) {
    expect(machine.state.notes).toEqual([...texts, 'after'])
    expect(replica.status()).toMatchObject({ ensembleId: restored.ensembleId, votes: true, warnings: [] })
    expect(replica.status().epoch).toBeGreaterThan(before.epochs.current)
  }
})

test('a backup of a backup’s ensemble with other members, one that observes and one voter alone', async () => {
  const old = stores(1, 2, 3)
  await written(old, numbered(20), { snapshotEveryEntries: 10 })
  const bytes = await backedUp(old.get(1)!)
  const larger = stores(2, 5, 9, 7)
  const { members } = await restore(
    streamed(bytes),
    [...larger].map(([id, store]) => ({ id, store, ...(id === 5 && { role: 'observer' as const }) })),
  )
  expect(members.map(({ id, role }) => [id, role])).toEqual([
    [2, 'voter'],
    [5, 'observer'],
    [9, 'voter'],
    [7, 'voter'],
  ])
  const running = await startOn(larger, { observers: [5] })
  await running[1]!.machine.dispatch.note('by the observer')
  expect(running[1]!.machine.state.notes).toEqual([...numbered(20), 'by the observer'])
  expect(running[1]!.replica.status()).toMatchObject({ role: 'observing', votes: false })
  await Promise.all(running.map(({ replica }) => replica.close()))

  const alone = stores(5)
  await restore(streamed(await backedUp(larger.get(5)!)), [{ id: 5, store: alone.get(5)!, role: 'voter' }])
  const [one] = await startOn(alone)
  expect((await one!.machine.read()).notes).toEqual([...numbered(20), 'by the observer'])
})

test('a backup ends where it is told to, at or behind the snapshot', async () => {
  const old = stores(1)
  await written(old, numbered(20))
  const { log } = await opened(old.get(1)!)
  const upTo = (log.last - 8) as Zxid
  const bytes = await backedUp(old.get(1)!, { upTo })
  expect((await verifyBackup(streamed(bytes)())).last).toBe(upTo)
  const made = stores(1)
  await restore(streamed(bytes), [{ id: 1, store: made.get(1)! }])
  const [one] = await startOn(made)
  expect((await one!.machine.read()).notes).toEqual(numbered(12))

  const snapped = stores(1)
  await written(snapped, numbered(20), { snapshotEveryEntries: 5 })
  await expect(backedUp(snapped.get(1)!, { upTo: 1 as Zxid })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  const { snapshot } = await snapped
    .get(1)!
    .open(FRESH)
    .finally(() => snapped.get(1)!.close())
  expect(await verifyBackup(streamed(await backedUp(snapped.get(1)!, { upTo: snapshot!.zxid }))())).toMatchObject({ entries: 0, last: snapshot!.zxid })
  await expect(backedUp(snapped.get(1)!, { upTo: 1 as Zxid })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test('a backup that is damaged anywhere, cut off or longer makes nothing', async () => {
  const old = stores(1)
  await written(old, numbered(12), { snapshotEveryEntries: 8 })
  const sound = await backedUp(old.get(1)!)
  expect(await verifyBackup(streamed(sound, 7)())).toMatchObject({ last: (await opened(old.get(1)!)).log.last })
  const expectRefused = async (bytes: Uint8Array): Promise<void> => {
    const store = memoryStorage()
    const refused = await restore(streamed(bytes, 300), [{ id: 1, store }]).catch((error: AntiphonError) => error)
    expect(refused).toMatchObject({ code: 'CORRUPT', remedy: expect.stringMatching(/\w/) })
    expect((await opened(store)).storeId).toBe(FRESH)
  }
  for (let at = 0; at < sound.length; at += 3) {
    const flipped = sound.slice()
    flipped[at]! ^= 1 << (at % 8)
    await expectRefused(flipped)
  }
  for (let length = 0; length < sound.length; length += 11) await expectRefused(sound.subarray(0, length))
  await expectRefused(Buffer.concat([sound, new Uint8Array(1)]))
})

test('a backup of a later format is refused by its version', async () => {
  const old = stores(1)
  await written(old, numbered(2))
  const bytes = await backedUp(old.get(1)!)
  const length = Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32BE(8)
  bytes[5] = 2
  const { crc32 } = await import('@antiphon/wire')
  Buffer.from(bytes.buffer, bytes.byteOffset).writeUInt32BE(crc32(bytes, 0, 0, length - 4), length - 4)
  await expect(verifyBackup(streamed(bytes)())).rejects.toMatchObject({ code: 'VERSION_MISMATCH', details: { found: 2, known: 1 } })
})

test('stores that are not new, and members that make no ensemble, are refused before anything is written', async () => {
  const old = stores(1)
  await written(old, numbered(3))
  const bytes = await backedUp(old.get(1)!)
  const refuses = async (members: Parameters<typeof restore>[1]): Promise<void> => {
    await expect(restore(streamed(bytes), members)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', remedy: expect.stringMatching(/\w/) })
  }
  const fresh = memoryStorage()
  await refuses([
    { id: 1, store: fresh },
    { id: 2, store: old.get(1)! },
  ])
  expect((await opened(fresh)).founding).toBe(null)
  const used = memoryStorage()
  await used.open('e'.repeat(32))
  await used.close()
  await refuses([{ id: 1, store: used }])
  await refuses([])
  await refuses([{ id: 0, store: memoryStorage() }])
  await refuses([{ id: 1, store: memoryStorage(), role: 'observer' }])
  await refuses([{ id: 1, store: memoryStorage(), weight: 0 }])
  await refuses([{ id: 1, store: memoryStorage(), weight: -1 }])
  await refuses([
    { id: 1, store: memoryStorage() },
    { id: 1, store: memoryStorage() },
  ])
})

test('a store that is of no ensemble has nothing to be backed up', async () => {
  await expect(backedUp(memoryStorage())).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', remedy: expect.stringMatching(/\w/) })
})
