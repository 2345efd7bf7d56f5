import type { FileHandle } from '@antiphon/storage-kit'
import { localLink, StoreClient } from '@antiphon/storage-kit/node'
import { expect, test } from 'vitest'
import { Driver } from './driver.test-support.ts'
import { FileEngine } from './engine.ts'
import { runBehind, STORE_ID, writeOf } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

const STEP_BYTES = 512 * 1024
const AHEAD_BYTES = 8 * 1024 * 1024

/** Tells what was done, zeros apart: `create`, `write`, `fill`, `sync`, `remove`, `syncDirectory`. */
class ToldDisk extends MemoryDisk {
  told: string[] = []
  filled = 0
  largestFill = 0

  override open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    if (mode === 'create') this.told.push('create')
    return super.open(name, mode)
  }

  override write(file: FileHandle, bytes: Uint8Array, offset: number): void {
    const fills = bytes.every((byte) => byte === 0)
    this.told.push(fills ? 'fill' : 'write')
    if (fills) {
      this.filled += bytes.length
      this.largestFill = Math.max(this.largestFill, bytes.length)
    }
    super.write(file, bytes, offset)
  }

  override sync(file: FileHandle): void {
    this.told.push('sync')
    super.sync(file)
  }

  override remove(name: string): void {
    this.told.push('remove')
    super.remove(name)
  }

  override syncDirectory(): void {
    this.told.push('syncDirectory')
    super.syncDirectory()
  }

  take(): string[] {
    return this.told.splice(0)
  }
}

test('a write waits for no zero-filling: neither the first one, nor one in its midst, nor one that begins a segment', () => {
  const disk = new ToldDisk()
  const driver = new Driver(disk, { segmentBytes: 2 * STEP_BYTES, aheadBytes: 2 * STEP_BYTES })
  driver.open()
  // In the copy of the last segment, when it is made anyway.
  expect(disk.filled).toBeLessThanOrEqual(STEP_BYTES)
  disk.take()
  driver.write({ append: [runBehind(null, 1, 1)] })
  expect(disk.take()).toEqual(['write', 'sync'])
  expect(driver.engine.background()).toBe(true)
  expect(disk.take()).toEqual(['fill', 'sync'])
  driver.write({ append: [runBehind(driver.durable.tail, 1, 1)] })
  expect(disk.take()).toEqual(['write', 'sync'])
  // Nothing was made ready for the next segment: it is made with its first batch, and no more.
  driver.write({ append: [runBehind(driver.durable.tail, 1, 1, 2 * STEP_BYTES)] })
  expect(disk.take()).toEqual(['create', 'write', 'sync', 'syncDirectory'])
  // Behind a large batch nothing is filled: its flush waits for bytes. Behind a small one it goes on.
  expect(driver.engine.background()).toBe(false)
  expect(disk.take()).toEqual([])
  driver.write({ append: [runBehind(driver.durable.tail, 1, 1)] })
  while (driver.engine.background());
  expect(disk.largestFill).toBeLessThanOrEqual(STEP_BYTES)
  disk.take()
  // Now it was.
  driver.write({ append: [runBehind(driver.durable.tail, 1, 1, STEP_BYTES)] })
  expect(disk.take()).toEqual(['write', 'sync'])
})

test('a host flushes what has come before it fills on', async () => {
  const disk = new ToldDisk()
  const store = new StoreClient(async (handler) => localLink(new FileEngine(disk, { aheadBytes: AHEAD_BYTES }), handler))
  await store.open(STORE_ID)
  const run = runBehind(null, 1, 1)
  const filledAtDone = await new Promise<number>((resolve, reject) => {
    store.write(writeOf({ append: [run] }), (error) => (error === null ? resolve(disk.filled) : reject(error)))
  })
  expect(filledAtDone).toBeLessThanOrEqual(4 * STEP_BYTES)
  while (disk.filled < AHEAD_BYTES - STEP_BYTES) await new Promise((resolve) => setImmediate(resolve))
  await store.close()
})

test('files that compaction drops go in idle moments, one at a time, and a write waits for none of them', () => {
  const disk = new ToldDisk()
  const driver = new Driver(disk, { segmentBytes: 1024, aheadBytes: 0 })
  driver.open()
  for (let i = 0; i < 30; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  driver.save(driver.durable.tail, [])
  disk.take()
  driver.engine.compact(1, driver.durable.tail.last)
  expect(disk.take()).toEqual([])
  expect(driver.engine.background()).toBe(true)
  expect(disk.take()).toEqual(['remove'])
  driver.write({ append: [runBehind(driver.durable.tail, 1, 1)] })
  expect(disk.take()).not.toContain('remove')
  let removed = 0
  while (driver.engine.background()) removed += disk.take().filter((operation) => operation === 'remove').length
  expect(removed).toBeGreaterThan(3)
})
