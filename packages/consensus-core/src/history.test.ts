import { describe, expect, test } from 'vitest'
import { runsOf, z } from './driven-core.test-support.ts'
import { append, bytesAbove, checksumAt, commonPoint, endPointsUpTo, type History, historyOf, recentRuns, trimRecent, truncate } from './history.ts'
import type { EpochEnd } from './types.ts'
import { ZERO } from './zxid.ts'

function history(...counts: number[]): History {
  const made = historyOf({
    storeId: '',
    founding: null,
    epochs: { accepted: 0, acceptedFrom: null, current: 0 },
    snapshot: null,
    log: { start: ZERO, last: ZERO, checksum: 0, endPoints: [], time: 0 },
  })
  for (const run of runsOf(...counts)) append(made, run)
  return made
}

const ends = (...points: [epoch: number, counter: number][]): EpochEnd[] =>
  points.map(([epoch, counter]) => ({ epoch, last: z(epoch, counter), checksum: epoch * 1000 + counter }))

describe('the longest common prefix (rule 13)', () => {
  const common = (ours: EpochEnd[], theirs: EpochEnd[]): number | undefined => commonPoint(ours, theirs, true)?.zxid
  test('ends at the earlier end of the newest epoch that both know', () => {
    expect(common(ends([1, 5], [3, 2]), ends([1, 5], [2, 7]))).toBe(z(1, 5))
    expect(common(ends([1, 5], [3, 2]), ends([1, 9]))).toBe(z(1, 5))
    expect(common(ends([1, 9]), ends([1, 5]))).toBe(z(1, 5))
    expect(common(ends([1, 9], [4, 4]), ends([1, 9], [4, 2]))).toBe(z(4, 2))
  })
  test('is empty when nothing is shared, and unknown when their list was cut short', () => {
    expect(common(ends([2, 1]), ends([1, 3]))).toBe(ZERO)
    expect(common([], ends([1, 3]))).toBe(ZERO)
    expect(commonPoint(ends([2, 1]), ends([1, 3]), false)).toBe(null)
  })
})

test('end points follow what is appended and truncated', () => {
  const made = history(2, 3, 0, 1)
  expect(made.endPoints.map((end) => end.last)).toEqual([z(1, 2), z(2, 3), z(4, 1)])
  const at = checksumAt(made, z(2, 1))!
  truncate(made, z(2, 1), at)
  expect(made.endPoints.map((end) => [end.last, end.checksum])).toEqual([
    [z(1, 2), runsOf(2)[0]!.checksum],
    [z(2, 1), at],
  ])
  expect(made.last).toBe(z(2, 1))
  expect(recentRuns(made, ZERO, made.last)!.map((run) => run.last)).toEqual([z(1, 2), z(2, 1)])
  expect(endPointsUpTo(made, z(1, 1), 7).map((end) => [end.last, end.checksum])).toEqual([[z(1, 1), 7]])
})

test('recent runs are cut to what is asked for, and tell when they do not reach back', () => {
  const made = history(3, 4)
  expect(recentRuns(made, z(1, 1), z(2, 2))!.map((run) => [run.previous, run.first, run.last])).toEqual([
    [z(1, 1), z(1, 2), z(1, 3)],
    [z(1, 3), z(2, 1), z(2, 2)],
  ])
  trimRecent(made, z(2, 4), 1)
  expect(recentRuns(made, z(1, 1), z(2, 2))).toBe(null)
  expect(recentRuns(made, z(1, 3), z(2, 4))!.length).toBe(1)
  expect(bytesAbove(made, z(1, 1))).toBe(Number.POSITIVE_INFINITY)
  expect(bytesAbove(made, z(2, 4))).toBe(0)
})

test('the run that holds the needed entry is never trimmed away', () => {
  const made = history(3, 4)
  trimRecent(made, z(1, 3), 0)
  expect(recentRuns(made, ZERO, z(1, 3))).not.toBe(null)
})
