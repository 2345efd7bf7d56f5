import { type CoreView, EPOCH_WARNING, peerId, ZERO } from '@antiphon/consensus-core'
import { expect, test } from 'vitest'
import { clockWarning, warningsOf } from './warnings.ts'

const self = peerId(1)
const view = (rest: Partial<CoreView>): CoreView => ({
  role: 'following',
  active: true,
  leader: peerId(2),
  epoch: 7,
  acceptedEpoch: 7,
  currentEpoch: 7,
  last: ZERO,
  durable: ZERO,
  committed: ZERO,
  applied: ZERO,
  ensembleId: 'e'.repeat(32),
  configuration: { version: ZERO, members: [{ id: self, role: 'voter', weight: 1, group: 0, storeId: 'a'.repeat(32) }] },
  counted: true,
  quarantined: null,
  round: 1,
  connected: [],
  learners: [],
  ...rest,
})

test('a healthy member has nothing to warn of', () => {
  expect(warningsOf(self, view({}), null)).toEqual([])
})

test('half of the epochs used up is said in time (rule 11)', () => {
  expect(warningsOf(self, view({ acceptedEpoch: EPOCH_WARNING - 1 }), null)).toEqual([])
  expect(warningsOf(self, view({ acceptedEpoch: EPOCH_WARNING }), null)).toEqual([expect.stringMatching(/^epoch 1048576 of 2097151/)])
})

test('a voter whose disk is another one is told that it has no vote (rule 9); an observer, or a member that was not founded yet, is not', () => {
  expect(warningsOf(self, view({ counted: false }), null)).toEqual([expect.stringContaining('has no vote')])
  expect(warningsOf(self, view({ counted: false, ensembleId: null }), null)).toEqual([])
  const observer = { version: ZERO, members: [{ id: self, role: 'observer' as const, weight: 1, group: 0, storeId: null }] }
  expect(warningsOf(self, view({ counted: false, configuration: observer }), null)).toEqual([])
})

test("a leader's clock that is off is told, in both directions", () => {
  expect(clockWarning(null, 1000)).toBeNull()
  expect(clockWarning(1000, 1000)).toBeNull()
  expect(clockWarning(1001, 1000)).toMatch(/1001 ms ahead/)
  expect(clockWarning(-1000, 1000)).toBeNull()
  expect(clockWarning(-1001, 1000)).toMatch(/1001 ms behind/)
  expect(warningsOf(self, view({}), 'the clock is off')).toEqual(['the clock is off'])
})
