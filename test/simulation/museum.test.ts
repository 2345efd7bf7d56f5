import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CORE_MUTANTS } from './explore-mutants.ts'
import { ALL_MUTANTS, MUSEUM } from './museum.ts'
import { OWN_BUGS } from './museum-own.ts'
import { applied, MutantTree, replaced } from './mutants.ts'

/** Within so many seeds from the first one a bug must be found; a detector that needs more is broken. */
const SEEDS = 1000
/** The rest is `npm run museum`'s: these are found within seconds. */
const HERE: readonly (number | string)[] = [2, 4, 5, 7, 14, 17, 39, 41, 45, 52]
const PATIENCE_MS = 300_000

let tree: MutantTree

beforeAll(async () => {
  tree = await MutantTree.build()
}, PATIENCE_MS)

afterAll(() => tree.dispose())

const CHOSEN = MUSEUM.filter(({ bug }) => HERE.includes(bug))

test('ten rows of the museum are run here', () => {
  expect(CHOSEN).toHaveLength(10)
})

test('every patch of every row and proof fits the sources as they stand, and changes them', async () => {
  const inCore = CORE_MUTANTS.map(({ bug, patches }) => ({
    bug: `${bug} of the exploration`,
    patches: patches.map((patch) => ({ ...patch, file: `packages/consensus-core/src/${patch.file}` })),
  }))
  for (const { bug, patches } of [...ALL_MUTANTS, ...OWN_BUGS, ...inCore]) {
    const files = await applied(patches).catch((error: Error) => error.message)
    if (typeof files === 'string') expect.fail(`bug ${bug}: ${files}`)
    for (const { before, after } of files.values()) expect(after, `bug ${bug}`).not.toBe(before)
    expect(files.size, `bug ${bug}`).toBeGreaterThan(0)
  }
  const names = [...ALL_MUTANTS, ...OWN_BUGS].map(({ bug }) => String(bug))
  expect(new Set(names).size).toBe(names.length)
})

describe('a bug that shipped elsewhere is found when it is put back', () => {
  for (const mutant of CHOSEN) {
    test(
      `${mutant.bug}: ${mutant.name}, rule ${mutant.rule}`,
      async () => {
        const finding = await tree.simulate(mutant, SEEDS, ['--violations', '1'])
        expect(finding.violations, finding.output.slice(-2000)).toBeGreaterThan(0)
        expect(finding.exitCode).toBe(1)
        // The seed alone leads to the same violation again, with its trace.
        const again = await tree.simulate(mutant, 1, ['--seed', String(finding.seed), '--workers', '0'])
        expect([again.seed, again.invariant]).toEqual([finding.seed, finding.invariant])
        expect(again.output).toMatch(/^ +\d+\.\d{3} {2}\d {2}<- \d {2}[A-Z]/m)
      },
      PATIENCE_MS,
    )
  }
})

test(
  'two processes run the same seeds to the same byte, however the seeds are dealt out, and find nothing',
  async () => {
    const [one, other] = await Promise.all([tree.simulate(null, 12, ['--workers', '0']), tree.simulate(null, 12, ['--workers', '3'])])
    expect(one).toMatchObject({ seeds: 12, violations: 0, exitCode: 0 })
    expect(other).toMatchObject({ seeds: 12, violations: 0, exitCode: 0 })
    expect(one.hash).toMatch(/^[0-9a-f]{8}$/)
    expect(one.hash).toBe(other.hash)
    expect((await tree.simulate(null, 12, ['--seed', '2'])).hash).not.toBe(one.hash)
  },
  PATIENCE_MS,
)

test(
  'a run of many seeds that never took a path that is expected fails, and names it',
  async () => {
    const file = 'packages/simulator/src/cli.ts'
    const few = { bug: 0, rule: 0, name: '', patches: [{ file, text: 'const COVERING_SEEDS = 10_000\n', replacement: 'const COVERING_SEEDS = 3\n' }] }
    const enough = await tree.simulate(few, 3)
    expect(enough).toMatchObject({ seeds: 3, violations: 0, exitCode: 1 })
    expect(enough.output).toMatch(/^never taken, which fails a run of so many seeds: .*fault [a-z-]+/m)
    expect(JSON.parse(enough.output.trimEnd().split('\n').at(-1)!).untaken).toContain('fault wipe')
    expect(await tree.simulate(few, 2)).toMatchObject({ seeds: 2, violations: 0, exitCode: 0 })
  },
  PATIENCE_MS,
)

test('a patch whose text is not there, or is there twice, fails', async () => {
  const patch = { file: 'packages/ports/src/index.ts', text: 'this text stands nowhere', replacement: '' }
  await expect(tree.simulate({ bug: 0, rule: 0, name: '', patches: [patch] }, 1)).rejects.toThrow('holds the text of a patch 0 times')
  expect(() => replaced('a.ts', 'one two one', 'one', 'three')).toThrow('2 times')
  expect(replaced('a.ts', 'one two', 'one', 'three')).toBe('three two')
})
