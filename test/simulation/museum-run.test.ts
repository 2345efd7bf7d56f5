import { parseScript } from '@antiphon/simulator'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MUSEUM } from './museum.ts'
import { type MuseumOptions, type MuseumReport, replay, runMuseum } from './museum-run.ts'
import { type Mutant, MutantTree } from './mutants.ts'

const PATIENCE_MS = 300_000
const lines: string[] = []
const OPTIONS: MuseumOptions = { seeds: 20, failures: 1, runs: 60, say: (line) => lines.push(line) }
const EARLY = MUSEUM.find(({ bug }) => bug === 41)!

let tree: MutantTree

beforeAll(async () => {
  tree = await MutantTree.build()
}, PATIENCE_MS)

afterAll(() => tree.dispose())

function run(mutants: readonly Mutant[], over: Partial<MuseumOptions> = {}, on = tree): Promise<MuseumReport> {
  lines.length = 0
  return runMuseum(on, mutants, { ...OPTIONS, ...over })
}

test(
  'a bug is found, with the length of its shortest run; that run shows it again, and is sound without it',
  async () => {
    const { rows, ...report } = await run([EARLY])
    expect(report).toMatchObject({ bugs: 1, found: 1, survived: [], explained: [41], unsound: [], ok: true })
    const { seed, invariant, length } = rows[0]!
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ +41 +7 +${seed} +${length!.steps} +${length!.faults} .* ${invariant} `)))
    expect(length!.steps).toBeLessThan(300)
    const script = parseScript(length!.script)
    expect([script.invariant, script.faults.length]).toEqual([invariant, length!.faults])
    expect(await replay(tree, EARLY, length!.script, 1)).toMatchObject({ violations: 1, invariant, exitCode: 1 })
    expect(await replay(tree, null, length!.script, 1)).toMatchObject({ seeds: 1, violations: 0, exitCode: 0 })
  },
  PATIENCE_MS,
)

test(
  'of several failing seeds the shortest run is kept',
  async () => {
    const [one] = (await run([EARLY], { runs: 2 })).rows
    const [several] = (await run([EARLY], { runs: 2, failures: 6 })).rows
    expect(several!.length!.steps).toBeLessThanOrEqual(one!.length!.steps)
    expect(several!.seed).toBe(one!.seed)
  },
  PATIENCE_MS,
)

test(
  'the museum fails when a bug survives',
  async () => {
    const harmless: Mutant = {
      bug: '0a',
      rule: 0,
      name: 'a comment',
      patches: [{ file: 'packages/replica/src/shell.ts', text: '    this.applier.note(write)\n', replacement: '    this.applier.note(write) // written\n' }],
    }
    expect(await run([harmless, EARLY], { seeds: 5 })).toMatchObject({ bugs: 2, found: 1, survived: ['0a'], unsound: [], ok: false })
    expect(lines).toContainEqual(expect.stringMatching(/^ +0a .* SURVIVED +a comment$/))
  },
  PATIENCE_MS,
)

test('the museum fails before it runs anything when the text of a patch is not found', async () => {
  const gone: Mutant = { ...EARLY, bug: '0b', patches: [{ ...EARLY.patches[0]!, text: 'this text stands nowhere' }] }
  const { ok, rows, unsound } = await run([EARLY, gone])
  expect({ ok, rows }).toEqual({ ok: false, rows: [] })
  expect(unsound).toEqual([expect.stringContaining('bug 0b: packages/consensus-core/src/follower/broadcast.ts holds the text of a patch 0 times')])
})

test(
  'the museum fails when the sources fail on the same seeds without the bug',
  async () => {
    const broken = await MutantTree.build(EARLY.patches)
    try {
      const { ok, found, unsound } = await run([MUSEUM.find(({ bug }) => bug === 12)!], { seeds: 1, runs: 1 }, broken)
      expect({ ok, found }).toEqual({ ok: false, found: 1 })
      expect(unsound).toContain('seed 1 breaks core without any bug put back')
    } finally {
      await broken.dispose()
    }
  },
  PATIENCE_MS,
)

test(
  'a bug of a program of its own is found by that, and must not be found without it',
  async () => {
    const [snapshot, busy] = [23, 27].map((bug) => MUSEUM.find((mutant) => mutant.bug === bug)!)
    const { rows, ...report } = await run([busy!], { seeds: 10 })
    expect(report).toMatchObject({ bugs: 1, found: 1, survived: [], unsound: [], ok: true })
    expect(rows).toMatchObject([{ invariant: 'threw', length: null }])
    const broken = await MutantTree.build(snapshot!.patches)
    try {
      const { ok, found, unsound } = await run([busy!], { seeds: 1 }, broken)
      expect({ ok, found, unsound }).toEqual({ ok: false, found: 1, unsound: ['seed 1 of test/simulation/znodes fails without any bug put back'] })
    } finally {
      await broken.dispose()
    }
  },
  PATIENCE_MS,
)

test('a museum without bugs proves nothing', async () => {
  expect(await run([])).toMatchObject({ bugs: 0, ok: false })
})
