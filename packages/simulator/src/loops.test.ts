import { type PeerId, peerId } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { EventLoops } from './loops.ts'
import { Timeline } from './timeline.ts'

const [ONE, TWO] = [peerId(1), peerId(2)]

function setUp(): { timeline: Timeline; loops: EventLoops; log: string[]; happens: (at: number, owner: PeerId, name: string) => void; run: () => void } {
  const timeline = new Timeline()
  const loops = new EventLoops(timeline)
  const log: string[] = []
  const happens = (at: number, owner: PeerId, name: string): void => void timeline.at(at, owner, () => log.push(`${timeline.now} ${name}`))
  const run = (): void => {
    for (let happening = loops.take(); happening !== null; happening = loops.take()) happening.run?.()
  }
  return { timeline, loops, log, happens, run }
}

test('what waits for an event loop that stands still happens afterwards, in its order, and nobody else waits', () => {
  const { loops, log, happens, run } = setUp()
  expect([loops.pause(ONE, 10), loops.pause(ONE, 99)]).toEqual([true, false])
  for (const at of [1, 3, 12]) happens(at, ONE, `one ${at}`)
  happens(4, TWO, 'two')
  run()
  expect(log).toEqual(['4 two', '10 one 1', '10 one 3', '12 one 12'])
  expect([loops.wasLate(ONE, 5), loops.wasLate(ONE, 1), loops.wasLate(TWO, 5)]).toEqual([true, false, false])
})

test('a slow event loop takes one thing after another, and is quick again afterwards', () => {
  const { timeline, loops, log, happens, run } = setUp()
  loops.slow(ONE, 20, 6)
  for (const at of [1, 2, 3, 4, 5, 30, 31]) happens(at, ONE, `${at}`)
  const off = timeline.at(2.5, ONE, () => log.push('called off'))
  timeline.cancel(off)
  run()
  expect(log).toEqual(['1 1', '7 2', '13 3', '19 4', '20 5', '30 30', '31 31'])
})

test('the end of a process voids what waited for its event loop; its machine stays as slow as it is', () => {
  const { loops, log, happens, run, timeline } = setUp()
  loops.slow(ONE, 50, 10)
  for (const at of [1, 2, 3]) happens(at, ONE, `${at}`)
  timeline.at(5, 0, () => loops.stopped(ONE))
  for (const at of [20, 21]) happens(at, ONE, `${at}`)
  run()
  expect(log).toEqual(['1 1', '20 20', '30 21'])
})
