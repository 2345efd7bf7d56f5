import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { boundsAllocation, damaged, damages, decodedOrCorrupt, SEED } from './damaged-bytes.test-support.ts'
import { create, multi, remove, START_TIME, Stage, setAcl, setData } from './machine.test-support.ts'
import { znodeTree } from './machine.ts'
import { OP_CHECK, OP_SET_ACL, OP_SET_DATA } from './requests.ts'
import { firstSessionId, passwordOf } from './sessions/session-id.ts'
import { sessionsOfNote } from './sessions/touches.ts'
import {
  type Acl,
  CREATE_MODES,
  type Identity,
  type MultiPart,
  OPEN_ACL,
  type OperationResult,
  type SetAclOperation,
  type Stat,
  ZNODE_ERRORS,
  type ZnodeErrorCode,
  type ZnodeRequest,
  type ZnodeResult,
} from './types.ts'

const INT = { min: -(2 ** 31), max: 2 ** 31 - 1 }

// Values of every kind

const text = fc.oneof(
  fc.constantFrom('', '/', '/a/b', 'digest', 'world', 'anyone', '/ä/\uffef'),
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 120 }),
)
const data = fc.option(fc.uint8Array({ maxLength: 200 }))
const i32 = fc.integer(INT)
const u32 = fc.nat(2 ** 32 - 1)
const safe = fc.oneof(fc.nat(), fc.maxSafeNat())
const id64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const acl: fc.Arbitrary<readonly Acl[]> = fc.oneof(
  fc.constant(OPEN_ACL),
  fc.array(fc.record({ perms: i32, scheme: text, id: text }), { minLength: 1, maxLength: 4 }),
)
const identities: fc.Arbitrary<readonly Identity[]> = fc.array(fc.record({ scheme: text, id: text }), { maxLength: 3 })
const part: fc.Arbitrary<MultiPart> = fc.oneof(
  fc.record({ type: fc.constant('create' as const), path: text, data, acl, mode: fc.constantFrom(...CREATE_MODES), ttlMs: fc.maxSafeInteger() }),
  fc.record({ type: fc.constantFrom('delete' as const, 'check' as const), path: text, version: i32 }),
  fc.record({ type: fc.constant('setData' as const), path: text, data, version: i32 }),
)
const setAclOperation: fc.Arbitrary<SetAclOperation> = fc.record({ type: fc.constant('setAcl' as const), path: text, acl, version: i32 })
const peer = fc.integer({ min: 1, max: 254 })
const request: fc.Arbitrary<ZnodeRequest> = fc.oneof(
  fc.record({
    kind: fc.constant('write' as const),
    session: id64,
    attachment: safe,
    local: fc.boolean(),
    identities,
    operation: fc.oneof(
      part.filter(({ type }) => type !== 'check'),
      setAclOperation,
      fc.record({ type: fc.constant('multi' as const), operations: fc.array(part, { maxLength: 5 }) }),
    ),
  }),
  fc
    .tuple(peer, i32, fc.boolean(), safe)
    .map(([at, timeoutMs, isNew, time]) => ({ kind: 'createSession', peer: at, timeoutMs, id: isNew ? null : firstSessionId(at, time) })),
  fc.record({ kind: fc.constant('attachSession' as const), session: id64, password: fc.uint8Array({ maxLength: 20 }), peer, timeoutMs: i32 }),
  fc.record({ kind: fc.constant('closeSession' as const), session: id64, attachment: fc.option(safe) }),
  fc.record({ kind: fc.constant('reap' as const), path: text }),
  fc.record({ kind: fc.constant('setConfig' as const), data: fc.uint8Array({ maxLength: 200 }) }),
) as fc.Arbitrary<ZnodeRequest>

const stat = fc.record({
  czxid: safe,
  mzxid: safe,
  pzxid: safe,
  ctime: safe,
  mtime: safe,
  version: i32,
  cversion: i32,
  aversion: i32,
  ephemeralOwner: id64,
  dataLength: u32,
  numChildren: u32,
}) as unknown as fc.Arbitrary<Stat>
const outcome: fc.Arbitrary<OperationResult> = fc.oneof(
  fc.record({ type: fc.constant('create' as const), path: text, stat }),
  fc.record({ type: fc.constantFrom('setData' as const, 'setAcl' as const), stat }),
  fc.record({ type: fc.constantFrom('delete' as const, 'check' as const) }),
  fc.record({ type: fc.constant('error' as const), error: fc.constantFrom(...(Object.keys(ZNODE_ERRORS) as ZnodeErrorCode[])) }),
)
const result: fc.Arbitrary<ZnodeResult> = fc
  .tuple(
    safe,
    fc.oneof(
      outcome,
      fc.record({ type: fc.constant('multi' as const), results: fc.array(outcome, { maxLength: 5 }) }),
      fc.record({ type: fc.constant('session' as const), session: id64, password: fc.uint8Array({ maxLength: 20 }), timeoutMs: u32 }),
      fc.record({ type: fc.constant('done' as const) }),
    ),
  )
  .map(([zxid, rest]) => ({ zxid, ...rest }) as unknown as ZnodeResult)

const machine = znodeTree()

