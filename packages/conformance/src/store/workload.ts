import { ZERO } from '@antiphon/ports'
import { History } from '../history.ts'
import { bytesOf, fail } from '../suite.ts'
import { Chronicle, type Content, Stopped } from './chronicle.ts'
import { type Bench, epochs, FOUNDING, later } from './setup.ts'

export const EMPTY: Content = {
  history: new History(),
  epochs: { accepted: 0, acceptedFrom: null, current: 0 },
  founding: null,
  snapshots: [],
  startMax: ZERO,
}

/** The workload, from its beginning on a new place to the end or the store's first error. */
export async function play(bench: Bench, options: { readonly reopens?: boolean; readonly onTold?: (chronicle: Chronicle) => void } = {}): Promise<Chronicle> {
  const chronicle = new Chronicle(bench, EMPTY, options.reopens ?? false)
  chronicle.onTold = () => options.onTold?.(chronicle)
  await until(chronicle, workload)
  return chronicle
}

/** What follows on a place where a store has been before: opened, read, and written to. */
export async function playOn(bench: Bench, before: Content): Promise<Chronicle> {
  const chronicle = new Chronicle(bench, before, false)
  // It was durable before.
  chronicle.told = 0
  await until(chronicle, async () => {
    await chronicle.open()
    const { history } = before
    await chronicle.step(bench.holds(history, before.startMax), 'reading', {})
    append(chronicle, new History(history.runs, history.endPoints, history.start, history.time), 9)
    await chronicle.settle()
  })
  return chronicle
}

async function until(chronicle: Chronicle, body: (chronicle: Chronicle) => Promise<void>): Promise<void> {
  try {
    await body(chronicle)
  } catch (error) {
    if (!(error instanceof Stopped)) throw error
  }
}

function append(chronicle: Chronicle, history: History, epoch: number, entries = 2, payloadBytes = 40): void {
  const run = history.extend(epoch, entries, payloadBytes)
  chronicle.write({ append: [run] }, { history })
}

/** A little of everything that a store is asked for, in small pieces: each step multiplies the cases that are built on it. */
async function workload(chronicle: Chronicle): Promise<void> {
  const { bench } = chronicle
  await chronicle.open()
  chronicle.write({ founding: FOUNDING, epochs: epochs(1, 1) }, { founding: FOUNDING, epochs: epochs(1, 1) })
  const history = new History()
  for (let i = 0; i < 3; i++) append(chronicle, history, 1, 1 + i)
  await chronicle.settle()

  await save(chronicle, history, 1)

  const kept = history.extend(1, 2)
  chronicle.write({ append: [kept] }, { history })
  append(chronicle, history, 1, 3)
  await chronicle.settle()
  // A dirty tail is cut off, what replaces it is appended and the epoch claimed in one write; others wait behind it.
  const leader = history.upTo(kept.last)
  const replacing = leader.extend(2, 3)
  const truncateTo = { zxid: kept.last, checksum: kept.checksum }
  chronicle.write({ truncateTo, append: [replacing], epochs: epochs(2, 2) }, { history: leader, epochs: epochs(2, 2) })
  for (let i = 0; i < 3; i++) append(chronicle, leader, 2, 4, 300)
  await chronicle.settle()
  for (let i = 0; i < 2; i++) append(chronicle, leader, 2, 4, 300)
  await chronicle.settle()

  await save(chronicle, leader, 2)
  append(chronicle, leader, 2)
  await chronicle.settle()
  await chronicle.step(bench.store.compact(1, leader.last), 'compact()', {
    startMax: chronicle.newest.snapshots.at(-1)?.meta.zxid ?? ZERO,
    snapshots: chronicle.newest.snapshots.slice(-1),
  })
  await chronicle.settle()

  const last = await install(chronicle, leader)
  append(chronicle, last, 3)
  await chronicle.settle()
  const end = last.upTo(last.runs.at(-2)?.last ?? fail('too short'))
  chronicle.write({ truncateTo: { zxid: end.last, checksum: end.checksum } }, { history: end })
  chronicle.write({ epochs: epochs(5, 3) }, { epochs: epochs(5, 3) })
  await chronicle.settle()
  append(chronicle, end, 5, 1)
  await chronicle.settle()
}

async function save(chronicle: Chronicle, history: History, seed: number): Promise<void> {
  const chunks = [bytesOf(300, seed), bytesOf(700, seed + 10), bytesOf(3, seed + 20)]
  const { snapshots } = chronicle.newest
  const saved = await chronicle.step(chronicle.bench.store.saveSnapshot(history.meta(), later(chunks)), 'saveSnapshot()', {
    snapshots: [...snapshots, { meta: history.meta(), chunks }],
  })
  if (!saved) fail('saveSnapshot() that nothing has overtaken resolved with false')
  await chronicle.settle()
}

/** A leader's snapshot with entries behind it takes the place of everything; another one was given up before. */
async function install(chronicle: Chronicle, history: History): Promise<History> {
  const { store } = chronicle.bench
  const there = history.upTo(history.last)
  there.extend(3, 10)
  const chunks = [bytesOf(500, 31), bytesOf(80, 32)]
  const meta = there.meta()
  const given = await chronicle.step(store.stage(meta, later([bytesOf(99, 33)])), 'stage()', {})
  store.discard(given)
  const generation = await chronicle.step(store.stage(meta, later(chunks)), 'stage()', {})
  const leader = there.behind()
  await chronicle.step(chronicle.bench.stageAppend(generation, [leader.extend(3, 3)]), 'stageAppend()', {})
  const behind = leader.extend(3, 2)
  chronicle.write(
    { install: generation, append: [behind], epochs: epochs(3, 3) },
    { history: leader, epochs: epochs(3, 3), snapshots: [{ meta, chunks }], startMax: meta.zxid },
  )
  await chronicle.settle()
  return leader
}
