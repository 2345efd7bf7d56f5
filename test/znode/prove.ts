import fc from 'fast-check'
import { programOf, programs, type Shape } from './generator.ts'
import { MachineRun } from './machine.ts'
import { digestOf } from './model/digest.ts'
import { Model } from './model/model.ts'
import { CLIENTS, type Program, tellProgram, wholeProgram } from './program.ts'
import { difference, type Transcript } from './transcript.ts'

export const SHAPE: Shape = { steps: 80 }
const EXACTLY = { exactTimes: true, eventZxids: true, sorted: false }

/** `wrong` is null when our machine does what the model does, and its digest is the model's. */
export async function runBoth(program: Program): Promise<{ readonly wrong: string | null; readonly seen: Transcript; readonly becameGlobal: number }> {
  const model = new Model(CLIENTS)
  for (const step of program) model.take(step)
  const { seen, becameGlobal } = model
  const machine = new MachineRun(CLIENTS)
  try {
    const found = difference(seen, await machine.run(program), EXACTLY)
    if (found !== null) return { seen, becameGlobal, wrong: found }
  } catch (error) {
    return { seen, becameGlobal, wrong: (error as Error).message }
  }
  const digest = digestOf(model.nodes, machine.sessions(model.sessions))
  return { seen, becameGlobal, wrong: digest === machine.treeDigest() ? null : `the tree's digest is ${machine.treeDigest()}, not ${digest}` }
}

/** The shortest program that still fails, found within a minute. */
export async function shortest(seed: number, fails: (steps: Program) => Promise<boolean>): Promise<Program> {
  const property = fc.asyncProperty(programs(SHAPE), async (steps) => !(await fails(steps)))
  const { counterexample } = await fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true })
  return counterexample?.[0] ?? programOf(seed, SHAPE)
}

export interface Proof {
  readonly seed: number
  readonly operations: number
  readonly seen: Transcript
  /** Sessions that had been local. */
  readonly becameGlobal: number
  /** Null: all is as it should be. Otherwise the shortest program that fails, and how. */
  readonly failure: string | null
}

export async function proveSeed(seed: number): Promise<Proof> {
  const program = wholeProgram(programOf(seed, SHAPE))
  const { wrong, ...told } = await runBoth(program)
  if (wrong === null) return { seed, operations: program.length, ...told, failure: null }
  const steps = await shortest(seed, async (some) => (await runBoth(wholeProgram(some))).wrong !== null)
  const short = wholeProgram(steps)
  const again = (await runBoth(short)).wrong ?? wrong
  return {
    seed,
    operations: program.length,
    ...told,
    failure: `seed ${seed}, cut short:\n${tellProgram(short)}\n${again}\nAgain: npm run fuzz:znode -- --programs 1 --seed ${seed}`,
  }
}
