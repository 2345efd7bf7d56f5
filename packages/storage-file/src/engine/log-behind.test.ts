import { type Zxid, zxidOf } from '@antiphon/ports'
import type { FileHandle } from '@antiphon/storage-kit'
import { cutBehind } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Driver } from './driver.test-support.ts'
import { ALL, runBehind, seeded } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

const OPTIONS = { segmentBytes: 4096, aheadBytes: 0 }
/** What is read of a segment to find its head, with few members. */
const HEAD_BYTES = 1024
const RUN_ENTRIES = 5

class CountingDisk extends MemoryDisk {
  readonly bytesRead = new Map<string, number>()
  readonly #names = new Map<FileHandle, string>()

  override open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    const file = super.open(name, mode)
    this.#names.set(file, name)
    return file
  }

  override read(file: FileHandle, into: Uint8Array, offset: number): number {
    const count = super.read(file, into, offset)
    const name = this.#names.get(file)!
    this.bytesRead.set(name, (this.bytesRead.get(name) ?? 0) + count)
    return count
  }
}

const logsOf = (disk: MemoryDisk): string[] =>
  disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()

/** `runs` runs behind the snapshot and two after it; closed. */
function closedBehindSnapshot<Of extends MemoryDisk>(disk: Of, runs: number): Driver & { readonly disk: Of } {
  const driver = new Driver(disk, OPTIONS)
  driver.open()
  driver.write({ append: [runBehind(null, 1, RUN_ENTRIES)] })
  // Compaction keeps all of the log behind it.
  driver.save(driver.durable.tail, [])
  for (let i = 1; i < runs; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, RUN_ENTRIES)] })
  driver.save(driver.durable.tail, [new Uint8Array(100)])
  for (let i = 0; i < 2; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, RUN_ENTRIES)] })
  driver.engine.close()
  return driver as Driver & { readonly disk: Of }
}

function rest(driver: Driver): void {
  while (driver.engine.background());
}

test('of the segments that the newest snapshot stands for, opening reads the heads alone: no more for a longer history', () => {
  const [short, long] = [60, 600].map((runs) => {
    const driver = closedBehindSnapshot(new CountingDisk(), runs)
    driver.disk.bytesRead.clear()
    driver.open()
    const names = logsOf(driver.disk)
    // Two readings of each head, and nothing of the body.
    for (const name of names.slice(0, -3)) expect(driver.disk.bytesRead.get(name)).toBe(2 * HEAD_BYTES)
    const behind = names.slice(0, -3).reduce((sum, name) => sum + driver.disk.bytesRead.get(name)!, 0)
    return [...driver.disk.bytesRead.values()].reduce((sum, bytes) => sum + bytes, 0) - behind
  })
  expect(long).toBeLessThan(short! * 1.5)
})

test('what was not read when the store was opened is read when it is asked for, and all of it in idle moments', () => {
  for (const idles of [false, true]) {
    const driver = closedBehindSnapshot(new CountingDisk(), 120)
    driver.open()
    const before = driver.engine.indexedFrom
    expect(before).toBeGreaterThan(zxidOf(1, 500))
    if (idles) rest(driver)
    else expect(driver.read(zxidOf(1, 300), 1)[0]!.first).toBe(zxidOf(1, 301))
    expect(driver.engine.indexedFrom).toBeLessThanOrEqual(idles ? 0 : zxidOf(1, 300))
    if (!idles) expect(driver.engine.indexedFrom).toBeGreaterThan(zxidOf(1, 200))
    expect(driver.engine.takeTroubles()).toEqual([])
    driver.expectSound()
    expect(driver.engine.indexedFrom).toBe(0)
  }
})

test('a host is told to wait until what is asked for was reached, a step at a time', () => {
  const driver = closedBehindSnapshot(new MemoryDisk(), 200)
  driver.open()
  let steps = 0
  while (!driver.engine.reaches(zxidOf(1, 50))) steps++
  expect(steps).toBeGreaterThan(5)
  expect(driver.engine.indexedFrom).toBeLessThanOrEqual(zxidOf(1, 50))
  expect(driver.engine.indexedFrom).toBeGreaterThan(0)
})

test('a truncation that reached into segments behind the snapshot is in force there too', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed)
    const driver = new Driver(new MemoryDisk(), { segmentBytes: 1024, aheadBytes: 0 })
    driver.open()
    for (let epoch = 1; epoch <= 4; epoch++) {
      for (let i = 0; i < 12; i++) driver.write({ append: [runBehind(driver.durable.tail, epoch, 3)] })
      const run = driver.durable.runs[driver.durable.runs.length - 1 - (random.uint32() % 20)] ?? driver.durable.runs[0]!
      const cut = cutBehind(run, (run.first + (random.uint32() % run.entries)) as Zxid)!
      driver.write({ truncateTo: { zxid: cut.last, checksum: cut.checksum }, append: [runBehind(cut, epoch + 1, 2)] })
    }
    for (let i = 0; i < 3; i++) driver.write({ append: [runBehind(driver.durable.tail, 6, 3)] })
    driver.save(driver.durable.tail, [])
    driver.engine.close()
    // Where the log begins is known before its entries were read, compacted or not.
    if (seed % 2 === 0) {
      driver.open()
      driver.engine.compact(1, driver.durable.runs[5]!.last)
      driver.engine.close()
    }
    const { start } = driver.expectSound().log
    rest(driver)
    expect(driver.engine.indexedFrom).toBe(start)
    driver.expectSound()
  }
})

