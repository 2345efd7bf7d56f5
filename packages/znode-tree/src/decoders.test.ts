import { AntiphonError, type Zxid, zxidOf } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NodeTree } from './data-tree.ts'
import { batchOf, create, multi, remove, START_TIME, Stage, setAcl, setData, stateOf } from './machine.test-support.ts'
import { znodeTree } from './machine.ts'
import { OP_CHECK, OP_SET_ACL, OP_SET_DATA } from './requests.ts'
import { firstSessionId, passwordOf } from './sessions/session-id.ts'
import { SessionTable } from './sessions/session-table.ts'
import { sessionsOfNote } from './sessions/touches.ts'
import { snapshotChunks } from './snapshot/encoder.ts'
import {
  type Acl,
  CREATE_MODES,
  type Identity,
  type MultiPart,
  OPEN_ACL,
  type OperationResult,
  type SetAclOperation,
  type Stat,
  type WatchEvent,
  ZNODE_ERRORS,
  type ZnodeErrorCode,
  type ZnodeRequest,
  type ZnodeResult,
} from './types.ts'

const SEED = 20_261_121
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

// Bytes that were damaged

/** What a length or a count may claim: 2^32 - 1, 2^31 - 1, 2^30, 2^24, and what is no count at all. */
const HUGE: readonly (readonly number[])[] = [
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0x80, 0x80, 0x80, 0x80, 0x04],
  [0x80, 0x80, 0x80, 0x08],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
]
type Damage = { readonly kind: 'byte' | 'cut' | 'huge' | 'twice' | 'less'; readonly at: number; readonly value: number }
const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('byte' as const, 'byte' as const, 'cut' as const, 'huge' as const, 'twice' as const, 'less' as const),
    at: fc.oneof(fc.nat(80), fc.nat(100_000)),
    value: fc.nat(255),
  }),
  { minLength: 1, maxLength: 3 },
)

function damaged(clean: Uint8Array, all: readonly Damage[]): Uint8Array {
  let bytes = clean.slice()
  for (const { kind, at, value } of all) {
    const where = bytes.length === 0 ? 0 : at % bytes.length
    if (kind === 'byte') bytes[where] = value
    else if (kind === 'cut') bytes = bytes.slice(0, where)
    else if (kind === 'huge') bytes = Uint8Array.from([...bytes.subarray(0, where), ...HUGE[value % HUGE.length]!, ...bytes.subarray(where + (value & 7))])
    else if (kind === 'twice') bytes = Uint8Array.from([...bytes.subarray(0, where + (value & 31)), ...bytes.subarray(where)])
    else bytes = Uint8Array.from([...bytes.subarray(0, where), ...bytes.subarray(where + 1 + (value & 31))])
  }
  return bytes
}

/** What `decode` makes of bytes: a value, or null when they are CORRUPT. Anything else it may not throw. */
function decodedOrCorrupt<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | null {
  try {
    return decode(bytes)
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(AntiphonError)
    expect((thrown as AntiphonError).code).toBe('CORRUPT')
    return null
  }
}

