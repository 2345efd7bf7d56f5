import type { AntiphonError, Zxid } from '@antiphon/ports'
import { counterOf } from '@antiphon/ports'
import { afterEach, expect, test } from 'vitest'
import { Ensemble, failure, itemsOf, type ListReplica, until } from './ensemble.test-support.ts'
import type { Quarantine } from './index.ts'

// Rule 28 on whole replicas.

const EVERY = 8
let ensemble: Ensemble | null = null
afterEach(() => ensemble?.closeAll())

async function started(size = 3, settings: ConstructorParameters<typeof Ensemble>[1] = {}): Promise<Ensemble> {
  ensemble = new Ensemble(size, { digestEvery: EVERY, ...settings })
  await ensemble.startAll()
  return ensemble
}

async function fill(replica: ListReplica, name: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await replica.propose('list', { text: `${name}${i}` })
}

function heard(replica: ListReplica): { quarantines: Quarantine[]; rebuilds: Zxid[]; troubles: AntiphonError[] } {
  const told = { quarantines: [] as Quarantine[], rebuilds: [] as Zxid[], troubles: [] as AntiphonError[] }
  replica.on('quarantined', (quarantine) => told.quarantines.push(quarantine))
  replica.on('rebuilt', (zxid) => told.rebuilds.push(zxid))
  replica.on('trouble', (error) => told.troubles.push(error))
  return told
}

async function allEqual({ replicas }: Ensemble): Promise<void> {
  const [first, ...others] = [...replicas.values()]
  await first!.propose('list', { text: 'the last' })
  await Promise.all([...replicas.values()].map((replica) => replica.read('linearizable')))
  for (const replica of others) {
    expect(itemsOf(replica)).toEqual(itemsOf(first!))
    expect(replica.status().machines['list']!.digest).toBe(first!.status().machines['list']!.digest)
  }
}

test('a follower whose state went wrong is found at the next multiple, serves nothing, and is rebuilt in front of its own log', async () => {
  const here = await started()
  const leader = here.leader()
  const follower = here.follower()
  await fill(leader, 'a', 3)
  await follower.read('linearizable')
  const told = heard(follower)
  follower.machines.list.spoil()
  // Looked at within the event: nothing has replaced the state yet.
  const refused = new Promise<AntiphonError>((resolve) => follower.once('quarantined', () => resolve(failure(follower.read('local')))))
  await fill(leader, 'b', EVERY)
  expect((await refused).code).toBe('NOT_READY')
  await until(() => told.rebuilds.length > 0)
  expect(told.quarantines).toHaveLength(1)
  const { zxid, digest, quorum } = told.quarantines[0]!
  expect(counterOf(zxid) % EVERY).toBe(0)
  expect(digest).not.toBe(quorum)
  expect(told.rebuilds[0]).toBeGreaterThanOrEqual(zxid)
  await follower.read('local')
  await allEqual(here)
  expect(follower.machines.list.restores).toBe(1)
  expect(follower.status()).toMatchObject({ quarantined: null, votes: true, fault: null })
})

test('a leader whose state went wrong gives up the lead, and is rebuilt by its successor', async () => {
  const here = await started()
  const leader = here.leader()
  const other = here.follower()
  await fill(other, 'a', 3)
  await leader.read('linearizable')
  const told = heard(leader)
  leader.machines.list.spoil()
  await fill(other, 'b', EVERY)
  await until(() => told.rebuilds.length > 0)
  expect(here.leader()).not.toBe(leader)
  expect(leader.machines.list.abandons).toBeGreaterThan(0)
  await allEqual(here)
})

test('its own snapshots of the wrong state are gone: a new process begins with what it was rebuilt from', async () => {
  const here = await started(3, { snapshotEveryEntries: 2 })
  const leader = here.leader()
  const follower = here.follower()
  await fill(leader, 'a', 1)
  await follower.read('linearizable')
  const told = heard(follower)
  follower.machines.list.spoil()
  await fill(leader, 'b', EVERY)
  await until(() => told.rebuilds.length > 0)
  await here.stop(follower.id)
  const again = await here.start(follower.id)
  expect(itemsOf(again).some((item) => item.startsWith('not '))).toBe(false)
  expect(itemsOf(again).length).toBeGreaterThan(0)
  await again.ready()
  await allEqual(here)
})

test('what it had under way is answered as unknown, what comes meanwhile is done once it is rebuilt', async () => {
  const here = await started()
  const leader = here.leader()
  const follower = here.follower()
  await fill(follower, 'a', 3)
  const told = heard(follower)
  follower.machines.list.spoil()
  const asked: Promise<unknown>[] = []
  follower.once('quarantined', () => asked.push(follower.propose('list', { text: 'meanwhile' })))
  const outcomes: string[] = []
  const wave = Array.from({ length: 3 * EVERY }, (_, i) =>
    follower.propose('list', { text: `w${i}` }).then(
      () => outcomes.push('done'),
      (error: AntiphonError) => outcomes.push(error.outcome),
    ),
  )
  await Promise.all(wave)
  await until(() => told.rebuilds.length > 0)
  await Promise.all(asked)
  expect(asked).toHaveLength(1)
  expect(outcomes).toHaveLength(3 * EVERY)
  expect(outcomes).not.toContain('rejected')
  await allEqual(here)
  // In the order of the calls, none twice.
  const items = itemsOf(leader).filter((item) => item.startsWith('w'))
  expect(items).toEqual([...new Set(items)].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1))))
  expect(itemsOf(leader).filter((item) => item === 'meanwhile')).toHaveLength(1)
})

test('an observer is rebuilt alike', async () => {
  ensemble = new Ensemble(4, { digestEvery: EVERY })
  ensemble.members[4] = { address: 'member-4', role: 'observer' }
  await ensemble.startAll()
  const observer = ensemble.replicas.get(4)!
  await fill(ensemble.leader(), 'a', 2)
  await observer.read('linearizable')
  const told = heard(observer)
  observer.machines.list.spoil()
  await fill(ensemble.leader(), 'b', EVERY)
  await until(() => told.rebuilds.length > 0)
  await allEqual(ensemble)
})

test('three states and no quorum: everybody goes on, and the leader tells of it', async () => {
  const here = await started()
  const leader = here.leader()
  await fill(leader, 'a', 3)
  const replicas = [...here.replicas.values()]
  await Promise.all(replicas.map((replica) => replica.read('linearizable')))
  const told = replicas.map(heard)
  for (const [i, replica] of replicas.entries()) for (let times = 0; times < i; times++) replica.machines.list.spoil()
  await fill(leader, 'b', EVERY)
  await until(() => told.some(({ troubles }) => troubles.some(({ code }) => code === 'DIVERGED')))
  expect(told.flatMap(({ quarantines }) => quarantines)).toEqual([])
  await Promise.all(replicas.map((replica) => replica.read('linearizable')))
})

test('with digestEvery 0 nothing is compared', async () => {
  const here = await started(3, { digestEvery: 0 })
  const follower = here.follower()
  await fill(here.leader(), 'a', 2)
  await follower.read('linearizable')
  const told = heard(follower)
  follower.machines.list.spoil()
  await fill(here.leader(), 'b', 40)
  await follower.read('linearizable')
  expect(told.quarantines).toEqual([])
  expect(itemsOf(follower)).not.toEqual(itemsOf(here.leader()))
})
