import { ZERO, zxidOf } from '@antiphon/ports'
import { type FileHandle, LOCK_NAME, putU32 } from '@antiphon/storage-kit'
import { crc32 } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Driver, filled } from './driver.test-support.ts'
import { encodeMarker, MARKER_NAME } from './format.ts'
import { ALL, Model, runBehind, seeded } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

const corruptIn = (file: RegExp) =>
  expect.objectContaining({ code: 'CORRUPT', details: expect.objectContaining({ file: expect.stringMatching(file), offset: expect.any(Number) }) })

test('a bit that turns anywhere is refused by file and offset, or changes nothing: never another state', () => {
  const names = filled()
    .disk.list()
    .filter((name) => name !== MARKER_NAME)
  const random = seeded(11)
  const seen = new Map<string, number>()
  for (const name of names) {
    const size = filled().disk.contents(name).length
    for (let offset = 0; offset < size; offset += 1 + (random.uint32() % 17)) {
      const driver = filled()
      driver.disk.flip(name, offset, random.uint32() % 8)
      let outcome = 'harmless'
      try {
        driver.expectSound()
        if (driver.troubles.length > 0) outcome = 'told'
        for (const { code, details } of driver.troubles) expect({ code, file: details['file'] }).toEqual({ code: 'CORRUPT', file: name })
      } catch (error) {
        const { code, details } = error as { code?: string; details?: { file?: string; offset?: number } }
        if (code !== 'CORRUPT' || details?.file === undefined || details.offset === undefined) throw error
        outcome = details.file === name ? 'named' : 'seen'
      }
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
    }
  }
  expect(seen.get('named')).toBeGreaterThan(150)
  // Of the newest snapshot: the one before it and the log stand for it.
  expect(seen.get('told')).toBeGreaterThan(10)
  // A head that does not hold makes its whole generation look absent: then the neighbour is named.
  expect(seen.get('seen') ?? 0).toBeLessThan(seen.get('named')! / 10)
})

test('a torn last batch is cut off whole, also when its first sectors are the ones that were lost (museum 40)', () => {
  for (const [lost, length] of [
    [0, 40],
    [100, 40],
    [200, 200],
  ] as const) {
    const driver = new Driver(new MemoryDisk())
    driver.open()
    driver.write({ append: [runBehind(null, 1, 3)] })
    driver.engine.seal()
    const before = driver.durable
    const name = driver.disk.list().find((file) => file.startsWith('log-'))!
    const end = driver.disk.contents(name).findLastIndex((byte) => byte !== 0) + 1
    driver.submit({ append: [runBehind(before.tail, 1, 2)] })
    driver.submit({ append: [runBehind(driver.submitted.tail, 1, 2)], epochs: { accepted: 7, acceptedFrom: null, current: 1 } })
    driver.flush()
    driver.disk.kill()
    const from = Math.ceil(end / 8) * 8 + lost
    for (let offset = from; offset < from + length; offset++)
      for (let bit = 0; bit < 8; bit++) if ((driver.disk.contents(name)[offset]! >> bit) & 1) driver.disk.flip(name, offset, bit)
    driver.submitted = before
    driver.durable = before
    expect(driver.expectSound().epochs.accepted).toBe(0)
    driver.write({ append: [runBehind(before.tail, 1, 1)] })
    driver.disk.crash(seeded(1))
    driver.expectSound()
  }
})

test('a first batch of a segment of which only the head was lost was never reported, whatever stands behind it', () => {
  const driver = new Driver(new MemoryDisk(), { segmentBytes: 1024, aheadBytes: 0 })
  driver.open()
  const segments = (): string[] => driver.disk.list().filter((name) => name.startsWith('log-'))
  while (segments().length < 4) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  const last = segments().sort().at(-1)!
  driver.disk.flip(last, 20, 3)
  driver.disk.kill()
  driver.durable = new Model(undefined, null, driver.durable.runs.slice(0, -1))
  driver.submitted = driver.durable
  driver.expectSound()
  expect(segments()).not.toContain(last)
})

