import { ZERO, type Zxid, zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Driver, filled } from './driver.test-support.ts'
import { ALL, runBehind } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

const OPTIONS = { segmentBytes: 4096, aheadBytes: 0 }
const namesOf = (disk: MemoryDisk, kind: string): string[] =>
  disk
    .list()
    .filter((name) => name.startsWith(kind))
    .sort()

/** Snapshots at 100, 200 and 300 of 320 entries, all of the log there; closed. */
function withSnapshots(): Driver {
  const driver = new Driver(new MemoryDisk(), OPTIONS)
  driver.open()
  for (let i = 1; i <= 64; i++) {
    driver.write({ append: [runBehind(driver.durable.tail, 1, 5)] })
    if (i % 20 === 0) driver.save(driver.durable.tail, [new Uint8Array(500).fill(i)])
  }
  driver.engine.close()
  return driver
}

function damage(driver: Driver, name: string): void {
  driver.disk.flip(name, driver.disk.contents(name).length - 100, 3)
}

test('a newest snapshot that is damaged is passed over for an older one from which the log is whole, and that is told', () => {
  const driver = withSnapshots()
  const [, , newest] = namesOf(driver.disk, 'snapshot-')
  for (const [at, zxid] of [
    [2, zxidOf(1, 200)],
    [1, zxidOf(1, 100)],
    [0, null],
  ] as const) {
    damage(driver, namesOf(driver.disk, 'snapshot-')[at]!)
    const { snapshot, log } = driver.expectSound()
    expect(snapshot?.zxid ?? null).toBe(zxid)
    expect(log.last).toBe(zxidOf(1, 320))
    expect(driver.troubles.map(({ code, details }) => [code, details['file']])).toEqual(
      namesOf(driver.disk, 'snapshot-')
        .slice(at)
        .toReversed()
        .map((name) => ['CORRUPT', name]),
    )
  }
  // It stays as it is until there is another one, and is told each time.
  driver.engine.close()
  driver.expectSound()
  expect(driver.troubles.length).toBe(3)
  driver.save(driver.durable.tail, [])
  while (driver.engine.background());
  expect(driver.disk.list()).not.toContain(newest)
  driver.expectSound()
  expect(driver.troubles).toEqual([])
})

test('a new snapshot at the same place takes the place of the damaged one', () => {
  const driver = withSnapshots()
  driver.open()
  driver.save(driver.durable.tail, [new Uint8Array(200)])
  driver.engine.close()
  const newest = namesOf(driver.disk, 'snapshot-').at(-1)!
  damage(driver, newest)
  driver.expectSound()
  expect(driver.troubles.length).toBe(1)
  driver.save(driver.durable.tail, [new Uint8Array(300)])
  while (driver.engine.background());
  expect(namesOf(driver.disk, 'snapshot-').at(-1)).toBe(newest)
  expect(driver.expectSound().snapshot?.zxid).toBe(zxidOf(1, 320))
  expect(driver.troubles).toEqual([])
})

test('a damaged snapshot is refused when the log does not reach back to another', () => {
  const driver = withSnapshots()
  driver.open()
  driver.engine.compact(1, ALL)
  driver.engine.close()
  const [only, ...others] = namesOf(driver.disk, 'snapshot-')
  expect(others).toEqual([])
  damage(driver, only!)
  expect(() => driver.open()).toThrowError(
    expect.objectContaining({ code: 'CORRUPT', remedy: expect.stringMatching(/backup/), details: expect.objectContaining({ file: only }) }),
  )
  damage(driver, only!)
  driver.snapshot = driver.durable.metaAt(driver.durable.places.find(({ last }) => last === zxidOf(1, 300))!)
  driver.expectSound()
})

test('and when the log from the older one on is not whole: nothing that was acknowledged is lost', () => {
  const driver = withSnapshots()
  const names = namesOf(driver.disk, 'log-')
  damage(driver, namesOf(driver.disk, 'snapshot-').at(-1)!)
  let refused = 0
  for (const name of names.slice(0, -1)) {
    driver.disk.flip(name, 1000, 3)
    try {
      const { snapshot } = driver.open()
      // What the older one stands for is not needed.
      expect(snapshot!.zxid).toBe(zxidOf(1, 200))
      expect(driver.engine.indexedFrom).toBeGreaterThan(ZERO)
      driver.engine.close()
    } catch (error) {
      expect(error).toMatchObject({ code: 'CORRUPT', details: { file: name } })
      refused++
    }
    driver.disk.flip(name, 1000, 3)
  }
  expect([refused > 1, refused < names.length - 1]).toEqual([true, true])
})

test('a retention of several snapshots keeps the log that an older one needs', () => {
  const driver = withSnapshots()
  driver.open()
  expect(driver.engine.compact(2, ALL)).toBeLessThanOrEqual(zxidOf(1, 200))
  driver.engine.close()
  damage(driver, namesOf(driver.disk, 'snapshot-').at(-1)!)
  expect(driver.expectSound().snapshot?.zxid).toBe(zxidOf(1, 200))
})

test('the snapshot with which a generation was installed has no older one', () => {
  const driver = filled()
  for (const name of namesOf(driver.disk, 'snapshot-').toReversed()) {
    const isBase = name === namesOf(driver.disk, 'snapshot-')[0]
    driver.disk.flip(name, 60, 1)
    if (isBase) expect(() => driver.open()).toThrowError(expect.objectContaining({ code: 'CORRUPT' }))
    else expect(driver.expectSound().snapshot?.zxid).toBeLessThan(driver.durable.tail.last as Zxid)
  }
})
