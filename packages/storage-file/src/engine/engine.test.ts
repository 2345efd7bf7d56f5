import { type AntiphonError, type Run, ZERO, zxidOf } from '@antiphon/ports'
import type { FileHandle } from '@antiphon/storage-kit'
import { cutBehind } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Driver } from './driver.test-support.ts'
import { ALL, Model, runBehind, STORE_ID, seeded } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

const FOUNDING = { ensembleId: 'e'.repeat(32), configuration: { version: ZERO, members: [] } }
const bytesOf = (...texts: string[]): Uint8Array[] => texts.map((text) => new TextEncoder().encode(text))
const epochs = (accepted: number, current = accepted) => ({ accepted, acceptedFrom: { leader: 3 as never, nonce: 77 }, current })

test('a new folder takes the id that it is given, for ever', () => {
  const driver = new Driver(new MemoryDisk())
  expect(driver.open()).toEqual({
    storeId: STORE_ID,
    founding: null,
    epochs: { accepted: 0, acceptedFrom: null, current: 0 },
    snapshot: null,
    log: { start: 0, last: 0, checksum: 0, endPoints: [], time: 0 },
  })
  driver.engine.close()
  driver.disk.crash(seeded(1))
  expect(driver.open().storeId).toBe(STORE_ID)
})

test('what a flush reported is there after a crash, over several segments', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  for (let i = 0; i < 40; i++)
    driver.write({
      append: [runBehind(driver.durable.tail, 1 + (i >> 4), 3)],
      ...(i === 9 ? { founding: FOUNDING } : {}),
      ...(i === 12 ? { epochs: epochs(4, 2) } : {}),
    })
  driver.disk.crash(seeded(2))
  const state = driver.expectSound()
  expect(state.founding).toEqual(FOUNDING)
  expect(state.epochs).toEqual(epochs(4, 2))
  expect(state.log.last).toBe(zxidOf(3, 24))
  expect(driver.disk.list().filter((name) => name.startsWith('log-')).length).toBeGreaterThan(4)
})

test('several submitted writes go into one batch, by one write and one flush', () => {
  const driver = new Driver(new MemoryDisk(), { segmentBytes: 65_536, aheadBytes: 0 })
  driver.open()
  driver.write({ append: [runBehind(null, 1, 1)] })
  for (let i = 0; i < 10; i++) driver.submit({ append: [runBehind(driver.submitted.tail, 1, 2)] })
  const before = driver.disk.operations
  driver.flush()
  expect(driver.disk.operations - before).toBe(2)
  expect(driver.engine.lastBatch).toBe(2)
})

test('a batch larger than a segment gets a larger one, and lies in it whole', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 2)] })
  driver.write({ append: [runBehind(driver.durable.tail, 1, 50, 200)] })
  driver.write({ append: [runBehind(driver.durable.tail, 1, 2)] })
  driver.disk.kill()
  driver.expectSound()
  expect(Math.max(...driver.disk.list().map((name) => driver.disk.contents(name).length))).toBeGreaterThan(12_000)
})

test('a run of several epochs keeps its end points', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  const parts = [runBehind(null, 1, 3)]
  parts.push(runBehind(parts[0]!, 2, 1))
  parts.push(runBehind(parts[1]!, 5, 2))
  const joined: Run = {
    ...parts[2]!,
    previous: ZERO,
    previousChecksum: 0,
    first: parts[0]!.first,
    entries: 6,
    bytes: Buffer.concat(parts.map(({ bytes }) => bytes)),
  }
  driver.write({ append: [joined] })
  driver.disk.kill()
  expect(driver.expectSound().log.endPoints.map(({ last }) => last)).toEqual([zxidOf(1, 3), zxidOf(2, 1), zxidOf(5, 2)])
  expect(driver.read(ZERO).map(({ last }) => last)).toEqual([zxidOf(1, 3), zxidOf(2, 1), zxidOf(5, 2)])
})

