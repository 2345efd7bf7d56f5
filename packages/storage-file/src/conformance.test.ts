import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StorePlace, testLogStore } from '@antiphon/conformance'
import { AntiphonError } from '@antiphon/ports'
import { type Link, localLink, StoreClient } from '@antiphon/storage-kit/node'
import { beforeAll, describe, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { seeded } from './engine/history.test-support.ts'
import { DiskFault, FileEngine, MemoryDisk } from './engine/index.ts'
import { fileStorage } from './index.ts'

const supports = { durable: true, browser: false }
/** Small segments, so that the cases cross their borders. */
const SEGMENT_BYTES = 64 * 1024

async function place(mainThread: boolean): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-store-'))
  return {
    create: () => fileStorage({ folder, mainThread, segmentBytes: SEGMENT_BYTES }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** A machine whose plug can be pulled. */
class Breakable extends MemoryDisk {
  breaks = false

  override sync(file: number): void {
    if (this.breaks) {
      this.breaks = false
      throw new DiskFault('EIO', 'the disk is broken')
    }
    super.sync(file)
  }
}

async function breakablePlace(): Promise<StorePlace> {
  const disk = new Breakable()
  const random = seeded(1)
  let inUse: Link | null = null
  let running = 0
  return {
    create: () =>
      new StoreClient(async (handler) => {
        if (inUse !== null) throw new AntiphonError('FOLDER_IN_USE', 'in use', { remedy: 'close() the other' })
        const process = running
        const alive = (): boolean => process === running
        const link = localLink(
          new FileEngine(disk, { segmentBytes: SEGMENT_BYTES }),
          { reply: (reply) => alive() && handler.reply(reply), lost: handler.lost },
          5,
        )
        inUse = link
        return {
          post: (request, transfer) => alive() && link.post(request, transfer),
          end: async () => {
            await link.end()
            if (alive()) inUse = null
          },
        }
      }),
    async crash() {
      running++
      await inUse?.end()
      inUse = null
      disk.crash(random)
    },
    failNextFlush() {
      disk.breaks = true
    },
    async remove() {},
  }
}

beforeAll(buildWorker)

describe('in a worker', () => testLogStore(test, { supports, place: () => place(false) }))
describe('in the main thread', () => testLogStore(test, { supports, place: () => place(true) }))
describe('on a disk that fails', () => testLogStore(test, { supports, crashes: true, breaks: true, place: breakablePlace }))