test('where a log begins whose first segment was cut below its own begin is known before that segment is read', () => {
  const driver = new Driver(new MemoryDisk(), { segmentBytes: 1024, aheadBytes: 0 })
  driver.open()
  for (let i = 0; i < 12; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  const cut = driver.durable.runs[1]!
  driver.write({ truncateTo: { zxid: cut.last, checksum: cut.checksum }, append: [runBehind(cut, 2, 3)] })
  for (let i = 0; i < 9; i++) driver.write({ append: [runBehind(driver.durable.tail, 2, 3)] })
  driver.save(driver.durable.tail, [])
  expect(driver.engine.compact(1, zxidOf(2, 1))).toBe(cut.last)
  driver.engine.close()
  const { log } = driver.expectSound()
  expect(log.start).toBe(cut.last)
  rest(driver)
  expect(driver.engine.indexedFrom).toBe(cut.last)
})

test('rot behind the snapshot is told once, with file and offset; what lies above it is served, what it took is refused', () => {
  const driver = closedBehindSnapshot(new MemoryDisk(), 120)
  const names = logsOf(driver.disk)
  const rotten = names[3]!
  driver.disk.flip(rotten, 2000, 4)
  const { log } = driver.open()
  expect(log.start).toBe(0)
  rest(driver)
  const troubles = driver.engine.takeTroubles()
  expect(troubles).toEqual([expect.objectContaining({ code: 'CORRUPT', details: { file: rotten, offset: expect.any(Number) } })])
  rest(driver)
  expect(driver.engine.takeTroubles()).toEqual([])
  const from = driver.engine.indexedFrom
  expect(driver.read(from)[0]!.previous).toBe(from)
  for (const after of [0 as Zxid, (from - 1) as Zxid]) expect(() => driver.read(after)).toThrowError(expect.objectContaining({ code: 'CORRUPT' }))
  // The store works: it is not the history's end.
  driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  // Nothing that is kept for others goes; then what can not be read does, however many snapshots are kept.
  expect(driver.engine.compact(3, zxidOf(1, 2))).toBe(0)
  expect(driver.engine.compact(3, ALL)).toBe(from)
  expect(() => driver.read(0 as Zxid)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  rest(driver)
  expect(driver.disk.list()).not.toContain(rotten)
  driver.expectSound()
  expect(driver.troubles).toEqual([])
})

test('rot that is gone when it is read again takes nothing', () => {
  const driver = closedBehindSnapshot(new MemoryDisk(), 120)
  const rotten = logsOf(driver.disk)[3]!
  driver.disk.flip(rotten, 2000, 4)
  driver.open()
  rest(driver)
  expect(driver.engine.takeTroubles().length).toBe(1)
  driver.disk.flip(rotten, 2000, 4)
  expect(driver.read(0 as Zxid)[0]!.previous).toBe(0)
  rest(driver)
  expect(driver.engine.takeTroubles()).toEqual([])
  expect(driver.engine.compact(1, zxidOf(1, 2))).toBe(0)
})

test('rot above the newest snapshot, in a segment that was left, is refused when the store is opened (museum 20)', () => {
  const driver = new Driver(new MemoryDisk(), OPTIONS)
  driver.open()
  for (let i = 0; i < 10; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, RUN_ENTRIES)] })
  driver.save(driver.durable.tail, [])
  for (let i = 0; i < 60; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, RUN_ENTRIES)] })
  driver.engine.close()
  // All but the first begin behind the snapshot, or hold it; the last one is copied.
  const names = logsOf(driver.disk).slice(1, -1)
  expect(names.length).toBeGreaterThan(3)
  for (const name of names) {
    driver.disk.flip(name, 1500, 2)
    expect(() => driver.open()).toThrowError(expect.objectContaining({ code: 'CORRUPT', details: expect.objectContaining({ file: name }) }))
    driver.disk.flip(name, 1500, 2)
  }
  driver.expectSound()
})

test('compaction drops segments that were never read', () => {
  const driver = closedBehindSnapshot(new CountingDisk(), 120)
  driver.open()
  driver.disk.bytesRead.clear()
  const [first] = logsOf(driver.disk)
  const start = driver.engine.compact(1, zxidOf(1, 301))
  expect(start).toBeGreaterThan(zxidOf(1, 200))
  expect(start).toBeLessThanOrEqual(zxidOf(1, 300))
  rest(driver)
  expect(driver.disk.list()).not.toContain(first)
  expect(driver.disk.bytesRead.get(first!)).toBe(undefined)
  expect(driver.engine.compact(1, ALL)).toBeGreaterThan(zxidOf(1, 500))
  driver.expectSound()
})

test('a segment that is missing behind the snapshot is the end of what is left of a compaction', () => {
  const driver = closedBehindSnapshot(new MemoryDisk(), 120)
  const names = logsOf(driver.disk)
  driver.disk.remove(names[2]!)
  const { log } = driver.expectSound()
  expect(log.start).toBeGreaterThan(0)
  rest(driver)
  expect(driver.engine.indexedFrom).toBe(log.start)
  expect(driver.engine.takeTroubles()).toEqual([])
  expect(driver.disk.list()).not.toContain(names[0])
})
