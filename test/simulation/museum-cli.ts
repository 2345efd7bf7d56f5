/** `npm run museum [-- --json] [--bugs 1,12a] [--rules] [--seeds N] [--page FILE]`: puts each bug back, one at a time, and lets the simulator find it. A survivor means that the simulator is blind, and fails. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ALL_MUTANTS, MUSEUM } from './museum.ts'
import { RULE_MUTANTS } from './museum-rules.ts'
import { type Finding, type Mutant, MutantTree } from './mutants.ts'

interface Row {
  readonly mutant: Mutant
  readonly finding: Finding
  readonly seconds: number
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    bugs: { type: 'string' },
    rules: { type: 'boolean', default: false },
    page: { type: 'string' },
    seeds: { type: 'string', default: '6000' },
  },
})
const seeds = Number(values.seeds)
const all = values.rules ? RULE_MUTANTS : ALL_MUTANTS
const wanted = values.bugs === undefined ? all.filter(({ open }) => open !== true).map(({ bug }) => String(bug)) : values.bugs.split(',')
const unknown = wanted.filter((bug) => !all.some((mutant) => String(mutant.bug) === bug))
if (!Number.isSafeInteger(seeds) || seeds < 1) throw new Error(`--seeds takes a positive integer, not "${values.seeds}"`)
if (unknown.length > 0) throw new Error(`the museum has no row ${unknown.join(', ')}`)

console.log('bug rule   seed  seconds  check            what was put back')
const tree = await MutantTree.build()
const rows: Row[] = []
const sound: number[] = []
try {
  for (const mutant of all.filter(({ bug }) => wanted.includes(String(bug)))) {
    const began = performance.now()
    const finding = await tree.simulate(mutant, seeds, ['--violations', '1'])
    const row = { mutant, finding, seconds: (performance.now() - began) / 1000 }
    rows.push(row)
    console.log(tell(row))
  }
  // What it sees in a bug's seed must be the bug: without it, the same seed is sound.
  for (const seed of new Set(rows.flatMap(({ finding }) => finding.seed ?? []))) {
    const { violations, invariant } = await tree.simulate(null, 1, ['--seed', String(seed), '--workers', '0'])
    if (violations === 0) sound.push(seed)
    else console.log(`seed ${seed} breaks ${invariant ?? 'a promise'} without any bug put back`)
  }
} finally {
  await tree.dispose()
}

const found = rows.filter(({ finding }) => finding.seed !== null)
const survived = rows.filter(({ finding }) => finding.seed === null).map(({ mutant }) => mutant.bug)
const unsound = new Set(found.flatMap(({ finding }) => finding.seed ?? [])).size - sound.length
const explained = rows.filter(({ mutant }) => mutant.explained !== undefined)
for (const { mutant } of explained) console.log(`bug ${mutant.bug} cannot exist here, its nearest relative was put back: ${mutant.explained}`)
console.log(`${found.length} of ${rows.length} found within ${seeds} seeds${survived.length === 0 ? '' : `; survived: ${survived.join(', ')}`}`)
if (values.page !== undefined) await writeFile(values.page, page())
if (values.json)
  console.log(JSON.stringify({ bugs: rows.length, found: found.length, survived, explained: explained.map(({ mutant }) => mutant.bug), unsound }))
process.exitCode = survived.length === 0 && unsound === 0 && rows.length > 0 ? 0 : 1

function tell({ mutant, finding, seconds }: Row): string {
  const { seed, invariant } = finding
  const columns = [String(mutant.bug).padStart(3), String(mutant.rule).padStart(4), String(seed ?? '-').padStart(6), seconds.toFixed(1).padStart(8)]
  return `${columns.join(' ')}  ${(invariant ?? 'SURVIVED').padEnd(15)}  ${mutant.name}`
}

/** The table as a page of the documentation. */
function page(): string {
  const lines = rows.map(({ mutant, finding }) => {
    const nearest = mutant.explained === undefined ? '' : ` *Nearest relative: ${mutant.explained}.*`
    return `| ${mutant.bug} | ${mutant.rule} | ${mutant.name}.${nearest} | ${finding.seed ?? 'survived'} | ${finding.invariant ?? ''} |`
  })
  return `# The museum

Bugs that shipped in the systems before this one, and bugs that a careful reader found in drafts of its own rules. Each is put back by a patch on a copy of the sources, and the simulator must find
it by itself. \`npm run museum\` does so and fails if one survives, if a patch does not fit the sources any more, or if the sources fail without it. This page is what it wrote:
\`npm run museum -- --page packages/docs/museum.md\`.

| bug | [rule](protocol.md) | what was put back | found with seed | check that broke |
|---:|---:|---|---:|---|
${lines.join('\n')}

Open, for the simulator has not found them: ${MUSEUM.filter(({ open }) => open === true)
    .map(({ bug, name }) => `${bug} (${name})`)
    .join('; ')}.
`
}
