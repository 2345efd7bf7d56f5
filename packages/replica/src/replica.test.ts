import { memoryStorage } from '@antiphon/storage-memory'
import { afterEach, expect, test } from 'vitest'
import { address, Ensemble, failure, itemsOf, ListMachine, until } from './ensemble.test-support.ts'
import { Replica } from './replica.ts'

const opened: Ensemble[] = []
function ensemble(...args: ConstructorParameters<typeof Ensemble>): Ensemble {
  const made = new Ensemble(...args)
  opened.push(made)
  return made
}
afterEach(async () => {
  for (const one of opened.splice(0)) await one.closeAll()
})

test('a single voter founds itself, leads and applies', async () => {
  const one = ensemble(1)
  const [replica] = await one.startAll()
  expect(await replica!.propose('list', { text: 'a' })).toBe(0)
  expect(await replica!.propose('list', { text: 'b' })).toBe(1)
  expect(itemsOf(replica!)).toEqual(['a', 'b'])
  expect(replica!.status()).toMatchObject({ role: 'leading', leader: 1, active: true, votes: true, closed: false, fault: null })
})

test('three replicas hold the same, whoever was asked', async () => {
  const three = ensemble(3)
  const replicas = await three.startAll()
  const proposed: Promise<number>[] = []
  for (let i = 0; i < 300; i++) proposed.push(replicas[i % 3]!.propose('list', { text: `item ${i}` }))
  const places = await Promise.all(proposed)
  expect(new Set(places).size).toBe(300)
  await Promise.all(replicas.map((replica) => replica.read('linearizable')))
  for (const replica of replicas) {
    expect(itemsOf(replica)).toEqual(itemsOf(replicas[0]!))
    expect(replica.status().applied).toBe(replicas[0]!.status().applied)
    expect(replica.status().machines).toEqual(replicas[0]!.status().machines)
  }
})

test('a caller reads its own write on the replica that it asked, a follower included', async () => {
  const three = ensemble(3)
  await three.startAll()
  const follower = three.follower()
  for (let i = 0; i < 20; i++) {
    const place = await follower.propose('list', { text: `mine ${i}` })
    expect(itemsOf(follower)[place]).toBe(`mine ${i}`)
  }
})

test('requests of one replica take their order from the calls', async () => {
  const three = ensemble(3)
  await three.startAll()
  const follower = three.follower()
  const places = await Promise.all(Array.from({ length: 500 }, (_, i) => follower.propose('list', { text: `${i}` })))
  expect(places).toEqual(places.map((_, i) => i))
})

test('a proposal made before there is a leader waits for one', async () => {
  const three = ensemble(3)
  const first = await three.start(1)
  const early = first.propose('list', { text: 'early' })
  await three.start(2)
  await three.start(3)
  expect(await early).toBe(0)
})

test('an observer proposes, reads and counts nowhere', async () => {
  const four = ensemble(4)
  four.members[4] = { address: address(4), role: 'observer' }
  const replicas = await four.startAll()
  const observer = replicas[3]!
  expect(observer.status()).toMatchObject({ role: 'observing', votes: false })
  await observer.propose('list', { text: 'from the observer' })
  await replicas[0]!.propose('list', { text: 'from a voter' })
  await observer.read('linearizable')
  expect(itemsOf(observer)).toEqual(['from the observer', 'from a voter'])
})

test('several machines on one replica are told apart and share one order', async () => {
  const one = ensemble(1)
  const machines = { left: new ListMachine('list', 1), right: new ListMachine('list', 1) }
  const { machines: _none, ...settings } = one.settings(1)
  await using replica = await Replica.start({ ...settings, machines })
  const results = await Promise.all([replica.propose('left', { text: 'a' }), replica.propose('right', { text: 'b' }), replica.propose('left', { text: 'c' })])
  expect(results).toEqual([0, 0, 1])
  expect(machines.left.items).toEqual(['a', 'c'])
  expect(machines.right.items).toEqual(['b'])
  expect(machines.left.appliedAt).toBeGreaterThan(machines.right.appliedAt)
})

test('a linearizable read on a follower sees what was acknowledged elsewhere before', async () => {
  const three = ensemble(3, {}, { delayMs: { min: 0, max: 3 } })
  await three.startAll()
  const [leader, follower] = [three.leader(), three.follower()]
  for (let i = 0; i < 15; i++) {
    await leader.propose('list', { text: `write ${i}` })
    await follower.read('linearizable')
    expect(itemsOf(follower).at(-1)).toBe(`write ${i}`)
  }
})

test('reads of one turn share one question to the core', async () => {
  const three = ensemble(3)
  await three.startAll()
  await Promise.all(Array.from({ length: 200 }, () => three.follower().read('linearizable')))
  await three.follower().read('local')
  await three.follower().read()
})

test('a typed front reaches the replica through attach', async () => {
  class Front extends ListMachine {
    add: (text: string) => Promise<number> = () => Promise.reject(new Error('not attached'))
    attach(proposer: { propose(request: { text: string }): Promise<number> }): void {
      this.add = (text) => proposer.propose({ text })
    }
  }
  const one = ensemble(1)
  const front = new Front()
  await one.start(1, { machines: { list: front } })
  expect(await front.add('through the front')).toBe(0)
})