test('a last batch of which only the padding is missing was never reported, and is cut off like any torn one', () => {
  for (let payload = 20; payload < 28; payload++) {
    const driver = new Driver(new MemoryDisk(), { segmentBytes: 4096, aheadBytes: 0 })
    driver.open()
    driver.write({ append: [runBehind(null, 1, 3)] })
    const before = driver.durable
    driver.write({ append: [runBehind(before.tail, 1, 1, payload, 0xff)] })
    driver.disk.kill()
    const name = driver.disk.list().find((file) => file.startsWith('log-'))!
    const whole = driver.disk.contents(name)
    const end = whole.findLastIndex((byte) => byte !== 0) + 1
    if (end === whole.length) continue
    driver.disk.remove(name)
    const file = driver.disk.open(name, 'create')
    driver.disk.write(file, whole.slice(0, end), 0)
    driver.disk.close(file)
    driver.submitted = before
    driver.durable = before
    driver.expectSound()
  }
})

test('the same damage is refused when a batch follows, even an empty one (museum 20)', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 3)] })
  driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  const name = driver.disk.list().find((file) => file.startsWith('log-'))!
  const end = driver.disk.contents(name).findLastIndex((byte) => byte !== 0)
  driver.engine.seal()
  driver.disk.kill()
  driver.disk.flip(name, end - 60, 3)
  expect(() => driver.open()).toThrowError(corruptIn(/^log-/))
})

test('a bit of a snapshot that turns while the store is open is found when its chunks are read', () => {
  const driver = filled()
  driver.open()
  const name = driver.disk
    .list()
    .filter((file) => file.startsWith('snapshot-'))
    .sort()
    .at(-1)!
  driver.disk.flip(name, driver.disk.contents(name).length - 40, 0)
  expect(() => driver.readSnapshot()).toThrowError(corruptIn(/^snapshot-/))
})

test('a bit that turns while the store is open is found when it is read', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 10)] })
  const name = driver.disk.list().find((file) => file.startsWith('log-'))!
  driver.disk.flip(name, 400, 0)
  expect(() => driver.read(ZERO)).toThrowError(corruptIn(/^log-/))
})

test('a segment that is missing in the middle is noticed', () => {
  const driver = new Driver(new MemoryDisk(), { segmentBytes: 1024, aheadBytes: 0 })
  driver.open()
  for (let i = 0; i < 20; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  const [, second] = driver.disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()
  driver.disk.remove(second!)
  driver.disk.kill()
  expect(() => driver.open()).toThrowError(corruptIn(/^log-/))
})

test('leading segments that a crash brought back after a compaction are only leftovers', () => {
  const driver = new Driver(new MemoryDisk(), { segmentBytes: 1024, aheadBytes: 0 })
  driver.open()
  for (let i = 0; i < 30; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  driver.save(driver.durable.tail, [])
  const start = driver.engine.compact(1, ALL)
  expect(start).toBeGreaterThan(zxidOf(1, 50))
  // All but the first of what was to go is gone.
  const kept = driver.disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()
  driver.engine.close()
  driver.disk.crash({ uint32: () => 1 })
  expect(driver.disk.list().length).toBeGreaterThan(kept.length)
  driver.disk.remove(kept[1]!)
  driver.expectSound()
  expect(driver.disk.list()).not.toContain(kept[0])
})

test('an install that rotted is refused, not undone, once a batch has followed it', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 3)] })
  const base = runBehind(null, 2, 4)
  const staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  const generation = driver.stage(staged.base!, [])
  driver.write({ install: generation }, staged)
  driver.engine.seal()
  driver.disk.kill()
  const name = driver.disk.list().find((file) => file.startsWith('log-00000001'))!
  driver.disk.flip(name, 100, 0)
  expect(() => driver.open()).toThrowError(corruptIn(/^log-00000001/))
})

test('nor is it undone when the head of its segment rotted and the files of the old generation are still there', () => {
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 3)] })
  const base = runBehind(null, 2, 4)
  const staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  driver.write({ install: driver.stage(staged.base!, []) }, staged)
  driver.engine.seal()
  driver.disk.kill()
  const name = driver.disk.list().find((file) => file.startsWith('log-00000001'))!
  driver.disk.flip(name, 20, 0)
  expect(() => driver.open()).toThrowError(corruptIn(/^log-00000001/))
})

