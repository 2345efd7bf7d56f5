import { AntiphonError, type PrimaryContext, type Zxid, zxidOf } from '@antiphon/ports'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ATTACH, OPEN_SESSION } from './changes.ts'
import { batchOf, bytes, START_TIME, stateOf } from './machine.test-support.ts'
import { znodeTree } from './machine.ts'
import { passwordOf } from './sessions/session-id.ts'
import { type Acl, ALL, CREATE_MODES, type MultiPart, OPEN_ACL, READ, type SessionId, WRITE, type WriteOperation, type ZnodeRequest } from './types.ts'

/** Programs are asked of two primaries: one applies each change before it prepares the next, the other when the program says so. What they prepare must be the same bytes. */

type Step =
  | { readonly kind: 'open'; readonly peer: number }
  | { readonly kind: 'attach'; readonly who: number; readonly isRight: boolean }
  | { readonly kind: 'close'; readonly who: number; readonly isOwn: boolean }
  | { readonly kind: 'write'; readonly who: number; readonly local: boolean; readonly stale: boolean; readonly operation: WriteOperation }
  | { readonly kind: 'reap'; readonly path: string }
  | { readonly kind: 'config' }

interface Turn {
  readonly step: Step
  /** Prepared, and taken back. */
  readonly before: Step | null
  /** Changes that are applied behind it, of those that wait. */
  readonly applied: number
}

const paths = fc.constantFrom(
  '/a',
  '/b',
  '/a/a',
  '/a/b',
  '/b/a',
  '/a/a/a',
  '/',
  '/q',
  '/q/a',
  '/a/0000000001',
  '/zookeeper/quota/q/zookeeper_limits',
  'bad',
  '/a/',
)
const acls: fc.Arbitrary<readonly Acl[]> = fc.constantFrom<(readonly Acl[])[]>(
  OPEN_ACL,
  OPEN_ACL,
  OPEN_ACL,
  [{ perms: READ | WRITE, scheme: 'world', id: 'anyone' }],
  [{ perms: ALL, scheme: 'auth', id: '' }],
  [],
)
const versions = fc.constantFrom(-1, -1, 0, 1, 2)
const data = fc.constantFrom(null, bytes(''), bytes('some'), bytes('count=-1,bytes=-1=;byteHardLimit=9;countHardLimit=3'))
const parts: fc.Arbitrary<MultiPart> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .record({ path: paths, data, acl: acls, mode: fc.constantFrom(...CREATE_MODES), ttl: fc.constantFrom(1, 50, 0) })
      .map(({ path, data, acl, mode, ttl }) => ({ type: 'create' as const, path, data, acl, mode, ttlMs: mode.endsWith('ttl') ? ttl : 0 })),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), path: paths, version: versions }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('setData' as const), path: paths, data, version: versions }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('check' as const), path: paths, version: versions }) },
)
const operations: fc.Arbitrary<WriteOperation> = fc.oneof(
  { weight: 6, arbitrary: parts.filter((part) => part.type !== 'check') as fc.Arbitrary<WriteOperation> },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('setAcl' as const), path: paths, acl: acls, version: versions }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('multi' as const), operations: fc.array(parts, { maxLength: 5 }) }) },
)
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('open' as const), peer: fc.constantFrom(1, 2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('attach' as const), who: fc.nat(5), isRight: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('close' as const), who: fc.nat(5), isOwn: fc.boolean() }) },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      who: fc.nat(5),
      local: fc.constantFrom(false, false, false, true),
      stale: fc.constantFrom(false, false, false, false, true),
      operation: operations,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reap' as const), path: paths }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'config' as const }) },
)
const turns: fc.Arbitrary<Turn> = fc.record({ step: steps, before: fc.option(steps, { freq: 4 }), applied: fc.constantFrom(0, 0, 0, 1, 2, 9) })

/** Of a change that opens a session or takes one over. */
function idOf(change: Uint8Array): SessionId {
  return new DataView(change.buffer, change.byteOffset).getBigUint64(1)
}

class Primary {
  readonly machine = znodeTree({ enforceQuota: true })
  readonly changes: { readonly change: Uint8Array; readonly zxid: Zxid; readonly time: number }[] = []
  #applied = 0
  #sessions: { readonly id: SessionId; first: Zxid; attachment: Zxid }[] = []

  constructor() {
    this.machine.leading!(this.#context)
  }

  get #context(): PrimaryContext {
    const number = this.changes.length + 1
    return { epoch: 1, zxid: zxidOf(1, number), time: START_TIME + 20 * number, monotonic: 0, tickMs: 100, changeBytesMax: 1 << 20, random: () => 4 }
  }

