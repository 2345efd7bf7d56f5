import { expect, test } from 'vitest'
import { Driver } from './driver.test-support.ts'
import { ALL, Model, runBehind, writeOf } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

test('a crash in the midst of removing compacted files leaves a store that opens', () => {
  const failures: string[] = []
  for (let k = 1; k <= 24; k++) {
    const driver = new Driver(new MemoryDisk(), { segmentBytes: 1024, aheadBytes: 0 })
    driver.open()
    driver.write({ epochs: { accepted: 1, acceptedFrom: null, current: 0 } })
    const base = runBehind(driver.durable.tail, 1, 10)
    const meta = driver.durable.after(writeOf({ append: [base] })).metaAt(base)
    const generation = driver.stage(meta, [new Uint8Array(10)])
    let staged = new Model(undefined, null, [], meta)
    for (let i = 0; i < k; i++) {
      const run = runBehind(staged.tail, 1, 1, 4)
      driver.stageAppend(generation, [run])
      staged = new Model(undefined, null, [...staged.runs, run], staged.base)
    }
    driver.write({ install: generation, epochs: { accepted: 1, acceptedFrom: null, current: 1 } }, staged)
    driver.snapshot = staged.base
    for (let i = 0; i < 12; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 1, 60)] })
    driver.save(driver.durable.tail, [new Uint8Array(5)])
    driver.engine.seal()
    while (driver.engine.background());
    driver.engine.compact(1, ALL)
    // the names go newest first: the machine dies when only some are gone
    const before = driver.disk.list().length
    while (
      driver.disk.list().some((name) => name.startsWith(`log-0000000${generation}`) && name <= `log-0000000${generation}-00000002`) &&
      driver.disk.list().length > before - 20
    ) {
      const names = driver.disk.list()
      try {
        const probe = new Driver(clone(driver.disk), { segmentBytes: 1024, aheadBytes: 0 })
        probe.open()
      } catch (error) {
        failures.push(`k=${k} ${names.filter((n) => n.startsWith('log')).join(' ')}: ${String(error)}`)
        break
      }
      if (!driver.engine.background()) break
    }
  }
  expect(failures).toEqual([])
})

/** The machine stops here: all names as they are. */
function clone(disk: MemoryDisk): MemoryDisk {
  const copy = new MemoryDisk()
  for (const name of disk.list()) {
    const file = copy.open(name, 'create')
    copy.write(file, disk.contents(name), 0)
    copy.sync(file)
    copy.close(file)
  }
  copy.syncDirectory()
  return copy
}
