import fc from 'fast-check'
import { expect, test } from 'vitest'
import { create, Stage } from '../machine.test-support.ts'
import { leastTimeoutMs, SessionExpiry, UNARMED } from './expiry.ts'
import { passwordOf } from './session-id.ts'
import type { Session } from './session-table.ts'

test('a session that is taken over has its whole timeout before it', () => {
  const stage = new Stage()
  const holder = stage.open(10_000)
  for (let ms = 0; ms < 9_000; ms += 1000) expect(stage.tick(1000)).toEqual([])
  stage.ask({ kind: 'attachSession', session: holder.id, password: passwordOf(holder.id), peer: 2, timeoutMs: 10_000 })
  for (let ms = 0; ms < 9_000; ms += 1000) expect(stage.tick(1000)).toEqual([])
  expect(stage.leader.session(holder.id)).not.toBeNull()
  let closed = 0
  for (let ms = 0; ms < 4_000; ms += 1000) closed += stage.tick(1000).length
  expect(closed).toBe(1)
  expect(stage.leader.session(holder.id)).toBeNull()
})

test('a session that is taken over, or heard of, before the leader has asked for its end lives on', () => {
  const stage = new Stage()
  for (let i = 0; i < 300; i++) stage.prepare({ kind: 'createSession', peer: 1, timeoutMs: 4000, id: null })
  const last = stage.flush().at(-1)!
  if (last.type !== 'session') throw new Error(last.type)
  const held = last.session - 1n
  let asked = 0
  while (asked === 0) asked = stage.tick(1000).length
  expect(asked).toBe(256)
  stage.ask({ kind: 'attachSession', session: last.session, password: passwordOf(last.session), peer: 2, timeoutMs: 4000 })
  stage.leader.touch(held)
  stage.hear(stage.leader)
  expect(stage.tick(100)).toHaveLength(42)
  expect(stage.leader.session(held)).not.toBeNull()
  expect(stage.leader.session(last.session)).not.toBeNull()
})

const MIN_MS = 4000
const BUCKET_MS = MIN_MS / 2

const sessionOf = (id: number, timeoutMs: number): Session => ({ id: BigInt(id), timeoutMs, peer: 1, attachment: 1 as never, bucket: UNARMED })

/** What happens to which session how long behind what was before; `late`: the tick comes so much too late. */
const STEPS = fc.array(
  fc.record({
    what: fc.constantFrom('tick', 'tick', 'tick', 'touch', 'touch', 'arm', 'remove', 'reign'),
    which: fc.nat(3),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
    late: fc.constantFrom(0, 0, 0, 0.01, 0.2, 0.49, 3, 1000),
  }),
  { maxLength: 200 },
)

test.each([100, 1000, 2000, 10_000])(
  'with ticks of %i ms a session ends at its timeout, or at most a bucket and a tick later, and is told once; what the leader stood still does not count',
  (tickMs) => {
    fc.assert(
      fc.property(STEPS, (steps) => {
        const expiry = new SessionExpiry(MIN_MS)
        const sessions = [1, 1.13, 1.77, 10].map((times, id) => sessionOf(id, times * Math.max(MIN_MS, 4 * tickMs)))
        /** When something was heard of it; from when on it counts at the latest. */
        const armed = new Map<Session, { at: number; countsFrom: number }>()
        let now = 7
        let tickedAt = now
        /** Of ticks that came late: what they were late beyond what counts. */
        let stoodStillMs = 0
        const counted = (ms: number): number => ms - stoodStillMs
        const stepMs = Math.max(MIN_MS / 4, 1.5 * tickMs)
        expiry.begin([], now, tickMs)
        for (const { what, which, part, late } of steps) {
          const session = sessions[which]!
          // Between two ticks.
          if (what !== 'tick') now = Math.max(now, tickedAt + part * tickMs)
          if (what === 'remove') {
            expiry.remove(session)
            armed.delete(session)
          } else if (what === 'arm') {
            expiry.arm(session)
            armed.set(session, { at: now, countsFrom: Number.POSITIVE_INFINITY })
          } else if (what === 'touch') {
            expiry.touch(session, now)
            const before = armed.get(session)
            // What is armed counts from the next tick, whatever is heard of it until then.
            if (before !== undefined)
              armed.set(session, { at: now, countsFrom: before.countsFrom === Number.POSITIVE_INFINITY ? before.countsFrom : counted(now) })
          } else if (what === 'reign') {
            expiry.end()
            expiry.begin(armed.keys(), now, tickMs)
            tickedAt = now
            for (const held of armed.keys()) armed.set(held, { at: now, countsFrom: counted(now) })
          }
          if (what !== 'tick') continue
          const gapMs = tickMs * (1 + late)
          now = tickedAt + gapMs
          tickedAt = now
          stoodStillMs += Math.max(0, gapMs - stepMs)
          for (const [held, { at, countsFrom }] of armed) armed.set(held, { at, countsFrom: Math.min(countsFrom, counted(now)) })
          const expired = expiry.advance(now)
          expect(new Set(expired).size).toBe(expired.length)
          for (const [held, { at, countsFrom }] of armed) {
            if (expired.includes(held)) expect(now - at).toBeGreaterThanOrEqual(held.timeoutMs - 1e-6)
            else expect(counted(now) - countsFrom).toBeLessThan(held.timeoutMs + BUCKET_MS + 1e-6)
          }
          for (const held of expired) {
            expect(armed.delete(held)).toBe(true)
            held.bucket = UNARMED
          }
        }
      }),
      { numRuns: 300 },
    )
  },
)

