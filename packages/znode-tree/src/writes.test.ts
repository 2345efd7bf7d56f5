import type { Zxid } from '@antiphon/ports'
import { describe, expect, test } from 'vitest'
import { NO_NODE } from './data-tree-types.ts'
import { bytes, check, codeOf, create, type Holder, multi, remove, Stage, setAcl, setData } from './machine.test-support.ts'
import type { ZnodeTree } from './machine-types.ts'
import { nextVersion } from './prepare/checks.ts'
import { SessionTable } from './sessions/session-table.ts'
import { snapshotChunks } from './snapshot/encoder.ts'
import { TreeLoader } from './snapshot/loader.ts'
import { PLAIN } from './store/tree-state.ts'
import { CREATE_MODES, type MultiPart, OPEN_ACL, READ } from './types.ts'
import { Listener } from './watches/world.test-support.ts'

const MAX = 2 ** 31 - 1
const MIN = -(2 ** 31)
const ZERO_STAT = { czxid: 0 as Zxid, mzxid: 0 as Zxid, pzxid: 0 as Zxid, ctime: 0, mtime: 0, version: 0, created: 0, aversion: 0 }

/** A stage whose tree has nodes that have been changed that often. */
async function worn(nodes: Readonly<Record<string, Partial<typeof ZERO_STAT>>>): Promise<Stage> {
  const loader = new TreeLoader()
  loader.add(NO_NODE, '', PLAIN, ZERO_STAT)
  const system = loader.add(loader.find('/'), 'zookeeper', PLAIN, ZERO_STAT)
  for (const name of ['quota', 'config']) loader.add(system, name, PLAIN, ZERO_STAT)
  for (const [name, stat] of Object.entries(nodes)) loader.add(loader.find('/'), name, PLAIN, { ...ZERO_STAT, ...stat })
  const view = loader.finish().view()
  const chunks = [...snapshotChunks(view, new SessionTable().encode())].map((chunk) => chunk.slice())
  const stage = new Stage()
  const restore = (machine: ZnodeTree): Promise<void> =>
    machine.restore(
      0 as Zxid,
      (async function* () {
        yield* chunks
      })(),
    )
  await Promise.all([restore(stage.leader), restore(stage.follower)])
  stage.leader.leading!(stage.context)
  return stage
}

function statOf(stage: Stage, path: string): NonNullable<ReturnType<ZnodeTree['reader']['exists']>> {
  return stage.leader.reader.exists(path)!
}

describe('versions (PrepRequestProcessorTest; client-protocol.md section 4)', () => {
  test.each([
    [0, 1],
    [MAX - 1, MAX],
    [MAX, MIN],
    [MIN, MIN + 1],
    [-3, -2],
    [-2, 0],
    [-1, 0],
  ])('behind %i comes %i: 32 bits, without -1, which means any (ZOOKEEPER-4743)', (version, next) => expect(nextVersion(version)).toBe(next))

  test('of data and of ACLs wrap, and are asked for as they are', async () => {
    const stage = await worn({ top: { version: MAX, aversion: MAX }, last: { version: -2, aversion: -2 } })
    const holder = stage.open()
    expect(holder.code(setData('/top', 'x', MAX - 1))).toBe('BAD_VERSION')
    expect(holder.code(multi(check('/top', MAX), setData('/top', 'x', MAX), check('/top', MIN), setData('/top', 'y', MIN)))).toBe('check setData check setData')
    expect(holder.code(setAcl('/top', OPEN_ACL, MAX))).toBe('OK')
    expect(statOf(stage, '/top')).toMatchObject({ version: MIN + 1, aversion: MIN })
    expect(holder.code(setData('/last', 'x', -2))).toBe('OK')
    expect(holder.code(setAcl('/last', OPEN_ACL, -2))).toBe('OK')
    expect(statOf(stage, '/last')).toMatchObject({ version: 0, aversion: 0 })
    expect(holder.code(remove('/last', 0))).toBe('OK')
    stage.alike()
  })

  test('-1 is any version, of any kind of write', () => {
    const holder = new Stage().open()
    holder.writeAll([create('/a'), setData('/a', 'x'), setData('/a', 'y')])
    expect(holder.code(multi(check('/a', -1), setData('/a', 'z', -1)))).toBe('check setData')
    expect(holder.code(setAcl('/a', OPEN_ACL, -1))).toBe('OK')
    expect(holder.code(remove('/a', -1))).toBe('OK')
  })

  test('a sequence goes on below zero behind 2147483647, and the node is found by that name (museum row 27)', async () => {
    const stage = await worn({ busy: { created: MAX } })
    const holder = stage.open()
    const made = [0, 1, 2].map(() => holder.write(create('/busy/n-', { mode: 'persistent-sequential' })))
    expect(made.map((result) => (result.type === 'create' ? result.path : result.type))).toEqual([
      '/busy/n-2147483647',
      '/busy/n--2147483648',
      '/busy/n--2147483647',
    ])
    expect(statOf(stage, '/busy')).toMatchObject({ numChildren: 3, cversion: (2 * (MAX + 3) - 3) | 0 })
    expect(holder.code(remove('/busy/n--2147483648'))).toBe('OK')
    const ahead = await worn({ busy: { created: MAX } })
    const other = ahead.open()
    for (let i = 0; i < 3; i++) other.prepare(create('/busy/n-', { mode: 'persistent-sequential' }))
    expect(ahead.flush().map((result) => (result.type === 'create' ? result.path : result.type))).toEqual(
      made.map((result) => (result.type === 'create' ? result.path : '')),
    )
  })
})

