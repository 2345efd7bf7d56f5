import { Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { OPEN_ACL, type WatchEvent, znodeTree } from './index.ts'

export async function main(): Promise<string[]> {
  const znodes = znodeTree({ sessionTimeoutMsMin: 1_000 })
  const replica = await Replica.start({
    id: 1,
    members: { 1: 'here' },
    machines: { znodes },
    storage: memoryStorage(),
    transport: new MemoryNetwork().transport('here'),
  })
  await replica.ready({ timeoutMs: 10_000 })
  const told: string[] = []
  const watcher = { notify: ({ type, path }: WatchEvent) => void told.push(`${type} ${path}`), mayRead: () => true }
  znodes.watches.add(watcher, '/app', 'recursive')

  // A session, and writes in its name.
  const opened = await replica.propose('znodes', { kind: 'createSession', peer: 1, timeoutMs: 10_000, id: null })
  if (opened.type !== 'session') throw new Error(opened.type)
  const release = znodes.hold(opened.session)
  const holder = { kind: 'write', session: opened.session, attachment: opened.zxid, local: false, identities: [] } as const
  const create = { type: 'create', data: null, acl: OPEN_ACL, mode: 'persistent', ttlMs: 0 } as const
  const data = new TextEncoder().encode('x')
  await replica.propose('znodes', { ...holder, operation: { ...create, path: '/app' } })
  const made = await replica.propose('znodes', { ...holder, operation: { ...create, path: '/app/n-', data, mode: 'ephemeral-sequential' } })
  const again = await replica.propose('znodes', { ...holder, operation: { ...create, path: '/app' } })

  // What is applied here is read at once.
  const { stat } = znodes.reader.get('/app/n-0000000000')
  told.push(made.type, again.type === 'error' ? again.error : '', String(stat.ephemeralOwner === opened.session))

  await replica.propose('znodes', { kind: 'closeSession', session: opened.session, attachment: opened.zxid })
  release()
  await replica.close()
  return told // created /app, created /app/n-0000000000, create, NODE_EXISTS, true, deleted /app/n-0000000000
}
