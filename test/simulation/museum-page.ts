import type { OwnRow } from './museum-own.ts'
import type { Row } from './museum-run.ts'
import type { Mutant } from './mutants.ts'

/** What a row of the page says besides its mutant. */
type Told = readonly [seed: string, check: string, steps: string, faults: string]

const WIDTH = 7

/** Rows of all tables of the page, by their bugs. */
export function rowsOfPage(page: string): ReadonlyMap<string, readonly string[]> {
  const rows = new Map<string, readonly string[]>()
  for (const line of page.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim())
    if (cells.length === WIDTH + 2 && /^\d+[a-z0-9-]*$/.test(cells[1]!)) rows.set(cells[1]!, cells.slice(1, -1))
  }
  return rows
}

/** What a mutant's row begins with. */
export function headOf({ bug, rule, name, explained }: Mutant): readonly [bug: string, rule: string, name: string] {
  return [String(bug), String(rule), `${name}.${explained === undefined ? '' : ` *Nearest relative: ${explained}.*`}`]
}

const OWN = `What the simulator found in this code. The fix of each is taken back by a patch, and the script that stayed must break the same promise again; without the patch it must not. \`npm test\` and
\`npm run museum -- --own\` see to it.`

function tableOf(own: readonly OwnRow[]): string {
  return [
    '| found by | [rule](protocol.md) | what went wrong | script | its seed | check that broke | faults |',
    '|---|---:|---|---|---:|---|---:|',
    ...own.map(({ own: { bug, rule, name, script: file }, script: { seed, invariant, faults } }) => {
      const link = `[${file}](../../test/simulation/scripts/${file}.txt)`
      return `| ${[bug.replace('-', ' '), rule, `${name}.`, link, seed, invariant, faults.length].join(' | ')} |`
    }),
  ].join('\n')
}

/** The museum as a page of the documentation. What was not run this time keeps what `before` says of it. */
export function museumPage(museum: readonly Mutant[], rules: readonly Mutant[], own: readonly OwnRow[], rows: readonly Row[], before: string): string {
  const old = rowsOfPage(before)
  const told = (mutant: Mutant): Told => {
    const row = rows.find((it) => it.mutant === mutant)
    if (row === undefined) return (old.get(String(mutant.bug))?.slice(3) ?? ['', 'not yet run', '', '']) as unknown as Told
    return [String(row.seed ?? '-'), row.invariant ?? 'survived', String(row.length?.steps ?? ''), String(row.length?.faults ?? '')]
  }
  const table = (mutants: readonly Mutant[]): string =>
    [
      '| bug | [rule](protocol.md) | what was put back | seed | check that broke | steps | faults |',
      '|---:|---:|---|---:|---|---:|---:|',
      ...mutants.map((mutant) => `| ${[...headOf(mutant), ...told(mutant)].join(' | ')} |`),
    ].join('\n')
  return `# The museum

Bugs that shipped in the systems before this one, and bugs that a careful reader found in drafts of its own rules. Each is put back by a patch on a copy of the sources, and the simulator must find
it by itself. \`npm run museum\` does so and fails if one survives, if a patch does not fit the sources any more, or if the sources fail without it. This page is what it wrote:
\`npm run museum -- --page packages/docs/museum.md\`.

*Seed*: the first one from 1 on that shows it. *Steps* and *faults*: the length of that run cut short by \`sim --shrink\`, in happenings (a frame arrives, a timer fires, a flush ends) until the check breaks, and in faults
that are made on purpose. Rows 22 to 27 are the znode tree's: \`npm run sim:znodes\` finds them, whose runs judge sessions, watches and the numbers of busy parents too, and counts no steps.

${table(museum)}
${rules.length === 0 ? '' : `\n## The rules in whole\n\nWhat proves the whole form of rules that no row speaks of: each takes one of their promises away.\n\n${table(rules)}\n`}
${own.length === 0 ? '' : `## Bugs of our own\n\n${OWN}\n\n${tableOf(own)}\n\n`}## How to add one

A bug is a *mutant*: patches of exact text, each of which stands in its file once. \`test/simulation/museum-core.ts\`, \`museum-shell.ts\`, \`museum-store.ts\` and \`museum-znodes.ts\` hold the rows above; what proves the whole form of a rule
that no row speaks of stands in \`museum-rules.ts\`, under its rule, with the rule's number and a letter for its own (\`12a\`).

\`\`\`sh
npm run museum -- --bugs 12a --page packages/docs/museum.md   # one, or several with commas; the others keep their lines of the page
npm run museum -- --rules                                     # those of the rules alone
npm run museum -- --nightly                                   # more seeds, more failing ones of each, and the shortest of their runs
npm run museum -- --bugs 41 --scripts test/simulation/scripts # the short runs as scripts
npm run museum -- --own                                       # the scripts of our own bugs, with their fixes taken back and without
npm run museum -- --own --scripts test/simulation/scripts     # and written anew where another seed shows the bug
\`\`\`

Without \`--bugs\` and \`--rules\`, all of them. A patch takes away what the rule demands and nothing else: the simulator, which knows nothing of it, must find that a promise is broken, and find nothing on the same seed
without the patch.

## Scripts

A failing seed becomes a script: \`npm run sim -- --seeds 1 --seed 4711 --shrink --write test/simulation/scripts/name.txt\` cuts the run short and writes what is left of it, a line for each setting that is not an ordinary
one and for each fault, with what broke and what was expected. \`npm test\` runs every script of that folder on several seeds, on which nothing may break; with the bugs put back that a line \`bugs\` names, it must.
\`npm run sim -- --script FILE --seeds 50\` runs one.

Whoever finds a bug of our own leaves its script there, with a first line (\`# ...\`) that says what it was, and a row in \`museum-own.ts\` whose patches take the fix back. Where the run that found it cannot be cut short,
a schedule written by hand often can: a calm ensemble and the few faults that matter, at about the times when they do. \`npm run sim -- --script FILE --seeds 1000 --vary 100 --shrink --write FILE\` moves each fault by up to
100 ms and draws anew what it decides, until the promise breaks.
`
}
