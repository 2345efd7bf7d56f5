import { type PeerId, peerId, type Zxid, zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Ledger } from './ledger.ts'
import type { KeyedChange } from './machine.ts'
import type { Violation } from './violation.ts'

const ONE = peerId(1)
const TWO = peerId(2)

function change(id: number, number = id, origin = 1): KeyedChange {
  return { kind: 'set', id, origin, number, key: 'r1', value: `v${id}`, version: 1, amount: 0 }
}

function setUp(): { ledger: Ledger; found: string[]; apply: (member: PeerId, zxid: Zxid, change: KeyedChange, digest?: number, time?: number) => void } {
  const found: string[] = []
  const ledger = new Ledger((violation: Violation) => found.push(violation.invariant))
  const apply = (member: PeerId, zxid: Zxid, one: KeyedChange, digest = 1, time = 1000): void => ledger.applied(member, zxid, time, one, digest)
  return { ledger, found, apply }
}

test('members that apply the same in the same order agree', () => {
  const { ledger, found, apply } = setUp()
  for (const member of [ONE, TWO]) {
    apply(member, zxidOf(1, 2), change(1))
    apply(member, zxidOf(1, 3), change(2))
  }
  expect(found).toEqual([])
  expect(ledger.ids()).toEqual([1, 2])
  expect(ledger.zxidOf(2)).toBe(zxidOf(1, 3))
  expect(ledger.zxidOf(3)).toBeUndefined()
})

test('another change at a ZXID, or another ZXID in its place, is a breach of agreement', () => {
  const { found, apply } = setUp()
  apply(ONE, zxidOf(1, 2), change(1))
  apply(TWO, zxidOf(1, 2), change(2))
  expect(found).toEqual(['agreement'])
  const other = setUp()
  other.apply(ONE, zxidOf(1, 2), change(1))
  other.apply(ONE, zxidOf(1, 3), change(2))
  other.apply(TWO, zxidOf(1, 3), change(2))
  expect(other.found).toEqual(['agreement'])
})

test('a request that is applied twice, or in another order than its origin made it, is found', () => {
  const { found, apply } = setUp()
  apply(ONE, zxidOf(1, 2), change(1, 1))
  apply(ONE, zxidOf(1, 3), change(1, 2))
  expect(found).toEqual(['integrity'])
  apply(ONE, zxidOf(1, 4), change(5, 9))
  apply(ONE, zxidOf(1, 5), change(6, 8))
  expect(found).toEqual(['integrity', 'origin-order'])
  apply(ONE, zxidOf(1, 6), change(7, 1, 2))
  expect(found).toHaveLength(2)
})

test('equal histories with unequal states, and time that goes back, are found', () => {
  const { found, apply } = setUp()
  apply(ONE, zxidOf(1, 2), change(1), 7)
  apply(TWO, zxidOf(1, 2), change(1), 8)
  expect(found).toEqual(['digest'])
  apply(ONE, zxidOf(1, 3), change(2), 7, 999)
  expect(found).toEqual(['digest', 'time'])
})

test('a restored machine must hold what the order says at that place, and not less than before', () => {
  const { ledger, found, apply } = setUp()
  apply(ONE, zxidOf(1, 2), change(1), 7)
  apply(ONE, zxidOf(1, 3), change(2), 8)
  ledger.restored(TWO, zxidOf(1, 2), 7)
  apply(TWO, zxidOf(1, 3), change(2), 8)
  expect(found).toEqual([])
  ledger.restored(TWO, zxidOf(1, 3), 9)
  expect(found).toEqual(['digest'])
  ledger.restored(TWO, zxidOf(1, 2), 7)
  expect(found).toEqual(['digest', 'integrity'])
  ledger.booted(TWO)
  ledger.restored(TWO, zxidOf(1, 2), 7)
  expect(found).toHaveLength(2)
})
