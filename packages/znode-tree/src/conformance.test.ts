import { testStateMachine } from '@antiphon/conformance'
import type { Zxid } from '@antiphon/ports'
import { test } from 'vitest'
import { bytes, check, create, multi, remove, setAcl, setData } from './machine.test-support.ts'
import { znodeTree } from './machine.ts'
import { firstSessionId, passwordOf } from './sessions/session-id.ts'
import { ALL, type Identity, type MultiPart, READ, type SessionId, type WriteOperation, type ZnodeRequest } from './types.ts'

/** The suite's contexts: request `number` is prepared at this time, and its entry has this ZXID. */
const timeOf = (number: number): number => 1_700_000_000_000 + 13 * number
const zxidOf = (number: number): Zxid => (2 ** 32 + number + 1) as Zxid

const FIRST = firstSessionId(1, timeOf(0))
const SECOND = firstSessionId(2, timeOf(1))
const USER: Identity = { scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }

function write(operation: WriteOperation | MultiPart, session: SessionId = FIRST, attachment: Zxid = zxidOf(0), local = false): ZnodeRequest {
  return { kind: 'write', session, attachment, local, identities: [USER], operation: operation as WriteOperation }
}

const requests: ZnodeRequest[] = [
  { kind: 'createSession', peer: 1, timeoutMs: 10_000, id: null },
  { kind: 'createSession', peer: 2, timeoutMs: 1, id: null },
  write(create('/a', { data: 'first' })),
  write(create('/a/s-', { mode: 'persistent-sequential', data: null })),
  write(create('/a/e-', { mode: 'ephemeral-sequential', data: 'mine' })),
  write(create('/a/other', { mode: 'ephemeral' }), SECOND, zxidOf(1)),
  write(setData('/a', 'second')),
  write(setData('/a', 'third', 7)),
  write(setAcl('/a', [{ perms: ALL, scheme: 'auth', id: '' }])),
  write(multi(create('/m'), create('/m/n', { data: 'ñ' }), setData('/m', 'x'), check('/m', 1), remove('/m/n'))),
  write(multi(create('/p'), check('/none'), create('/q'))),
  write(create('/box', { mode: 'container' })),
  write(create('/brief', { mode: 'persistent-with-ttl', ttlMs: 5, acl: [{ perms: READ, scheme: 'world', id: 'anyone' }] })),
  { kind: 'attachSession', session: SECOND, password: passwordOf(SECOND), peer: 3, timeoutMs: 20_000 },
  write(create('/moved'), SECOND, zxidOf(1)),
  write(create('/a/again', { mode: 'ephemeral', data: 'x'.repeat(3000) }), SECOND, zxidOf(13)),
  { kind: 'attachSession', session: SECOND, password: new Uint8Array(16), peer: 3, timeoutMs: 20_000 },
  write(remove('/a/other', 0)),
  write(create('/a/e2', { mode: 'ephemeral' })),
  { kind: 'closeSession', session: FIRST, attachment: zxidOf(0) },
  write(create('/late', { mode: 'ephemeral' })),
  { kind: 'setConfig', data: bytes('version=100000000') },
  { kind: 'reap', path: '/brief' },
  write(create('/local'), 9n, zxidOf(0), true),
  write(create('/local/e', { mode: 'ephemeral' }), 9n, zxidOf(0), true),
  { kind: 'createSession', peer: 1, timeoutMs: 10_000, id: 0x0100_0000_0000_0009n },
  { kind: 'closeSession', session: SECOND, attachment: null },
  write(setData('/m', null)),
]

/** From the first state to one of several chunks, with the same two sessions. */
const bulk: ZnodeRequest[] = [
  ...requests.slice(0, 2),
  ...Array.from({ length: 90 }, (_, i) => write(create(`/bulk-${i}`, { data: `${i} `.repeat(900), mode: i % 2 === 0 ? 'persistent' : 'ephemeral' }))),
]

testStateMachine(test, {
  create: () => znodeTree({ enforceQuota: true }),
  requests,
  bulk,
  refused: [
    { kind: 'reap', path: '/zookeeper' },
    { kind: 'reap', path: '/none' },
    { kind: 'closeSession', session: 77n, attachment: null },
  ],
})
