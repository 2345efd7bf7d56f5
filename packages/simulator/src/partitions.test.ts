import { peerId } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { bothWays, type Direction, oneWay, ring, twoGroups } from './partitions.ts'
import { SeededRandom } from './random.ts'
import type { Member } from './world.ts'

const members = (count: number): Member[] => Array.from({ length: count }, (_, i) => ({ id: peerId(i + 1) }) as Member)
const heardBy = (cuts: readonly Direction[], id: number, count: number): number =>
  members(count).filter(({ id: from }) => from !== id && !cuts.some((cut) => cut.from === from && cut.to === id)).length

test('in a ring each member hears its two neighbours alone; in an open one those at the ends hear one', () => {
  const seen = { closed: 0, open: 0 }
  for (let seed = 1; seed <= 50; seed++) {
    const cuts = ring(members(5), new SeededRandom(seed))
    const heard = [1, 2, 3, 4, 5].map((id) => heardBy(cuts, id, 5)).sort()
    if (heard[0] === 2) seen.closed++
    else seen.open++
    expect(heard).toEqual(heard[0] === 2 ? [2, 2, 2, 2, 2] : [1, 1, 2, 2, 2])
    expect(cuts.every(({ from, to }) => cuts.some((back) => back.from === to && back.to === from))).toBe(true)
  }
  expect(Math.min(seen.closed, seen.open)).toBeGreaterThan(10)
  expect([1, 2, 3].map((id) => heardBy(ring(members(3), new SeededRandom(1)), id, 3)).sort()).toEqual([1, 1, 2])
  expect(ring(members(1), new SeededRandom(1))).toEqual([])
})

test('a bridge hears everybody, whatever is between the others', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cuts = twoGroups(members(5), new SeededRandom(seed), peerId(3))
    expect(heardBy(cuts, 3, 5)).toBe(4)
    expect(cuts.filter(({ from }) => from === 3)).toEqual([])
  }
})

test('one direction is what a member says, or what it hears', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cuts = oneWay(members(4), new SeededRandom(seed), peerId(2))
    expect([1, 3]).toContain(cuts.length)
    expect(cuts.every(({ from }) => from === 2) || cuts.every(({ to }) => to === 2)).toBe(true)
  }
  expect(bothWays(members(4), peerId(2))).toHaveLength(6)
})
