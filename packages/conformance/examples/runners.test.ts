import { test as nodeTest } from 'node:test'
import { expect, test } from 'vitest'
import { logStoreCases, type TestRunner, testLogStore, testStateMachine } from '../src/index.ts'
import { folderStores, tallies } from './setups.ts'

/** As small as a runner can be. */
function runner(): { readonly asked: Map<string, () => Promise<void>>; readonly skipped: string[]; readonly run: TestRunner } {
  const asked = new Map<string, () => Promise<void>>()
  const skipped: string[] = []
  const run = Object.assign((name: string, body: () => Promise<void>) => asked.set(name, body), { skip: (name: string) => skipped.push(name) })
  return { asked, skipped, run }
}

test('a runner of a dozen lines is enough; what is skipped says why in its name', async () => {
  const machines = runner()
  testStateMachine(machines.run, tallies())
  expect(machines.asked.size).toBeGreaterThan(15)
  for (const body of machines.asked.values()) await body()
  const stores = runner()
  const setup = folderStores()
  testLogStore(stores.run, setup)
  expect(stores.asked.size + stores.skipped.length).toBe(logStoreCases(setup).length)
  expect(stores.skipped.length).toBeGreaterThan(0)
  for (const name of stores.skipped) expect(name).toMatch(/\(not here: .+\)$/)
})

test('that of Node fits', () => {
  const fits: TestRunner = nodeTest
  expect(typeof fits.skip).toBe('function')
})

test('no two cases of a suite have one name', () => {
  const names = logStoreCases(folderStores()).map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})
