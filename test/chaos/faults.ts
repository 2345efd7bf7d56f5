import { setTimeout as wait } from 'node:timers/promises'
import type { SeededRandom } from '@antiphon/simulator'
import { type Ensemble, IDS } from './ensemble.ts'

const GAP_MS_MAX = 1500
const AT_ONCE_MAX = 2
const WORK_MS = 1000
const WORK_MS_MAX = 10_000
const LOOK_MS = 20

type Heal = () => void | Promise<void>

/** `targets`: all members, the one that the fault is about first. */
type Fault = (ensemble: Ensemble, targets: readonly number[], amount: number) => Heal[] | Promise<Heal[]>

interface Kind {
  readonly name: string
  readonly msMin: number
  readonly msMax: number
  /** How many members it is about. */
  readonly targets: number
  /** Strikes an ensemble that works: when the faults before it have healed and somebody leads under load, for a little while. */
  readonly atWork?: true
  readonly fault: Fault
}

const KINDS: readonly Kind[] = [
  { name: 'kill -9', msMin: 100, msMax: 2500, targets: 1, fault: (ensemble, [target]) => [ensemble.kill(target!)] },
  { name: 'kill -9', msMin: 100, msMax: 2500, targets: 2, fault: (ensemble, targets) => targets.slice(0, 2).map((id) => ensemble.kill(id)) },
  { name: 'kill -9', msMin: 50, msMax: 1000, targets: 5, atWork: true, fault: (ensemble, targets) => targets.map((id) => ensemble.kill(id)) },
  { name: 'SIGSTOP', msMin: 200, msMax: 4000, targets: 1, fault: (ensemble, [target]) => [ensemble.pause(target!)] },
  { name: 'SIGSTOP', msMin: 200, msMax: 3000, targets: 3, fault: (ensemble, targets) => targets.slice(0, 3).map((id) => ensemble.pause(id)) },
  {
    name: 'links cut of',
    msMin: 300,
    msMax: 4000,
    targets: 1,
    fault: (ensemble, targets) => between(targets, 1, (one, other) => ensemble.links.cut(one, other)),
  },
  {
    name: 'links cut between the others and',
    msMin: 300,
    msMax: 4000,
    targets: 2,
    fault: (ensemble, targets) => between(targets, 2, (one, other) => ensemble.links.cut(one, other)),
  },
  {
    name: 'nothing arrives from',
    msMin: 300,
    msMax: 4000,
    targets: 1,
    fault: (ensemble, targets) => between(targets, 1, (one, other) => ensemble.links.hold(one, other)),
  },
  {
    name: 'nothing arrives at',
    msMin: 300,
    msMax: 4000,
    targets: 1,
    fault: (ensemble, targets) => between(targets, 1, (one, other) => ensemble.links.hold(other, one)),
  },
  {
    name: 'nothing passes between the others and',
    msMin: 300,
    msMax: 4000,
    targets: 2,
    fault: ({ links }, targets) => between(targets, 2, (one, other) => [links.hold(one, other), links.hold(other, one)]),
  },
  {
    name: 'slow links of',
    msMin: 1000,
    msMax: 5000,
    targets: 1,
    fault: ({ links }, targets, amount) => {
      const delayMs = 5 + Math.floor(amount * 300)
      return between(targets, 1, (one, other) => [links.slow(one, other, delayMs), links.slow(other, one, delayMs)])
    },
  },
]
const FULL_DISK: Kind = { name: 'full disk', msMin: 1000, msMax: 5000, targets: 0, fault: async (ensemble) => [await ensemble.fillDisk()] }

/** The first `count` against the rest. */
function between(targets: readonly number[], count: number, fault: (one: number, other: number) => Heal | readonly Heal[]): Heal[] {
  return targets.slice(0, count).flatMap((one) => targets.slice(count).flatMap((other) => fault(one, other)))
}

/**
 * Faults until `deadline` (of `performance.now`), two at once at most, each kind before any comes again; resolves with their number when all have healed. Kinds, times and members come from
 * `random` alone; half of them begin with whoever leads then.
 */
export async function makeFaults(ensemble: Ensemble, random: SeededRandom, deadline: number, say: (line: string) => void): Promise<number> {
  const kinds = ensemble.smallDisk === null ? KINDS : [...KINDS, FULL_DISK]
  const began = performance.now()
  const standing = new Set<Promise<void>>()
  let deck: Kind[] = []
  let faults = 0
  for (;;) {
    await wait(random.between(0, GAP_MS_MAX))
    if (standing.size >= AT_ONCE_MAX) await Promise.race(standing)
    if (performance.now() >= deadline) break
    if (deck.length === 0) deck = random.shuffle([...kinds])
    const kind = deck.pop()!
    if (kind.atWork === true) {
      await Promise.all(standing)
      await atWork(ensemble)
    }
    const targets = random.shuffle([...IDS])
    const atLeader = random.chance(0.5)
    const ms = random.between(kind.msMin, kind.msMax)
    const amount = random.unit()
    const { leader } = ensemble.leadership
    if (atLeader && leader !== null) targets.sort((a, b) => Number(b === leader) - Number(a === leader))
    const members = kind.targets === 0 ? '' : ` ${targets.slice(0, kind.targets).join(', ')}`
    say(`${((performance.now() - began) / 1000).toFixed(1)} s: ${kind.name}${members} for ${ms} ms`)
    const heals = await kind.fault(ensemble, targets, amount)
    faults++
    const healed = wait(ms)
      .then(() => Promise.all(heals.map((heal) => heal())))
      .then(() => void standing.delete(healed))
    standing.add(healed)
  }
  await Promise.all(standing)
  return faults
}

/** Somebody leads, and has done so for a while. Gives up after a longer one. */
async function atWork(ensemble: Ensemble): Promise<void> {
  let since: number | null = null
  for (const until = performance.now() + WORK_MS_MAX; performance.now() < until; await wait(LOOK_MS)) {
    if (ensemble.leadership.leader === null) since = null
    else since ??= performance.now()
    if (since !== null && performance.now() - since >= WORK_MS) return
  }
}
