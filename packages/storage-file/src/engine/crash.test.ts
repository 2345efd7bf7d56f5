import type { AntiphonError, Random } from '@antiphon/ports'
import { cutBehind } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Driver } from './driver.test-support.ts'
import { ALL, Model, runBehind, seeded, type Tail } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'

type Step = (driver: Driver, random: Random) => void

const below = (random: Random, limit: number): number => random.uint32() % limit
const epochOfTail = (tail: Tail): number => Math.max(1, Math.floor(tail.last / 2 ** 32))

function append(driver: Driver, random: Random): void {
  const writes = 1 + below(random, 3)
  for (let i = 0; i < writes; i++) {
    const { tail } = driver.submitted
    driver.submit({
      append: [runBehind(tail, epochOfTail(tail) + (below(random, 8) === 0 ? 1 : 0), 1 + below(random, 5), below(random, 60), below(random, 256))],
    })
  }
  driver.flush()
}

function promise(driver: Driver): void {
  const { accepted, current } = driver.submitted.epochs
  driver.write({ epochs: { accepted: accepted + 1, acceptedFrom: { leader: 2 as never, nonce: accepted + 5 }, current } })
}

function found(driver: Driver): void {
  driver.write({ founding: { ensembleId: 'f'.repeat(32), configuration: { version: 0 as never, members: [] } } })
}

/** To a place in the middle of a run, not below the newest snapshot; with the epoch that claims the new history, in one write. */
function truncate(driver: Driver, random: Random): void {
  const floor = driver.snapshot?.zxid ?? 0
  const places = driver.durable.runs.filter(({ last }) => last > floor)
  if (places.length === 0) return
  const run = places[below(random, places.length)]!
  const cut = cutBehind(run, (run.first + below(random, run.entries)) as never)!
  if (cut.last < floor) return
  const { accepted } = driver.submitted.epochs
  const epoch = epochOfTail(driver.durable.tail) + 1
  driver.write({
    truncateTo: { zxid: cut.last, checksum: cut.checksum },
    append: [runBehind(cut, epoch, 1 + below(random, 3), 10, 99)],
    epochs: { accepted: Math.max(accepted, epoch), acceptedFrom: null, current: epoch },
  })
}

function snapshot(driver: Driver, random: Random): void {
  const places = driver.durable.places.filter(({ last }) => last > (driver.snapshot?.zxid ?? 0))
  if (places.length === 0) return
  const chunks = Array.from({ length: below(random, 6) }, () => new Uint8Array(below(random, 200)).fill(below(random, 256)))
  driver.save(places[below(random, places.length)]!, chunks)
}

function compact(driver: Driver, random: Random): void {
  driver.engine.compact(1 + below(random, 2), ALL)
}

function idle(driver: Driver): void {
  for (let i = 0; i < 3 && driver.engine.background(); i++);
  driver.engine.seal()
  if (driver.engine.failed !== null) throw driver.engine.failed
}

function stageAndInstall(driver: Driver, random: Random): void {
  const { tail } = driver.durable
  const base = runBehind(tail, epochOfTail(tail) + 1, 3 + below(random, 5))
  let staged = new Model(
    undefined,
    null,
    [],
    driver.durable.after({ append: [base], install: null, truncateTo: null, epochs: null, founding: null } as never).metaAt(base),
  )
  const generation = driver.stage(staged.base!, [new Uint8Array(300).fill(1), new Uint8Array(10)])
  for (let i = below(random, 12); i > 0; i--) {
    const run = runBehind(staged.tail, epochOfTail(staged.tail), 1 + below(random, 6), 40)
    const error = driver.stageAppend(generation, [run])
    if (error !== null) throw error
    staged = new Model(undefined, null, [...staged.runs, run], staged.base)
  }
  if (below(random, 3) === 0) return driver.engine.discard(generation)
  const epoch = epochOfTail(base)
  driver.write({ install: generation, epochs: { accepted: epoch, acceptedFrom: null, current: epoch }, append: [runBehind(staged.tail, epoch, 1)] }, staged)
  driver.snapshot = staged.base
}

