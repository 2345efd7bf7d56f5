import type { Cancel, Clock } from '@antiphon/ports'
import { AntiphonError } from '@antiphon/ports'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Host } from './host.ts'
import { Lifecycle } from './lifecycle.ts'
import { Pulse } from './pulse.ts'

/** Time that goes on when the test says so. */
class Time {
  now = 0
  /** Timers that were ever set; how many of them ran at once, at most. */
  scheduled = 0
  pendingMax = 0
  readonly #timers: { readonly due: number; readonly call: () => void }[] = []

  readonly clock = {
    monotonic: () => this.now,
    schedule: (ms: number, call: () => void): Cancel => {
      const timer = { due: this.now + ms, call }
      this.#timers.push(timer)
      this.scheduled++
      this.pendingMax = Math.max(this.pendingMax, this.#timers.length)
      return () => void (this.#timers.includes(timer) && this.#timers.splice(this.#timers.indexOf(timer), 1))
    },
  } as unknown as Clock

  async pass(ms: number): Promise<void> {
    const end = this.now + ms
    for (;;) {
      const timer = this.#timers.sort((one, other) => one.due - other.due)[0]
      if (timer === undefined || timer.due > end) break
      this.#timers.shift()
      this.now = Math.max(this.now, timer.due)
      timer.call()
      await settled()
    }
    this.now = end
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve()
}

/** Sessions on a replica whose questions are answered by `ask`. */
class Stage {
  readonly time = new Time()
  readonly pulse: Pulse
  readonly told: string[] = []
  isAlive = true
  hasLeader = true

  constructor(ask: () => Promise<void> = () => Promise.resolve()) {
    this.pulse = new Pulse(this.time.clock, ask)
  }

  open(timeoutMs: number): Lifecycle {
    const depend = (lifecycle: Lifecycle): Pulse => {
      this.pulse.join(lifecycle, this.hasLeader)
      return this.pulse
    }
    const lifecycle = new Lifecycle({
      clock: this.time.clock,
      host: { depend } as unknown as Host,
      timeoutMs,
      isAlive: () => this.isAlive,
      tell: (event) => void this.told.push(event),
      lost: () => {
        this.told.push('lost')
        lifecycle.end('expired')
      },
    })
    return lifecycle
  }

  async note(whole = true): Promise<void> {
    this.pulse.noted(whole)
    await settled()
  }

  /** Heartbeats every 100 ms. */
  async beat(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      await this.time.pass(100)
      await this.note()
    }
  }
}

test('however many sessions there are, one timer watches over them, and hardly ever fires', async () => {
  let asked = 0
  const stage = new Stage(() => Promise.resolve(void asked++))
  const sessions = Array.from({ length: 10_000 }, () => stage.open(10_000))
  await stage.beat(60_000)
  expect(stage.told).toEqual([])
  expect(stage.time.pendingMax).toBe(1)
  expect(stage.time.scheduled).toBeLessThanOrEqual(20)
  expect(asked).toBeLessThanOrEqual(60_000 / (10_000 / 8))
  stage.pulse.leaderIs(false)
  expect(stage.told).toEqual(Array(10_000).fill('suspended'))
  await stage.time.pass(5000)
  expect(stage.told.slice(10_000)).toEqual(Array(10_000).fill('jeopardy'))
  stage.pulse.leaderIs(true)
  await stage.note()
  expect(sessions.every(({ state }) => state === 'connected')).toBe(true)
  expect(stage.told).toHaveLength(40_000)
  for (const session of sessions) session.end('closed')
  await stage.time.pass(100_000)
  expect(stage.time.pendingMax).toBe(1)
  expect(stage.time.scheduled).toBeLessThanOrEqual(25)
})

test('sessions of many timeouts are in jeopardy one behind the other, each in its time, by a bounded number of timers', async () => {
  const stage = new Stage()
  const sessions = Array.from({ length: 200 }, (_, i) => stage.open(4000 + 180 * i))
  await stage.beat(10_000)
  const { scheduled, now } = stage.time
  stage.pulse.leaderIs(false)
  const doubted = new Map<Lifecycle, number>()
  for (let ms = 0; ms <= 20_000; ms += 10) {
    for (const session of sessions) if (session.state === 'jeopardy' && !doubted.has(session)) doubted.set(session, stage.time.now - now)
    await stage.time.pass(10)
  }
  for (const session of sessions) {
    expect(doubted.get(session)).toBeLessThanOrEqual(session.timeoutMs / 2)
    // A word that was heard may be an eighth of the shortest timeout and a heartbeat old when it is known that it was heard.
    expect(doubted.get(session)).toBeGreaterThanOrEqual(session.timeoutMs / 2 - 4000 / 8 - 100 - 4000 / 64)
  }
  expect(sessions.every(({ state }) => state === 'jeopardy')).toBe(true)
  expect(stage.time.scheduled - scheduled).toBeLessThanOrEqual((64 * 20_000) / 4000)
})

test('who has timed out of the shortest timeouts does not keep the others awake', async () => {
  const stage = new Stage()
  const short = stage.open(100)
  stage.open(10_000)
  short.end('closed')
  await stage.beat(60_000)
  expect(stage.told).toEqual([])
  expect(stage.time.scheduled).toBeLessThanOrEqual(25)
})

test('when the question whether the ensemble hears of us is turned away, it is asked again', async () => {
  let refusals = 2
  const refused = (): Promise<void> => Promise.reject(new AntiphonError('OVERLOADED', 'too many reads', { remedy: 'Read less.' }))
  const stage = new Stage(() => (refusals-- > 0 ? refused() : Promise.resolve()))
  stage.open(8000)
  stage.pulse.leaderIs(false)
  stage.pulse.leaderIs(true)
  await stage.note()
  await stage.note()
  expect(stage.told).toEqual(['suspended'])
  await stage.note()
  expect(stage.told).toEqual(['suspended', 'connected'])
})

test('a leader that comes and goes quickly does not make the time without one begin anew', async () => {
  const asked: (() => void)[] = []
  const stage = new Stage(() => new Promise<void>((resolve) => void asked.push(resolve)))
  stage.open(8000)
  for (let i = 0; i < 3; i++) {
    stage.pulse.leaderIs(false)
    await stage.time.pass(500)
    stage.pulse.leaderIs(true)
    await stage.note()
    await stage.time.pass(500)
  }
  // An answer to a question of before the leader was lost says nothing.
  stage.pulse.leaderIs(false)
  for (const answer of asked) answer()
  await settled()
  expect(asked).toHaveLength(3)
  await stage.time.pass(800)
  expect(stage.told).toEqual(['suspended'])
  await stage.time.pass(200)
  expect(stage.told).toEqual(['suspended', 'jeopardy'])
  stage.pulse.leaderIs(true)
  await stage.note()
  asked.at(-1)!()
  await settled()
  expect(stage.told).toEqual(['suspended', 'jeopardy', 'safe', 'connected'])
})

test('a session that has expired meanwhile is not safe', async () => {
  const stage = new Stage()
  stage.open(8000)
  stage.pulse.leaderIs(false)
  await stage.time.pass(5000)
  stage.isAlive = false
  stage.pulse.leaderIs(true)
  await stage.note()
  expect(stage.told).toEqual(['suspended', 'jeopardy', 'lost'])
  expect(stage.pulse.isIdle).toBe(true)
})

test('a session that is opened while there is no leader is suspended, and connected when there is one', async () => {
  const stage = new Stage()
  stage.hasLeader = false
  const session = stage.open(8000)
  expect(session.state).toBe('suspended')
  stage.pulse.leaderIs(true)
  await stage.note()
  expect(stage.told).toEqual(['suspended', 'connected'])
})

test('notes that name a part of the sessions each prove something when they have named all, as of the first of them', async () => {
  const asked: (() => void)[] = []
  const stage = new Stage(() => new Promise<void>((resolve) => void asked.push(resolve)))
  const session = stage.open(8000)
  await stage.time.pass(2000)
  await stage.note(false)
  await stage.time.pass(1000)
  await stage.note(false)
  expect(asked).toHaveLength(0)
  await stage.time.pass(500)
  await stage.note(true)
  expect(asked).toHaveLength(1)
  asked[0]!()
  await settled()
  // Of 6,000 ms, early by an eighth of an eighth.
  await stage.time.pass(6000 - 3500 - 126)
  expect(session.state).toBe('connected')
  await stage.time.pass(126)
  expect(stage.told).toEqual(['suspended', 'jeopardy'])
})

test('an answer that comes late says that the ensemble heard of us when it was asked for, and no later', async () => {
  const asked: (() => void)[] = []
  const stage = new Stage(() => new Promise<void>((resolve) => void asked.push(resolve)))
  stage.open(8000)
  await stage.time.pass(2000)
  await stage.note()
  await stage.time.pass(4500)
  expect(stage.told).toEqual(['suspended', 'jeopardy'])
  asked[0]!()
  await settled()
  expect(stage.told).toEqual(['suspended', 'jeopardy'])
  await stage.note()
  asked[1]!()
  await settled()
  expect(stage.told).toEqual(['suspended', 'jeopardy', 'safe', 'connected'])
})

test('a process that stood still for half the timeout tells so, even if it is told first that all is well', async () => {
  const stage = new Stage()
  stage.open(8000)
  stage.time.now += 5000
  await stage.note()
  expect(stage.told).toEqual(['suspended', 'jeopardy', 'safe', 'connected'])
})

/** What comes next, and how long it takes. */
const EVENTS = fc.array(
  fc.record({
    what: fc.constantFrom('beat', 'beat', 'beat', 'beat', 'deaf', 'mute', 'heal', 'part', 'lead', 'stall'),
    ms: fc.nat(400),
  }),
  { maxLength: 80 },
)

test('whatever is lost, late or stands still: who runs is told of jeopardy before the leader can have declared the session expired', async () => {
  await fc.assert(
    fc.asyncProperty(EVENTS, fc.constantFrom(400, 700, 2000), async (events, timeoutMs) => {
      // Ours to the leader, and the leader's to us: in order, none overtakes; what is held back comes when it heals, and is gone with the connection.
      let connection = 0
      let isDeaf = false
      let isMute = false
      let up: (() => void)[] = []
      let down: (() => void)[] = []
      let heardAt = 0
      let wasExpired = false
      const carry = (): void => {
        while (!isMute && up.length > 0) up.shift()!()
        while (!isDeaf && down.length > 0) down.shift()!()
      }
      const stage = new Stage(
        () =>
          new Promise<void>((resolve) => {
            up.push(() => {
              wasExpired ||= isExpired()
              const isAlive = !wasExpired
              down.push(() => {
                stage.isAlive = isAlive
                resolve()
              })
            })
            carry()
          }),
      )
      const session = stage.open(timeoutMs)
      const isExpired = (): boolean => stage.time.now >= heardAt + timeoutMs
      const look = (): void => {
        wasExpired ||= isExpired()
        if (wasExpired) expect(['jeopardy', 'expired']).toContain(session.state)
      }
      for (const { what, ms } of events) {
        if (session.state === 'expired') break
        if (what === 'deaf') isDeaf = true
        if (what === 'mute') isMute = true
        if (what === 'heal') isDeaf = isMute = false
        if (what === 'part' || what === 'lead') {
          up = []
          down = []
          connection = what === 'lead' ? connection + 1 : 0
          stage.pulse.leaderIs(false)
          if (what === 'lead') {
            isDeaf = isMute = false
            // The same one, or another, which gives every session its time again.
            if (!wasExpired && ms % 2 === 0) heardAt = stage.time.now
            stage.pulse.leaderIs(true)
          }
        }
        carry()
        await settled()
        if (what === 'stall') {
          // Messages may be heard before the timers, or behind them.
          stage.time.now += 5 * ms
          wasExpired ||= isExpired()
          if (ms % 2 === 0) await stage.time.pass(0)
          carry()
          await settled()
          await stage.time.pass(0)
        } else {
          for (let passed = 0; passed < ms; passed += 10) {
            await stage.time.pass(10)
            wasExpired ||= isExpired()
            look()
          }
        }
        if (connection > 0 || what === 'beat') {
          up.push(() => {
            wasExpired ||= isExpired()
            if (!wasExpired) heardAt = stage.time.now
          })
          stage.pulse.noted(true)
        }
        carry()
        await settled()
        look()
      }
    }),
    { numRuns: 400 },
  )
})
