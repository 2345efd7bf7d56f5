import { describe, expect, test } from 'vitest'
import { type Case, logStoreCases, stateMachineCases, transportCases } from '../src/index.ts'
import * as machines from './bad-machines.ts'
import * as stores from './bad-stores.ts'
import * as transports from './bad-transports.ts'
import { arrayStores, exchangeTransports, tallies } from './setups.ts'

/** The case of this name, whose words may be cut short. */
function named(cases: readonly Case[], name: string): Case {
  const found = cases.filter((one) => one.name.includes(name))
  expect(
    found.map((one) => one.name),
    `cases named "${name}"`,
  ).toHaveLength(1)
  return found[0]!
}

/** The suite refuses this adapter, by this case and in these words. */
async function refuses(cases: readonly Case[], name: string, words: RegExp): Promise<void> {
  await expect(named(cases, name).run()).rejects.toThrow(words)
}

describe('the suite refuses a store that', () => {
  test.each([
    ['answers before anything is durable', stores.Early, 'survives a crash, and every write', /told to be durable/],
    ['answers from inside write()', stores.FromInside, 'never from inside', /from inside/],
    ['drops a truncation', stores.DropsTruncations, 'drops what lies above', /./],
    ['answers out of order', stores.Reorders, 'in the order of the writes', /order of completions/],
    ['swallows an error', stores.SwallowsErrors, 'after a failed flush', /was not refused/],
    ['forgets the epochs when it truncates', stores.ForgetsEpochs, 'so do the epochs', /epochs/],
    ['reads a write when its arrays are in use again', stores.ReadsLate, 'use the arrays of a write again', /./],
    ['makes a write durable in two parts', stores.Torn, 'survives a crash, and every write', /./],
    ['shows a staged generation', stores.ShowsStaged, 'invisible until it is installed', /the snapshot/],
    ['compacts what was to be kept', stores.CompactsTooMuch, 'nothing at or after keepFrom', /were to be kept/],
    ['reports a snapshot that an install has overtaken', stores.OvertakesInstalls, 'voids the snapshot of our own', /overtaken/],
    ['gives more than it was asked for', stores.IgnoresBytesMax, 'keeps to about bytesMax', /./],
  ] as const)('%s', async (_, Bad, name, words) => {
    await refuses(logStoreCases(arrayStores((shelf) => new Bad(shelf))), name, words)
  })
})

describe('the suite refuses a transport that', () => {
  test.each([
    ['reorders frames', transports.ReordersFrames, 'in the order of their lane', /./],
    ['delivers twice', transports.Duplicates, 'in the order of their lane', /./],
    ['calls back from inside send()', transports.CallsBackFromInside, 'in the order of their lane', /from inside send/],
    ['has no bound', transports.NoBound, 'takes again; what it took arrives in order (bulk)', /has no bound/],
    ['takes what it refuses', transports.TakesAndRefuses, 'takes again; what it took arrives in order (bulk)', /frames that were taken/],
    ['uses delivered memory again', transports.ReusesMemory, 'in the order of their lane', /memory|unchanged|frames of lane/],
    ['delivers on a connection that is down', transports.DeliversLate, 'of a connection that is down', /of which .* is live/],
    ['does not say down()', transports.NeverSaysDown, 'dialled again, under new numbers', /while connection .* is live/],
    ['takes one peer for another', transports.BelievesAnybody, 'under another name', /not what it asked for/],
    ['throws when a peer is away', transports.ThrowsWhenAway, 'is refused, never thrown', /threw/],
  ] as const)('%s', async (_, Bad, name, words) => {
    await refuses(transportCases(exchangeTransports(Bad)), name, words)
  })
})

describe('the suite refuses a machine that', () => {
  test.each([
    ['reads the clock in apply()', machines.ReadsClock, 'reads no clock', /Date.now/],
    ['draws lots in apply()', machines.DrawsLots, 'reads no clock', /Math.random/],
    ['depends on how changes are batched', machines.DependsOnBatches, 'one by one', /snapshot/],
    ['shows later changes in a snapshot', machines.LiveSnapshot, 'stays what it was', /snapshot/],
    ['keeps the memory of a batch', machines.KeepsMemory, 'memory is kept', /./],
    ['restores on top of what is there', machines.RestoresOnTop, 'restored, is the same state', /snapshot/],
    ['digests nothing', machines.DigestsNothing, 'tells states apart', /digest/],
    ['loses a result', machines.OneResultTooFew, 'one result per change', /results/],
    ['prepares against what is applied', machines.LooksBehind, 'does not depend on what is applied', /./],
    ['applies what it prepares', machines.AppliesAtOnce, 'changes nothing that can be read', /snapshot/],
    ['keeps a trace of what it refuses', machines.DirtyRefusal, 'leaves the speculation as it was', /./],
    ['takes nothing back', machines.NeverTakesBack, 'takes back the last change', /changes/],
    ['keeps the speculation of a void reign', machines.NeverAbandons, 'leading() forgets', /changes/],
  ] as const)('%s', async (_, Bad, name, words) => {
    await refuses(stateMachineCases(tallies(() => new Bad())), name, words)
  })
})
