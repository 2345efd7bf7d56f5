import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StorePlace, testLogStore } from '@antiphon/conformance'
import { beforeAll, describe, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { lmdbStorage } from './index.ts'

const supports = { durable: true, browser: false }

/** Small segments and a small map, so that the cases cross their borders. */
async function place(mainThread: boolean): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-lmdb-'))
  return {
    create: () => lmdbStorage({ folder, mainThread, segmentBytes: 64 * 1024, aheadBytes: 64 * 1024, mapBytes: 1024 * 1024 }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

beforeAll(buildWorker)

describe('in a worker', () => testLogStore(test, { supports, place: () => place(false) }))
describe('in the main thread', () => testLogStore(test, { supports, place: () => place(true) }))
