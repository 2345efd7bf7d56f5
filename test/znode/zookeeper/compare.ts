import { DEBIANS_38, DIFFERENCES, type Difference, NEWEST } from '../differences.ts'
import { programOf } from '../generator.ts'
import { runModel } from '../model/model.ts'
import { CLIENTS, type Program, type Step, tellProgram, wholeProgram } from '../program.ts'
import { runBoth, SHAPE, shortest } from '../prove.ts'
import { difference } from '../transcript.ts'
import { runOnZookeeper } from './run.ts'

/** What two servers can be compared by. */
const LOOSELY = { exactTimes: false, eventZxids: false, sorted: true }

let bases = 0

/** A program as it can be run on both: one step after another. */
function plainProgram(steps: Program): Program {
  return wholeProgram(steps.filter(({ op }) => op !== 'jump')).map(({ held: _, ...step }) => step as Step)
}

/**
 * The server against the model as 3.8.0, our tree against the model as the newest release: null when each does as its model. Where a program meets none of the differences between them the two
 * models say the same, and so do the server and the tree.
 */
async function disagreement(port: number, program: Program): Promise<string | null> {
  const real = await runOnZookeeper(port, `/p${++bases}`, program, CLIENTS)
  const found = difference(runModel(program, CLIENTS, DEBIANS_38), real, LOOSELY)
  if (found !== null) return `ZooKeeper does otherwise than its model:\n${found}`
  const { wrong } = await runBoth(program)
  return wrong === null ? null : `the tree does otherwise than its model:\n${wrong}`
}

/** Which differences between 3.8.0 and the newest release a program shows. */
function meantIn(program: Program): Difference[] {
  const as38 = runModel(program, CLIENTS, DEBIANS_38)
  if (difference(as38, runModel(program, CLIENTS, NEWEST), LOOSELY) === null) return []
  const names = Object.keys(DIFFERENCES) as Difference[]
  return names.filter((name) => difference(as38, runModel(program, CLIENTS, new Set(names.filter((other) => other !== name))), LOOSELY) !== null)
}

export interface Comparison {
  readonly operations: number
  readonly meant: readonly Difference[]
  /** Null: none but those that are meant. */
  readonly failure: string | null
}

export async function compareSeed(port: number, seed: number): Promise<Comparison> {
  const program = plainProgram(programOf(seed, SHAPE))
  const operations = program.length
  const found = await disagreement(port, program)
  if (found === null) return { operations, meant: meantIn(program), failure: null }
  const steps = await shortest(seed, async (some) => (await disagreement(port, plainProgram(some))) !== null)
  const short = plainProgram(steps)
  const again = (await disagreement(port, short)) ?? `not every time:\n${found}`
  return {
    operations,
    meant: [],
    failure: `seed ${seed}, cut short:\n${tellProgram(short)}\n${again}\nAgain: npm run diff:zookeeper -- --programs 1 --seed ${seed}`,
  }
}

export interface Totals {
  readonly programs: number
  readonly operations: number
  readonly differences: number
  /** Programs that showed what is meant to differ, by name. */
  readonly meant: Readonly<Record<Difference, number>>
}

/** Several programs at a time: each waits for the server most of its own. */
const LANES = 16
const DIFFERENCES_MAX = 3

export async function compare(port: number, first: number, programs: number, say: (text: string) => void): Promise<Totals> {
  const meant = Object.fromEntries(Object.keys(DIFFERENCES).map((name) => [name, 0])) as Record<Difference, number>
  const total = { programs: 0, operations: 0, differences: 0, meant }
  let next = first
  const lane = async (): Promise<void> => {
    while (next < first + programs && total.differences < DIFFERENCES_MAX) {
      const compared = await compareSeed(port, next++)
      total.programs++
      total.operations += compared.operations
      for (const name of compared.meant) meant[name]++
      if (compared.failure !== null) {
        total.differences++
        say(compared.failure)
      }
      if (total.programs % 1000 === 0) say(`${total.programs} programs, ${total.differences} differences`)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return total
}
