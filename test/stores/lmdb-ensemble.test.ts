import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { immerState } from '@antiphon/immer-state'
import { Replica } from '@antiphon/replica'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildWorker } from '../support/build-worker.ts'

beforeAll(() => buildWorker('storage-lmdb', 'storage-file', 'storage-kit', 'ports', 'wire', 'consensus-core'))

test('three replicas on LMDB stores: one is away while the others go on, and comes back with all of it', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-lmdb-ensemble-'))
  const network = new MemoryNetwork()
  const running = new Map<number, Awaited<ReturnType<typeof start>>>()
  onTestFinished(async () => {
    await Promise.all([...running.values()].map(({ replica }) => replica.close()))
    await rm(folder, { recursive: true, force: true })
  })

  async function start(id: number) {
    const list = immerState({ initial: [] as string[], actions: { add: (state, text: string) => void state.push(text) } })
    const replica = await Replica.start({
      id,
      members: { 1: '1', 2: '2', 3: '3' },
      machines: { list },
      storage: lmdbStorage({ folder: join(folder, String(id)), segmentBytes: 8 * 1024 }),
      transport: network.transport(String(id)),
      snapshotEveryEntries: 50,
    })
    const started = { replica, list }
    running.set(id, started)
    return started
  }

  const members = await Promise.all([1, 2, 3].map(start))
  await Promise.all(members.map(({ replica }) => replica.ready({ timeoutMs: 30_000 })))
  const expected: string[] = []
  const add = async (by: number, count: number): Promise<void> => {
    const texts = Array.from({ length: count }, (_, i) => `${expected.length + i} by ${by} ${'x'.repeat(100)}`)
    for (const text of texts) await running.get(by)!.list.dispatch.add(text)
    expected.push(...texts)
  }
  await add(1, 40)
  await running.get(3)!.replica.close()
  running.delete(3)
  await add(2, 300)
  const back = await start(3)
  await back.replica.ready({ timeoutMs: 30_000 })
  expect(await back.list.read()).toEqual(expected)
  await add(3, 10)
  for (const { list } of running.values()) expect(await list.read()).toEqual(expected)
})