describe('what a write does to a Stat (StatTest; client-protocol.md section 4)', () => {
  test('setACL counts aversion, and moves nothing else; no watch tells of it', () => {
    const stage = new Stage()
    const holder = stage.open()
    holder.writeAll([create('/a', { data: 'x' }), create('/a/b')])
    const before = statOf(stage, '/a')
    const listener = new Listener()
    for (const kind of ['data', 'children', 'persistent', 'recursive'] as const) stage.leader.watches.add(listener, '/a', kind)
    stage.time += 50
    const result = holder.write(setAcl('/a', [{ perms: READ, scheme: 'world', id: 'anyone' }], 0))
    expect(result).toMatchObject({ type: 'setAcl', stat: { ...before, aversion: 1 } })
    expect(statOf(stage, '/a')).toEqual({ ...before, aversion: 1 })
    expect(listener.heard).toEqual([])
    expect(holder.code(setAcl('/a', OPEN_ACL, 0))).toBe('NO_AUTH')
    expect(stage.leader.watches.size).toBe(4)
  })

  test('setData moves mzxid, mtime, version and length, and neither pzxid nor cversion', () => {
    const stage = new Stage()
    const holder = stage.open()
    holder.writeAll([create('/a', { data: 'x' }), create('/a/b')])
    const before = statOf(stage, '/a')
    stage.time += 50
    const { zxid } = holder.write(setData('/a', 'longer'))
    expect(statOf(stage, '/a')).toEqual({ ...before, mzxid: zxid, mtime: before.mtime + 50, version: 1, dataLength: 6 })
  })

  test('each mode of create gives its kind: who owns it, what number it gets, who may stand below it', () => {
    const stage = new Stage()
    const holder = stage.open()
    for (const mode of CREATE_MODES) {
      const ttlMs = mode.endsWith('ttl') ? 5 : 0
      const result = holder.write(create(`/${mode}`, { mode, ttlMs }))
      if (result.type !== 'create') throw new Error(codeOf(result))
      expect(result.path).toMatch(mode.includes('sequential') ? new RegExp(`^/${mode}\\d{10}$`) : new RegExp(`^/${mode}$`))
      expect(result.stat.ephemeralOwner).toBe(mode.startsWith('ephemeral') ? holder.id : 0n)
      expect(holder.code(create(`${result.path}/child`))).toBe(mode.startsWith('ephemeral') ? 'NO_CHILDREN_FOR_EPHEMERALS' : 'OK')
    }
    stage.alike()
  })

  test('the root can be written to, and watched, as any other node (DataTreeTest: root watch)', () => {
    const stage = new Stage()
    const holder = stage.open()
    const listener = new Listener()
    stage.leader.watches.add(listener, '/', 'data')
    stage.leader.watches.add(listener, '/', 'children')
    holder.writeAll([setData('/', 'root'), create('/a')])
    expect(listener.take()).toEqual(['dataChanged /', 'childrenChanged /'])
    expect(stage.leader.reader.data('/')).toEqual(bytes('root'))
  })
})

test('null and empty are what they were when they were written, alone and in a multi (NullDataTest)', () => {
  const stage = new Stage()
  const holder = stage.open()
  holder.writeAll([
    create('/null', { data: null }),
    create('/empty'),
    setData('/empty', null),
    setData('/empty', ''),
    create('/other', { data: 'x' }),
    setData('/other', null),
  ])
  expect(holder.code(multi(create('/in', { data: null }), setData('/null', ''), setData('/null', null)))).toBe('create setData setData')
  expect(['/null', '/empty', '/other', '/in'].map((path) => stage.leader.reader.data(path))).toEqual([null, new Uint8Array(0), null, null])
  expect(statOf(stage, '/other')).toMatchObject({ version: 1, dataLength: 0 })
})

