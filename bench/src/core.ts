import { Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { ClosedLoop } from './closed-loop.ts'
import { framesAlone } from './frames-alone.ts'
import { CountingMachine } from './machine.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const IN_FLIGHT = 1000
const MEMBERS = { 1: 'a', 2: 'b', 3: 'c' }

/** Three whole replicas in one process: shell, codec and memory adapters, 100-byte payload, 1,000 in flight, one promise a proposal. */
export async function core(options: Options): Promise<Result[]> {
  const network = new MemoryNetwork()
  const replicas = await Promise.all(
    Object.entries(MEMBERS).map(([id, address]) =>
      Replica.start({
        id: Number(id),
        members: MEMBERS,
        machines: { counting: new CountingMachine() },
        storage: memoryStorage(),
        transport: network.transport(address),
      }),
    ),
  )
  try {
    await Promise.all(replicas.map((replica) => replica.ready({ timeoutMs: 20_000 })))
    const leader = replicas.find((replica) => replica.status().role === 'leading')!
    const loop = new ClosedLoop((request) => leader.propose('counting', request))
    const ours: number[] = []
    const alone: number[] = []
    for (let round = 0; round < options.rounds; round++) {
      alone.push(framesAlone(options.measureMs / 4))
      const figures = await loop.measure({ inFlight: IN_FLIGHT, warmUpMs: options.warmUpMs, measureMs: options.measureMs, starved: false })
      ours.push(figures.perSecond)
    }
    await Promise.all(replicas.map((replica) => replica.read('linearizable', { timeoutMs: 20_000 })))
    const counts = replicas.map((replica) => replica.machines.counting.digest())
    if (counts.some((count) => count !== counts[0])) throw new Error(`the replicas' states differ: ${counts.join(', ')}`)
    return [
      result('core.commits', median(ours), 'commits/s', 'higher', {
        value: median(alone),
        against: 'framing once, taking in twice and walking three times, without protocol',
      }),
    ]
  } finally {
    await Promise.all(replicas.map((replica) => replica.close()))
  }
}