test('a read is cut to its bounds and its bytes, but has one entry at least', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  for (let i = 0; i < 10; i++) driver.write({ append: [runBehind(driver.durable.tail, 1 + (i >> 3), 10)] })
  const [cut] = driver.engine.read(zxidOf(1, 12), zxidOf(1, 15), 1 << 20)
  expect(cut).toMatchObject({ previous: zxidOf(1, 12), first: zxidOf(1, 13), last: zxidOf(1, 15), entries: 3 })
  expect(driver.read(zxidOf(1, 12), 1).map(({ last }) => last)).toEqual([zxidOf(1, 13)])
  expect(driver.read(zxidOf(1, 12), 76 * 5).map(({ entries }) => entries)).toEqual([5])
  expect(driver.read(zxidOf(1, 79)).map(({ previous, last }) => [previous, last])).toEqual([
    [zxidOf(1, 79), zxidOf(1, 80)],
    [zxidOf(1, 80), zxidOf(2, 20)],
  ])
  expect(driver.read(zxidOf(2, 20))).toEqual([])
  expect(driver.engine.read(zxidOf(1, 5), zxidOf(1, 5), 100)).toEqual([])
})

test('truncation drops entries and nothing else: epochs, founding and store id stay (rule 3, museum 32)', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  for (let i = 0; i < 20; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)], founding: FOUNDING, epochs: epochs(9, 1) })
  const [head] = driver.engine.read(ZERO, zxidOf(1, 7), 1 << 20)
  driver.write({ truncateTo: { zxid: head!.last, checksum: head!.checksum } })
  driver.disk.crash(seeded(2))
  expect(driver.expectSound().log.time).toBe(head!.time)
  driver.write({ append: [runBehind(driver.durable.tail, 2, 4, 30)] })
  driver.disk.crash(seeded(3))
  const state = driver.expectSound()
  expect(state.epochs).toEqual(epochs(9, 1))
  expect(state.founding).toEqual(FOUNDING)
  expect(state.log.endPoints.map(({ last }) => last)).toEqual([zxidOf(1, 7), zxidOf(2, 4)])
})

test('append, truncation and append again may share a batch', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  const first = runBehind(null, 1, 5)
  driver.submit({ append: [first] })
  const kept = cutBehind(first, zxidOf(1, 2))!
  driver.submit({ truncateTo: { zxid: kept.last, checksum: kept.checksum }, append: [runBehind(kept, 2, 2)] })
  driver.flush()
  driver.disk.crash(seeded(4))
  expect(driver.expectSound().log.last).toBe(zxidOf(2, 2))
})

test('a truncation to another history, or to an entry that is not there, stops the store before anything is written', () => {
  for (const [zxid, checksum, code] of [
    [zxidOf(1, 2), 5, 'DIVERGED'],
    [zxidOf(1, 9), 5, 'INVALID_ARGUMENT'],
  ] as const) {
    const driver = new Driver(new MemoryDisk())
    driver.open()
    driver.write({ append: [runBehind(null, 1, 5)] })
    const before = driver.disk.operations
    driver.submit({ truncateTo: { zxid, checksum } })
    expect(() => driver.flush()).toThrowError(expect.objectContaining({ code }))
    expect(driver.disk.operations).toBeLessThanOrEqual(before + 1)
    driver.submitted = driver.durable
    driver.submit({ epochs: epochs(5) })
    expect(() => driver.flush()).toThrowError(expect.objectContaining({ code }))
    driver.submitted = driver.durable
    driver.disk.kill()
    driver.expectSound()
  }
})

test('a run that leaves a gap, or follows another history, stops the store', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  const first = runBehind(null, 1, 5)
  driver.write({ append: [first] })
  driver.submit({ append: [runBehind({ ...first, checksum: 1 }, 1, 1)] })
  expect(() => driver.flush()).toThrowError(expect.objectContaining({ code: 'DIVERGED' }))
})

