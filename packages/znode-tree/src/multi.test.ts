import { describe, expect, test } from 'vitest'
import { check, codeOf, create, type Holder, multi, remove, Stage, setAcl, setData } from './machine.test-support.ts'
import { ALL, type MultiPart, OPEN_ACL, READ, type WriteOperation } from './types.ts'
import { Listener } from './watches/world.test-support.ts'

/** client-protocol.md section 6; ZooKeeper's MultiOperationTest and TestMulti.cc, whose cases are named. */

function begin(...paths: string[]): { stage: Stage; holder: Holder; exists: (path: string) => boolean } {
  const stage = new Stage()
  const holder = stage.open()
  holder.writeAll(paths.map((path) => create(path)))
  return { stage, holder, exists: (path) => stage.leader.reader.exists(path) !== null }
}

function partsOf(holder: Holder, ...parts: MultiPart[]): string {
  return codeOf(holder.write(multi(...parts)))
}

describe('a multi that happens', () => {
  test('has one ZXID and one time, and a result of its own kind for each part (create2, setData, check, delete)', () => {
    const { stage, holder } = begin()
    const result = holder.write(
      multi(create('/a', { data: 'xy' }), setData('/a', 'xyz'), check('/a', 1), create('/a/b', { mode: 'container' }), remove('/a/b')),
    )
    if (result.type !== 'multi') throw new Error(result.type)
    const [made, set, checked, box, gone] = result.results
    expect([checked, gone]).toEqual([{ type: 'check' }, { type: 'delete' }])
    expect(made).toMatchObject({ type: 'create', path: '/a', stat: { czxid: result.zxid, mzxid: result.zxid, ctime: stage.time, version: 0, dataLength: 2 } })
    expect(set).toMatchObject({ type: 'setData', stat: { czxid: result.zxid, mzxid: result.zxid, mtime: stage.time, version: 1, dataLength: 3 } })
    expect(box).toMatchObject({ type: 'create', path: '/a/b', stat: { ephemeralOwner: 0n } })
    expect(stage.leader.reader.exists('/a')).toMatchObject({ pzxid: result.zxid, cversion: 2, numChildren: 0 })
  })

  test('makes a child of a node that it has made itself (testNestedCreate)', () => {
    const { holder, exists } = begin()
    expect(partsOf(holder, create('/m'), create('/m/a'), create('/m/a/b'), remove('/m/a/b'), remove('/m/a'), remove('/m'))).toBe(
      'create create create delete delete delete',
    )
    expect(exists('/m')).toBe(false)
  })

  test('makes and deletes one node (testCreateDelete), and makes it anew', () => {
    const { stage, holder } = begin()
    expect(partsOf(holder, create('/x', { data: '1' }), remove('/x', 0), create('/x', { data: '2' }), setData('/x', '3', 0))).toBe(
      'create delete create setData',
    )
    expect(stage.leader.reader.exists('/x')).toMatchObject({ version: 1 })
    expect(stage.leader.reader.exists('/')).toMatchObject({ cversion: -1 + 3 })
  })

  test('counts each part where the next one looks: numbers of sequential nodes, versions', () => {
    const { holder } = begin('/q')
    const result = holder.write(
      multi(create('/q/n-', { mode: 'persistent-sequential' }), create('/q/plain'), remove('/q/plain'), create('/q/n-', { mode: 'ephemeral-sequential' })),
    )
    if (result.type !== 'multi') throw new Error(result.type)
    expect(result.results.map((one) => (one.type === 'create' ? one.path : one.type))).toEqual(['/q/n-0000000000', '/q/plain', 'delete', '/q/n-0000000002'])
    expect(partsOf(holder, setData('/q', 'a', 0), setData('/q', 'b', 1), check('/q', 2), setData('/q', 'c', -1))).toBe('setData setData check setData')
  })

  test('numbers of many multis under way come in their order (MultiAsyncTransactionTest)', () => {
    const { stage, holder } = begin('/q')
    for (let i = 0; i < 50; i++) holder.prepare(multi(create('/q/n-', { mode: 'persistent-sequential' }), create('/q/n-', { mode: 'persistent-sequential' })))
    const made = stage
      .flush()
      .flatMap((result) => (result.type === 'multi' ? result.results : []))
      .map((one) => (one.type === 'create' ? one.path : one.type))
    expect(made).toEqual(Array.from({ length: 100 }, (_, number) => `/q/n-${String(number).padStart(10, '0')}`))
  })

  test('may be empty, and has its ZXID all the same (testEmpty)', () => {
    const { stage, holder } = begin()
    const before = stage.counter
    expect(holder.write(multi())).toMatchObject({ type: 'multi', results: [] })
    expect(stage.counter).toBe(before + 1)
    expect(stage.leader.reader.zxid).toBe(stage.context.zxid - 1)
  })

  test('tells watches of each part, in order (testWatchesTriggered)', () => {
    const { stage, holder } = begin('/p')
    const listener = new Listener()
    stage.leader.watches.add(listener, '/', 'recursive')
    stage.leader.watches.add(listener, '/p', 'children')
    const { zxid } = holder.write(multi(create('/p/a'), setData('/p/a', 'x'), create('/p/b'), remove('/p/a')))
    expect(listener.heard).toEqual(
      ['created /p/a', 'childrenChanged /p', 'dataChanged /p/a', 'created /p/b', 'deleted /p/a'].map((event) => ({
        type: event.split(' ')[0],
        path: event.split(' ')[1],
        zxid,
      })),
    )
  })
})

