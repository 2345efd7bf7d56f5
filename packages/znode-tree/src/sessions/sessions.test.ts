import { describe, expect, test } from 'vitest'
import { check, codeOf, create, type Holder, multi, remove, Stage, setData } from '../machine.test-support.ts'
import type { SessionListener } from '../machine-types.ts'
import type { ZnodeResult } from '../types.ts'
import { Listener } from '../watches/world.test-support.ts'
import { firstSessionId, nextSessionId, passwordOf, peerOf } from './session-id.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What is told of sessions on one replica. */
class Ears implements SessionListener {
  readonly told: string[] = []
  closed(session: bigint, reason: 'closed' | 'expired'): void {
    this.told.push(`${reason} ${session}`)
  }
  moved(session: bigint): void {
    this.told.push(`moved ${session}`)
  }
  restored(): void {
    this.told.push('restored')
  }
  applied(): void {}
}

function attach(holder: Holder, timeoutMs = 10_000, password = passwordOf(holder.id), peer = 2): ZnodeResult {
  return holder.stage.ask({ kind: 'attachSession', session: holder.id, password, peer, timeoutMs })
}

/** Who holds the session from now on. */
function taken(holder: Holder): Holder {
  const { zxid } = attach(holder)
  const next = Object.assign(Object.create(Object.getPrototypeOf(holder) as object) as Holder, holder)
  next.attachment = zxid
  return next
}

