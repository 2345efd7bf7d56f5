import { Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { type ZnodeTree, znodeTree } from '@antiphon/znode-tree'
import { json, openSession, type Session } from './index.ts'

interface Settings {
  readonly motd: string
}

export async function main(): Promise<string[]> {
  const network = new MemoryNetwork()
  const members = { 1: 'anna', 2: 'bert', 3: 'cleo' } as const
  const start = (id: 1 | 2 | 3): Promise<Replica<{ znodes: ZnodeTree }>> =>
    Replica.start({ id, members, machines: { znodes: znodeTree() }, storage: memoryStorage(), transport: network.transport(members[id]) })
  await using anna = await start(1)
  await using bert = await start(2)
  await using cleo = await start(3)
  await cleo.ready({ timeoutMs: 10_000 })

  await using session: Session = await openSession(anna, { timeoutMs: 10_000 })
  await using other: Session = await openSession(bert)
  const heard: string[] = []

  await session.create('/settings', '{"motd":"hello"}')
  await session.create('/workers')
  await other.sync()

  // Who is there: a node for each, which goes with its session.
  other.watch('/workers', ({ type, path }) => heard.push(`${type} ${path}`), { kind: 'recursive' })
  const { path } = await session.create('/workers/worker-', 'anna', { mode: 'ephemeral-sequential' })

  // Typed nodes: read, change, and set if nobody was faster.
  const settings = other.node<Settings>('/settings', json())
  await settings.update((value) => ({ ...value, motd: 'hello, all' }))

  // All or nothing.
  await session.transaction().check('/settings').create('/workers/leader', path).commit()

  await other.sync()
  heard.push((await other.getData('/workers/leader')).stat.dataLength.toString(), other.local.getChildren('/workers').join(' '))
  return heard // created /workers/worker-0000000000, created /workers/leader, 26, worker-0000000000 leader
}
