import { Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { type ZnodeTree, type ZnodeTreeOptions, znodeTree } from '@antiphon/znode-tree'
import type { Session } from './types.ts'

export type Member = 1 | 2 | 3
const MEMBERS = { 1: 'a', 2: 'b', 3: 'c' } as const
const TICK_MS = 20

/** Three replicas in this process, with short sessions. */
export class Ensemble implements AsyncDisposable {
  readonly #network = new MemoryNetwork()
  readonly #stores = { 1: memoryStorage(), 2: memoryStorage(), 3: memoryStorage() }
  readonly #options: ZnodeTreeOptions
  readonly replicas = new Map<Member, Replica<{ znodes: ZnodeTree }>>()

  private constructor(options: ZnodeTreeOptions) {
    this.#options = options
  }

  static async start(options: ZnodeTreeOptions = {}): Promise<Ensemble> {
    const ensemble = new Ensemble({ sessionTimeoutMsMin: 200, ...options })
    await Promise.all(([1, 2, 3] as const).map((id) => ensemble.start(id)))
    await Promise.all([...ensemble.replicas.values()].map((replica) => replica.ready({ timeoutMs: 20_000 })))
    return ensemble
  }

  async start(id: Member): Promise<Replica<{ znodes: ZnodeTree }>> {
    const replica = await Replica.start({
      id,
      members: MEMBERS,
      machines: { znodes: znodeTree(this.#options) },
      storage: this.#stores[id],
      transport: this.#network.transport(MEMBERS[id]),
      tickMs: TICK_MS,
      syncLimitTicks: 20,
      initLimitTicks: 100,
    })
    this.replicas.set(id, replica)
    return replica
  }

  get(id: Member): Replica<{ znodes: ZnodeTree }> {
    const replica = this.replicas.get(id)
    if (replica === undefined) throw new Error(`member ${id} is down`)
    return replica
  }

  get leader(): Member {
    for (const [id, replica] of this.replicas) if (replica.status().role === 'leading') return id
    throw new Error('there is no leader')
  }

  get follower(): Member {
    const leader = this.leader
    return ([1, 2, 3] as const).find((id) => id !== leader && this.replicas.has(id))!
  }

  /** As a process that dies: nothing is said good-bye to. */
  async kill(id: Member): Promise<void> {
    const replica = this.get(id)
    this.replicas.delete(id)
    await replica.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.replicas.values()].map((replica) => replica.close()))
  }
}

/** Resolves when `isTrue` holds, asked again at each event of the session's tree. */
export async function until(session: Session, path: string, isTrue: () => boolean): Promise<void> {
  if (isTrue()) return
  for await (const _ of session.watch(path, { kind: 'recursive' })) if (isTrue()) return
}
