import type { Cancel, Clock } from '@antiphon/ports'
import { AntiphonError } from '@antiphon/ports'
import { expect, test } from 'vitest'
import type { Host } from './host.ts'
import { Lifecycle } from './lifecycle.ts'

/** Time that goes on when the test says so. */
class Time {
  now = 0
  readonly #timers: { readonly due: number; readonly call: () => void }[] = []

  readonly clock = {
    monotonic: () => this.now,
    schedule: (ms: number, call: () => void): Cancel => {
      const timer = { due: this.now + ms, call }
      this.#timers.push(timer)
      return () => void (this.#timers.includes(timer) && this.#timers.splice(this.#timers.indexOf(timer), 1))
    },
  } as unknown as Clock

  async pass(ms: number): Promise<void> {
    const end = this.now + ms
    for (;;) {
      const timer = this.#timers.sort((one, other) => one.due - other.due)[0]
      if (timer === undefined || timer.due > end) break
      this.#timers.shift()
      this.now = timer.due
      timer.call()
      await settled()
    }
    this.now = end
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve()
}

test('when the question whether the session lives is turned away, it is asked again', async () => {
  const time = new Time()
  const told: string[] = []
  let refusals = 2
  const host = {
    replica: { status: () => ({ active: true }) },
    caughtUp: () => (refusals-- > 0 ? Promise.reject(new AntiphonError('OVERLOADED', 'too many reads', { remedy: 'Read less.' })) : Promise.resolve()),
  } as unknown as Host
  const lifecycle = new Lifecycle({
    clock: time.clock,
    host,
    timeoutMs: 8000,
    isAlive: () => true,
    tell: (event) => told.push(event),
    lost: () => told.push('lost'),
  })
  lifecycle.leaderIs(null)
  lifecycle.leaderIs(2 as never)
  await settled()
  expect(told).toEqual(['suspended'])
  await time.pass(5000)
  expect(told).toEqual(['suspended', 'connected'])
  lifecycle.end('closed')
})

test('a leader that comes and goes quickly does not make the time without one begin anew', async () => {
  const time = new Time()
  const told: string[] = []
  const asked: (() => void)[] = []
  const host = {
    replica: { status: () => ({ active: true }) },
    caughtUp: () => new Promise<void>((resolve) => asked.push(resolve)),
  } as unknown as Host
  const lifecycle = new Lifecycle({
    clock: time.clock,
    host,
    timeoutMs: 8000,
    isAlive: () => true,
    tell: (event) => told.push(event),
    lost: () => told.push('lost'),
  })
  for (let i = 0; i < 3; i++) {
    lifecycle.leaderIs(null)
    await time.pass(500)
    lifecycle.leaderIs(2 as never)
    await time.pass(500)
  }
  // An answer to a question of before the leader was lost says nothing.
  lifecycle.leaderIs(null)
  for (const answer of asked) answer()
  await time.pass(900)
  expect(told).toEqual(['suspended'])
  await time.pass(200)
  expect(told).toEqual(['suspended', 'jeopardy'])
  lifecycle.leaderIs(3 as never)
  asked.at(-1)!()
  await settled()
  expect(told).toEqual(['suspended', 'jeopardy', 'safe', 'connected'])
  await time.pass(60_000)
  expect(told).toHaveLength(4)
  lifecycle.end('closed')
})
