import { expect, test } from 'vitest'
import { type History, type Look, type Recorded, readOf } from './clients.ts'
import { judge } from './verdict.ts'

const append = (item: string, invoked: number, returned: number, length: number | null): Recorded => ({
  client: 1,
  key: 'l',
  invoked,
  returned,
  input: { kind: 'append', item },
  output: length === null ? null : { length },
})
const write = (value: string, invoked: number, returned: number): Recorded => ({
  client: 1,
  key: 'r',
  invoked,
  returned,
  input: { kind: 'write', value },
  output: { done: true },
})
const history = (operations: readonly Recorded[], more: Partial<History> = {}): History => ({ operations, looks: [], rejected: new Set(), ...more })
const UNKNOWN = Number.POSITIVE_INFINITY

test('what is told and stands is accepted, also when its outcome is unknown', () => {
  const told = [append('a', 0, 1, 1), append('b', 2, UNKNOWN, null), append('c', 2, UNKNOWN, null), readOf(2, 'l', 5, 6, ['a', 'b']), write('x', 0, 9)]
  expect(judge(history(told), { l: ['a', 'b'], r: ['x'] }, 10)).toEqual({ lost: 0, doubled: 0, phantoms: 0, wrongLooks: 0, linearizable: true, findings: [] })
})

test('an acknowledged change that stands nowhere is lost', () => {
  expect(judge(history([append('a', 0, 1, 1), write('x', 0, 1)]), { l: [], r: [] }, 10)).toMatchObject({ lost: 2, linearizable: false })
})

test('a change that stands twice is doubled', () => {
  expect(judge(history([append('a', 0, 1, 1)]), { l: ['a', 'a'] }, 10)).toMatchObject({ lost: 0, doubled: 1, linearizable: false })
})

test('a stale read is found', () => {
  expect(judge(history([append('a', 0, 1, 1), readOf(2, 'l', 2, 3, [])]), { l: ['a'] }, 10)).toMatchObject({ lost: 0, doubled: 0, linearizable: false })
  expect(judge(history([write('x', 0, 1), write('y', 2, 3), readOf(2, 'r', 4, 5, 'x')]), { r: ['x', 'y'] }, 10)).toMatchObject({ linearizable: false })
})

test('what was rejected and stands all the same is found by the last read', () => {
  expect(judge(history([]), { l: ['a'] }, 10)).toMatchObject({ linearizable: false })
})

test('what was rejected and stands all the same is a phantom, also where a register has forgotten it', () => {
  const told = [write('y', 2, 3)]
  expect(judge(history(told, { rejected: new Set(['x']) }), { r: ['x', 'y'] }, 10)).toMatchObject({ phantoms: 1, findings: ['x stands, and was rejected'] })
  expect(judge(history(told), { r: ['x', 'y'] }, 10)).toMatchObject({ phantoms: 1, findings: ['x stands, and nobody asked for it'] })
})

test('an order that only the final state contradicts is found', () => {
  const told = [write('x', 0, 1), write('y', 2, 3), write('z', 4, 5)]
  expect(judge(history(told), { r: ['x', 'y', 'z'] }, 10)).toMatchObject({ linearizable: true })
  expect(judge(history(told), { r: ['y', 'x', 'z'] }, 10)).toMatchObject({ lost: 0, linearizable: false })
})

test('a swap that took effect, with an answer that nobody has, may have been refused', () => {
  const swap: Recorded = { client: 1, key: 'r', invoked: 2, returned: 3, input: { kind: 'swap', expected: 'x', value: 'y' }, output: null }
  expect(judge(history([swap]), { r: [] }, 10)).toMatchObject({ lost: 0, linearizable: true })
})

test('a look shows the beginning of what stands, and no less than before', () => {
  const told = history([append('a', 0, 1, 1), append('b', 2, 3, 2)])
  const look = (values: readonly string[], atLeast: number, acknowledged: string | null): number => {
    const looks: Look[] = [{ member: 1, key: 'l', values, atLeast, acknowledged }]
    return judge({ ...told, looks }, { l: ['a', 'b'] }, 10).wrongLooks
  }
  expect(look([], 0, null)).toBe(0)
  expect(look(['a'], 1, 'a')).toBe(0)
  expect(look(['b'], 0, null)).toBe(1)
  expect(look(['a', 'b', 'c'], 0, null)).toBe(1)
  expect(look([], 1, null)).toBe(1)
  expect(look(['a'], 1, 'b')).toBe(1)
})