test.each([100, 1000, 2000, 10_000])('with ticks of %i ms nobody expires for a leader that stood still, whose last word was not heard before', (tickMs) => {
  const least = Math.max(MIN_MS, leastTimeoutMs(tickMs))
  for (const pauseMs of [tickMs, 3 * tickMs, least, 100 * least]) {
    const expiry = new SessionExpiry(MIN_MS)
    const [held, silent] = [sessionOf(1, least), sessionOf(2, least)]
    let now = 0
    expiry.begin([held, silent], now, tickMs)
    for (let i = 0; i < 3; i++) {
      expect(expiry.advance((now += tickMs))).toEqual([])
      expiry.touch(held, now)
      expiry.touch(silent, now)
    }
    // What comes with this tick waits in the sockets until the one behind the pause is over.
    expect(expiry.advance((now += tickMs))).toEqual([])
    expect(expiry.advance((now += tickMs + pauseMs))).toEqual([])
    expiry.touch(held, now)
    const expired: Session[] = []
    for (let ms = 0; ms < least + BUCKET_MS + tickMs; ms += tickMs) {
      expired.push(...expiry.advance((now += tickMs)))
      expiry.touch(held, now)
    }
    expect(expired).toEqual([silent])
  }
})

test.each([100, 1000, 2000, 10_000])('with ticks of %i ms a session ends in time, whenever between two ticks it was heard of or opened', (tickMs) => {
  for (let part = 0; part < 1; part += 0.09) {
    for (let times = 1; times < 2; times += 0.031) {
      for (const what of ['touch', 'arm'] as const) {
        const session = sessionOf(1, times * Math.max(MIN_MS, leastTimeoutMs(tickMs)))
        const expiry = new SessionExpiry(MIN_MS)
        expiry.begin([session], 0, tickMs)
        for (let i = 1; i <= 3; i++) expect(expiry.advance(i * tickMs)).toEqual([])
        const at = (3 + part) * tickMs
        if (what === 'touch') expiry.touch(session, at)
        else expiry.arm(session)
        let ticks = 4
        while (expiry.advance(ticks * tickMs).length === 0) ticks++
        expect(ticks * tickMs - at).toBeGreaterThanOrEqual(session.timeoutMs)
        // What is opened counts from the next tick on.
        expect(ticks * tickMs - (what === 'touch' ? at : 4 * tickMs)).toBeLessThanOrEqual(session.timeoutMs + BUCKET_MS + tickMs)
      }
    }
  }
})

test('a session has at least four ticks, whatever it asks for', () => {
  const stage = new Stage({ sessionTimeoutMsMax: 30_000 })
  stage.tickMs = 10_000
  stage.reignAnew()
  const { id } = stage.open(5000)
  expect(stage.leader.session(id)?.timeoutMs).toBe(40_000)
  const tree = stage.leader
  tree.touch(id)
  for (let i = 0; i < 20; i++) {
    expect(stage.tick(10_000)).toEqual([])
    stage.hear(tree)
    tree.touch(id)
  }
  let ticks = 0
  while (stage.tick(10_000).length === 0) ticks++
  expect(ticks).toBe(4)
})

test('what the leader asks for by itself is no word of the session that wrote last', () => {
  const stage = new Stage()
  const silent = stage.open(4000)
  expect(silent.code(create('/x'))).toBe('OK')
  for (let second = 0; second < 8; second++) {
    stage.ask({ kind: 'setConfig', data: new Uint8Array(1) })
    stage.tick(1000)
  }
  expect(stage.leader.session(silent.id)).toBeNull()
})

test('in each reign a session has its timeout anew, and no more: whenever it begins, and how long ever the last one was', () => {
  const stage = new Stage()
  for (let second = 0; second < 20; second++) stage.tick(1000)
  const holder = stage.open(5900)
  stage.reignAnew()
  stage.monotonic += 60_000
  for (let twice = 0; twice < 2; twice++) stage.reignAnew()
  for (let ms = 100; ms < 5900; ms += 100) expect(stage.tick(100)).toEqual([])
  for (let ms = 5900; ms <= 8000; ms += 100) stage.tick(100)
  expect(stage.leader.session(holder.id)).toBeNull()
})

test('a timeout that this leader, with its ticks, can not keep counts as the shortest that it can', () => {
  const expiry = new SessionExpiry(800)
  const session: Session = { id: 1n, timeoutMs: 800, peer: 1, attachment: 1 as never, bucket: UNARMED }
  expiry.begin([], 0, 1000)
  expiry.arm(session)
  for (const monotonic of [1000, 2000, 3000, 4000, 5000]) expect(expiry.advance(monotonic)).toEqual([])
  expect(expiry.advance(6000)).toEqual([session])
})
