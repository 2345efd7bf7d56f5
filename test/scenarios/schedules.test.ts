import { expect, test } from 'vitest'
import { Cluster } from './cluster.ts'

const LANES = ['control', 'entries', 'bulk'] as const

/** A small generator of pseudo-random numbers: a schedule is its seed. */
function generator(seed: number): (below: number) => number {
  let x = (seed * 2654435761) >>> 0 || 1
  return (below) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    x >>>= 0
    return x % below
  }
}

/** Random crashes, cuts, flushes and deliveries, then a healing phase in which everything must come to rest with one leader. */
function runSchedule(seed: number, log: string[] | null): ReadonlyMap<string, number> {
  const draw = generator(seed)
  const voters = [[1, 2, 3], [1, 2, 3], [1, 2, 3, 4, 5], [1]][draw(4)]!
  const observers = draw(3) === 0 ? [9] : []
  const ids = [...voters, ...observers]
  const cluster = new Cluster({ voters, observers, settings: { counterMax: draw(4) === 0 ? 20 : 0xffff_ffff, windowBytes: draw(3) === 0 ? 600 : 1 << 20, recentBytes: draw(2) === 0 ? 700 : 1 << 20 } })
  if (log !== null) cluster.trace = (line) => log.push(line)
  for (const id of ids) cluster.start(id)
  const some = (): number => ids[draw(ids.length)]!
  const rates = { crash: draw(4), cut: draw(4), snapshot: draw(6) }
  let reads = 0
  for (let i = 0; i < 1500; i++) {
    const kind = draw(1000)
    if (kind < rates.crash * 4) cluster.crash(some())
    else if (kind < 30) cluster.start(some())
    else if (kind < 30 + rates.cut * 5) {
      const a = some()
      const b = some()
      if (a !== b) cluster.cut(a, b)
    } else if (kind < 70) {
      const a = some()
      const b = some()
      if (a !== b) cluster.mend(a, b)
    } else if (kind < 70 + rates.snapshot * 3) cluster.snapshot(some())
    else if (kind < 100) for (const id of ids) cluster.read(id, ++reads)
    else if (kind < 101) leaveDirty(cluster, ids)
    else if (kind < 150) for (const id of ids) cluster.propose(id, 1 + draw(3), draw(60))
    else if (kind < 250) {
      cluster.pass(draw(3) === 0 ? 100 : 20)
      if (draw(3) === 0) cluster.reconnect()
      for (const id of ids) if (draw(4) > 0) cluster.tick(id)
    } else if (kind < 450) {
      if (!cluster.flush(some())) cluster.hear(some())
    } else if (kind < 480) cluster.stream()
    else {
      const a = some()
      const b = some()
      if (a !== b) for (let n = draw(10); n >= 0; n--) cluster.deliver(a, b, LANES[draw(3)]!)
    }
  }
  for (const id of ids) for (const other of ids) if (id < other) cluster.mend(id, other)
  for (const id of ids) cluster.start(id)
  const rest = (): void => {
    let rounds = 0
    for (let moved = true; moved; ) {
      moved = false
      if (++rounds > 10_000) throw new Error(`seed ${seed}: events beget events without end`)
      for (const id of ids) {
        while (cluster.flush(id) || cluster.hear(id)) moved = true
        for (const other of ids) if (id !== other) for (const lane of LANES) while (cluster.deliver(id, other, lane)) moved = true
      }
      while (cluster.stream()) moved = true
    }
  }
  const settled = (): boolean => {
    const views = ids.map((id) => cluster.node(id).core?.view())
    return views.every((view) => view !== undefined && view.active && view.committed === views[0]!.committed && view.leader === views[0]!.leader && view.committed === view.last)
  }
  let ticks = 0
  let proposed = 0
  for (; ticks < 800; ticks++) {
    rest()
    if (settled()) {
      if (proposed === 2) break
      proposed++
      const leader = cluster.node(ids[0]!).core!.view().leader!
      if (!cluster.propose(leader, 1)) proposed--
    }
    cluster.pass(100)
    cluster.reconnect()
    for (const id of ids) cluster.tick(id)
  }
  for (const id of ids) expect(cluster.node(id).fault, `seed ${seed}: member ${id}`).toBe(null)
  if (ticks >= 800) throw new Error(`seed ${seed}: no rest after ${ticks} ticks: ${JSON.stringify(ids.map((id) => cluster.node(id).core?.view()))}`)
  return cluster.counts
}

/** A primary proposes, keeps it for itself and is cut off: the next reign will have to truncate it. */
function leaveDirty(cluster: Cluster, ids: readonly number[]): void {
  for (const id of ids) {
    if (!cluster.propose(id, 2)) continue
    for (const other of ids) if (other !== id) cluster.cut(id, other)
    while (cluster.flush(id)) cluster.hear(id)
  }
}

const SEEDS = Number(process.env['SCHEDULES'] ?? 400)
const FIRST = Number(process.env['SEED'] ?? 1)

const REACHED = ['committed', 'established', 'TRUNC', 'DIFF', 'SNAP', 'CHUNK', 'RECEIVED', 'NEWLEADER', 'ACK-LD', 'COMMIT-LD', 'PROPOSE', 'ACK', 'COMMIT', 'READ', 'READ-POINT', 'FOUNDING', 'close: its window is full', 'close: the counter of the epoch is exhausted']

test(`in ${SEEDS} random schedules of crashes, cuts and slow disks the invariants hold, and every ensemble comes to rest`, () => {
  const total = new Map<string, number>()
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    try {
      for (const [what, count] of runSchedule(seed, null)) total.set(what, (total.get(what) ?? 0) + count)
    } catch (error) {
      const log: string[] = []
      try {
        runSchedule(seed, log)
      } catch {
        // The same seed fails the same way; its log is what was wanted.
      }
      throw new Error(`seed ${seed}: ${(error as Error).message}\n${log.slice(-60).join('\n')}`, { cause: error })
    }
  }
  if (process.env['COUNTS'] !== undefined) console.log([...total].sort().map(([what, count]) => `${what}: ${count}`).join('\n'))
  // A schedule that reaches nothing proves nothing.
  for (const what of REACHED) expect(total.get(what) ?? 0, what).toBeGreaterThan(SEEDS / 40)
})
