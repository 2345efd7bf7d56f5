import { AntiphonError, type Zxid } from '@antiphon/ports'
import { EngineServer } from '@antiphon/storage-kit'
import { type LinkHandler, localLink, StoreClient } from '@antiphon/storage-kit/node'
import { expect, test } from 'vitest'
import { Driver } from './engine/driver.test-support.ts'
import { runBehind, writeOf } from './engine/history.test-support.ts'
import { FileEngine, MemoryDisk } from './engine/index.ts'

const OPTIONS = { segmentBytes: 4096, aheadBytes: 0 }

test('a store whose worker has died can be closed, and says what became of it', async () => {
  let handler: LinkHandler | null = null
  let dead = false
  const store = new StoreClient(async (given) => {
    handler = given
    const server = new EngineServer(new FileEngine(new MemoryDisk()), (reply) => {
      if (!dead) given.reply(reply)
    })
    return {
      post(request) {
        if (dead) return
        server.receive(request)
        setImmediate(() => {
          while (!dead && server.step());
        })
      },
      end: async () => undefined,
    }
  })
  await store.open('0123456789abcdef'.repeat(2))
  dead = true
  handler!.lost(new AntiphonError('DISK_FAILED', 'the worker died', { remedy: 'Start again.' }))
  await expect(store.openSnapshot()).rejects.toMatchObject({ code: 'DISK_FAILED' })
  await store.close()
})

/** Two snapshots of which the newer is damaged, and rot behind the older one. */
function damaged(): MemoryDisk {
  const driver = new Driver(new MemoryDisk(), OPTIONS)
  driver.open()
  for (let i = 1; i <= 150; i++) {
    driver.write({ append: [runBehind(driver.durable.tail, 1, 5)] })
    if (i === 1 || i === 120 || i === 140) driver.save(driver.durable.tail, [new Uint8Array(100)])
  }
  driver.engine.close()
  const { disk } = driver
  disk.flip(
    disk
      .list()
      .filter((name) => name.startsWith('snapshot-'))
      .sort()
      .at(-1)!,
    200,
    1,
  )
  disk.flip(
    disk
      .list()
      .filter((name) => name.startsWith('log-'))
      .sort()[2]!,
    2000,
    1,
  )
  return disk
}

test('what an engine finds by itself is told to whoever watches, each once, and the store works', async () => {
  const store = new StoreClient(async (handler) => localLink(new FileEngine(damaged(), OPTIONS), handler, 5))
  const told: AntiphonError[] = []
  store.watch((error) => told.push(error))
  const { log } = await store.open('0123456789abcdef'.repeat(2))
  while (told.length < 2) await new Promise((resolve) => setImmediate(resolve))
  expect(told.map((error) => [error instanceof AntiphonError, error.code, String(error.details['file']).slice(0, 4)])).toEqual([
    [true, 'CORRUPT', 'snap'],
    [true, 'CORRUPT', 'log-'],
  ])
  await expect(store.read(0 as Zxid, log.last, 1)).rejects.toMatchObject({ code: 'CORRUPT' })
  expect((await store.read((log.last - 20) as Zxid, log.last, 1))[0]!.previous).toBe(log.last - 20)
  expect(told.length).toBe(2)
  await store.close()
})

test('while a read reaches for what is far behind, flushes go on', async () => {
  const disk = new MemoryDisk()
  const driver = new Driver(disk, OPTIONS)
  driver.open()
  for (let i = 1; i <= 400; i++) {
    driver.write({ append: [runBehind(driver.durable.tail, 1, 5)] })
    if (i === 1) driver.save(driver.durable.tail, [])
  }
  driver.save(driver.durable.tail, [])
  driver.engine.close()
  const replies: string[] = []
  const engine = new FileEngine(disk, OPTIONS)
  const server = new EngineServer(engine, (reply) => replies.push(reply.kind))
  server.receive({ kind: 'call', id: 1, call: { op: 'open', freshStoreId: '0'.repeat(32) } })
  server.step()
  server.receive({ kind: 'call', id: 2, call: { op: 'read', after: 0 as Zxid, upTo: (2 ** 40) as Zxid, bytesMax: 1 } })
  let steps = 0
  while (!replies.includes('answer', 1)) {
    if (++steps === 3) {
      driver.packer.add(writeOf({ append: [runBehind(driver.durable.tail, 1, 1)] }))
      server.receive({ kind: 'pack', pack: driver.packer.take()! })
    }
    expect(server.step()).toBe(true)
  }
  expect(replies).toEqual(['answer', 'flushed', 'answer'])
  expect(steps).toBeGreaterThan(10)
})