describe.each([
  ['requests', request, (value: unknown) => machine.encodeRequest(value as ZnodeRequest).slice(), (bytes: Uint8Array) => machine.decodeRequest(bytes)],
  ['results', result, (value: unknown) => machine.encodeResult(value as ZnodeResult).slice(), (bytes: Uint8Array) => machine.decodeResult(bytes)],
] as [string, fc.Arbitrary<unknown>, (value: unknown) => Uint8Array, (bytes: Uint8Array) => unknown][])('%s', (_, values, encode, decode) => {
  test('of every kind come back as they were', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value)
        const again = decode(bytes)
        expect(again).toEqual(value)
        expect(encode(again)).toEqual(bytes)
      }),
      { seed: SEED, numRuns: 1000 },
    )
  })

  test('whose bytes are damaged are CORRUPT, or others that come back as they are', () => {
    let kept = 0
    fc.assert(
      fc.property(values, damages, (value, all) => {
        const other = decodedOrCorrupt(decode, damaged(encode(value), all))
        if (other === null) return
        kept++
        expect(decode(encode(other))).toEqual(other)
      }),
      { seed: SEED, numRuns: 4000 },
    )
    expect(kept).toBeGreaterThan(100)
  })

  test('that end early are CORRUPT, wherever', () => {
    for (const value of fc.sample(values, { seed: SEED, numRuns: 40 })) {
      const bytes = encode(value)
      for (let length = 0; length < bytes.length; length++) expect(decodedOrCorrupt(decode, bytes.subarray(0, length))).toBeNull()
    }
  })

  test('take no more memory than they have bytes, whatever they claim', () => {
    for (const value of fc.sample(values, { seed: SEED, numRuns: 8 })) boundsAllocation(decode, encode(value))
  })
})

test.each([0, 255])('a session of member %i is no request, decoded or prepared: it has no ids', (at) => {
  const stage = new Stage()
  const open = stage.leader.encodeRequest({ kind: 'createSession', peer: 7, timeoutMs: 4000, id: null }).slice()
  const attach = stage.leader.encodeRequest({ kind: 'attachSession', session: 7n, password: passwordOf(7n), peer: 7, timeoutMs: 4000 }).slice()
  open[1] = at
  attach[attach.length - 5] = at
  for (const bytes of [open, attach]) {
    expect(() => stage.leader.decodeRequest(bytes)).toThrow('no member')
    expect(() => stage.leader.prepare!(bytes, stage.context)).toThrow('no member')
  }
  // Without TTL nodes the ids of member 255 are taken for nothing else.
  if (at === 255) expect(new Stage({ ttlNodes: false }).leader.decodeRequest(open)).toMatchObject({ peer: 255 })
  const foreign = stage.leader.encodeRequest({ kind: 'createSession', peer: 7, timeoutMs: 4000, id: firstSessionId(7, START_TIME) }).slice()
  foreign[1] = 8
  expect(() => stage.leader.decodeRequest(foreign)).toThrow('no session id')
  expect(() => stage.leader.prepare!(foreign, stage.context)).toThrow('no session id')
})

/** Where the code of the operation of a write without identities stands; of a multi, that of its first part. */
const CODE_AT = 19
const PART_AT = 21

test('what is no request is none when it is prepared, either, and leaves nothing', () => {
  const stage = new Stage()
  const holder = stage.open()
  const encoded = (value: ZnodeRequest): Uint8Array => stage.leader.encodeRequest(value).slice()
  const refused = (bytes: Uint8Array): void => {
    for (const act of [() => stage.leader.decodeRequest(bytes), () => stage.leader.prepare!(bytes, stage.context)]) {
      expect(act).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    }
  }
  const whole: ZnodeRequest[] = [
    ...[create('/x'), remove('/x'), setData('/x', ''), setAcl('/x', OPEN_ACL), multi(), multi(create('/x'), create('/y'))].map((operation) =>
      holder.request(operation),
    ),
    { kind: 'createSession', peer: 1, timeoutMs: 1, id: null },
    { kind: 'attachSession', session: holder.id, password: passwordOf(holder.id), peer: 1, timeoutMs: 1 },
    { kind: 'closeSession', session: holder.id, attachment: holder.attachment },
    { kind: 'reap', path: '/x' },
    { kind: 'setConfig', data: new Uint8Array(2) },
  ]
  for (const one of whole) {
    const bytes = encoded(one)
    refused(Uint8Array.from([...bytes, 0]))
    refused(bytes.subarray(0, -1))
  }
  // A check alone, whose bytes are those of a delete; a setAcl in a multi, whose bytes are those of a setData of null.
  const alone = encoded(holder.request(remove('/x')))
  alone[CODE_AT] = OP_CHECK
  refused(alone)
  const inMulti = encoded(holder.request(multi(setData('/x', null))))
  expect(inMulti[PART_AT]).toBe(OP_SET_DATA)
  inMulti[PART_AT] = OP_SET_ACL
  refused(inMulti)
  expect([holder.code(create('/x')), holder.code(create('/y'))]).toEqual(['OK', 'OK'])
})

test('a note of any bytes names sessions, or is CORRUPT and nobody is heard', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const before = machine.digest()
      const ids = decodedOrCorrupt(sessionsOfNote, bytes)
      expect(ids === null).toBe(bytes.length % 8 !== 0)
      decodedOrCorrupt((note) => machine.heard!(2 as never, note, 0), bytes)
      expect(machine.digest()).toBe(before)
      if (ids === null) return
      const teller = znodeTree()
      for (const id of ids) teller.touch(id)
      expect(teller.note!() ?? new Uint8Array(0)).toEqual(bytesOfIds(new Set(ids)))
    }),
    { seed: SEED, numRuns: 300 },
  )
})

function bytesOfIds(ids: Iterable<bigint>): Uint8Array {
  const all = [...ids]
  const bytes = new Uint8Array(8 * all.length)
  const view = new DataView(bytes.buffer)
  for (const [index, id] of all.entries()) view.setBigUint64(8 * index, id)
  return bytes
}
