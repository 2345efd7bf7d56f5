import { type LogStore, type Metrics, systemClock } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { afterEach, expect, test } from 'vitest'
import { Ensemble } from './ensemble.test-support.ts'
import { FlushWatch, type SlowFlush } from './flush-figures.ts'

let one: Ensemble | null = null
afterEach(() => one?.closeAll())

test('nothing written is nothing told', () => {
  expect(new FlushWatch(1000).figures()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, worstMs: 0, slow: 0 })
})

test('percentiles are at most a twentieth above the true ones, and never above the worst', () => {
  const watch = new FlushWatch(1_000_000)
  for (let i = 1; i <= 1000; i++) watch.durable(0, i / 10)
  const { count, p50Ms, p99Ms, worstMs, slow } = watch.figures()
  expect({ count, worstMs, slow }).toEqual({ count: 1000, worstMs: 100, slow: 0 })
  for (const [told, real] of [
    [p50Ms, 50],
    [p99Ms, 99],
  ] as const) {
    expect(told).toBeGreaterThanOrEqual(real)
    expect(told).toBeLessThanOrEqual(Math.min(100, real * 1.05))
  }
  watch.durable(0, 1e9)
  watch.durable(0, 0)
  expect(watch.figures()).toMatchObject({ count: 1002, worstMs: 1e9, slow: 1 })
})

test('one slow flush is told once, whoever waited for it; the next one again', () => {
  const watch = new FlushWatch(100)
  expect(watch.durable(0, 100)).toBeNull()
  expect(watch.durable(100, 300)).toEqual({ ms: 200, limitMs: 100 })
  expect(watch.durable(150, 300)).toBeNull()
  expect(watch.durable(299, 500)).toBeNull()
  expect(watch.durable(300, 401)).toEqual({ ms: 101, limitMs: 100 })
  expect(watch.figures().slow).toBe(4)
})

/** Its writes become durable so much later, by the replica's clock. */
function slowDisk(): { readonly store: LogStore; delayMs: number; readonly monotonic: () => number } {
  const inner = memoryStorage()
  const clock = systemClock()
  let passedMs = 0
  const disk = {
    delayMs: 0,
    monotonic: () => clock.monotonic() + passedMs,
    store: new Proxy(inner, {
      get: (target, name) => {
        if (name === 'write') {
          return ((write, done) =>
            inner.write(write, (error) => {
              passedMs += disk.delayMs
              done(error)
            })) satisfies LogStore['write']
        }
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    }),
  }
  return disk
}

/** The last value of each gauge, the sum of each counter. */
function countingMetrics(): { readonly metrics: Metrics; readonly values: Map<string, number> } {
  const values = new Map<string, number>()
  const add = (name: string, value: number): unknown => values.set(name, (values.get(name) ?? 0) + value)
  return {
    values,
    metrics: {
      counter: (name) => ({ add: (value) => void add(name, value) }),
      gauge: (name) => ({ set: (value) => void values.set(name, value) }),
      histogram: (name) => ({ observe: () => void add(name, 1) }),
    },
  }
}

test('a write that takes longer than fsyncWarnMs is an event, a figure and a count; a quick one is only counted', async () => {
  const disk = slowDisk()
  const { metrics, values } = countingMetrics()
  const clock = { ...systemClock(), monotonic: disk.monotonic }
  one = new Ensemble(1, { fsyncWarnMs: 60_000, metrics, clock })
  one.stores.set(1, disk.store)
  const [replica] = await one.startAll()
  const slow: SlowFlush[] = []
  replica!.on('slowFlush', (told) => slow.push(told))
  await replica!.propose('list', { text: 'quick' })
  const before = replica!.status().flushes
  expect(slow).toEqual([])
  expect(before.slow).toBe(0)
  expect(before.count).toBeGreaterThan(0)
  disk.delayMs = 120_000
  await replica!.propose('list', { text: 'slow' })
  disk.delayMs = 0
  expect(slow.length).toBeGreaterThan(0)
  expect(slow[0]).toMatchObject({ limitMs: 60_000 })
  expect(slow[0]!.ms).toBeGreaterThanOrEqual(120_000)
  const { flushes } = replica!.status()
  expect(flushes.worstMs).toBe(Math.max(...slow.map(({ ms }) => ms)))
  expect(flushes.slow).toBeGreaterThanOrEqual(1)
  expect(flushes.count).toBeGreaterThan(before.count)
  expect(values.get('antiphon_slow_flushes_total')).toBe(flushes.slow)
  expect(values.get('antiphon_write_worst_milliseconds')).toBe(flushes.worstMs)
  expect(values.get('antiphon_write_milliseconds')).toBe(flushes.count)
})

test('fsyncWarnMs is a positive integer', async () => {
  one = new Ensemble(1, { fsyncWarnMs: 0 })
  await expect(one.start(1)).rejects.toMatchObject({ code: 'INVALID_SETTINGS' })
})
