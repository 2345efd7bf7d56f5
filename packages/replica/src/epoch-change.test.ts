import { memoryStorage } from '@antiphon/storage-memory'
import { afterEach, expect, test } from 'vitest'
import { address, Ensemble, itemsOf, type ListReplica, until } from './ensemble.test-support.ts'

const opened: Ensemble[] = []
function ensemble(...args: ConstructorParameters<typeof Ensemble>): Ensemble {
  const made = new Ensemble(...args)
  opened.push(made)
  return made
}
afterEach(async () => {
  for (const one of opened.splice(0)) await one.closeAll()
})

/** Every connection to the leader that ends shows as a lost leader. */
function leadersOf(replicas: readonly ListReplica[]): (number | null)[] {
  const leaders: (number | null)[] = []
  for (const replica of replicas) replica.on('leader', (leader) => leaders.push(leader))
  return leaders
}

test('requests of every origin and reads go on over many ends of the counter: nothing is lost, twice or unknown, and nobody loses its leader (rules 12, 22)', async () => {
  const four = ensemble(3, { counterMax: 7, tickMs: 20, syncLimitTicks: 200 })
  four.members[4] = { address: address(4), role: 'observer' }
  const replicas = await four.startAll()
  const leader = four.leader()
  // An observer that has not yet followed into the last epoch when the next one begins comes back on a new connection.
  const leaders = leadersOf(replicas.filter(({ id }) => id !== 4))
  const { leads, abandons } = leader.machines.list
  const first = leader.status().epoch
  const asked: Promise<unknown>[] = []
  for (let i = 0; i < 30; i++) {
    for (const replica of replicas) asked.push(replica.propose('list', { text: `${replica.id}/${i}` }))
    asked.push(replicas[i % 4]!.read('linearizable'))
    if (i % 5 === 0) await Promise.all(asked)
  }
  await Promise.all(asked)
  expect(four.leader()).toBe(leader)
  const epochs = leader.status().epoch - first
  expect(epochs).toBeGreaterThan(10)
  const items = itemsOf(leader)
  expect(items.length).toBe(120)
  for (const { id } of replicas) expect(items.filter((item) => item.startsWith(`${id}/`))).toEqual(Array.from({ length: 30 }, (_, i) => `${id}/${i}`))
  await until(() => replicas.every((replica) => replica.status().active && replica.status().epoch === leader.status().epoch && itemsOf(replica).length === 120))
  for (const replica of replicas) expect(itemsOf(replica)).toEqual(items)
  expect(leaders).toEqual([])
  // For the machine each epoch is a reign.
  expect(leader.machines.list.leads - leads).toBe(epochs)
  expect(leader.machines.list.abandons - abandons).toBe(epochs)
})

test('a member that comes back behind many epochs is synchronised, and takes the next change as all others do', async () => {
  const three = ensemble(3, { counterMax: 5 })
  await three.startAll()
  const leader = three.leader()
  const { id } = three.follower()
  await three.stop(id)
  for (let i = 0; i < 12; i++) await leader.propose('list', { text: `${i}` })
  const back = await three.start(id, { storage: three.stores.get(id) ?? memoryStorage() })
  await back.ready()
  for (let i = 12; i < 24; i++) await back.propose('list', { text: `${i}` })
  expect(itemsOf(back)).toEqual(Array.from({ length: 24 }, (_, i) => `${i}`))
})
