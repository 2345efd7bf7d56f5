import { setTimeout as wait } from 'node:timers/promises'
import type { SeededRandom } from '@antiphon/simulator'
import { type Ensemble, IDS } from './ensemble.ts'
import type { Heal, Way } from './links.ts'

const GAP_MS_MAX = 1500
const AT_ONCE_MAX = 2
const WORK_MS = 1000
const WORK_MS_MAX = 10_000
const LOOK_MS = 20

interface Kind {
  readonly name: string
  readonly msMin: number
  readonly msMax: number
  /** How many members it is about: the first of the targets. */
  readonly about: number
  /** Strikes an ensemble that works: when the faults before it have healed and somebody leads under load, for a little while. */
  readonly atWork?: true
  /** Can it be made here? */
  readonly where?: (ensemble: Ensemble) => boolean
  /** `some` are those that it is about, `others` the rest; `amount` is in [0, 1). */
  fault(ensemble: Ensemble, some: readonly number[], others: readonly number[], amount: number): Heal[] | Promise<Heal>
}

/** Each is made at least once in every run, where it can be made. */
export const KINDS: readonly Kind[] = [
  { name: 'kill -9 of one', msMin: 100, msMax: 2500, about: 1, fault: (ensemble, some) => some.map((id) => ensemble.kill(id)) },
  { name: 'kill -9 of two', msMin: 100, msMax: 2500, about: 2, fault: (ensemble, some) => some.map((id) => ensemble.kill(id)) },
  { name: 'kill -9 of all', msMin: 50, msMax: 1000, about: 5, atWork: true, fault: (ensemble, some) => some.map((id) => ensemble.kill(id)) },
  { name: 'SIGSTOP of one', msMin: 200, msMax: 4000, about: 1, fault: (ensemble, some) => some.map((id) => ensemble.pause(id)) },
  { name: 'SIGSTOP of three', msMin: 200, msMax: 3000, about: 3, fault: (ensemble, some) => some.map((id) => ensemble.pause(id)) },
  { name: 'links cut of one', msMin: 300, msMax: 4000, about: 1, fault: ({ links }, some, others) => links.cut(ways(some, others)) },
  { name: 'links cut between three and two', msMin: 300, msMax: 4000, about: 2, fault: ({ links }, some, others) => links.cut(ways(some, others)) },
  { name: 'nothing arrives from one', msMin: 300, msMax: 4000, about: 1, fault: ({ links }, some, others) => links.hold(ways(some, others)) },
  { name: 'nothing arrives at one', msMin: 300, msMax: 4000, about: 1, fault: ({ links }, some, others) => links.hold(ways(others, some)) },
  {
    name: 'nothing passes between three and two',
    msMin: 300,
    msMax: 4000,
    about: 2,
    fault: ({ links }, some, others) => links.hold([...ways(some, others), ...ways(others, some)]),
  },
  {
    name: 'slow links of one',
    msMin: 1000,
    msMax: 5000,
    about: 1,
    fault: ({ links }, some, others, amount) => links.slow([...ways(some, others), ...ways(others, some)], amount),
  },
  {
    name: 'cable pulled out of one',
    msMin: 300,
    msMax: 4000,
    about: 1,
    where: ({ links }) => links.unplug !== null,
    fault: ({ links }, some) => links.unplug!(some[0]!),
  },
  { name: 'full disk', msMin: 1000, msMax: 5000, about: 0, where: ({ smallDisk }) => smallDisk !== null, fault: (ensemble) => ensemble.fillDisk() },
]

function ways(from: readonly number[], to: readonly number[]): Way[] {
  return from.flatMap((one) => to.map((other): Way => [one, other]))
}

/**
 * Faults until `deadline` (of `performance.now`) and until each kind has come, two at once at most, each kind before any comes again; resolves with how many of each kind there were when all have healed.
 * Kinds, times and members come from `random` alone; half of them begin with whoever leads then.
 */
export async function makeFaults(
  ensemble: Ensemble,
  random: SeededRandom,
  deadline: number,
  names: readonly string[] | null,
  say: (line: string) => void,
): Promise<Record<string, number>> {
  const kinds = KINDS.filter(({ name, where }) => (names === null || names.includes(name)) && (where?.(ensemble) ?? true))
  const made: Record<string, number> = Object.fromEntries(kinds.map(({ name }) => [name, 0]))
  const began = performance.now()
  const standing = new Set<Promise<void>>()
  let deck = random.shuffle([...kinds])
  for (;;) {
    await wait(random.between(0, GAP_MS_MAX))
    if (standing.size >= AT_ONCE_MAX) await Promise.race(standing)
    if (performance.now() >= deadline && kinds.every(({ name }) => made[name]! > 0)) break
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
    const some = targets.slice(0, kind.about)
    const members = some.map((id) => (id === leader ? `${id} (leads)` : `${id}`)).join(', ')
    say(`${((performance.now() - began) / 1000).toFixed(1)} s: ${kind.name}${members === '' ? '' : `: ${members}`}, for ${ms} ms`)
    const heals = [await kind.fault(ensemble, some, targets.slice(kind.about), amount)].flat()
    made[kind.name]!++
    const healed = wait(ms)
      .then(() => Promise.all(heals.map((heal) => heal())))
      .then(() => void standing.delete(healed))
    standing.add(healed)
  }
  await Promise.all(standing)
  return made
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