test("a folder with somebody else's files is refused and left as it is", () => {
  const disk = new MemoryDisk()
  disk.open('holiday.jpg', 'create')
  expect(() => new Driver(disk).open()).toThrowError(expect.objectContaining({ code: 'FOLDER_FOREIGN' }))
  expect(disk.list()).toEqual(['holiday.jpg'])
})

test('hidden files, lost+found and a lock do not make a folder foreign', () => {
  const disk = new MemoryDisk()
  for (const name of ['.DS_Store', 'lost+found', LOCK_NAME]) disk.open(name, 'create')
  expect(new Driver(disk).open().log.last).toBe(0)
})

test('a folder that was begun and not finished is begun anew', () => {
  for (const [marker, aside] of [
    [null, encodeMarker('9'.repeat(32)).subarray(0, 11)],
    [new Uint8Array(0), null],
    [encodeMarker('9'.repeat(32)).subarray(0, 20), null],
  ]) {
    const disk = new MemoryDisk()
    if (marker !== null) disk.write(disk.open(MARKER_NAME, 'create'), marker!, 0)
    if (aside !== null) disk.write(disk.open(`${MARKER_NAME}.new`, 'create'), aside!, 0)
    expect(new Driver(disk).open().storeId).toBe('0123456789abcdef'.repeat(2))
  }
})

test('a crash while a folder is begun, or begun anew, never makes it foreign', () => {
  for (let seed = 1; seed <= 12; seed++) {
    for (let operation = 1, again = 0; again < 3; operation++) {
      const driver = new Driver(new MemoryDisk())
      for (let attempt = 0; attempt < 3; attempt++) {
        driver.disk.failAt(driver.disk.operations + operation, 'power')
        try {
          driver.open()
          again++
          break
        } catch (error) {
          expect(error).toMatchObject({ code: 'DISK_FAILED' })
        }
        driver.disk.crash(seeded(seed * 1000 + operation + attempt))
      }
      driver.disk.failAt(Number.POSITIVE_INFINITY, 'power')
      expect(driver.open().log.last).toBe(0)
    }
  }
})

test('a marker that does not hold is refused when there is a log; one of a later version always', () => {
  const driver = filled()
  driver.disk.flip(MARKER_NAME, 12, 1)
  expect(() => driver.open()).toThrowError(corruptIn(/antiphon-store/))
  const disk = new MemoryDisk()
  const marker = encodeMarker('9'.repeat(32))
  marker[5] = 9
  putU32(marker, marker.length - 4, crc32(marker, 0, 0, marker.length - 4))
  disk.write(disk.open(MARKER_NAME, 'create'), marker, 0)
  expect(() => new Driver(disk).open()).toThrowError(expect.objectContaining({ code: 'VERSION_MISMATCH', details: { found: 9, known: 1 } }))
})

test('the marker of a store whose log is gone is refused', () => {
  const driver = filled()
  for (const name of driver.disk.list()) if (name.startsWith('log-')) driver.disk.remove(name)
  expect(() => driver.open()).toThrowError(corruptIn(/antiphon-store/))
})

test('a file of another store is refused', () => {
  const [driver, other] = [filled(), new Driver(new MemoryDisk())]
  other.engine.open('f'.repeat(32))
  const name = other.disk.list().find((file) => file.startsWith('log-'))!
  const target = driver.disk
    .list()
    .filter((file) => file.startsWith('log-'))
    .sort()
    .at(-1)!
  const bytes = other.disk.contents(name)
  driver.disk.write(driver.disk.open(target, 'write'), bytes, 0)
  driver.disk.kill()
  expect(() => driver.open()).toThrowError(corruptIn(/^log-/))
})

test('a log inside an entry is not taken for the log', () => {
  const inner = new Driver(new MemoryDisk(), { segmentBytes: 4096, aheadBytes: 0 })
  inner.open()
  for (let i = 0; i < 10; i++) inner.write({ append: [runBehind(inner.durable.tail, 1, 1)] })
  const copy = inner.disk.contents(inner.disk.list().find((file) => file.startsWith('log-'))!)
  const driver = new Driver(new MemoryDisk())
  driver.open()
  driver.write({ append: [runBehind(null, 1, 1)] })
  const before = driver.durable
  // Its own checksum does not hold, as after tearing: no batch may seem to follow it.
  const torn = runBehind(before.tail, 1, 1, copy.length + 4)
  torn.bytes.set(copy, 52 + 4)
  driver.submit({ append: [torn] })
  driver.engine.flush()
  driver.disk.kill()
  driver.submitted = before
  driver.durable = before
  driver.expectSound()
})