/** No decoder makes room because a length says so: each huge claim at each place of what is valid. */
function boundsAllocation(decode: (bytes: Uint8Array) => unknown, clean: Uint8Array): void {
  let most = 0
  for (let at = 0; at < clean.length; at++) {
    for (const claim of HUGE) {
      const bytes = Uint8Array.from([...clean.subarray(0, at), ...claim, ...clean.subarray(at + 1)])
      const before = process.memoryUsage().arrayBuffers
      decodedOrCorrupt(decode, bytes)
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
  }
  expect(most).toBeLessThan(2 ** 20)
}

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

/** A state with something of everything. */
function furnished(): Stage {
  const stage = new Stage({ enforceQuota: true })
  const [one, two] = [stage.open(), stage.open(20_000, 2)]
  one.writeAll([
    create('/a', { data: 'x'.repeat(300) }),
    create('/a/b', { acl: [{ perms: 3, scheme: 'ip', id: '10.0.0.0/8' }] }),
    create('/a/n-', { mode: 'persistent-sequential', data: null }),
    create('/e', { mode: 'ephemeral', data: 'e' }),
    create('/ttl', { mode: 'persistent-with-ttl', ttlMs: 2 ** 35 }),
    create('/box', { mode: 'container' }),
    create('/ü'),
    create('/zookeeper/quota/a'),
    create('/zookeeper/quota/a/zookeeper_limits', { data: 'count=5,bytes=-1' }),
    create('/zookeeper/quota/a/zookeeper_stats', { data: 'count=0,bytes=0' }),
    setData('/a', 'y'),
    setAcl('/box', [{ perms: 31, scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }]),
  ])
  one.write(multi(create('/m'), remove('/m')))
  two.writeAll([create('/e2', { mode: 'ephemeral' })])
  stage.open().close()
  stage.ask({ kind: 'attachSession', session: two.id, password: passwordOf(two.id), peer: 3, timeoutMs: 7000 })
  return stage
}

async function* cutUp(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths.length === 0 ? bytes.length : lengths[i % lengths.length]!
    yield bytes.slice(at, at + length)
    at += length
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
}

describe('restore', () => {
  const snapshot = joined(stateOf(furnished().leader))
  const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 50, max: 1500 })), { maxLength: 5 })

  test('of what is whole, cut anywhere, is the same state', async () => {
    await fc.assert(
      fc.asyncProperty(cuts, async (lengths) => {
        const { leader } = new Stage({ enforceQuota: true })
        await leader.restore(zxidOf(1, 99), cutUp(snapshot, lengths))
        expect(joined(stateOf(leader))).toEqual(snapshot)
        expect(leader.digest()).toBe(furnishedDigest)
      }),
      { seed: SEED, numRuns: 30 },
    )
  })
  const furnishedDigest = furnished().leader.digest()

  /** A leader with a state of its own, watches, and a change under way. */
  function standing(): { readonly stage: Stage; readonly seen: () => unknown; readonly told: string[] } {
    const stage = new Stage()
    const holder = stage.open()
    holder.writeAll([create('/own', { data: '1' }), create('/own/child'), create('/own/e', { mode: 'ephemeral' })])
    const told: string[] = []
    const watcher = { notify: ({ type, path }: WatchEvent) => void told.push(`${type} ${path}`), mayRead: () => true }
    const { leader } = stage
    const watches = [
      ['/own', 'data'],
      ['/none', 'data'],
      ['/own', 'children'],
      ['/own', 'persistent'],
      ['/', 'recursive'],
    ] as const
    for (const [path, kind] of watches) leader.watches.add(watcher, path, kind)
    leader.listen({ applied: () => {}, moved: () => {}, closed: () => {}, restored: (zxid) => void told.push(`restored ${zxid}`) })
    holder.prepare(create('/under-way'))
    holder.prepare(create('/own/e2', { mode: 'ephemeral' }))
    const seen = (): unknown => {
      // What is under way is there for what is prepared behind it.
      const changes = [create('/under-way'), remove('/own/e2'), remove('/own')].map((operation) => {
        const change = holder.prepare(operation)
        stage.unprepare()
        return change
      })
      return [
        leader.digest(),
        stateOf(leader),
        leader.reader.zxid,
        leader.watches.size,
        watches.map(([path, kind]) => leader.watches.has(watcher, path, kind)),
        leader.session(holder.id),
        changes,
      ]
    }
    return { stage, seen, told }
  }

  test('of what is damaged is CORRUPT and changes nothing; or it is another state that comes back as it is', async () => {
    let world = standing()
    let before = world.seen()
    let [kept, refused] = [0, 0]
    await fc.assert(
      fc.asyncProperty(damages, cuts, async (all, lengths) => {
        const bytes = damaged(snapshot, all)
        const { leader } = world.stage
        let error: unknown = null
        await leader.restore(zxidOf(1, 99), cutUp(bytes, lengths)).catch((thrown: unknown) => {
          error = thrown
        })
        if (error === null) {
          kept++
          const state = stateOf(leader)
          const other = znodeTree()
          await other.restore(zxidOf(1, 99), cutUp(joined(state), lengths))
          expect(stateOf(other)).toEqual(state)
          expect(other.digest()).toBe(leader.digest())
          world = standing()
          before = world.seen()
          return
        }
        refused++
        expect(error).toBeInstanceOf(AntiphonError)
        expect((error as AntiphonError).code).toBe('CORRUPT')
        expect(world.seen()).toEqual(before)
        expect(world.told).toEqual([])
      }),
      { seed: SEED, numRuns: 400 },
    )
    expect(Math.min(kept, refused)).toBeGreaterThan(10)
    // It goes on as if nothing had been tried.
    const untouched = standing()
    expect(world.stage.flush()).toEqual(untouched.stage.flush())
    expect(world.told).toEqual(untouched.told)
    expect(world.told).toContain('childrenChanged /own')
    world.stage.alike()
  })

  test.each([
    ['a ZXID', -7, START_TIME],
    ['a time', 7, -1],
  ])('of a tree with %s below zero, which no Stat can tell, is CORRUPT', async (_, zxid, time) => {
    const tree = new NodeTree()
    tree.create({ path: '/x', kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0 }, zxid as Zxid, time)
    const bytes = joined([...snapshotChunks(tree.view(), new SessionTable().encode())])
    await expect(new Stage().leader.restore(zxidOf(1, 99), cutUp(bytes, []))).rejects.toThrow('below zero')
  })

  test('of a state without a session ends that session, whoever was asked for last', async () => {
    const stage = new Stage()
    const empty = joined(stateOf(stage.leader))
    const holder = stage.open()
    expect(holder.code(create('/x'))).toBe('OK')
    await stage.leader.restore(zxidOf(1, 99), cutUp(empty, []))
    stage.leader.leading!(stage.context)
    const change = stage.leader.prepare!(stage.leader.encodeRequest(holder.request(create('/x'))), stage.context).slice()
    const [refusal] = stage.leader.apply(batchOf([{ change, zxid: zxidOf(1, 100), time: START_TIME }]))
    expect(refusal).toMatchObject({ type: 'error', error: 'SESSION_EXPIRED' })
  })

  test('whose source fails changes nothing', async () => {
    const { stage, seen, told } = standing()
    const before = seen()
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield snapshot.slice(0, -1)
      throw new Error('gone')
    }
    await expect(stage.leader.restore(zxidOf(1, 99), failing())).rejects.toThrow('gone')
    expect(seen()).toEqual(before)
    expect(told).toEqual([])
  })

  test('takes no more memory than there are bytes, whatever they claim', async () => {
    const { leader } = new Stage()
    let most = 0
    for (let at = 0; at < snapshot.length; at += 3) {
      const bytes = Uint8Array.from([...snapshot.subarray(0, at), ...HUGE[at % HUGE.length]!, ...snapshot.subarray(at + 1)])
      const before = process.memoryUsage().arrayBuffers
      await leader.restore(zxidOf(1, 99), cutUp(bytes, [])).catch(() => {})
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    expect(most).toBeLessThan(4 * 2 ** 20)
  })
})