describe('ids and passwords (client-protocol.md section 3; ServerIdTest)', () => {
  test("the password is Java's random bytes of the id: the vector of Debian's server", () => {
    expect(hex(passwordOf(0x0100_0006_bcd8_0000n))).toBe('1a5723449fa3da678850ad0780c227be')
    const result = new Stage().ask({ kind: 'createSession', peer: 9, timeoutMs: 5000, id: null })
    if (result.type !== 'session') throw new Error(result.type)
    expect(result.password).toEqual(passwordOf(result.session))
  })

  test('an id has its member in the highest byte, the time below it, and is not what a container has', () => {
    expect(firstSessionId(1, 0x6bcd8)).toBe(0x0100_0006_bcd8_0000n)
    expect(firstSessionId(0x80, 0)).toBe(0x8000_0000_0000_0001n)
    for (const peer of [1, 127, 128, 254]) expect(peerOf(firstSessionId(peer, 1_795_000_000_000))).toBe(peer)
    expect(nextSessionId(1, 0x6bcd8, null)).toBe(0x0100_0006_bcd8_0000n)
    expect(nextSessionId(1, 0x6bcd8, 0x0100_0006_bcd8_0007n)).toBe(0x0100_0006_bcd8_0008n)
    expect(nextSessionId(1, 0x6bcd9, 0x0100_0006_bcd8_0007n)).toBe(0x0100_0006_bcd9_0000n)
  })

  test.each([
    [true, [1, 254], [0, 255, 256, -1, 1.5]],
    [false, [1, 254, 255], [0, 256]],
  ])('with TTL nodes: %s, sessions are made at the members %j, and not at %j', (ttlNodes, fit, unfit) => {
    const stage = new Stage({ ttlNodes })
    for (const peer of fit) expect(peerOf(stage.open(5000, peer).id)).toBe(peer)
    for (const peer of unfit) {
      expect(() => stage.open(5000, peer)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
      expect(() => attach(stage.open(), 5000, new Uint8Array(16), peer)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    }
  })

  test('an id is given once: whatever has ended, whoever leads, from whatever state, though the clock stand', async () => {
    const stage = new Stage()
    const first = stage.open()
    stage.ask({ kind: 'closeSession', session: first.id, attachment: null })
    stage.reignAnew()
    const second = stage.open()
    stage.ask({ kind: 'closeSession', session: second.id, attachment: null })
    const chunks = [...stage.leader.snapshot()]
    for (const machine of [stage.leader, stage.follower]) {
      await machine.restore(
        stage.leader.reader.zxid,
        (async function* () {
          yield* chunks
        })(),
      )
    }
    stage.reignAnew()
    const third = stage.open()
    expect(new Set([first.id, second.id, third.id]).size).toBe(3)
  })

  test('the session of a member whose byte is a TTL node’s has ephemeral nodes all the same', () => {
    const stage = new Stage({ ttlNodes: false })
    const holder = stage.open(5000, 255)
    expect(holder.write(create('/e', { mode: 'ephemeral' }))).toMatchObject({ stat: { ephemeralOwner: holder.id } })
    holder.close()
    expect(stage.leader.reader.exists('/e')).toBeNull()
  })
})

describe('timeouts (SessionTest; client-protocol.md section 3)', () => {
  test.each([
    [-1, 4000],
    [0, 4000],
    [3999, 4000],
    [4000, 4000],
    [12_345, 12_345],
    [40_000, 40_000],
    [40_001, 40_000],
    [Infinity, 40_000],
    [-Infinity, 4000],
  ])('%d ms asked for are %d ms, of a new session and of one that is taken over', (asked, given) => {
    const stage = new Stage()
    const opened = stage.ask({ kind: 'createSession', peer: 1, timeoutMs: asked, id: null })
    if (opened.type !== 'session') throw new Error(opened.type)
    expect([opened.timeoutMs, stage.leader.session(opened.session)?.timeoutMs]).toEqual([given, given])
    const holder = stage.open(20_000)
    expect(attach(holder, asked)).toMatchObject({ timeoutMs: given })
    expect(stage.follower.session(holder.id)?.timeoutMs).toBe(given)
  })

  test('what is no number is no request', () => {
    expect(() => new Stage().open(Number.NaN)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })
})

describe('who holds a session (SessionTest, QuorumTest: SESSIONMOVED; LeaderSessionTrackerTest)', () => {
  test('is who attached last: the one before may do nothing more, and its ephemeral nodes stay', () => {
    const stage = new Stage()
    const first = stage.open()
    first.writeAll([create('/p'), create('/p/e', { mode: 'ephemeral' })])
    const second = taken(first)
    for (const operation of [create('/x'), setData('/p', 'x'), remove('/p/e'), create('/y', { mode: 'ephemeral' })])
      expect(first.code(operation)).toBe('SESSION_MOVED')
    expect(codeOf(first.write(multi(check('/p'), create('/x'))))).toBe('SESSION_MOVED RUNTIME_INCONSISTENCY')
    expect(codeOf(first.close())).toBe('SESSION_MOVED')
    expect(second.code(setData('/p/e', 'mine'))).toBe('OK')
    const third = taken(second)
    expect([second.code(create('/x')), third.code(create('/x'))]).toEqual(['SESSION_MOVED', 'OK'])
    expect(stage.leader.reader.ephemerals(first.id)).toEqual(['/p/e'])
    expect(codeOf(third.close())).toBe('OK')
    expect(stage.leader.reader.exists('/p/e')).toBeNull()
    stage.alike()
  })

  test.each([-1, 1])('is not who names an attachment that is another by %i: neither may write, nor end the session', (by) => {
    const holder = new Stage().open()
    const held = holder.attachment
    holder.attachment = (held + by) as typeof held
    expect(holder.code(create('/x'))).toBe('SESSION_MOVED')
    expect(codeOf(holder.close())).toBe('SESSION_MOVED')
    holder.attachment = held
    expect(holder.code(create('/x'))).toBe('OK')
  })

  test('is told on every replica, also of what its old holder had under way', () => {
    const stage = new Stage()
    const first = stage.open()
    const ears = [new Ears(), new Ears()]
    stage.leader.listen(ears[0]!)
    stage.follower.listen(ears[1]!)
    stage.prepare({ kind: 'attachSession', session: first.id, password: passwordOf(first.id), peer: 2, timeoutMs: 5000 })
    first.prepare(create('/late'))
    const [, late] = stage.flush()
    expect(codeOf(late!)).toBe('SESSION_MOVED')
    for (const { told } of ears) expect(told).toEqual([`moved ${first.id}`])
    expect(stage.leader.session(first.id)).toMatchObject({ peer: 2, timeoutMs: 5000 })
  })

  test('is not who has one bit of the password wrong, whichever', () => {
    const holder = new Stage().open()
    for (let bit = 0; bit < 128; bit++) {
      const password = passwordOf(holder.id)
      password[bit >>> 3]! ^= 1 << (bit & 7)
      expect(codeOf(attach(holder, 5000, password))).toBe('SESSION_EXPIRED')
    }
    expect(holder.code(create('/x'))).toBe('OK')
  })

  test.each([
    ['a wrong password', (holder: Holder) => attach(holder, 5000, passwordOf(holder.id + 1n))],
    ['no password', (holder: Holder) => attach(holder, 5000, new Uint8Array(0))],
    ['a longer one', (holder: Holder) => attach(holder, 5000, new Uint8Array([...passwordOf(holder.id), 0]))],
    ['an id that nobody has', ({ stage }: Holder) => stage.ask({ kind: 'attachSession', session: 5n, password: passwordOf(5n), peer: 1, timeoutMs: 5000 })],
  ])('is not who comes with %s: SESSION_EXPIRED, as of a session that is gone, and nothing is moved', (_, come) => {
    const holder = new Stage().open()
    expect(come(holder)).toMatchObject({ type: 'error', error: 'SESSION_EXPIRED' })
    expect(holder.code(create('/x'))).toBe('OK')
  })
})

describe('the end of a session (SessionInvalidationTest, SessionTrackerTest, CloseSessionTxnTest, EphemeralNodeDeletionTest)', () => {
  test('is one change that takes its ephemeral nodes along, on every replica, and leaves those of others', () => {
    const stage = new Stage()
    const [holder, other] = [stage.open(), stage.open()]
    holder.writeAll([create('/p'), ...[0, 1, 2].map(() => create('/p/n-', { mode: 'ephemeral-sequential' })), create('/e', { mode: 'ephemeral' })])
    other.writeAll([create('/p/other', { mode: 'ephemeral' })])
    const listener = new Listener()
    for (const machine of [stage.leader, stage.follower]) machine.watches.add(listener, '/', 'recursive')
    const ears = new Ears()
    stage.follower.listen(ears)
    const counter = stage.counter
    const { zxid } = holder.close()
    expect(stage.counter).toBe(counter + 1)
    expect(ears.told).toEqual([`closed ${holder.id}`])
    const gone = ['deleted /e', ...[0, 1, 2].map((number) => `deleted /p/n-000000000${number}`)]
    expect(listener.heard.every((event) => event.zxid === zxid)).toBe(true)
    expect(listener.take()).toEqual([...gone, ...gone])
    expect(stage.leader.reader.children('/p')).toEqual(['other'])
    expect(stage.leader.reader.exists('/p')).toMatchObject({ pzxid: zxid, cversion: 4 + 3 })
    stage.alike()
  })

  test('whatever is asked in its name behind it fails, under way or applied; no late create brings it back', () => {
    const stage = new Stage()
    const holder = stage.open()
    const watching = stage.open()
    holder.prepare(create('/under-way', { mode: 'ephemeral' }))
    stage.prepare({ kind: 'closeSession', session: holder.id, attachment: holder.attachment })
    holder.prepare(create('/e', { mode: 'ephemeral' }))
    holder.prepare(multi(create('/p'), create('/e', { mode: 'ephemeral' })))
    stage.prepare({ kind: 'attachSession', session: holder.id, password: passwordOf(holder.id), peer: 1, timeoutMs: 5000 })
    stage.prepare({ kind: 'closeSession', session: holder.id, attachment: holder.attachment })
    expect(stage.flush().map(codeOf)).toEqual(['OK', 'OK', 'SESSION_EXPIRED', 'SESSION_EXPIRED RUNTIME_INCONSISTENCY', 'SESSION_EXPIRED', 'SESSION_EXPIRED'])
    expect(holder.code(create('/e', { mode: 'ephemeral' }))).toBe('SESSION_EXPIRED')
    stage.leader.touch(holder.id)
    stage.hear(stage.leader)
    expect([stage.leader.session(holder.id), stage.leader.reader.children('/')]).toEqual([null, ['zookeeper']])
    expect(watching.code(create('/e', { mode: 'ephemeral' }))).toBe('OK')
  })

  test('by the leader is told as expired; it ends whoever holds it, and is no entry when it is gone already', () => {
    const stage = new Stage()
    const first = stage.open()
    first.writeAll([create('/e', { mode: 'ephemeral' })])
    const second = taken(first)
    const ears = new Ears()
    stage.leader.listen(ears)
    expect(codeOf(second.close(null))).toBe('OK')
    expect(ears.told).toEqual([`expired ${first.id}`])
    expect(stage.leader.reader.exists('/e')).toBeNull()
    const counter = stage.counter
    expect(stage.tryPrepare({ kind: 'closeSession', session: first.id, attachment: null })).toBe('SESSION_EXPIRED')
    expect(stage.counter).toBe(counter)
  })

  test('an ephemeral node of one session can be deleted by another, and made by it, and is not deleted with the first then', () => {
    const stage = new Stage()
    const [one, other] = [stage.open(), stage.open()]
    one.writeAll([create('/e', { mode: 'ephemeral' })])
    other.writeAll([remove('/e'), create('/e', { mode: 'ephemeral' })])
    one.close()
    expect(stage.leader.reader.exists('/e')?.ephemeralOwner).toBe(other.id)
  })
})

describe('local sessions (SessionUpgradeTest, MultiOpSessionUpgradeTest, DuplicateLocalSessionUpgradeTest)', () => {
  const ID = 0x0100_0000_0000_0042n

  test('write, are in no table, and have no ephemeral nodes, in a multi neither', () => {
    const stage = new Stage()
    const local = Object.assign(stage.open(), { id: ID, attachment: 0 as never })
    const ask = (operation: Parameters<Holder['write']>[0]): string => local.code(operation, true)
    expect(ask(create('/p'))).toBe('OK')
    expect(ask(multi(create('/q'), setData('/p', 'x')))).toBe('create setData')
    for (const mode of ['ephemeral', 'ephemeral-sequential'] as const) {
      expect(ask(create('/e', { mode }))).toBe('EPHEMERAL_ON_LOCAL_SESSION')
      expect(ask(multi(create('/r'), create('/e', { mode })))).toBe('OK EPHEMERAL_ON_LOCAL_SESSION')
    }
    expect(stage.leader.session(ID)).toBeNull()
    expect(stage.leader.reader.children('/')).toEqual(['zookeeper', 'p', 'q'])
  })

  test('become global under their id, once', () => {
    const stage = new Stage()
    const upgrade = { kind: 'createSession', peer: 1, timeoutMs: 6000, id: ID } as const
    stage.prepare(upgrade)
    stage.prepare(upgrade)
    const [first, second] = stage.flush()
    expect(first).toMatchObject({ type: 'session', session: ID, timeoutMs: 6000, password: passwordOf(ID) })
    expect(second).toMatchObject({ type: 'error', error: 'NODE_EXISTS' })
    const holder = Object.assign(stage.open(), { id: ID, attachment: first!.zxid })
    expect(holder.code(multi(create('/p'), create('/p/e', { mode: 'ephemeral' })))).toBe('create create')
    expect(stage.leader.reader.ephemerals(ID)).toEqual(['/p/e'])
  })
})
