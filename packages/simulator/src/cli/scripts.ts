/** What the command does with scripts: reads them, and cuts failing seeds short. */
import { readFileSync } from 'node:fs'
import { parseScript, type Script } from '../shrink/script.ts'
import { type Shrunk, shrink } from '../shrink/shrink.ts'
import { type RunResult, runSeed } from '../simulation.ts'

/** Runs the seed again for its faults: until there were so many runs, or the time is over. Null: it goes another way when they are told one by one. */
export async function shrinkSeed(failed: RunResult, runs: number, withinMs: number): Promise<Shrunk | null> {
  const end = performance.now() + withinMs
  const shrunk = await shrink(failed, { runs, goOn: () => performance.now() < end })
  if (shrunk === null) return null
  const { seed, profile, faults, invariant } = shrunk.script
  const again = await runSeed({ seed, script: { profile, faults } })
  return again.violation?.invariant === invariant && again.steps === shrunk.steps ? shrunk : null
}

/** @throws AntiphonError INVALID_ARGUMENT when it cannot be read as a script. */
export function readScript(file: string): Script {
  return parseScript(readFileSync(file, 'utf8'))
}

/** How long it is, in a line. */
export function tellShrunk({ script, steps, stepsBefore, faultsBefore, runs, complete }: Shrunk): string {
  const { profile, faults } = script
  const members = profile.voters.length + profile.observers
  return `cut from ${stepsBefore} to ${steps} steps and from ${faultsBefore} to ${faults.length} faults, ${members} members, ${profile.requests} requests; ${runs} runs${complete ? '' : ', and not to the end'}`
}