test('a change whose bytes are damaged is applied as another, or throws an AntiphonError', () => {
  const changes: Uint8Array[] = []
  const stage = furnished()
  const holder = stage.open()
  for (const operation of [
    create('/c', { mode: 'ephemeral' }),
    setData('/a', 'z'),
    setAcl('/ttl', OPEN_ACL),
    remove('/m2'),
    multi(create('/x'), setData('/x', '1')),
  ]) {
    changes.push(holder.prepare(operation))
  }
  changes.push(stage.prepare({ kind: 'createSession', peer: 3, timeoutMs: 4000, id: null }))
  changes.push(stage.prepare({ kind: 'closeSession', session: holder.id, attachment: holder.attachment }))
  fc.assert(
    fc.property(fc.nat(changes.length - 1), damages, (which, all) => {
      const change = damaged(changes[which]!, all)
      try {
        furnishedOnce().apply(batchOf([{ change, zxid: zxidOf(1, 100), time: START_TIME }]))
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(AntiphonError)
      }
    }),
    { seed: SEED, numRuns: 1500 },
  )
})

let stages = 0
let last = furnished()
/** Anew now and then: what was applied stays, and changes what the next one meets. */
function furnishedOnce(): Stage['leader'] {
  if (stages++ % 50 === 0) last = furnished()
  return last.leader
}
