import { expect, test } from 'vitest'
import { Cluster } from './cluster.ts'

const LANES = ['control', 'entries', 'bulk'] as const

function rest(cluster: Cluster, ids: readonly number[]): void {
  for (let moved = true; moved; ) {
    moved = false
    for (const id of ids) {
      while (cluster.flush(id) || cluster.hear(id)) moved = true
      for (const other of ids) if (id !== other) for (const lane of LANES) while (cluster.deliver(id, other, lane)) moved = true
    }
    while (cluster.stream()) moved = true
  }
}

/** Ticks come at constant distances from each other: a candidate that decides a quarter of a tick before the others must keep their votes. */
test.each([[[5, 4, 3, 2]], [[2, 3, 4, 5]], [[3, 5, 4, 2]], [[4, 5, 2, 3]]])('four of five elect soon, ticking in the order %j', (order) => {
  const cluster = new Cluster({ voters: [1, 2, 3, 4, 5] })
  const all = [1, ...order]
  const pass = (ids: readonly number[]): void => {
    for (const id of ids) {
      cluster.pass(25)
      cluster.tick(id)
      rest(cluster, ids)
    }
    cluster.reconnect()
    rest(cluster, ids)
  }
  const ticksUntilActive = (ids: readonly number[]): number => {
    for (let ticks = 0; ticks < 50; ticks++) {
      if (ids.every((id) => cluster.node(id).core?.view().active === true)) return ticks
      pass(ids)
    }
    return Number.POSITIVE_INFINITY
  }
  for (const id of all) cluster.start(id)
  expect(ticksUntilActive(all)).toBeLessThan(50)
  for (const id of all) cluster.crash(id)
  for (const id of order) cluster.start(id)
  expect(ticksUntilActive(order)).toBeLessThan(50)
})

test('a compaction that is reported behind an install does not bring the old snapshot back (rule 14)', () => {
  const ids = [1, 2, 3]
  const cluster = new Cluster({ voters: ids })
  const settle = (): void => {
    for (let i = 0; i < 40; i++) {
      rest(cluster, ids)
      cluster.pass(100)
      cluster.reconnect()
      for (const id of ids) cluster.tick(id)
    }
  }
  for (const id of ids) cluster.start(id)
  settle()
  cluster.propose(3, 4)
  settle()
  cluster.snapshot(1)
  const old = cluster.node(1).core!.state.history.snapshot!
  cluster.cut(1, 2)
  cluster.cut(1, 3)
  cluster.propose(3, 4)
  settle()
  cluster.snapshot(3)
  cluster.propose(3, 1)
  settle()
  cluster.mend(1, 3)
  cluster.mend(1, 2)
  settle()
  const installed = cluster.node(1).core!.state.history.snapshot!
  expect(installed.zxid).toBeGreaterThan(old.zxid)
  cluster.step(1, { kind: 'compacted', snapshot: old, start: old.zxid })
  expect(cluster.node(1).core!.state.history.snapshot).toBe(installed)
})