describe('the length of data (BufferSizeTest: jute.maxbuffer)', () => {
  const write: Readonly<Record<string, (holder: Holder, data: string) => unknown>> = {
    create: (holder, data) => holder.write(create('/x', { data })),
    setData: (holder, data) => holder.write(setData('/there', data)),
    'a part of a multi': (holder, data) => holder.write(multi(create('/y'), create('/z', { data }) as MultiPart)),
  }

  test.each(Object.keys(write))('%s takes what is allowed, and refuses a byte more before it is numbered', (name) => {
    const stage = new Stage({ dataBytesMax: 1000 })
    const holder = stage.open()
    holder.writeAll([create('/there')])
    const counter = stage.counter
    expect(() => write[name]!(holder, 'x'.repeat(1001))).toThrow(
      expect.objectContaining({ code: 'TOO_LARGE', outcome: 'rejected', details: { length: 1001, dataBytesMax: 1000 } }),
    )
    expect(stage.counter).toBe(counter)
    expect(write[name]!(holder, 'x'.repeat(1000))).not.toMatchObject({ type: 'error' })
  })

  test('is that of bytes, and a byte less than 1 MiB unless told', () => {
    const stage = new Stage()
    const holder = stage.open()
    const data = 'é'.repeat(2 ** 19)
    expect(() => holder.write(create('/x', { data }))).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
    expect(holder.code(create('/x', { data: data.slice(1) }))).toBe('OK')
    expect(statOf(stage, '/x').dataLength).toBe(2 ** 20 - 2)
  })
})

test('a write that fails has its ZXID, which its result carries, and is a change for every replica (client-protocol.md section 2)', () => {
  const stage = new Stage()
  const holder = stage.open()
  holder.writeAll([create('/a')])
  const listener = new Listener()
  stage.leader.watches.add(listener, '/', 'recursive')
  const failing = [create('/a'), create('bad'), remove('/none'), remove('/a', 3), setData('/none', ''), setAcl('/a', []), multi(check('/none'))]
  for (const operation of failing) {
    const before = [stage.leader.digest(), stage.counter] as const
    const { zxid } = holder.write(operation)
    expect([stage.leader.digest(), stage.counter]).toEqual([before[0], before[1] + 1])
    expect(zxid).toBe(stage.leader.reader.zxid)
    expect(stage.follower.reader.zxid).toBe(zxid)
  }
  expect(listener.heard).toEqual([])
})

test('what the leader does by itself tells watches as any other change: a node that is reaped, the configuration (client-protocol.md section 8)', () => {
  const stage = new Stage({ config: 'version=7' })
  const holder = stage.open()
  holder.writeAll([create('/p'), create('/p/box', { mode: 'container' }), create('/p/box/child'), remove('/p/box/child')])
  const listener = new Listener()
  const { watches } = stage.follower
  for (const path of ['/p/box', '/zookeeper/config']) for (const kind of ['data', 'children'] as const) watches.add(listener, path, kind)
  watches.add(listener, '/p', 'children')
  const recursive = new Listener()
  watches.add(recursive, '/', 'recursive')
  const reaped = stage.ask({ kind: 'reap', path: '/p/box' })
  const set = stage.ask({ kind: 'setConfig', data: bytes('version=7') })
  const all = ['deleted /p/box', 'childrenChanged /p', 'dataChanged /zookeeper/config']
  expect(listener.heard.map(({ zxid }) => zxid)).toEqual([reaped.zxid, reaped.zxid, set.zxid])
  expect(listener.take()).toEqual(all)
  expect(recursive.take()).toEqual([all[0], all[2]])
  expect(statOf(stage, '/p')).toMatchObject({ pzxid: reaped.zxid, numChildren: 0 })
})

test('what is no request is INVALID_ARGUMENT, and no entry', () => {
  const stage = new Stage()
  const holder = stage.open()
  const counter = stage.counter
  const odd: unknown[] = [
    null,
    undefined,
    5,
    {},
    { type: 'sync' },
    { type: 'multi' },
    { type: 'multi', operations: [null] },
    { type: 'multi', operations: [5] },
  ]
  const create = { type: 'create', path: '/a', data: null, acl: OPEN_ACL, mode: 'persistent', ttlMs: 0 }
  const fields = [
    { path: 5 },
    { data: 'x' },
    { acl: null },
    { acl: [null] },
    { acl: [{ perms: 1.5, scheme: 'world', id: 'anyone' }] },
    { mode: 'toString' },
    { ttlMs: 1.5 },
  ]
  for (const operation of [
    ...odd,
    ...fields.map((field) => ({ ...create, ...field })),
    { type: 'delete', path: '/a' },
    { type: 'delete', path: '/a', version: 2 ** 31 },
  ]) {
    expect(() => holder.write(operation as never), JSON.stringify(operation)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', outcome: 'rejected' }),
    )
  }
  for (const request of [
    null,
    undefined,
    5,
    {},
    { kind: 'odd' },
    { kind: 'reap' },
    { kind: 'createSession', peer: 1 },
    { ...holder.request(setData('/', '')), session: 5 },
  ]) {
    expect(() => stage.ask(request as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  }
  expect(() => stage.leader.watches.add(new Listener(), '/', 'all' as never)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  expect([stage.counter, stage.leader.watches.size]).toEqual([counter, 0])
})
