import { expect, test } from 'vitest'
import { Ensemble } from './ensemble.test-support.ts'
import { resolveSettings } from './settings.ts'

const resolved = (changes: object): ReturnType<typeof resolveSettings> => resolveSettings(new Ensemble(3).settings(1, changes))

test('there is no lease unless it is set; its time is five ticks unless told', () => {
  expect(resolved({}).core).toMatchObject({ leaseMs: 0 })
  expect(resolved({ tickMs: 40, readLease: {} }).core).toMatchObject({ leaseMs: 200, leaseDriftPerMille: 10 })
  expect(resolved({ tickMs: 40, readLease: { ms: 90, driftPerMille: 0 } }).core).toMatchObject({ leaseMs: 90, leaseDriftPerMille: 0 })
})

test('the ensemble agrees on it', () => {
  const plain = resolved({}).fingerprint
  const leased = resolved({ readLease: { ms: 100 } }).fingerprint
  expect(leased).not.toBe(plain)
  expect(leased.slice(0, 12)).toBe(plain.slice(0, 12))
  expect(resolved({ readLease: { ms: 100, driftPerMille: 50 } }).fingerprint).not.toBe(leased)
})

test('what cannot work is refused', () => {
  const bad: readonly [readLease: unknown, why: RegExp][] = [
    [true, /not an object/],
    [null, /not an object/],
    [{ millis: 500 }, /no setting `readLease.millis`/],
    [{ ms: 0 }, /positive integer/],
    [{ ms: 1.5 }, /positive integer/],
    [{ ms: '500' }, /positive integer/],
    [{ ms: 19 }, /two ticks \(20\)/],
    [{ ms: 60_001 }, /60000/],
    [{ driftPerMille: -1 }, /-1 per mille/],
    [{ driftPerMille: 501 }, /501 per mille/],
    [{ driftPerMille: 0.5 }, /0.5 per mille/],
  ]
  for (const [readLease, why] of bad) expect(() => resolved({ readLease }), JSON.stringify(readLease)).toThrow(why)
  for (const clockAheadMsMax of [0, -1, 1.5, '1']) expect(() => resolved({ clockAheadMsMax })).toThrow(/clockAheadMsMax/)
})

test('replicas read by lease, and go on when the leader dies', async () => {
  const ensemble = new Ensemble(3, { readLease: { ms: 200 }, syncLimitTicks: 50 })
  try {
    await ensemble.startAll()
    const leader = ensemble.leader()
    await leader.propose('list', { text: 'a' })
    for (const replica of ensemble.replicas.values()) {
      await replica.read('linearizable')
      expect(replica.machines.list.items).toEqual(['a'])
    }
    await ensemble.stop(leader.id)
    const other = [...ensemble.replicas.values()][0]!
    await other.propose('list', { text: 'b' })
    await other.read('linearizable')
    expect(other.machines.list.items).toEqual(['a', 'b'])
  } finally {
    await ensemble.closeAll()
  }
})
