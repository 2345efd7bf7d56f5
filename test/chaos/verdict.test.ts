import { expect, test } from 'vitest'
import { type Recorded, readOf } from './clients.ts'
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
const UNKNOWN = Number.POSITIVE_INFINITY

test('what is told and stands is accepted, also when its outcome is unknown', () => {
  const told = [append('a', 0, 1, 1), append('b', 2, UNKNOWN, null), append('c', 2, UNKNOWN, null), readOf(2, 'l', 5, 6, ['a', 'b']), write('x', 0, 9)]
  expect(judge(told, { l: ['a', 'b'], r: ['x'] }, 10)).toEqual({ lost: 0, doubled: 0, linearizable: true, findings: [] })
})

test('an acknowledged change that stands nowhere is lost', () => {
  expect(judge([append('a', 0, 1, 1), write('x', 0, 1)], { l: [], r: [] }, 10)).toMatchObject({ lost: 2, linearizable: false })
})

test('a change that stands twice is doubled', () => {
  expect(judge([append('a', 0, 1, 1)], { l: ['a', 'a'] }, 10)).toMatchObject({ lost: 0, doubled: 1, linearizable: false })
})

test('a stale read is found', () => {
  expect(judge([append('a', 0, 1, 1), readOf(2, 'l', 2, 3, [])], { l: ['a'] }, 10)).toMatchObject({ lost: 0, doubled: 0, linearizable: false })
  expect(judge([write('x', 0, 1), write('y', 2, 3), readOf(2, 'r', 4, 5, 'x')], { r: ['x', 'y'] }, 10)).toMatchObject({ linearizable: false })
})

test('what was rejected and stands all the same is found by the last read', () => {
  expect(judge([], { l: ['a'] }, 10)).toMatchObject({ linearizable: false })
})