describe('a multi that fails', () => {
  const FAILING: readonly [what: string, parts: readonly MultiPart[], codes: string][] = [
    ['a blank path (testBlankPath)', [create('/x'), remove('')], 'OK BAD_ARGUMENTS'],
    ['a path that is none (testInvalidPath)', [create('/x'), create('/x//y'), remove('/x')], 'OK NO_NODE RUNTIME_INCONSISTENCY'],
    ['a name that is none', [create('/x'), create('/x/..'), remove('/x')], 'OK BAD_ARGUMENTS RUNTIME_INCONSISTENCY'],
    ['a TTL out of range (CreateTTLTest)', [create('/x'), create('/y', { mode: 'persistent-with-ttl', ttlMs: 0 })], 'OK BAD_ARGUMENTS'],
    ['another version (testInvalidVersion)', [setData('/p', 'x'), remove('/p', 0), create('/x')], 'OK BAD_VERSION RUNTIME_INCONSISTENCY'],
    ['two that expect one version (testUpdateConflict)', [setData('/p', 'x', 0), setData('/p', 'y', 0)], 'OK BAD_VERSION'],
    ['what was deleted before (testDeleteUpdateConflict)', [remove('/p/c'), setData('/p/c', 'x')], 'OK NO_NODE'],
    ['a check of what was made before', [create('/x'), check('/x', 1)], 'OK BAD_VERSION'],
    ['a node that is there', [create('/x'), create('/p'), create('/y')], 'OK NODE_EXISTS RUNTIME_INCONSISTENCY'],
    ['a node that has children', [remove('/p'), create('/x')], 'NOT_EMPTY RUNTIME_INCONSISTENCY'],
    ['a child of an ephemeral node of its own', [create('/x', { mode: 'ephemeral' }), create('/x/y')], 'OK NO_CHILDREN_FOR_EPHEMERALS'],
    ['an ACL that is none', [create('/x'), create('/y', { acl: [] })], 'OK INVALID_ACL'],
    ['who may not', [create('/x', { acl: [{ perms: READ, scheme: 'world', id: 'anyone' }] }), setData('/x', 'x')], 'OK NO_AUTH'],
  ]

  test.each(FAILING)('of %s: the code in its place, OK before it, RUNTIME_INCONSISTENCY behind it', (_, parts, codes) => {
    const { holder } = begin('/p', '/p/c')
    expect(partsOf(holder, ...parts)).toBe(codes)
  })

  test.each(FAILING)(
    'of %s leaves nothing, tells nobody (testNoWatchesTriggeredForFailedMultiRequest), and has its ZXID; what is prepared behind it goes on from before it',
    (_, parts) => {
      const { stage, holder, exists } = begin('/p', '/p/c')
      const listener = new Listener()
      stage.leader.watches.add(listener, '/', 'recursive')
      const [digest, counter] = [stage.leader.digest(), stage.counter]
      const operation: WriteOperation = multi(create('/s-', { mode: 'persistent-sequential' }), create('/e', { mode: 'ephemeral' }), ...parts)
      holder.prepare(operation)
      const [failed] = stage.flush()
      expect(codeOf(failed!)).toMatch(/^OK OK /)
      expect(stage.counter).toBe(counter + 1)
      expect(stage.leader.digest()).toBe(digest)
      expect(listener.heard).toEqual([])
      expect([exists('/e'), stage.leader.reader.ephemerals(holder.id)]).toEqual([false, []])
      // Prepared while the failed one is still under way.
      holder.prepare(operation)
      holder.prepare(create('/s-', { mode: 'persistent-sequential' }))
      holder.prepare(setData('/p', 'x', 0))
      holder.prepare(create('/p/c/d'))
      const behind = stage.flush().slice(1)
      expect(behind.map(codeOf)).toEqual(['OK', 'OK', 'OK'])
      // Under `/` only `/p` was ever made.
      expect(behind[0]).toMatchObject({ path: '/s-0000000001' })
      stage.alike()
    },
  )

  test('in the name of a session that is gone or moved fails with its first part, and empty altogether', () => {
    const { holder } = begin('/p')
    holder.close()
    expect(partsOf(holder, check('/p'), create('/x'))).toBe('SESSION_EXPIRED RUNTIME_INCONSISTENCY')
    expect(partsOf(holder)).toBe('SESSION_EXPIRED')
  })
})

test('what may not stand in a multi is no request: setACL, a multi, reads (mixing reads and writes)', () => {
  const { holder } = begin('/p')
  for (const part of [setAcl('/p', OPEN_ACL), multi(), { type: 'getData', path: '/p' }, { type: 'sync', path: '/p' }]) {
    expect(() => holder.write(multi(create('/x'), part as unknown as MultiPart))).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', outcome: 'rejected' }),
    )
  }
  expect(holder.code(create('/x', { acl: [{ perms: ALL, scheme: 'world', id: 'anyone' }] }))).toBe('OK')
})
