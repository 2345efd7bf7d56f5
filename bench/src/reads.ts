import { Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { ClosedLoop } from './closed-loop.ts'
import { CountingMachine } from './machine.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const IN_FLIGHT = 100
const MEMBERS = { 1: 'a', 2: 'b', 3: 'c' }

/** Linearizable reads of three whole replicas in one process, on memory, 100 in flight: by rounds and by lease, on the leader and on a follower, beside the same ensemble's writes. */
export async function reads(options: Options): Promise<Result[]> {
  return [...(await measure(options, 'round')), ...(await measure(options, 'lease'))]
}

async function measure(options: Options, way: 'round' | 'lease'): Promise<Result[]> {
  const network = new MemoryNetwork()
  const replicas = await Promise.all(
    Object.entries(MEMBERS).map(([id, address]) =>
      Replica.start({
        id: Number(id),
        members: MEMBERS,
        machines: { counting: new CountingMachine() },
        storage: memoryStorage(),
        transport: network.transport(address),
        ...(way === 'lease' ? { readLease: {} } : {}),
      }),
    ),
  )
  try {
    await Promise.all(replicas.map((replica) => replica.ready({ timeoutMs: 20_000 })))
    const leader = replicas.find((replica) => replica.status().role === 'leading')!
    const follower = replicas.find((replica) => replica !== leader)!
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
  } finally {
    await Promise.all(replicas.map((replica) => replica.close()))
  }
}
