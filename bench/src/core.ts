import { ClosedLoop } from './closed-loop.ts'
import { framesAlone } from './frames-alone.ts'
import type { Options } from './options.ts'
import { inMemory } from './ours/in-memory.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const IN_FLIGHT = 1000

/** Three whole replicas in one process: shell, codec and memory adapters, 100-byte payload, 1,000 in flight, one promise a proposal. */
export function core(options: Options): Promise<Result[]> {
  return inMemory({}, async (leader) => {
    const loop = new ClosedLoop((request) => leader.propose('counting', request))
    const ours: number[] = []
    const alone: number[] = []
    for (let round = 0; round < options.rounds; round++) {
      alone.push(framesAlone(options.measureMs / 4))
      const figures = await loop.measure({ inFlight: IN_FLIGHT, warmUpMs: options.warmUpMs, measureMs: options.measureMs, starved: false })
      ours.push(figures.perSecond)
    }
    return [
      result('core.commits', median(ours), 'commits/s', 'higher', {
        value: median(alone),
        against: 'framing once, taking in twice and walking three times, without protocol',
      }),
    ]
  })
}
