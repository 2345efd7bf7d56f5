import { memoryStorage } from '@antiphon/storage-memory'
import { expect, onTestFinished, test } from 'vitest'
import { Ensemble, until } from './ensemble.test-support.ts'
import { SnapshotSchedule } from './snapshot-schedule.ts'

const WHOLE = 2 ** 32 - 1
const drawing = (...drawn: number[]) => ({ uint32: () => drawn.shift()! })

test('a snapshot is due after half to whole of the entries, drawn anew for each', () => {
  const schedule = new SnapshotSchedule({ everyEntries: 100, everyBytes: 0, random: drawing(0, WHOLE, 2 ** 31) })
  expect([schedule.due(49, 1e9), schedule.due(50, 0)]).toEqual([null, 'entries'])
  schedule.begin(60, 7)
  expect([schedule.due(159, 1e9), schedule.due(160, 0)]).toEqual([null, 'entries'])
  schedule.begin(160, 7)
  expect([schedule.due(234, 1e9), schedule.due(235, 0)]).toEqual([null, 'entries'])
})

test('or of the bytes, whichever comes first', () => {
  const schedule = new SnapshotSchedule({ everyEntries: 100, everyBytes: 1000, random: drawing(0, WHOLE) })
  expect([schedule.due(49, 499), schedule.due(49, 500), schedule.due(50, 500)]).toEqual([null, 'bytes', 'entries'])
  schedule.begin(49, 500)
  expect([schedule.due(148, 1499), schedule.due(148, 1500)]).toEqual([null, 'bytes'])
})

test('an interval of one entry is one entry, whatever is drawn', () => {
  for (const drawn of [0, WHOLE]) {
    const schedule = new SnapshotSchedule({ everyEntries: 1, everyBytes: 0, random: drawing(drawn) })
    expect([schedule.due(0, 0), schedule.due(1, 0)]).toEqual([null, 'entries'])
  }
})

test('members that apply the same entries take their snapshots at different points of the interval', async () => {
  const ensemble = new Ensemble(2, { snapshotEveryEntries: 1000, snapshotEveryBytes: 40_000 })
  onTestFinished(() => ensemble.closeAll())
  const saved = new Map<number, number>()
  for (const [id, drawn] of [
    [1, 0],
    [2, WHOLE],
  ] as const) {
    const store = memoryStorage()
    const save = store.saveSnapshot.bind(store)
    store.saveSnapshot = (meta, chunks) => {
      if (!saved.has(id)) saved.set(id, ensemble.replicas.get(id)!.machines.list.items.length)
      return save(meta, chunks)
    }
    const random = { uint32: () => drawn }
    await ensemble.start(id, { storage: store, random })
  }
  const leader = ensemble.replicas.get(1)!
  await leader.ready()
  for (let i = 0; i < 50; i++) await leader.propose('list', { text: `${i}`, padding: 1000 })
  await until(() => saved.size === 2)
  // 20,000 bytes, and 40,000.
  expect(saved.get(1)).toBeGreaterThanOrEqual(15)
  expect(saved.get(1)).toBeLessThan(20)
  expect(saved.get(2)).toBeGreaterThanOrEqual(32)
  expect(saved.get(2)).toBeLessThan(40)
})
