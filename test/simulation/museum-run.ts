import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { applied, type Finding, type Length, type Mutant, type MutantTree } from './mutants.ts'

export interface MuseumOptions {
  /** From 1 on: a bug that none of them shows has survived. */
  readonly seeds: number
  /** The search ends behind so many failing seeds; the shortest run is kept. */
  readonly failures: number
  /** For each failing seed, to cut it short. */
  readonly runs: number
  /** Of some bugs: searched instead of the swarm, from its own seed on. */
  readonly scripts?: ReadonlyMap<Mutant, string>
  /** Told each line as it is known. */
  readonly say: (line: string) => void
}

export interface Row {
  readonly mutant: Mutant
  /** Null: it survived. */
  readonly seed: number | null
  readonly invariant: string | null
  /** Of the shortest run that shows it. */
  readonly length: Length | null
  readonly seconds: number
}

export interface MuseumReport {
  readonly rows: readonly Row[]
  readonly bugs: number
  readonly found: number
  readonly survived: readonly (string | number)[]
  /** Cannot exist here: their nearest relatives were put back. */
  readonly explained: readonly (string | number)[]
  /** Fails without them, or does not fit: what is found says nothing then. A sentence each. */
  readonly unsound: readonly string[]
  readonly ok: boolean
}

const REPLAYED = ['--workers', '0', '--violations', '1']
const HEAD = ' bug rule   seed  steps faults  seconds  check            what was put back'

/** Puts each bug back, one at a time, and lets the simulator find it. */
export async function runMuseum(tree: MutantTree, mutants: readonly Mutant[], options: MuseumOptions): Promise<MuseumReport> {
  const unsound = await misfits(mutants)
  const rows: Row[] = []
  if (unsound.length === 0) {
    options.say(HEAD)
    for (const mutant of mutants) {
      const row = await look(tree, mutant, options)
      rows.push(row)
      options.say(tell(row))
    }
    unsound.push(...(await withoutBugs(tree, rows, options)))
  }
  const survived = rows.filter(({ seed }) => seed === null).map(({ mutant }) => mutant.bug)
  const explained = rows.filter(({ mutant }) => mutant.explained !== undefined)
  for (const { mutant } of explained) options.say(`bug ${mutant.bug} cannot exist here, its nearest relative was put back: ${mutant.explained}`)
  for (const sentence of unsound) options.say(sentence)
  options.say(
    `${rows.length - survived.length} of ${mutants.length} found within ${options.seeds} seeds${survived.length === 0 ? '' : `; survived: ${survived.join(', ')}`}`,
  )
  return {
    rows,
    bugs: mutants.length,
    found: rows.length - survived.length,
    survived,
    explained: explained.map(({ mutant }) => mutant.bug),
    unsound,
    ok: mutants.length > 0 && rows.length === mutants.length && survived.length === 0 && unsound.length === 0,
  }
}

/** Patches that do not fit the sources as they stand: told before anything is run. */
async function misfits(mutants: readonly Mutant[]): Promise<string[]> {
  const told: string[] = []
  for (const { bug, patches } of mutants)
    await applied(patches).catch((error: unknown) => {
      told.push(`bug ${bug}: ${(error as Error).message}`)
    })
  return told
}

async function look(tree: MutantTree, mutant: Mutant, { seeds, failures, runs, scripts }: MuseumOptions): Promise<Row> {
  const began = performance.now()
  const args = ['--violations', String(failures), '--shrink', '--runs', String(runs)]
  const { program } = mutant
  const script = scripts?.get(mutant)
  const finding =
    program !== undefined
      ? await tree.run(program, mutant, ['--seeds', String(seeds)])
      : script === undefined
        ? await tree.simulate(mutant, seeds, args)
        : await replay(tree, mutant, script, seeds, args)
  const { seed, invariant } = finding
  return { mutant, seed, invariant, length: shortest(finding, failures), seconds: (performance.now() - began) / 1000 }
}

/** Of a single failing seed that is asked for, others may have been under way: the first counts. */
function shortest({ shrunk }: Finding, failures: number): Length | null {
  const lengths = (failures === 1 ? shrunk.slice(0, 1) : shrunk).filter((length) => length !== null)
  return lengths.sort((a, b) => a.steps - b.steps)[0] ?? null
}

/** What is seen in a bug's seed, and in its script, must be the bug: without it, both are sound. */
async function withoutBugs(tree: MutantTree, rows: readonly Row[], { scripts }: MuseumOptions): Promise<string[]> {
  const told: string[] = []
  const { runSeed, parseScript } = await tree.load()
  for (const { mutant, seed } of rows) {
    const text = scripts?.get(mutant)
    if (text === undefined || seed === null) continue
    const { violation } = await runSeed({ seed, script: parseScript(text) })
    if (violation !== null) told.push(`seed ${seed} of the script of bug ${mutant.bug} breaks ${violation.invariant} without it`)
  }
  const plain = rows.filter(({ mutant }) => !scripts?.has(mutant))
  const found = (program: string | undefined): Set<number> => new Set(plain.flatMap(({ mutant, seed }) => (mutant.program === program ? (seed ?? []) : [])))
  for (const program of new Set(plain.flatMap(({ mutant }) => mutant.program ?? [])))
    for (const seed of found(program)) {
      const { violations } = await tree.run(program, null, ['--seeds', '1', '--seed', String(seed)])
      if (violations > 0) told.push(`seed ${seed} of ${program} fails without any bug put back`)
    }
  for (const seed of found(undefined)) {
    const { violation } = await runSeed({ seed })
    if (violation !== null) told.push(`seed ${seed} breaks ${violation.invariant} without any bug put back`)
  }
  for (const { mutant, length } of rows) {
    if (length === null) continue
    const script = parseScript(length.script)
    const { violation } = await runSeed({ seed: script.seed, script })
    if (violation !== null) told.push(`the script of bug ${mutant.bug} breaks ${violation.invariant} without it`)
  }
  return told
}

/** Runs a script on `seeds` seeds from its own on. */
export async function replay(tree: MutantTree, mutant: Mutant | null, script: string, seeds: number, args: readonly string[] = REPLAYED): Promise<Finding> {
  const file = join(tmpdir(), `antiphon-script-${process.pid}-${Math.random().toString(36).slice(2)}.txt`)
  await writeFile(file, script)
  try {
    return await tree.simulate(mutant, seeds, ['--script', file, ...args])
  } finally {
    await rm(file, { force: true })
  }
}

function tell({ mutant, seed, invariant, length, seconds }: Row): string {
  const columns = [
    String(mutant.bug).padStart(4),
    String(mutant.rule).padStart(4),
    String(seed ?? '-').padStart(6),
    String(length?.steps ?? '-').padStart(6),
    String(length?.faults ?? '-').padStart(6),
    seconds.toFixed(1).padStart(8),
  ]
  return `${columns.join(' ')}  ${(invariant ?? 'SURVIVED').padEnd(15)}  ${mutant.name}`
}
