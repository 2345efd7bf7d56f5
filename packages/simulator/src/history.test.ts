import { peerId, type Zxid, zxidOf } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { type Call, History } from './history.ts'
import { Ledger } from './ledger.ts'

interface Scene {
  readonly history: History
  readonly ledger: Ledger
  set(at: number, value: string): Call
  apply(call: Call, counter: number): Zxid
}

function setUp(): Scene {
  const history = new History()
  const ledger = new Ledger((violation) => {
    throw violation
  })
  return {
    history,
    ledger,
    set: (at, value) => history.begin(at, { kind: 'set', client: 1, member: 1, key: 'r1', expected: null, value }),
    apply: ({ id, key, value }, counter) => {
      const zxid = zxidOf(1, counter)
      ledger.applied(peerId(1), zxid, 1000, { kind: 'set', id, origin: 1, number: id, key, value, version: counter, amount: 0 }, 0)
      return zxid
    },
  }
}

const held = (text: string): { version: number; text: string; amount: number; items: null } => ({ version: 1, text, amount: 0, items: null })

test('a run in which everything was as told is judged good', () => {
  const { history, ledger, set, apply } = setUp()
  const [one, two, three] = [set(0, 'a'), set(1, 'b'), set(2, 'c')]
  history.written(5, one, apply(one, 1), null)
  apply(two, 2)
  history.ended(Number.POSITIVE_INFINITY, two, 'unknown')
  history.ended(6, three, 'rejected')
  const read = history.begin(7, { kind: 'read', client: 2, member: 1, key: 'r1', expected: null, value: '' })
  history.read(8, read, zxidOf(1, 2), held('b'))
  expect(history.judge(ledger)).toEqual({ undecided: 0 })
})

test('an acknowledged write that is nowhere is lost', () => {
  const { history, ledger, set } = setUp()
  history.written(5, set(0, 'a'), zxidOf(1, 1), null)
  expect(() => history.judge(ledger)).toThrow('was acknowledged and is nowhere')
})

test('a rejected write that took effect is found', () => {
  const { history, ledger, set, apply } = setUp()
  const call = set(0, 'a')
  apply(call, 1)
  history.ended(5, call, 'rejected')
  expect(() => history.judge(ledger)).toThrow('was rejected and stands at 1.1')
})

test('a write or a read that stands before what had been told is found when it returns', () => {
  const { history, set } = setUp()
  history.written(5, set(0, 'a'), zxidOf(1, 7), null)
  expect(() => history.written(9, set(6, 'b'), zxidOf(1, 6), null)).toThrow('had been told before it was called')
  const read = history.begin(6, { kind: 'read', client: 2, member: 1, key: 'r1', expected: null, value: '' })
  expect(() => history.read(8, read, zxidOf(1, 6), held('a'))).toThrow('had been told before it was called')
})

test('a read that no order of the writes explains is found', () => {
  const { history, ledger, set, apply } = setUp()
  const call = set(0, 'a')
  history.written(5, call, apply(call, 1), null)
  const read = history.begin(6, { kind: 'read', client: 2, member: 1, key: 'r1', expected: null, value: '' })
  history.read(8, read, zxidOf(1, 1), held('z'))
  expect(() => history.judge(ledger)).toThrow('no order of the calls on r1 explains')
})
