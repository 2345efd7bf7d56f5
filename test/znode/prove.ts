import fc from 'fast-check'
import { programOf, programs, type Shape } from './generator.ts'
import { MachineRun } from './machine.ts'
import { digestOf } from './model/digest.ts'
import { Model } from './model/model.ts'
import { CLIENTS, type Program, tellProgram, wholeProgram } from './program.ts'
import { difference } from './transcript.ts'

export const SHAPE: Shape = { steps: 60 }
const EXACTLY = { exactTimes: true, eventZxids: true, sorted: false }

/** Null: our machine does what the model does, and its digest is the model's. */
export async function disagreement(steps: Program): Promise<string | null> {
  const program = wholeProgram(steps)
  const machine = new MachineRun(CLIENTS)
  const model = new Model(CLIENTS)
  let transcript: Awaited<ReturnType<MachineRun['run']>>
  try {
    transcript = await machine.run(program)
  } catch (error) {
    return (error as Error).message
  }
  for (const step of program) model.take(step)
  const found = difference(model.seen, transcript, EXACTLY)
  if (found !== null) return found
  const expected = digestOf(model.nodes, machine.sessions(model.sessions))
  return expected === machine.treeDigest() ? null : `the digest is ${machine.treeDigest()}, not ${expected}`
}

export interface Failure {
  readonly seed: number
  readonly text: string
}

/** The program of a seed, and the shortest that was found to fail when it does. */
export async function proveSeed(seed: number): Promise<Failure | null> {
  const first = await disagreement(programOf(seed, SHAPE))
  if (first === null) return null
  const property = fc.asyncProperty(programs(SHAPE), async (steps) => (await disagreement(steps)) === null)
  const { counterexample } = await fc.check(property, { seed, numRuns: 1, endOnFailure: false, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true })
  const shortest = counterexample?.[0] ?? programOf(seed, SHAPE)
  const program = wholeProgram(shortest)
  return { seed, text: `seed ${seed}\n${tellProgram(program)}\n${(await disagreement(shortest)) ?? first}` }
}