test('what a machine asks for in tick is replicated, and nobody waits for it', async () => {
  const three = ensemble(3)
  const replicas = await three.startAll()
  await three.follower().propose('list', { text: 'a !tick' })
  await until(() => replicas.every((replica) => itemsOf(replica).length === 2))
  expect(itemsOf(replicas[0]!)).toEqual(['a !tick', 'a  by tick'])
})

test("notes ride on heartbeats to the leader's machine, its own included", async () => {
  const three = ensemble(3)
  const replicas = await three.startAll()
  for (const replica of replicas) replica.machines.list.wantedNote = `note of ${replica.id}`
  const { list } = three.leader().machines
  await until(() => [1, 2, 3].every((id) => list.heardNotes.includes(`${id}: note of ${id}`)))
})

test('a replica that restarts finds its entries again, without a snapshot', async () => {
  const one = ensemble(1)
  await one.startAll()
  for (let i = 0; i < 5; i++) await one.leader().propose('list', { text: `${i}` })
  await one.stop(1)
  const again = await one.start(1)
  expect(itemsOf(again)).toEqual([])
  await again.ready()
  expect(itemsOf(again)).toEqual(['0', '1', '2', '3', '4'])
  expect(await again.propose('list', { text: '5' })).toBe(5)
})

test('a replica that restarts begins with its snapshot, and applies what follows once it is committed', async () => {
  const one = ensemble(1, { snapshotEveryEntries: 10 })
  await one.startAll()
  for (let i = 0; i < 35; i++) await one.leader().propose('list', { text: `${i}` })
  await one.stop(1)
  const again = await one.start(1)
  expect(again.machines.list.restores).toBe(1)
  expect(itemsOf(again).length).toBeGreaterThanOrEqual(9)
  await again.ready()
  expect(itemsOf(again)).toEqual(Array.from({ length: 35 }, (_, i) => `${i}`))
  expect(await again.propose('list', { text: '35' })).toBe(35)
})

test('a late joiner is brought up by a snapshot, and goes on from there', async () => {
  const three = ensemble(3, { snapshotEveryEntries: 20, retainSnapshots: 1, recentBytes: 0 })
  const replicas = await three.startAll()
  const late = [...three.replicas.values()].find((replica) => replica !== three.leader())!.id
  await three.stop(late)
  const leader = three.leader()
  for (let i = 0; i < 200; i++) await leader.propose('list', { text: `${i}` })
  const back = await three.start(late)
  await back.ready()
  expect(back.machines.list.restores).toBe(1)
  await back.propose('list', { text: 'late' })
  expect(itemsOf(back)).toEqual([...Array.from({ length: 200 }, (_, i) => `${i}`), 'late'])
  expect(replicas.length).toBe(3)
})

test('a member with a new disk is brought up by a snapshot of many chunks', async () => {
  const three = ensemble(3, { snapshotEveryEntries: 50, retainSnapshots: 1, recentBytes: 0 })
  await three.startAll()
  const late = three.follower().id
  await three.stop(late)
  three.stores.set(late, memoryStorage())
  const leader = three.leader()
  const long = 'x'.repeat(20_000)
  await Promise.all(Array.from({ length: 200 }, (_, i) => leader.propose('list', { text: `${i} ${long}` })))
  const back = await three.start(late)
  await back.ready()
  expect(back.machines.list.restores).toBe(1)
  expect(itemsOf(back)).toEqual(itemsOf(leader))
  // Rule 9: under a known id, but on another disk, it learns and does not vote.
  expect(back.status()).toMatchObject({ role: 'observing', votes: false })
})

test('close is idempotent, leaves nothing pending and nothing open', async () => {
  const three = ensemble(3)
  await three.startAll()
  const leader = three.leader()
  await three.stop(three.follower().id)
  const last = three.follower()
  await three.stop(last.id)
  // Without a quorum these stay: numbered and proposed the one, waiting for a number the others.
  const pending = [failure(leader.propose('list', { text: 'numbered' }))]
  await until(() => leader.status().proposals.underWay === 1 || !leader.status().active)
  const numbered = leader.status().proposals.underWay === 1
  pending.push(failure(leader.propose('list', { text: 'waiting' })), failure(leader.read('linearizable')))
  let closedEvents = 0
  leader.on('closed', () => closedEvents++)
  await Promise.all([leader.close(), leader.close()])
  await leader.close()
  const errors = await Promise.all(pending)
  expect(errors.map(({ code }) => code)).toEqual(['CLOSED', 'CLOSED', 'CLOSED'])
  expect(errors.map(({ outcome }) => outcome)).toEqual([numbered ? 'unknown' : 'rejected', 'rejected', 'rejected'])
  expect(closedEvents).toBe(1)
  expect((await failure(leader.propose('list', { text: 'after' }))).code).toBe('CLOSED')
  expect((await failure(leader.read('linearizable'))).code).toBe('CLOSED')
  expect(leader.status().closed).toBe(true)
})

test('a closed replica lets go of its store and its address', async () => {
  const one = ensemble(1)
  await one.startAll()
  await one.stop(1)
  const again = await one.start(1)
  await again.ready()
})