function reopen(driver: Driver): void {
  driver.engine.close()
  driver.expectSound()
}

const STEPS: readonly Step[] = [append, append, append, append, promise, found, truncate, snapshot, compact, idle, stageAndInstall, reopen]

/** The same steps for the same seed, up to a fault of the disk. What failed; null when nothing did. */
function workload(driver: Driver, seed: number, steps: number): unknown {
  const random = seeded(seed)
  try {
    driver.expectSound()
    for (let i = 0; i < steps; i++) STEPS[below(random, STEPS.length)]!(driver, random)
    return null
  } catch (error) {
    if (!isDiskFault(error)) throw error
    return error
  }
}

function isDiskFault(error: unknown): error is AntiphonError {
  const { code } = error as { code?: string }
  return code === 'DISK_FAILED' || code === 'DISK_FULL'
}

/** After a fault the store is sound, and goes on. */
function expectRecovery(driver: Driver): void {
  driver.expectSound()
  append(driver, seeded(9))
  driver.engine.seal()
  driver.disk.kill()
  driver.expectSound()
}

const LENGTH = 30

test('a workload without faults ends as its model says', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const driver = new Driver(new MemoryDisk())
    expect(workload(driver, seed, 60)).toBe(null)
    driver.disk.crash(seeded(seed))
    driver.expectSound()
  }
})

test('the machine may die at every disk operation: all that was durable is there, nothing that never was', () => {
  let crashes = 0
  for (const [seed, step] of [
    [1, 1],
    [2, 3],
    [3, 3],
  ] as const) {
    for (let operation = 1; ; operation += step) {
      const driver = new Driver(new MemoryDisk())
      driver.disk.failAt(operation, 'power')
      if (workload(driver, seed, LENGTH) === null) break
      crashes++
      driver.disk.crash(seeded(seed * 10_000 + operation))
      expectRecovery(driver)
    }
  }
  expect(crashes).toBeGreaterThan(300)
})

test('the machine may die again while the store recovers', () => {
  for (let operation = 1; operation < 400; operation += 11) {
    const driver = new Driver(new MemoryDisk())
    driver.disk.failAt(operation, 'power')
    if (workload(driver, 5, LENGTH) === null) break
    driver.disk.crash(seeded(operation))
    for (let again = 1; ; again++) {
      driver.disk.failAt(driver.disk.operations + again, 'power')
      let died = false
      try {
        driver.expectSound()
      } catch (error) {
        if (!isDiskFault(error)) throw error
        died = true
      }
      if (!died) break
      driver.disk.crash(seeded(again))
    }
    driver.disk.failAt(Number.POSITIVE_INFINITY, 'power')
    expectRecovery(driver)
  }
})

test('a process that is killed at any disk operation loses nothing that the system had taken', () => {
  for (let operation = 1; ; operation += 2) {
    const driver = new Driver(new MemoryDisk())
    driver.disk.failAt(operation, 'power')
    if (workload(driver, 6, LENGTH) === null) break
    driver.disk.kill()
    expectRecovery(driver)
  }
})

for (const fault of ['EIO', 'ENOSPC'] as const) {
  test(`${fault} at every disk operation: an error with its code, and nothing durable is lost, by the restart or by the crash after it (museum 9, 51)`, () => {
    const code = fault === 'EIO' ? 'DISK_FAILED' : 'DISK_FULL'
    for (let operation = 1; ; operation++) {
      const driver = new Driver(new MemoryDisk())
      driver.disk.failAt(operation, fault)
      const error = workload(driver, 7, LENGTH)
      if (driver.disk.operations < operation) break
      if (error !== null) expect(error).toMatchObject({ code, remedy: expect.any(String) })
      if (driver.engine.failed !== null) {
        const { failed } = driver.engine
        const { submitted } = driver
        driver.submit({ epochs: { accepted: 999, acceptedFrom: null, current: 0 } })
        expect(driver.engine.flush().error).toBe(failed)
        driver.submitted = submitted
      }
      driver.disk.kill()
      driver.expectSound()
      driver.disk.crash(seeded(operation))
      expectRecovery(driver)
    }
  })
}
