import type { Zxid } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { NodeTree } from './data-tree.ts'
import { type NewNode, NO_NODE } from './data-tree-types.ts'
import { NodeReader } from './reader.ts'
import { TreeLoader } from './snapshot/loader.ts'
import { PLAIN } from './store/tree-state.ts'
import { type Acl, ADMIN, ALL, type Identity, OPEN_ACL, READ } from './types.ts'

const SESSION = 0x0100_0006_bcd8_0000n
const ANN: Identity = { scheme: 'digest', id: 'ann:hash' }
const BOB: Identity = { scheme: 'digest', id: 'bob:hash' }
const ACL: readonly Acl[] = [
  { perms: ALL, ...ANN },
  { perms: READ, ...BOB },
]
const REFUSED_TO_BOB: readonly Acl[] = [{ perms: ALL, ...ANN }]

/** Permissions as plain as they can be; the real ones are tested where they are. */
function permits(acl: readonly Acl[], perms: number, identities: readonly Identity[]): boolean {
  return acl.some((entry) => (entry.perms & perms) !== 0 && (entry.scheme === 'world' || identities.some(({ id }) => id === entry.id)))
}

let counter = 0
function make(tree: NodeTree, path: string, rest: Partial<NewNode> & { readonly text?: string } = {}): void {
  const bytes = new TextEncoder().encode(rest.text ?? '')
  counter++
  tree.create({ path, kind: 0, owner: 0n, ttlMs: 0, acl: 0, bytes, start: 0, end: bytes.length, ...rest }, counter as Zxid, 1000 + counter)
}

function reading(): { tree: NodeTree; reader: NodeReader } {
  const tree = new NodeTree()
  return { tree, reader: new NodeReader(tree, permits, 0 as Zxid) }
}

test('what is not there is NO_NODE for every read but exists, paths that are none included', () => {
  const { reader } = reading()
  for (const path of ['/none', '/zookeeper/none', '', 'zookeeper', '/zookeeper/', '//zookeeper', '/zookeeper//config', '/.', '//']) {
    expect(reader.exists(path)).toBeNull()
    for (const read of ['get', 'data', 'children', 'countDescendants', 'acl'] as const) {
      expect(() => reader[read](path)).toThrow(expect.objectContaining({ code: 'REFUSED', refusal: 'NO_NODE', details: { zookeeperCode: -101, path } }))
    }
  }
  expect(() => reader.exists('/a\0')).toThrow(expect.objectContaining({ refusal: 'BAD_ARGUMENTS' }))
})

test('null, empty and other data are told apart, as views of the tree (NullDataTest)', () => {
  const { tree, reader } = reading()
  make(tree, '/null', { start: -1, end: -1 })
  make(tree, '/empty')
  make(tree, '/some', { text: 'some' })
  expect(reader.get('/null')).toMatchObject({ data: null, stat: { dataLength: 0 } })
  expect(reader.data('/empty')).toEqual(new Uint8Array(0))
  expect(new TextDecoder().decode(reader.data('/some')!)).toBe('some')
  const view = reader.data('/some')!
  tree.setData(tree.find('/some'), new TextEncoder().encode('else'), 0, 4, 1, 9 as Zxid, 9)
  expect(new TextDecoder().decode(view)).toBe('else')
})

test('the Stat of a node and of its parent (StatTest)', () => {
  const { tree, reader } = reading()
  expect(reader.exists('/zookeeper')).toMatchObject({ cversion: -2, numChildren: 2, czxid: 0 })
  expect(reader.exists('/')).toMatchObject({ cversion: -1, numChildren: 1, pzxid: 0 })
  expect(reader.acl('/zookeeper/config')).toMatchObject({ acl: [{ perms: READ, scheme: 'world', id: 'anyone' }], stat: { aversion: -1 } })
  counter = 10
  make(tree, '/p', { text: 'data' })
  const stat = {
    czxid: 11,
    mzxid: 11,
    pzxid: 11,
    ctime: 1011,
    mtime: 1011,
    version: 0,
    cversion: 0,
    aversion: 0,
    ephemeralOwner: 0n,
    dataLength: 4,
    numChildren: 0,
  }
  expect(reader.exists('/p')).toEqual(stat)
  make(tree, '/p/e', { kind: 1, owner: SESSION })
  make(tree, '/p/c', { kind: 2 })
  make(tree, '/p/t', { kind: 3, ttlMs: 2 ** 40 - 1 })
  expect(reader.exists('/p')).toEqual({ ...stat, pzxid: 14, cversion: 3, numChildren: 3 })
  expect(['/p/e', '/p/c', '/p/t'].map((path) => reader.exists(path)!.ephemeralOwner)).toEqual([SESSION, 0n, 0n])
  tree.delete(tree.find('/p/c'), 15 as Zxid)
  expect(reader.exists('/p')).toEqual({ ...stat, pzxid: 15, cversion: 4, numChildren: 2 })
  tree.setAcl(tree.find('/p'), tree.intern(ACL), 1)
  expect(reader.exists('/p')).toEqual({ ...stat, pzxid: 15, cversion: 4, aversion: 1, numChildren: 2 })
})

