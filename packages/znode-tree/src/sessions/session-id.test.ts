import { expect, test } from 'vitest'
import { codeOf, Stage } from '../machine.test-support.ts'
import type { SessionId } from '../types.ts'

const MEMBER = 0x80n << 56n

test.each([
  ['of another member', 0x0200_0000_0000_0001n],
  ['of nobody', 0n],
  ['behind which another member begins', 0x80ff_ffff_ffff_ffffn],
  ['that ZooKeeper takes for a container', 2n ** 63n],
  ['that ZooKeeper takes for a TTL', 0xff00_0000_0000_0001n],
])('a local session does not become a global one under an id %s', (_, id: SessionId) => {
  const stage = new Stage()
  expect(() => stage.leader.encodeRequest({ kind: 'createSession', peer: 0x80, timeoutMs: 4000, id })).toThrow('no session id of member 128')
})

test('the ids that a member gives out lie behind those of its local sessions that became global, above 2^63 too', () => {
  const stage = new Stage()
  const local = MEMBER | 0xff_ffff_ffff_fff0n
  expect(codeOf(stage.ask({ kind: 'createSession', peer: 0x80, timeoutMs: 4000, id: local }))).toBe('OK')
  const next = stage.open(4000, 0x80)
  expect(next.id).toBe(local + 1n)
  next.close()
  expect(stage.open(4000, 0x80).id).toBe(local + 2n)
})

test('behind the beginning of one that became global, which is only prepared, another gets the same id as behind one that is applied', () => {
  const local = MEMBER | 0xff_ffff_ffff_ff00n
  const stage = new Stage()
  stage.prepare({ kind: 'createSession', peer: 0x80, timeoutMs: 4000, id: local })
  stage.prepare({ kind: 'createSession', peer: 0x80, timeoutMs: 4000, id: null })
  expect(stage.flush().map((result) => (result.type === 'session' ? result.session : result.type))).toEqual([local, local + 1n])
})