  /** Null: refused. */
  prepare(step: Step): Uint8Array | null {
    const { zxid } = this.#context
    const change = this.#try(step)
    if (change === null) return null
    if (change[0] === OPEN_SESSION) this.#sessions.push({ id: idOf(change), first: zxid, attachment: zxid })
    if (change[0] === ATTACH) this.#sessions.find(({ id }) => id === idOf(change))!.attachment = zxid
    this.changes.push({ change, zxid, time: this.#context.time })
    return change
  }

  prepareInVain(step: Step): void {
    if (this.#try(step) !== null) this.machine.unprepare!()
  }

  apply(count: number): void {
    const batch = this.changes.slice(this.#applied, this.#applied + count)
    this.#applied += batch.length
    this.machine.apply(batchOf(batch))
  }

  #try(step: Step): Uint8Array | null {
    try {
      const request = this.machine.encodeRequest(this.#request(step))
      expect(this.machine.encodeRequest(this.machine.decodeRequest(request))).toEqual(request)
      return this.machine.prepare!(request, this.#context).slice()
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'REFUSED' })
      return null
    }
  }

  #request(step: Step): ZnodeRequest {
    switch (step.kind) {
      case 'open':
        return { kind: 'createSession', peer: step.peer, timeoutMs: 10_000, id: null }
      case 'attach': {
        const { id } = this.#session(step.who)
        return { kind: 'attachSession', session: id, password: passwordOf(step.isRight ? id : id + 1n), peer: 3, timeoutMs: 9000 }
      }
      case 'close': {
        const { id, attachment } = this.#session(step.who)
        return { kind: 'closeSession', session: id, attachment: step.isOwn ? attachment : null }
      }
      case 'write': {
        const { id, first, attachment } = this.#session(step.who)
        const identities = step.who % 2 === 0 ? [] : [{ scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }]
        return { kind: 'write', session: id, attachment: step.stale ? first : attachment, local: step.local, identities, operation: step.operation }
      }
      case 'reap':
        return { kind: 'reap', path: step.path }
      case 'config':
        return { kind: 'setConfig', data: bytes('version=1') }
    }
  }

  #session(who: number): { readonly id: SessionId; readonly first: Zxid; readonly attachment: Zxid } {
    return this.#sessions[who % Math.max(1, this.#sessions.length)] ?? { id: 5n, first: zxidOf(1, 1), attachment: zxidOf(1, 1) }
  }
}

test('what is prepared does not depend on what is applied yet, nor on what was taken back; and what was prepared fits wherever it is applied', () => {
  fc.assert(
    fc.property(fc.array(turns, { minLength: 20, maxLength: 80, size: 'max' }), (program) => {
      const [eager, lazy] = [new Primary(), new Primary()]
      for (const { step, before, applied } of program) {
        if (before !== null) lazy.prepareInVain(before)
        const expected = eager.prepare(step)
        eager.apply(1)
        expect(lazy.prepare(step), JSON.stringify(step)).toEqual(expected)
        lazy.apply(applied)
      }
      lazy.apply(Infinity)
      expect(lazy.machine.digest()).toBe(eager.machine.digest())
      const follower = znodeTree()
      follower.apply(batchOf(lazy.changes))
      expect(stateOf(follower)).toEqual(stateOf(lazy.machine))
      expect(stateOf(lazy.machine)).toEqual(stateOf(eager.machine))
    }),
    { numRuns: 150 },
  )
})

test('a reign that ends leaves nothing of what it has prepared', () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 10, maxLength: 40, size: 'max' }), fc.nat(40), (program, cut) => {
      const [lost, fresh] = [new Primary(), new Primary()]
      for (const step of program.slice(0, cut)) {
        fresh.prepare(step)
        fresh.apply(1)
        lost.prepare(step)
        lost.apply(1)
      }
      for (const step of program) lost.prepareInVain(step)
      const { machine, changes } = lost
      const kept = changes.length
      for (const step of program) lost.prepare(step)
      changes.length = kept
      machine.abandon!()
      machine.leading!({ epoch: 2, zxid: zxidOf(1, kept + 1), time: START_TIME, monotonic: 0, tickMs: 100, changeBytesMax: 1 << 20, random: () => 4 })
      for (const step of program)
        if (step.kind !== 'attach' && step.kind !== 'close' && step.kind !== 'write') expect(lost.prepare(step)).toEqual(fresh.prepare(step))
    }),
    { numRuns: 100 },
  )
})

test('what is no request is refused, and leaves nothing', () => {
  const primary = new Primary()
  primary.prepare({ kind: 'open', peer: 1 })
  const samples: Uint8Array[] = []
  fc.assert(
    fc.property(steps, fc.array(fc.record({ at: fc.nat(200), value: fc.nat(255) }), { maxLength: 3 }), fc.nat(200), (step, flips, length) => {
      const { machine } = primary
      const expected = primary.prepare({ kind: 'config' })
      primary.changes.pop()
      machine.unprepare!()
      const clean = machine.encodeRequest(requestOf(step)).slice()
      samples.push(clean)
      const bad = clean.slice(0, Math.max(1, clean.length - (length > 100 ? 0 : length)))
      for (const { at, value } of flips) bad[at % bad.length] = value
      try {
        machine.prepare!(bad, { epoch: 1, zxid: zxidOf(1, 2), time: START_TIME, monotonic: 0, tickMs: 100, changeBytesMax: 1 << 20, random: () => 4 })
        machine.unprepare!()
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(AntiphonError)
      }
      expect(primary.prepare({ kind: 'config' })).toEqual(expected)
      primary.changes.pop()
      machine.unprepare!()
    }),
    { numRuns: 2000 },
  )
  expect(samples.length).toBeGreaterThan(1000)
})

function requestOf(step: Step): ZnodeRequest {
  if (step.kind === 'write')
    return {
      kind: 'write',
      session: 9n,
      attachment: zxidOf(1, 1),
      local: step.local,
      identities: [{ scheme: 'ip', id: '10.0.0.1' }],
      operation: step.operation,
    }
  if (step.kind === 'attach') return { kind: 'attachSession', session: 9n, password: passwordOf(9n), peer: 1, timeoutMs: 1 }
  if (step.kind === 'close') return { kind: 'closeSession', session: 9n, attachment: zxidOf(1, 1) }
  if (step.kind === 'open') return { kind: 'createSession', peer: step.peer, timeoutMs: 1, id: null }
  return step.kind === 'reap' ? step : { kind: 'setConfig', data: bytes('x') }
}
