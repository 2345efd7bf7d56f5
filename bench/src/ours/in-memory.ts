import { type ReadLeaseSettings, Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { CountingMachine } from '../machine.ts'

const MEMBERS = { 1: 'a', 2: 'b', 3: 'c' }
const TIMEOUT_MS = 20_000

export type InMemory = Replica<{ counting: CountingMachine }>

/** Three whole replicas in this process, on memory adapters. When `measure` is done their states must be the same. */
export async function inMemory<Value>(
  options: { readonly readLease?: ReadLeaseSettings },
  measure: (leader: InMemory, follower: InMemory) => Promise<Value>,
): Promise<Value> {
  const network = new MemoryNetwork()
  const replicas = await Promise.all(
    Object.entries(MEMBERS).map(([id, address]) =>
      Replica.start({
        ...options,
        id: Number(id),
        members: MEMBERS,
        machines: { counting: new CountingMachine() },
        storage: memoryStorage(),
        transport: network.transport(address),
      }),
    ),
  )
  try {
    await Promise.all(replicas.map((replica) => replica.ready({ timeoutMs: TIMEOUT_MS })))
    const leader = replicas.find((replica) => replica.status().role === 'leading')!
    const value = await measure(leader, replicas.find((replica) => replica !== leader)!)
    await Promise.all(replicas.map((replica) => replica.read('linearizable', { timeoutMs: TIMEOUT_MS })))
    const counts = replicas.map((replica) => replica.machines.counting.digest())
    if (counts.some((count) => count !== counts[0])) throw new Error(`the replicas' states differ: ${counts.join(', ')}`)
    return value
  } finally {
    await Promise.all(replicas.map((replica) => replica.close()))
  }
}
