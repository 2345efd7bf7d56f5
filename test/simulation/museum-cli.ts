/** `npm run museum [-- --json] [--bugs 1,12a] [--rules | --own] [--seeds N] [--runs N] [--nightly] [--page FILE] [--scripts FOLDER]` */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatScript, parseScript } from '@antiphon/simulator'
import { ALL_MUTANTS, MUSEUM } from './museum.ts'
import { OWN_BUGS, type OwnBug, ownRows, scriptOf } from './museum-own.ts'
import { museumPage } from './museum-page.ts'
import { RULE_MUTANTS } from './museum-rules.ts'
import { runMuseum } from './museum-run.ts'
import { type Mutant, MutantTree } from './mutants.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    bugs: { type: 'string' },
    rules: { type: 'boolean', default: false },
    own: { type: 'boolean', default: false },
    page: { type: 'string' },
    scripts: { type: 'string' },
    nightly: { type: 'boolean', default: false },
    seeds: { type: 'string' },
    runs: { type: 'string' },
  },
})
const seeds = Number(values.seeds ?? (values.nightly ? 60_000 : 6000))
// Scripts of our own bugs are short: they are cut again only for a new one.
const runs = Number(values.runs ?? (values.nightly ? 1500 : values.own && values.scripts === undefined ? 1 : 60))
const all: readonly Mutant[] = values.own ? OWN_BUGS : values.rules ? RULE_MUTANTS : ALL_MUTANTS
const scripts = new Map<Mutant, string>()
if (values.own) for (const own of OWN_BUGS) scripts.set(own, await scriptOf(own))
const wanted = values.bugs === undefined ? all.filter(({ open }) => open !== true).map(({ bug }) => String(bug)) : values.bugs.split(',')
const unknown = wanted.filter((bug) => !all.some((mutant) => String(mutant.bug) === bug))
for (const [name, number] of Object.entries({ seeds, runs }))
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} takes a positive integer, not ${number}`)
if (unknown.length > 0) throw new Error(`the museum has no row ${unknown.join(', ')}`)

const tree = await MutantTree.build()
try {
  const mutants = all.filter(({ bug }) => wanted.includes(String(bug)))
  const { rows, ok, ...report } = await runMuseum(tree, mutants, { seeds, failures: values.nightly ? 10 : 1, runs, scripts, say: console.log })
  for (const { bug, name } of all) if (!wanted.includes(String(bug)) && values.bugs === undefined) console.log(`bug ${bug} is not looked for: ${name}`)
  if (values.page !== undefined)
    await writeFile(values.page, museumPage(MUSEUM, RULE_MUTANTS, await ownRows(), rows, await readFile(values.page, 'utf8').catch(() => '')))
  if (values.scripts !== undefined) {
    await mkdir(values.scripts, { recursive: true })
    for (const { mutant, length } of rows) {
      if (length === null) continue
      const old = scripts.get(mutant)
      const story = old === undefined ? [`Rule ${mutant.rule}: ${mutant.name}.`] : parseScript(old).story
      const name = (mutant as Partial<OwnBug>).script ?? `museum-${mutant.bug}`
      await writeFile(join(values.scripts, `${name}.txt`), formatScript({ ...parseScript(length.script), bugs: [String(mutant.bug)], story }))
    }
  }
  if (values.json) console.log(JSON.stringify(report))
  process.exitCode = ok ? 0 : 1
} finally {
  await tree.dispose()
}