test('snapshots come back as they were saved, and keep the end points that the log no longer has', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  for (let i = 0; i < 60; i++) driver.write({ append: [runBehind(driver.durable.tail, 1 + (i >> 3), 3)] })
  const chunks = [...bytesOf('one', '', 'three'), new Uint8Array(1000).fill(3)]
  expect(driver.save(driver.durable.places[50]!, chunks)).toBe(true)
  expect(driver.readSnapshot()).toEqual(chunks)
  const start = driver.engine.compact(1, ALL)
  expect(start).toBeGreaterThan(zxidOf(4, 1))
  expect(start).toBeLessThanOrEqual(driver.snapshot!.zxid)
  while (driver.engine.background());
  driver.engine.close()
  driver.disk.crash(seeded(5))
  const state = driver.expectSound()
  expect(state.log.endPoints.length).toBe(8)
  expect(state.log.start).toBe(start)
  expect(() => driver.read(ZERO)).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  expect(driver.readSnapshot()).toEqual(chunks)
})

test('an empty snapshot is one', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 3)] })
  driver.save(driver.durable.tail, [])
  expect(driver.readSnapshot()).toEqual([])
})

test('compaction keeps what is asked for, and a snapshot that is read', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  for (let i = 0; i < 60; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  driver.save(driver.durable.places[20]!, bytesOf('old'))
  const reader = driver.engine.openSnapshot()!
  driver.save(driver.durable.places[55]!, bytesOf('new'))
  expect(driver.engine.compact(1, zxidOf(1, 40))).toBeLessThan(zxidOf(1, 40))
  expect(driver.read(zxidOf(1, 39))[0]!.first).toBe(zxidOf(1, 40))
  while (driver.engine.background());
  expect(driver.disk.list()).toContain(reader.name)
  expect(reader.read(reader.begin, 100).next).toBe(null)
  driver.engine.closeSnapshot(reader)
  while (driver.engine.background());
  expect(driver.disk.list()).not.toContain(reader.name)
  expect(driver.engine.compact(1, ALL)).toBeGreaterThan(zxidOf(1, 100))
  driver.disk.kill()
  driver.expectSound()
})

test('a snapshot takes the place of one of the same ZXID that is under way and void, whose leftovers go', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  for (let i = 0; i < 4; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  const meta = driver.durable.metaAt(driver.durable.tail)
  const given = [driver.engine.beginSnapshot(meta), driver.engine.beginSnapshot(meta)]
  driver.save(driver.durable.tail, bytesOf('sound'))
  given[0]!.abort()
  expect(driver.readSnapshot()).toEqual(bytesOf('sound'))
  driver.disk.kill()
  driver.open()
  expect(driver.readSnapshot()).toEqual(bytesOf('sound'))
  expect(driver.disk.list().filter((name) => name.endsWith('.new'))).toEqual([])
})

test('a staged generation is seen only when a write has installed it (rule 14)', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 30)], epochs: epochs(2, 1), founding: FOUNDING })
  driver.save(driver.durable.tail, bytesOf('mine'))
  const base = runBehind(null, 2, 40)
  let staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  const generation = driver.stage(staged.base!, bytesOf('leader', 's'))
  for (let i = 0; i < 30; i++) {
    const run = runBehind(staged.tail, 2, 5)
    expect(driver.stageAppend(generation, [run])).toBe(null)
    staged = new Model(undefined, null, [...staged.runs, run], staged.base)
  }
  expect(driver.readSnapshot()).toEqual(bytesOf('mine'))
  driver.disk.kill()
  driver.expectSound()
  expect(driver.disk.list().filter((name) => name.includes('-00000001-'))).toEqual([])

  const again = driver.stage(staged.base!, bytesOf('leader', 's'))
  for (const run of staged.runs) expect(driver.stageAppend(again, [run])).toBe(null)
  driver.write({ install: again, epochs: epochs(2), append: [runBehind(staged.tail, 2, 1)] }, staged)
  expect(driver.readSnapshot()).toEqual(bytesOf('leader', 's'))
  driver.write({ append: [runBehind(driver.durable.tail, 2, 1)] })
  while (driver.engine.background());
  driver.disk.crash(seeded(6))
  driver.snapshot = staged.base
  const state = driver.expectSound()
  expect(state.snapshot?.zxid).toBe(base.last)
  expect(state.epochs).toEqual(epochs(2))
  expect(state.founding).toEqual(FOUNDING)
  expect(driver.disk.list().filter((name) => name.includes('-00000000-'))).toEqual([])
})

