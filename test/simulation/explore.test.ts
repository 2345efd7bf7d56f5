import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { explore, STARTS } from '@antiphon/simulator'
import { describe, expect, test } from 'vitest'
import { CORE_MUTANTS, mutatedCore } from './explore-mutants.ts'

const PATIENCE_MS = 120_000
const MUTANTS = process.env['EXPLORE'] === 'all' ? CORE_MUTANTS : CORE_MUTANTS.filter(({ patient }) => patient !== true)
const NO_TROUBLE = { crashes: 0, unsynced: 0, losses: 0, partitions: 0, ticks: 0 }

test('two proposals under one leader: all interleavings are exhausted and break nothing', () => {
  const { states, depth, exhausted, violations } = explore({ ...NO_TROUBLE, start: 'established' })
  expect({ exhausted, violations }).toEqual({ exhausted: true, violations: [] })
  expect(states).toBeGreaterThan(1000)
  // Of each proposal at each member: it is sent, becomes durable, is acknowledged, and its commit is told.
  expect(depth).toBeGreaterThanOrEqual(16)
  const again = explore({ ...NO_TROUBLE, start: 'established' })
  expect(again).toMatchObject({ states, depth })
  // Equal states have equal hashes, whoever has explored them.
  const wider = explore({ ...NO_TROUBLE, start: 'established', ticks: 1, depth: 6 })
  const narrow = explore({ ...NO_TROUBLE, start: 'established', depth: 6 })
  const pairs = new Set(Array.from(wider.hashes.high, (high, i) => `${high} ${wider.hashes.low[i]}`))
  expect(pairs.size).toBe(wider.states)
  expect(Array.from(narrow.hashes.high, (high, i) => pairs.has(`${high} ${narrow.hashes.low[i]}`))).toEqual(new Array(narrow.states).fill(true))
})

test('a member that comes back with an entry of its own: crashes at every moment are exhausted and break nothing', () => {
  const { exhausted, violations, states } = explore({ ...NO_TROUBLE, start: 'divided', crashes: 1 })
  expect({ exhausted, violations }).toEqual({ exhausted: true, violations: [] })
  expect(states).toBeGreaterThan(10_000)
})

test('an epoch that ends behind each entry: the changes in place are exhausted and break nothing', () => {
  const { exhausted, violations, states, depth } = explore({ ...NO_TROUBLE, start: 'established', counterMax: 1, proposals: 1 })
  expect({ exhausted, violations }).toEqual({ exhausted: true, violations: [] })
  expect(states).toBeGreaterThan(1000)
  // Promise, NEWEPOCH, ACK-E, NEWLEADER, ACK-LD and COMMIT-LD behind those of the entry.
  expect(depth).toBeGreaterThanOrEqual(26)
})

test('with all kinds of trouble every start breaks nothing, as far as some states reach', () => {
  for (const start of STARTS) {
    const { violations, states, depth } = explore({ start, losses: 3, states: 3000 })
    expect(violations, start).toEqual([])
    expect(states, start).toBeGreaterThan(3000)
    expect(depth, start).toBeGreaterThan(1)
  }
})

test('bounds end an exploration, and it says so', () => {
  const bounded = explore({ depth: 3 })
  expect(bounded).toMatchObject({ depth: 3, exhausted: false })
  expect(explore({ depth: 4 }).states).toBeGreaterThan(bounded.states)
  expect(explore({ goOn: () => false })).toMatchObject({ states: 1, depth: 0, exhausted: false })
})

describe('a bug that is put into the core alone is found, by its shortest path', () => {
  for (const mutant of MUTANTS) {
    test(
      `${mutant.name}, rule ${mutant.rule}`,
      async () => {
        const { violations } = explore({ ...mutant.bounds, states: 5_000_000, core: await mutatedCore(mutant) })
        expect(violations).toHaveLength(1)
        const [{ message, trace, depth }] = violations as [(typeof violations)[0]]
        expect(message).toMatch(mutant.breach)
        expect(trace.at(-1)).toBe(`VIOLATION: ${message}`)
        // The core as it is breaks nothing there.
        expect(explore({ ...mutant.bounds, depth, states: 5000 }).violations).toEqual([])
      },
      PATIENCE_MS,
    )
  }
})

test('a patch whose text is not there fails', async () => {
  await expect(mutatedCore({ patches: [{ file: 'core.ts', text: 'this text stands nowhere', replacement: '' }] })).rejects.toThrow('0 times')
})

const COMMAND = fileURLToPath(new URL('../../packages/simulator/src/explore-cli.ts', import.meta.url))

function run(...args: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['--import', 'tsx', '--conditions=@antiphon/source', COMMAND, ...args], (_, stdout, stderr) =>
      resolve({ code: child.exitCode, output: stdout + stderr }),
    )
  })
}

test(
  'the command tells what it has done, and refuses what it does not know',
  async () => {
    const calm = ['--crashes', '0', '--unsynced', '0', '--losses', '0', '--partitions', '0', '--ticks', '0']
    const [done, refused] = await Promise.all([run('--json', '--workers', '0', '--start', 'established', ...calm), run('--start', 'nowhere')])
    expect(done.code, done.output).toBe(0)
    const told = JSON.parse(done.output.trimEnd().split('\n').at(-1)!)
    expect(told).toMatchObject({ exhausted: true, violations: 0, scopes: [{ start: 'established' }] })
    expect(told.states).toBe(told.scopes[0].states)
    expect(refused).toMatchObject({ code: 2, output: expect.stringContaining('--start is one of fresh, founded') })
  },
  PATIENCE_MS,
)
