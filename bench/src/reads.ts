import { ClosedLoop } from './closed-loop.ts'
import type { Options } from './options.ts'
import { inMemory } from './ours/in-memory.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const IN_FLIGHT = 100

/** Linearizable reads of three whole replicas in one process, on memory, 100 in flight: by rounds and by lease, on the leader and on a follower, beside the same ensemble's writes. */
export async function reads(options: Options): Promise<Result[]> {
  return [...(await measure(options, 'round')), ...(await measure(options, 'lease'))]
}

function measure(options: Options, way: 'round' | 'lease'): Promise<Result[]> {
  return inMemory(way === 'lease' ? { readLease: {} } : {}, async (leader, follower) => {
    const loops = {
      writes: new ClosedLoop((request) => leader.propose('counting', request)),
      leader: new ClosedLoop(() => leader.read('linearizable')),
      follower: new ClosedLoop(() => follower.read('linearizable')),
    }
    const taken = { writes: [] as number[], leader: [] as number[], follower: [] as number[] }
    for (let round = 0; round < options.rounds; round++) {
      for (const name of ['writes', 'leader', 'follower'] as const) {
        const load = { inFlight: IN_FLIGHT, warmUpMs: options.warmUpMs, measureMs: options.measureMs, starved: false }
        taken[name].push((await loops[name].measure(load)).perSecond)
      }
    }
    const writes = { value: median(taken.writes), against: 'writes of the same ensemble on its leader, 100 in flight' }
    return (['leader', 'follower'] as const).map((name) => result(`reads.${way}.${name}.c100`, median(taken[name]), 'reads/s', 'higher', writes))
  })
}