test('what an installation replaces stays until a batch has followed it', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 30)] })
  driver.save(driver.durable.tail, bytesOf('mine'))
  const old = driver.disk.list().filter((name) => name.includes('-00000000-'))
  const base = runBehind(null, 2, 40)
  const staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  driver.write({ install: driver.stage(staged.base!, bytesOf('x')) }, staged)
  while (driver.engine.background());
  expect(driver.disk.list()).toEqual(expect.arrayContaining(old))
  driver.engine.seal()
  while (driver.engine.background());
  expect(driver.disk.list().filter((name) => name.includes('-00000000-'))).toEqual([])
})

test('a snapshot of our own that an install overtakes is void; a discarded generation cannot be installed', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 30)] })
  const own = driver.engine.beginSnapshot(driver.durable.metaAt(driver.durable.tail))
  const base = runBehind(null, 2, 40)
  const staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  const first = driver.stage(staged.base!, bytesOf('x'))
  driver.engine.discard(first)
  expect(driver.stageAppend(first, [runBehind(base, 2, 1)])).toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(driver.engine.failed).toBe(null)
  const second = driver.stage(staged.base!, bytesOf('y'))
  expect(second).toBeGreaterThan(first)
  driver.write({ install: second }, staged)
  expect(driver.engine.finishSnapshot(own, { chunks: 0, bytes: 0, checksum: 0 })).toBe(false)
  driver.submit({ install: first }, staged)
  expect(() => driver.flush()).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})

test('a generation that was staged before the installed one cannot be installed: a later open() would take the higher one for the newer', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 30)] })
  const base = runBehind(null, 2, 40)
  const staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  const lower = driver.stage(staged.base!, bytesOf('lower'))
  const higher = driver.stage(staged.base!, bytesOf('higher'))
  driver.write({ install: higher, epochs: epochs(2) }, staged)
  const held = driver.durable
  driver.submit({ install: lower, epochs: epochs(3) }, staged)
  expect(() => driver.flush()).toThrowError(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  driver.disk.crash(seeded(8))
  driver.snapshot = staged.base
  driver.submitted = held
  expect(driver.expectSound().epochs).toEqual(epochs(2))
  expect(driver.readSnapshot()).toEqual(bytesOf('higher'))
})

test('segments are zero-filled ahead in small steps, and the next one is ready when it is needed', () => {
  const driver = new Driver(new MemoryDisk(), { segmentBytes: 8192, aheadBytes: 4096 })
  driver.open()
  while (driver.engine.background());
  for (let i = 0; i < 70; i++) {
    driver.write({ append: [runBehind(driver.durable.tail, 1, 2)] })
    while (driver.engine.background());
  }
  const creations = driver.disk.list().length
  const before = driver.disk.operations
  for (let i = 0; driver.disk.list().length === creations && i < 2; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 2)] })
  expect(driver.disk.operations - before).toBeLessThanOrEqual(8)
  driver.disk.crash(seeded(7))
  driver.expectSound()
})

test('a store that a full disk has stopped tells it apart from a snapshot for which there was no room (seed 302081 of the swarm)', () => {
  class FullDisk extends MemoryDisk {
    full = false
    override write(file: FileHandle, bytes: Uint8Array, offset: number): void {
      if (this.full) throw Object.assign(new Error('no space is left'), { code: 'ENOSPC' })
      super.write(file, bytes, offset)
    }
  }
  const disk = new FullDisk()
  const driver = new Driver(disk)
  driver.open()
  driver.write({ append: [runBehind(null, 1, 3)] })
  const meta = driver.durable.metaAt(driver.durable.tail)
  disk.full = true
  const alone = failureOf(() => driver.engine.beginStaging(meta))
  expect([alone.code, alone.details['storeFailed'], driver.engine.failed]).toEqual(['DISK_FULL', undefined, null])
  expect(driver.engine.seal()).toBe(false)
  disk.full = false
  const whole = failureOf(() => driver.engine.beginStaging(meta))
  expect([whole.code, whole.details['storeFailed']]).toEqual(['DISK_FULL', true])
})

function failureOf(action: () => unknown): AntiphonError {
  try {
    action()
  } catch (error) {
    return error as AntiphonError
  }
  throw new Error('nothing failed')
}
