import type { FileHandle } from '@antiphon/storage-kit'
import { expect, test } from 'vitest'
import { Driver } from './driver.test-support.ts'
import { Examination } from './examine.ts'
import { MARKER_NAME } from './format.ts'
import { ALL, runBehind, seeded } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'
import { OverlayDisk } from './overlay-disk.ts'

function put(disk: MemoryDisk, name: string, bytes: Uint8Array): void {
  const file = disk.open(name, 'create')
  disk.write(file, bytes, 0)
  disk.close(file)
}

function contents(disk: OverlayDisk, name: string): Uint8Array {
  const file = disk.open(name, 'read')
  const bytes = new Uint8Array(disk.size(file))
  disk.read(file, bytes, 0)
  disk.close(file)
  return bytes
}

const SEGMENT = 'log-00000000-00000001'

test('what is written stays here, and what is below stays as it was', () => {
  const below = new MemoryDisk()
  put(below, MARKER_NAME, new Uint8Array(8).fill(1))
  put(below, SEGMENT, new Uint8Array(10_000).fill(2))
  const disk = new OverlayDisk(below)
  const file = disk.open(SEGMENT, 'write')
  disk.write(file, new Uint8Array(4).fill(9), 9_998)
  const marker = disk.open(MARKER_NAME, 'write')
  disk.write(marker, new Uint8Array([7]), 0)
  disk.write(disk.open('log-00000000-00000002.new', 'create'), new Uint8Array([5]), 3)
  disk.rename('log-00000000-00000002.new', 'log-00000000-00000002')
  expect(disk.size(file)).toBe(10_002)
  expect([...contents(disk, SEGMENT).subarray(9_996)]).toEqual([2, 2, 9, 9, 9, 9])
  expect([...contents(disk, 'log-00000000-00000002')]).toEqual([0, 0, 0, 5])
  expect([...contents(disk, MARKER_NAME)]).toEqual([7, 1, 1, 1, 1, 1, 1, 1])
  disk.remove(SEGMENT)
  expect([...disk.list()].sort()).toEqual([MARKER_NAME, 'log-00000000-00000002'])
  expect(() => disk.open(SEGMENT, 'read')).toThrowError(expect.objectContaining({ code: 'ENOENT' }))
  expect(() => disk.open(MARKER_NAME, 'create')).toThrowError(expect.objectContaining({ code: 'EEXIST' }))
  disk.close(marker)
  expect(() => disk.size(marker)).toThrowError(expect.objectContaining({ code: 'EBADF' }))
  expect([...below.list()].sort()).toEqual([MARKER_NAME, SEGMENT])
  expect(below.contents(SEGMENT)).toEqual(new Uint8Array(10_000).fill(2))
})

test('a file that goes below stays readable', () => {
  const below = new MemoryDisk()
  put(below, MARKER_NAME, new Uint8Array(8))
  for (const number of [1, 2, 3]) put(below, `log-00000000-0000000${number}`, new Uint8Array(100).fill(number))
  const disk = new OverlayDisk(below)
  below.remove(SEGMENT)
  expect(contents(disk, SEGMENT)).toEqual(new Uint8Array(100).fill(1))
})

test('names that change while they are looked at are looked at again', () => {
  const below = new MemoryDisk()
  put(below, MARKER_NAME, new Uint8Array(8))
  for (const number of [1, 2]) put(below, `log-00000000-0000000${number}`, new Uint8Array(100).fill(number))
  let opens = 0
  class Compacting extends MemoryDisk {
    override list(): readonly string[] {
      return below.list()
    }
    override open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
      if (opens++ === 1) {
        below.remove(SEGMENT)
        put(below, 'snapshot-00000000-0000000100000001', new Uint8Array(5))
      }
      return below.open(name, mode)
    }
    override close(file: FileHandle): void {
      below.close(file)
    }
    override size(file: FileHandle): number {
      return below.size(file)
    }
    override read(file: FileHandle, into: Uint8Array, offset: number): number {
      return below.read(file, into, offset)
    }
  }
  const disk = new OverlayDisk(new Compacting())
  expect([...disk.list()].sort()).toEqual([MARKER_NAME, 'log-00000000-00000002', 'snapshot-00000000-0000000100000001'])
})

/** Between any two reads of somebody else, the store goes on. */
class Busy extends MemoryDisk {
  meanwhile: (() => void) | null = null

  override read(file: FileHandle, into: Uint8Array, offset: number): number {
    const { meanwhile } = this
    this.meanwhile = null
    meanwhile?.()
    const count = super.read(file, into, offset)
    this.meanwhile = meanwhile
    return count
  }
}

test.each([
  [16 * 1024, 150],
  [256 * 1024, 150],
  [64 * 1024, 700],
])('a store with segments of %i bytes that is written to all the while is found sound, at some place of its history', (segmentBytes, payloadBytes) => {
  const random = seeded(5)
  const disk = new Busy()
  const driver = new Driver(disk, { segmentBytes, aheadBytes: segmentBytes / 2 })
  driver.open()
  const write = (): void => driver.write({ append: [runBehind(driver.durable.tail, 1, 1 + (random.uint32() % 4), payloadBytes)] })
  for (let i = 0; i < 40; i++) write()
  let seen = 0
  for (let round = 0; round < 15; round++) {
    const before = driver.durable.tail.last
    disk.meanwhile = () => {
      // Now and then more than a page, so that a reader meets the end, and what was written behind it meanwhile.
      for (let writes = random.uint32() % 5 === 0 ? 12 : 0; writes >= 0; writes--) write()
      while (driver.engine.background());
      if (random.uint32() % 100 === 0) driver.save(driver.durable.tail, [new Uint8Array(300)])
      if (random.uint32() % 100 === 0) driver.engine.compact(1, ALL)
    }
    // Not `verifyStore`: that looks again when it sees damage.
    const examination = new Examination(disk)
    const { damages, store } = examination.verify()
    examination.end()
    disk.meanwhile = null
    expect(damages).toEqual([])
    expect(store!.log.last).toBeGreaterThanOrEqual(before)
    expect(store!.log.last).toBeLessThanOrEqual(driver.durable.tail.last)
    seen += store!.log.last > before ? 1 : 0
  }
  expect(seen).toBeGreaterThan(0)
  driver.engine.close()
  expect(new Examination(disk).state.log.last).toBe(driver.durable.tail.last)
})