test('counts of 32 bits wrap: children created, and the version that the wire makes of them (client-protocol.md sections 4 and 5)', () => {
  const loader = new TreeLoader()
  const zero = { czxid: 0 as Zxid, mzxid: 0 as Zxid, pzxid: 0 as Zxid, ctime: 0, mtime: 0, version: 0, created: 0, aversion: 0 }
  loader.add(NO_NODE, '', PLAIN, zero)
  const system = loader.add(loader.find('/'), 'zookeeper', PLAIN, zero)
  for (const name of ['quota', 'config']) loader.add(system, name, PLAIN, zero)
  loader.add(loader.find('/'), 'busy', PLAIN, { ...zero, created: 2 ** 31 - 1, version: -(2 ** 31) })
  const tree = loader.finish()
  const reader = new NodeReader(tree, permits, 0 as Zxid)
  const node = tree.find('/busy')
  expect([tree.childrenCreated(node), reader.exists('/busy')!.cversion]).toEqual([2 ** 31 - 1, -2])
  make(tree, '/busy/2147483647')
  expect([tree.childrenCreated(node), reader.exists('/busy')!.cversion]).toEqual([-(2 ** 31), -1])
  make(tree, '/busy/-2147483648')
  expect([tree.childrenCreated(node), reader.exists('/busy')!.cversion]).toEqual([-(2 ** 31) + 1, 0])
  expect(reader.exists('/busy')!.version).toBe(-(2 ** 31))
})

test('children come in the order in which they were made, and all below are counted (GetAllChildrenNumberTest)', () => {
  const { tree, reader } = reading()
  for (const path of ['/b', '/a', '/a/z', '/a/y', '/a/y/x', '/c']) make(tree, path)
  expect(reader.children('/')).toEqual(['zookeeper', 'b', 'a', 'c'])
  expect(reader.children('/a')).toEqual(['z', 'y'])
  tree.delete(tree.find('/b'), 99 as Zxid)
  make(tree, '/b')
  expect(reader.children('/')).toEqual(['zookeeper', 'a', 'c', 'b'])
  expect(reader.countDescendants('/a')).toBe(3)
  expect(reader.countDescendants('/c')).toBe(0)
  expect(reader.countDescendants('/')).toBe(reader.size - 1)
})

test('the ephemeral nodes of a session, by a prefix of their paths as strings (GetEphemeralsTest)', () => {
  const { tree, reader } = reading()
  make(tree, '/a')
  for (const path of ['/a/two', '/a/one', '/ab', '/b']) make(tree, path, { kind: 1, owner: SESSION })
  make(tree, '/other', { kind: 1, owner: SESSION + 1n })
  expect(reader.ephemerals(SESSION)).toEqual(['/a/one', '/a/two', '/ab', '/b'])
  expect(reader.ephemerals(SESSION, '/')).toEqual(reader.ephemerals(SESSION))
  expect(reader.ephemerals(SESSION, '/a')).toEqual(['/a/one', '/a/two', '/ab'])
  expect(reader.ephemerals(SESSION, '/none')).toEqual([])
  expect(reader.ephemerals(7n)).toEqual([])
})

test('READ is asked for, of exists too; getACL asks for READ or ADMIN, and hides hashes from who has no ADMIN (FinalRequestProcessorTest, ZOOKEEPER-2590)', () => {
  const { tree, reader } = reading()
  make(tree, '/both', { acl: tree.intern(ACL) })
  make(tree, '/anns', { acl: tree.intern(REFUSED_TO_BOB) })
  for (const read of ['exists', 'get', 'data', 'children', 'countDescendants', 'acl'] as const) {
    expect(() => reader[read]('/anns', [BOB])).toThrow(expect.objectContaining({ refusal: 'NO_AUTH', details: { zookeeperCode: -102, path: '/anns' } }))
    expect(() => reader[read]('/both', [BOB])).not.toThrow()
    expect(() => reader[read]('/anns', [ANN])).not.toThrow()
    expect(() => reader[read]('/anns')).not.toThrow()
  }
  expect(reader.exists('/none', [BOB])).toBeNull()
  expect(reader.acl('/both', [ANN]).acl).toEqual(ACL)
  expect(reader.acl('/both').acl).toEqual(ACL)
  expect(reader.acl('/both', [BOB]).acl.map(({ id }) => id)).toEqual(['ann:x', 'bob:x'])
  make(tree, '/admins', { acl: tree.intern([{ perms: ADMIN, ...BOB }]) })
  expect(reader.acl('/admins', [BOB]).acl.map(({ id }) => id)).toEqual(['bob:hash'])
})

test('equal ACLs are one, and those that no node has are forgotten when asked to (ACLTest, ReferenceCountedACLCacheTest)', () => {
  const { tree } = reading()
  const number = tree.intern(ACL)
  expect(tree.intern(ACL.map((entry) => ({ ...entry })))).toBe(number)
  expect(tree.intern([{ perms: ALL, scheme: 'world', id: 'anyone' }])).toBe(0)
  expect(tree.aclOf(0)).toBe(OPEN_ACL)
  expect(tree.intern([...ACL].reverse())).not.toBe(number)
  // Ends of schemes and ids are not mixed up.
  expect(tree.intern([{ perms: 1, scheme: 'ab', id: 'c' }])).not.toBe(tree.intern([{ perms: 1, scheme: 'a', id: 'bc' }]))
  make(tree, '/has', { acl: number })
  const unused = tree.intern([{ perms: 1, scheme: 'ab', id: 'c' }])
  const view = tree.view()
  tree.dropUnusedAcls()
  expect(tree.aclOf(unused)).toEqual([{ perms: 1, scheme: 'ab', id: 'c' }])
  view.close()
  tree.dropUnusedAcls()
  expect(() => tree.aclOf(unused)).toThrow(RangeError)
  expect(tree.aclOf(tree.acl(tree.find('/has')))).toEqual(ACL)
  expect(tree.intern(ACL)).toBe(number)
  tree.delete(tree.find('/has'), 99 as Zxid)
  tree.dropUnusedAcls()
  expect(() => tree.aclOf(number)).toThrow(RangeError)
})
