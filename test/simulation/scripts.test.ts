import { readdir, readFile } from 'node:fs/promises'
import { formatScript, parseScript, runSeed, type Script } from '@antiphon/simulator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALL_MUTANTS } from './museum.ts'
import { SCRIPTS as FOLDER, OWN_BUGS } from './museum-own.ts'
import { replay } from './museum-run.ts'
import { MutantTree } from './mutants.ts'

/** From the script's own on: its story holds whatever is left to chance in it. */
const SEEDS = 10
/** Small changes of the sources move what is left to chance: within so many seeds the bug shows itself again. */
const SEEDS_WITH_BUG = 100
const PATIENCE_MS = 120_000

const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.txt')).sort()
const scripts = new Map<string, { readonly text: string; readonly script: Script }>()
for (const name of files) {
  const text = await readFile(`${FOLDER}/${name}`, 'utf8')
  scripts.set(name, { text, script: parseScript(text) })
}

let tree: MutantTree

beforeAll(async () => {
  tree = await MutantTree.build()
}, PATIENCE_MS)

afterAll(() => tree.dispose())

test('there are scripts, each with its story, written as the simulator writes them', () => {
  expect(scripts.size).toBeGreaterThan(0)
  for (const [name, { text, script }] of scripts) {
    expect(script.story.join(' '), name).toMatch(/^.{20,}\.$/)
    expect(formatScript(script), name).toBe(text)
  }
})

test('every bug of our own has its script', () => {
  for (const { bug, script } of OWN_BUGS) expect(scripts.get(`${script}.txt`)?.script.bugs, bug).toEqual([bug])
})

describe.each([...scripts])('%s', (_, { text, script }) => {
  test(
    'breaks nothing',
    async () => {
      for (let seed = script.seed; seed < script.seed + SEEDS; seed++) {
        const { violation } = await runSeed({ seed, script })
        expect(violation === null ? null : `seed ${seed} breaks ${violation.invariant}: ${violation.message}`).toBeNull()
      }
    },
    PATIENCE_MS,
  )

  test.each(script.bugs)(
    'shows bug %s when it is put back',
    async (bug) => {
      const mutant = [...ALL_MUTANTS, ...OWN_BUGS].find((it) => String(it.bug) === bug)
      if (mutant === undefined) throw new Error(`the museum has no row ${bug}`)
      const { violations, invariant } = await replay(tree, mutant, text, SEEDS_WITH_BUG)
      expect([violations, invariant]).toEqual([1, script.invariant])
    },
    PATIENCE_MS,
  )
})
