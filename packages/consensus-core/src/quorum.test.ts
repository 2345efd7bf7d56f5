import { expect, test } from 'vitest'
import { isQuorum } from './quorum.ts'
import { type Configuration, type Member, peerId } from './types.ts'
import { ZERO } from './zxid.ts'

function configuration(...members: [weight: number, group: number, role?: Member['role']][]): Configuration {
  return { version: ZERO, members: members.map(([weight, group, role], i) => ({ id: peerId(i + 1), role: role ?? 'voter', weight, group, storeId: null })) }
}

const has = (of: Configuration, ...ids: number[]): boolean => isQuorum(of, (id) => ids.includes(id))

test('a majority is more than half', () => {
  const four = configuration([1, 0], [1, 0], [1, 0], [1, 0])
  expect(has(four, 1, 2)).toBe(false)
  expect(has(four, 1, 2, 3)).toBe(true)
  expect(has(configuration([1, 0]), 1)).toBe(true)
  expect(has(configuration([1, 0]))).toBe(false)
})

test('weights count instead of heads, and a weight of 0 adds nothing', () => {
  const weighted = configuration([3, 0], [1, 0], [1, 0], [0, 0])
  expect(has(weighted, 1)).toBe(true)
  expect(has(weighted, 2, 3, 4)).toBe(false)
})

test('a hierarchical quorum is more than half of the groups, each with more than half of its weight; a group without weight is none', () => {
  const groups = configuration([1, 1], [1, 1], [1, 1], [1, 2], [1, 2], [1, 2], [1, 3], [1, 3], [1, 3], [0, 4])
  expect(has(groups, 1, 2, 4, 5)).toBe(true)
  expect(has(groups, 1, 2, 4, 7)).toBe(false)
  expect(has(groups, 1, 2, 3, 4, 7, 10)).toBe(false)
})

test('observers never count', () => {
  const observed = configuration([1, 0], [1, 0], [1, 0], [1, 0, 'observer'], [1, 0, 'observer'])
  expect(has(observed, 1, 4, 5)).toBe(false)
  expect(has(observed, 1, 2)).toBe(true)
})

test('any two quorums share a voter', () => {
  const shapes = [
    configuration([1, 0], [1, 0], [1, 0], [1, 0]),
    configuration([3, 0], [1, 0], [2, 0], [0, 0], [1, 0]),
    configuration([1, 1], [1, 1], [1, 2], [2, 2], [1, 3], [1, 3]),
  ]
  for (const shape of shapes) {
    const ids = shape.members.map((member) => member.id)
    const quorums: number[] = []
    for (let set = 0; set < 1 << ids.length; set++) if (isQuorum(shape, (id) => (set & (1 << ids.indexOf(id))) !== 0)) quorums.push(set)
    for (const a of quorums) for (const b of quorums) expect(a & b).not.toBe(0)
  }
})
