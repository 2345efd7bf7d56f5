import { describe, expect, test } from 'vitest'
import { ClosedLoop } from './closed-loop.ts'
import { Latencies } from './latencies.ts'
import { parseOptions } from './options.ts'
import { lineOf, result } from './report.ts'
import { median } from './rounds.ts'
import { SliceTimer } from './slices.ts'

describe('latencies', () => {
  test('a percentile is the least latency that covers its share, to the microsecond', () => {
    const latencies = new Latencies()
    for (let i = 1; i <= 100; i++) latencies.record(i / 10 + 0.0005)
    expect([0.01, 0.5, 0.99, 1].map((share) => latencies.percentileMs(share))).toEqual([0.101, 5.001, 9.901, 10.001])
    expect(latencies.total).toBe(100)
  })

  test('nothing counted is 0, and what is beyond a second counts as a second', () => {
    const latencies = new Latencies()
    expect(latencies.percentileMs(0.5)).toBe(0)
    latencies.record(5000)
    expect(latencies.percentileMs(0.5)).toBeGreaterThanOrEqual(1000)
    latencies.clear()
    expect(latencies.percentileMs(0.5)).toBe(0)
  })
})

describe('the closed loop', () => {
  test('never has more under way than it was told, asks again after each answer, and ends with nothing under way', async () => {
    let underWay = 0
    let most = 0
    const loop = new ClosedLoop(async (request) => {
      expect(request.length).toBe(100)
      most = Math.max(most, ++underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay--
    })
    const figures = await loop.measure({ inFlight: 20, warmUpMs: 5, measureMs: 30, starved: false })
    expect(most).toBe(20)
    expect(underWay).toBe(0)
    expect(figures.commits).toBeGreaterThan(20)
    expect(figures.p99Ms).toBeGreaterThanOrEqual(figures.p50Ms)
  })

  test('a proposal that fails fails the measurement', async () => {
    const loop = new ClosedLoop(() => Promise.reject(new Error('no leader')))
    await expect(loop.measure({ inFlight: 2, warmUpMs: 5, measureMs: 5, starved: false })).rejects.toThrow('no leader')
  })
})

describe('slices', () => {
  test('what follows without giving the loop back is one slice, and of each the pauses that lie in it are taken off', async () => {
    const timer = new SliceTimer()
    timer.ended(0, 4)
    timer.ended(10, 15)
    await new Promise((resolve) => setImmediate(resolve))
    timer.ended(20, 27)
    const pauses = [
      { since: 3, until: 11 },
      { since: 12, until: 14 },
      { since: 26, until: 40 },
    ]
    expect(timer.longest([])).toEqual({ ms: 9, ownMs: 9 })
    expect(timer.longest(pauses)).toEqual({ ms: 9, ownMs: 6 })
    expect(timer.longest(pauses, 18)).toEqual({ ms: 7, ownMs: 6 })
    expect(timer.longest(pauses, 30)).toEqual({ ms: 0, ownMs: 0 })
  })
})

describe('results', () => {
  test('the ratio is ours over the yardstick, whichever is better', () => {
    expect(result('a.b', 0.6123456, 'ms (p50)', 'lower', { value: 0.4, against: 'bare' })).toEqual({
      name: 'a.b',
      value: 0.6123,
      unit: 'ms (p50)',
      better: 'lower',
      ratio: 1.531,
      against: 'bare (0.4 ms (p50))',
    })
    expect(result('a.b', 123456.7, 'commits/s', 'higher', null)).toMatchObject({ value: 123500, ratio: null, against: null })
    expect(lineOf(result('a.b', 500, 'commits/s', 'higher', { value: 1000, against: 'bare' }))).toMatch(
      /a\.b +500 commits\/s +0\.50 of bare \(1000 commits\/s\)/,
    )
  })

  test('the median is not moved by one bad round', () => {
    expect(median([3, 1, 900])).toBe(3)
    expect(median([4, 2])).toBe(3)
    expect(median([7])).toBe(7)
  })
})

describe('the command line', () => {
  const suites = ['core', 'ensemble']

  test('names one suite, and may ask for JSON, seconds and rounds', () => {
    expect(parseOptions(['core'], suites)).toEqual({ suite: 'core', json: false, measureMs: 1500, warmUpMs: 500, rounds: 5 })
    expect(parseOptions(['ensemble', '--json', '--seconds', '0.2', '--rounds', '1'], suites)).toEqual({
      suite: 'ensemble',
      json: true,
      measureMs: 200,
      warmUpMs: 100,
      rounds: 1,
    })
  })

  test.each([[[]], [['other']], [['core', 'ensemble']], [['core', '--seconds', '0']], [['core', '--rounds', '1.5']], [['core', '--what']]])(
    '%j is refused',
    (args) => {
      expect(() => parseOptions(args, suites)).toThrow()
    },
  )
})
