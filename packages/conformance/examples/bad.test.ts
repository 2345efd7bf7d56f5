import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Case, logStoreCases, stateMachineCases, transportCases } from '../src/index.ts'
import { patience } from '../src/suite.ts'
import * as folders from './bad-folders.ts'
import * as machines from './bad-machines.ts'
import * as badSnapshots from './bad-snapshots.ts'
import * as badStores from './bad-stores.ts'
import * as transports from './bad-transports.ts'
import { foldersRefused, machinesRefused, type Refusal, storesRefused, transportsRefused } from './refusals.ts'
import { arrayStores, exchangeTransports, folderStores, tallies } from './setups.ts'

const stores = { ...badStores, ...badSnapshots }

/** Every case against every wrong adapter; without it, of those that are slow only the cases that are meant for them. */
const FULL = process.env['FULL'] === '1'
/** An adapter that is refused by more cases than this justifies none of them. */
const FEW = 6
/** A wrong adapter may never do what is waited for. Where every case is to fail, waiting for long proves nothing more. */
const PATIENCE_MS = 2_000
const SHORT_PATIENCE_MS = FULL ? PATIENCE_MS : 500

const largestFrameBytes = 1 << 20
const sound = {
  stores: logStoreCases(arrayStores()),
  folders: logStoreCases(folderStores()),
  transports: transportCases({ ...exchangeTransports(), largestFrameBytes }),
  machines: stateMachineCases(tallies()),
}

/** Cases that no wrong adapter here is refused by, and why. */
const UNJUSTIFIED: Readonly<Record<string, string>> = {
  'there are twenty requests or more to judge by': 'judges the set-up, not the machine: see below',
  "a stranger's garbage is hung up on and told, and disturbs nobody":
    'nothing is parsed within one process, so that the example has no strangers; transports over sockets are asked',
}

const before = patience.ms
beforeAll(() => {
  patience.ms = PATIENCE_MS
})
afterAll(() => {
  patience.ms = before
  for (const timer of transports.LeaksTimers.timers.splice(0)) clearInterval(timer)
})

/** Names of the cases that fail; all at once, each on a place of its own. */
async function failing(cases: readonly Case[]): Promise<string[]> {
  const failed = await Promise.all(
    cases.map(({ name, run }) =>
      run().then(
        () => [],
        () => [name],
      ),
    ),
  )
  return failed.flat()
}

async function isRefused(cases: readonly Case[], { by, others = false }: Refusal, isQuick: boolean): Promise<void> {
  const all = cases.filter(({ skip }) => skip === null)
  const meant = all.filter(({ name }) => by.includes(name))
  const failed = await failing(others || !(isQuick || FULL) ? meant : all.filter(({ name, timeoutMs }) => by.includes(name) || FULL || timeoutMs <= 30_000))
  expect(failed.sort().join('\n')).toBe([...by].sort().join('\n'))
}

describe('the suite refuses a store that', () => {
  test.each(Object.entries(stores))('%s', async (name, Bad) => {
    await isRefused(logStoreCases(arrayStores((shelf) => new Bad(shelf))), storesRefused[name]!, true)
  })
})

describe('the suite refuses a store on a disk that', () => {
  test.each(Object.entries(folders))('%s', async (name, Bad) => {
    await isRefused(logStoreCases(folderStores((shelf, disk) => new Bad(shelf, disk))), foldersRefused[name]!, false)
  })
})

describe('the suite refuses a transport that', () => {
  beforeAll(() => {
    patience.ms = SHORT_PATIENCE_MS
  })
  afterAll(() => {
    patience.ms = PATIENCE_MS
  })

  test.each(Object.entries(transports))('%s', { timeout: 120_000 }, async (name, Bad) => {
    await isRefused(transportCases({ ...exchangeTransports(Bad), largestFrameBytes }), transportsRefused[name]!, false)
  })
})

describe('the suite refuses a machine that', () => {
  test.each(Object.entries(machines))('%s', async (name, Bad) => {
    await isRefused(stateMachineCases(tallies(() => new Bad())), machinesRefused[name]!, true)
  })

  test('is judged by too few requests', async () => {
    const { requests, ...setup } = tallies()
    expect(await failing(stateMachineCases({ ...setup, requests: requests.slice(0, 19) }).filter(({ name }) => name in UNJUSTIFIED))).toHaveLength(1)
  })
})

describe('each case is the one, or one of a few, that some adapter is refused by', () => {
  const refusals = [storesRefused, foldersRefused, transportsRefused, machinesRefused].flatMap((table) => Object.values(table))
  const sharp = new Set(refusals.filter(({ by, others }) => others !== true && by.length <= FEW).flatMap(({ by }) => by))

  test.each(Object.entries(sound))('%s', (_, cases) => {
    const names = cases.filter(({ skip, name }) => skip === null || name in UNJUSTIFIED).map(({ name }) => name)
    expect(names.filter((name) => !sharp.has(name) && !(name in UNJUSTIFIED)).join('\n')).toBe('')
  })

  test('and the table names nothing else', () => {
    const known = new Set(Object.values(sound).flatMap((cases) => cases.map(({ name }) => name)))
    expect(refusals.flatMap(({ by }) => by).filter((name) => !known.has(name))).toEqual([])
    expect(Object.keys(UNJUSTIFIED).filter((name) => sharp.has(name) || !known.has(name))).toEqual([])
    for (const [table, adapters] of [
      [storesRefused, stores],
      [foldersRefused, folders],
      [transportsRefused, transports],
      [machinesRefused, machines],
    ] as const)
      expect(Object.keys(table).sort()).toEqual(Object.keys(adapters).sort())
  })
})
