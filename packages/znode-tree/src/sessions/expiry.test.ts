import { expect, test } from 'vitest'
import { Stage } from '../machine.test-support.ts'
import { passwordOf } from './session-id.ts'

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
