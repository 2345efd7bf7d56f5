import { AntiphonError } from '@antiphon/ports'
import { EngineServer } from '@antiphon/storage-kit'
import { type LinkHandler, StoreClient } from '@antiphon/storage-kit/node'
import { expect, test } from 'vitest'
import { FileEngine, MemoryDisk } from './engine/index.ts'

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
