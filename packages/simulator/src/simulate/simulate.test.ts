import { AntiphonError, type StateMachine } from '@antiphon/ports'
import { describe, expect, test } from 'vitest'
import { type Model, type SimulateOptions, simulate } from '../index.ts'
import {
  Adder,
  Bank,
  Batcher,
  Clinging,
  ClockReader,
  Forgetful,
  Fragile,
  Gambler,
  Hasty,
  Moving,
  Shortsighted,
  Stubborn,
  type Transfer,
} from './buggy.test-support.ts'
import type { FindingKind, WorkloadRandom } from './types.ts'

const NAMES = ['anna', 'bert', 'cleo', 'dora']

function transfer(random: WorkloadRandom): Transfer {
  return { from: random.pick(NAMES), to: random.pick(NAMES), amount: random.between(1, 5) }
}

const search = (machine: () => StateMachine<Transfer, number>): ReturnType<typeof simulate<Transfer, number>> =>
  simulate({ machine, workload: transfer, seeds: 5, requests: 40 })

describe('a machine that', () => {
  test.each([
    ['reads the clock in apply', ClockReader, 'nondeterministic', /touched|at byte/],
    ['draws chance in apply', Gambler, 'nondeterministic', /context\.random/],
    ['keeps something out of its snapshots', Forgetful, 'restore-differs', /restore/],
    ['keeps something through a restore', Clinging, 'restore-differs', /a state of its own/],
    ['forgets to be abandoned', Stubborn, 'not-abandoned', /abandon\(\)/],
    ['prepares in its state', Hasty, 'diverged', /prepare\(\)/],
    ['lets its snapshots move', Moving, 'snapshot-differs', /Fix the view/],
    ['has a digest of its own mind', Adder, 'digest-differs', /digest/],
    ['throws in apply', Fragile, 'threw', /is empty/],
    ['looks at its batches', Batcher, 'depends-on-batch', /batches/],
  ] as const)('%s is found', async (_what, Machine, kind: FindingKind, says) => {
    const { ok, findings, seeds, report } = await search(() => new Machine())
    expect(report).toContain(kind)
    expect(ok).toBe(false)
    expect(findings.map((finding) => finding.kind)).toEqual([kind])
    expect(findings[0]!.explanation).toMatch(says)
    expect(seeds).toBeLessThanOrEqual(3)
    const again = await simulate({
      machine: () => new Machine() as StateMachine<Transfer, number>,
      workload: transfer,
      seeds: [findings[0]!.seed],
      requests: 40,
    })
    expect(again.findings).toEqual(findings)
  })

  test('is sound passes, and has been through something', async () => {
    const { report, ok, entries, leaders, starts, restores } = await search(() => new Bank())
    expect(report).toContain('nothing was found')
    expect(ok).toBe(true)
    expect(entries).toBeGreaterThan(50)
    expect(leaders).toBeGreaterThan(5)
    expect(starts).toBeGreaterThan(20)
    expect(restores).toBeGreaterThan(0)
  })
})

/** A bank as its clients see it: a state is JSON, so that it is a value. */
const bank: Model<string, Transfer, number> = {
  initial: '{}',
  key: (state) => state,
  step(state, { from, to, amount }, result) {
    const accounts = JSON.parse(state) as Record<string, number>
    const moved = Math.min(amount, accounts[from] ?? 10)
    accounts[from] = (accounts[from] ?? 10) - moved
    accounts[to] = (accounts[to] ?? 10) + moved
    return result === null || result === accounts[to] ? JSON.stringify(accounts) : null
  },
}

describe('a model', () => {
  test('finds what all replicas agree on and no client can make sense of', async () => {
    const options = { workload: transfer, seeds: 12, requests: 40, model: bank }
    expect((await simulate({ ...options, machine: () => new Bank(), seeds: 3 })).report).toContain('nothing was found')
    const machine = (): StateMachine<Transfer, number> => new Shortsighted()
    expect((await simulate({ ...options, machine, workload: options.workload })).findings.map(({ kind }) => kind)).toEqual(['not-linearizable'])
  })
})

describe('what a caller may get wrong', () => {
  const good = { machine: () => new Bank(), workload: transfer, seeds: 1, requests: 5 }
  const one = new Bank()
  test.each([
    ['no machine', { machine: one }, /not a function/],
    ['one machine for all', { machine: () => one }, /same machine twice/],
    ['something else than machines', { machine: () => ({ name: 'x' }) }, /lacks encodeRequest/],
    ['no workload', { workload: undefined }, /workload/],
    ['no seeds', { seeds: 0 }, /seeds/],
    ['seeds that are none', { seeds: [1.5] }, /seeds/],
    ['a name that does not exist', { seed: 3 }, /no option `seed`/],
    ['a workload that throws', { workload: () => JSON.parse('{') as Transfer }, /the workload threw/],
    ['half a model', { model: { initial: 0 } }, /model/],
  ])('%s is refused', async (_what, wrong, says) => {
    const refused = await simulate({ ...good, ...wrong } as unknown as SimulateOptions<Transfer, number>).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(AntiphonError)
    expect((refused as AntiphonError).code).toBe('INVALID_ARGUMENT')
    expect((refused as AntiphonError).message).toMatch(says)
  })
})

test('the host has its own clock and chance back, and calls wait for each other', async () => {
  const before = [Date, Math.random, performance.now]
  const options = { machine: () => new Gambler(), workload: transfer, seeds: 2, requests: 10 }
  const [one, other] = await Promise.all([simulate(options), simulate(options)])
  expect(one).toEqual(other)
  expect([Date, Math.random, performance.now]).toEqual(before)
  expect(Object.hasOwn(performance, 'now')).toBe(false)
})
