import { SeededRandom } from '../random.ts'
import type { RunScript } from '../simulation.ts'

/**
 * The same faults, each up to `byMs` earlier or later and with draws of its own: a schedule that somebody wrote down is tried in many ways, so that the moment that matters is met.
 */
export function varied({ profile, faults }: RunScript, byMs: number, seed: number): RunScript {
  const random = new SeededRandom(seed, 9)
  const moved = faults.map((fault) => ({
    ...fault,
    at: Math.max(0, Math.round((fault.at + random.span(-byMs, byMs)) * 1000) / 1000),
    draw: random.uint32(),
  }))
  return { profile, faults: moved.sort((a, b) => a.at - b.at) }
}