/** A disk that once gives what stands in another place: `read` number `nth` from now on. */
class AstrayDisk extends MemoryDisk {
  nth = -1
  astray = 0
  elsewhere = 0

  override read(file: FileHandle, into: Uint8Array, offset: number): number {
    const count = super.read(file, into, offset)
    if (this.nth < 0 || this.nth-- > 0) return count
    this.astray++
    const names = this.list().filter((name) => name !== MARKER_NAME)
    const other = this.contents(names[this.elsewhere % names.length]!)
    const from = 512 * Math.floor(this.elsewhere / names.length)
    into.fill(0, 0, count).set(other.subarray(from, from + count))
    return count
  }
}

test('a read that once gives what stands in another place is survived or refused: nothing that was durable is believed to be missing', () => {
  const seen = { survived: 0, refused: 0 }
  for (let nth = 0; ; nth++) {
    let astray = 0
    for (let elsewhere = 0; elsewhere < 24; elsewhere++) {
      const disk = new AstrayDisk()
      const driver = filled(disk)
      // Without a seal behind it, the last batch is what a torn end would be.
      if (elsewhere % 2 === 0) {
        driver.open()
        driver.write({ append: [runBehind(driver.durable.tail, 3, 2)] })
        disk.kill()
      }
      disk.nth = nth
      disk.elsewhere = elsewhere
      try {
        driver.expectSound()
        seen.survived++
      } catch (error) {
        if ((error as { code?: string }).code !== 'CORRUPT') throw error
        seen.refused++
      }
      astray += disk.astray
      disk.nth = -1
      disk.kill()
      driver.expectSound()
    }
    if (astray === 0) break
  }
  expect(seen.survived).toBeGreaterThan(10)
  expect(seen.refused).toBeGreaterThan(50)
})

/** Whatever reading goes astray, and wherever to, what `rotten` has left on the disk is refused. */
function expectRefused(rotten: (disk: AstrayDisk) => Driver): void {
  let refused = 0
  for (let nth = 0; ; nth++) {
    let astray = 0
    for (let elsewhere = 0; elsewhere < 8; elsewhere++) {
      const disk = new AstrayDisk()
      const driver = rotten(disk)
      disk.nth = nth
      disk.elsewhere = elsewhere
      expect(() => driver.open()).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
      refused++
      astray += disk.astray
    }
    if (astray === 0) break
  }
  expect(refused).toBeGreaterThan(20)
}

function segmentsOf(disk: MemoryDisk): string[] {
  return disk
    .list()
    .filter((name) => name.startsWith('log-'))
    .sort()
}

test('rot before what was flushed last is refused, although one reading of it goes astray', () => {
  expectRefused((disk) => {
    const driver = new Driver(disk, { segmentBytes: 1024, aheadBytes: 512 })
    driver.open()
    const [segment] = segmentsOf(disk) as [string]
    const begin = disk.contents(segment).findLastIndex((byte) => byte !== 0) + 1
    driver.write({ append: [runBehind(driver.durable.tail, 1, 2)] })
    driver.engine.close()
    disk.flip(segment, begin + 40, 5)
    return driver
  })
})

test('rot in the head of the last segment is refused, although one reading of what it holds goes astray', () => {
  expectRefused((disk) => {
    const driver = new Driver(disk, { segmentBytes: 1024, aheadBytes: 0 })
    driver.open()
    while (segmentsOf(disk).length < 3) driver.write({ append: [runBehind(driver.durable.tail, 1, 2)] })
    driver.write({ append: [runBehind(driver.durable.tail, 1, 2)] })
    driver.engine.close()
    expect(segmentsOf(disk)).toHaveLength(3)
    disk.flip(segmentsOf(disk).at(-1)!, 20, 3)
    return driver
  })
})
