import { afterEach, expect, test } from 'vitest'
import { Ensemble, itemsOf, until } from './ensemble.test-support.ts'

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
  }
  await until(() => replicas.every((replica) => replica.status().proposals.underWay === 0))
})
