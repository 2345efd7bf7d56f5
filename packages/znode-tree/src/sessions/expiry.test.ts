import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Stage } from '../machine.test-support.ts'
import { SessionExpiry, UNARMED } from './expiry.ts'
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

test('a session that is taken over before the leader has asked for its end lives on', () => {
  const stage = new Stage()
  for (let i = 0; i < 300; i++) stage.prepare({ kind: 'createSession', peer: 1, timeoutMs: 4000, id: null })
  const last = stage.flush().at(-1)!
  if (last.type !== 'session') throw new Error(last.type)
  let asked = 0
  while (asked === 0) asked = stage.tick(1000).length
  expect(asked).toBe(256)
  stage.ask({ kind: 'attachSession', session: last.session, password: passwordOf(last.session), peer: 2, timeoutMs: 4000 })
  expect(stage.tick(100)).toHaveLength(43)
  expect(stage.leader.session(last.session)).not.toBeNull()
})

test('a session ends between its timeout and a bucket more behind the last word of it, whatever was said in between, and is told once', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(7), fc.nat(3), fc.nat(400)), { maxLength: 200 }), (steps) => {
      const minMs = 1600
      const bucketMs = minMs / 2
      const expiry = new SessionExpiry(minMs)
      const sessions: Session[] = [1, 2, 3, 4].map((id) => ({ id: BigInt(id), timeoutMs: 800 * id, peer: 1, attachment: 1 as never, bucket: UNARMED }))
      const heardAt = new Map<Session, number>()
      let now = 0
      expiry.begin([], now)
      for (const [what, which, ms] of steps) {
        const session = sessions[which]!
        if (what === 0) expiry.remove(session)
        if (what === 0) heardAt.delete(session)
        if (what === 1) session.timeoutMs = 100 + 3 * ms
        if (what === 1 || what === 2) expiry.arm(session)
        if (what === 1 || what === 2 || (what === 3 && heardAt.has(session))) heardAt.set(session, now)
        if (what === 3) expiry.touch(session)
        if (what === 4 && ms % 10 === 0) {
          expiry.end()
          expiry.begin(heardAt.keys(), now)
          for (const held of heardAt.keys()) heardAt.set(held, now)
        }
        if (what < 5) continue
        now += ms
        const expired = expiry.advance(now)
        expect(new Set(expired).size).toBe(expired.length)
        for (const [held, at] of [...heardAt]) {
          const silentMs = now - at
          if (expired.includes(held)) expect(silentMs).toBeGreaterThanOrEqual(held.timeoutMs)
          else expect(silentMs).toBeLessThan(held.timeoutMs + bucketMs)
        }
        for (const held of expired) expect(heardAt.delete(held)).toBe(true)
      }
    }),
    { numRuns: 500 },
  )
})
