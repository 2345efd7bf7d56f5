import { systemClock } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Slicer } from './slicer.ts'

test('steps that are much shorter than a slice never make one longer than it was told, and use most of it', async () => {
  let now = 0
  const slicer = new Slicer({ ...systemClock(), monotonic: () => now }, 10)
  const slices: number[] = []
  let begun = now
  for (let step = 0; step < 1000; step++) {
    now += 1.3
    if (!slicer.isUsedUp) continue
    slices.push(now - begun)
    // What others do meanwhile is not ours.
    now += 50
    await slicer.pause()
    begun = now
  }
  expect(slices.length).toBeGreaterThan(100)
  expect(Math.max(...slices)).toBeLessThanOrEqual(10)
  expect(Math.min(...slices)).toBeGreaterThanOrEqual(8)
})

test('a slice ends where another step as long as its longest would not fit', async () => {
  let now = 0
  const slicer = new Slicer({ ...systemClock(), monotonic: () => now }, 10)
  const took = (ms: number): boolean => {
    now += ms
    return slicer.isUsedUp
  }
  expect([took(3), took(3), took(1)]).toEqual([false, false, true])
  await slicer.pause()
  expect([took(1), took(4), took(0.5), took(1)]).toEqual([false, false, false, true])
})
