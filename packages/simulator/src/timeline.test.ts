import { expect, test } from 'vitest'
import { VirtualClock } from './clock.ts'
import { SeededRandom } from './random.ts'
import { drive, Timeline } from './timeline.ts'

test('what happens is ordered by time, and at one time by the order of scheduling', () => {
  const timeline = new Timeline()
  const random = new SeededRandom(1)
  const log: { readonly at: number; readonly i: number }[] = []
  for (let i = 0; i < 500; i++) {
    const at = random.below(20)
    const happening = timeline.after(at, 0, () => log.push({ at, i }))
    if (i % 7 === 0) timeline.cancel(happening)
  }
  for (let happening = timeline.take(); happening !== null; happening = timeline.take()) happening.run!()
  expect(log).toHaveLength(500 - Math.ceil(500 / 7))
  expect(log).toEqual([...log].sort((a, b) => a.at - b.at || a.i - b.i))
  expect(timeline.now).toBe(19)
})

test('between two steps every promise that can settle has settled', async () => {
  const log: string[] = []
  let steps = 0
  await drive(() => {
    steps++
    log.push(`step ${steps}`)
    const step = steps
    void (async () => {
      for (let i = 0; i < 50; i++) await null
      await Promise.all([Promise.resolve(), Promise.resolve()])
      log.push(`promise ${step}`)
    })()
    return steps < 300
  })
  expect(log.slice(0, 598)).toEqual(Array.from({ length: 299 }, (_, i) => [`step ${i + 1}`, `promise ${i + 1}`]).flat())
})

test('what a step throws ends the drive', async () => {
  await expect(
    drive(() => {
      throw new Error('so')
    }),
  ).rejects.toThrow('so')
})

test('a skewed clock runs at its own rate, and a stopped one is silent', () => {
  const timeline = new Timeline()
  const clock = new VirtualClock(timeline, 1, { rate: 2, wallOffsetMs: 5, timerSlackMs: 0 }, new SeededRandom(1))
  const log: string[] = []
  clock.schedule(100, () => log.push(`timer at ${timeline.now}, ${clock.monotonic()} here`))
  clock.defer(() => log.push('deferred'))
  const cancel = clock.schedule(1, () => log.push('never'))
  cancel()
  clock.schedule(200, () => log.push('dead'))
  const wall = clock.wall()
  timeline.after(60, 0, () => clock.stop())
  for (let happening = timeline.take(); happening !== null; happening = timeline.take()) happening.run!()
  expect(log).toEqual(['deferred', 'timer at 50, 100 here'])
  clock.jump(-1000)
  expect(clock.wall()).toBe(wall + 200 - 1000)
})
