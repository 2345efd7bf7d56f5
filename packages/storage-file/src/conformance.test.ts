import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StorePlace, testLogStore } from '@antiphon/conformance'
import { beforeAll, describe, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { fileStorage } from './index.ts'

async function place(mainThread: boolean): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-store-'))
  return {
    // Small segments, so that the cases cross their borders.
    create: () => fileStorage({ folder, mainThread, segmentBytes: 64 * 1024 }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

beforeAll(buildWorker)

describe('in a worker', () => testLogStore(test, { supports: { durable: true, browser: false }, place: () => place(false) }))
describe('in the main thread', () => testLogStore(test, { supports: { durable: true, browser: false }, place: () => place(true) }))
