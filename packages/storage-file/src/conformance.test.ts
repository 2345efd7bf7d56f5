import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Damages, type DiskImage, type LogStoreSetup, RecordedDisk, type RecordedPlace, type StorePlace, testLogStore } from '@antiphon/conformance'
import { AntiphonError } from '@antiphon/ports'
import { type Link, localLink, NodeDisk, StoreClient } from '@antiphon/storage-kit/node'
import { beforeAll, describe, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { seeded } from './engine/history.test-support.ts'
import { type Disk, DiskFault, FileEngine, MemoryDisk } from './engine/index.ts'
import { fileStorage } from './index.ts'

const supports = { durable: true, browser: false }
/** Small segments, so that the cases cross their borders. */
const SEGMENT_BYTES = 64 * 1024

/** Smaller still where every operation on the disk is a case of its own. */
const RECORDED = { segmentBytes: 2048, aheadBytes: 512 }
/** How many copies a case on a real disk looks at. */
const COPIES_MAX = 40

async function folderOf(files: DiskImage = new Map()): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-store-'))
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes)
  return folder
}

async function place(mainThread: boolean, files?: DiskImage): Promise<StorePlace & { readonly folder: string }> {
  const folder = await folderOf(files)
  return {
    folder,
    create: () => fileStorage({ folder, mainThread, segmentBytes: SEGMENT_BYTES }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

async function contentsOf(folder: string): Promise<DiskImage> {
  const names = await readdir(folder)
  return new Map(await Promise.all(names.map(async (name) => [name, new Uint8Array(await readFile(join(folder, name)))] as const)))
}

const damages: Damages = {
  files: (left) => contentsOf((left as StorePlace & { folder: string }).folder),
  place: (files) => place(true, files),
}

/** Engines over a disk that is recorded, in this thread. */
function recordedOver(disk: Disk, files: DiskImage, remove: () => Promise<void>): RecordedPlace {
  const recorded = new RecordedDisk(disk, files)
  return {
    disk: recorded,
    create: () => new StoreClient(async (handler) => localLink(new FileEngine(recorded, RECORDED), handler, 5)),
    remove,
  }
}

async function simulated(files: DiskImage): Promise<RecordedPlace> {
  const disk = new MemoryDisk()
  for (const [name, bytes] of files) {
    const file = disk.open(name, 'create')
    disk.write(file, bytes, 0)
    disk.close(file)
  }
  return recordedOver(disk, files, async () => {})
}

async function real(files: DiskImage): Promise<RecordedPlace> {
  const folder = await folderOf(files)
  return recordedOver(new NodeDisk(folder), files, () => rm(folder, { recursive: true, force: true }))
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

/** Every suite, over one kind of disk. */
const recordedSetup = (recorded: (files: DiskImage) => Promise<RecordedPlace>): LogStoreSetup => ({
  supports,
  // Nothing locks a disk that is not a folder.
  exclusive: false,
  recorded,
  place: () => recorded(new Map()),
})

describe('in a worker', () => testLogStore(test, { supports, place: () => place(false) }))
describe('in the main thread', () => testLogStore(test, { supports, damages, copiesMax: 4 * COPIES_MAX, place: () => place(true) }))
describe('on a disk that fails', () => testLogStore(test, { supports, crashes: true, breaks: true, place: breakablePlace }))
describe('on a simulated disk that is recorded', () => testLogStore(test, recordedSetup(simulated)))
describe('on a real disk that is recorded', () => testLogStore(test, { ...recordedSetup(real), copiesMax: COPIES_MAX }))
