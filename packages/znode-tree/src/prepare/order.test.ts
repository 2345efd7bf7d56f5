import { describe, expect, test } from 'vitest'
import { check, codeOf, create, type Holder, multi, remove, Stage, setAcl, setData } from '../machine.test-support.ts'
import type { ZnodeTreeOptions } from '../machine-types.ts'
import { passwordOf } from '../sessions/session-id.ts'
import { type Acl, ADMIN, ALL, CREATE, DELETE, type MultiPart, OPEN_ACL, READ, WRITE, type WriteOperation } from '../types.ts'

/** Order of checks: client-protocol.md, section 5, "Per-op validation order". Each row fails for two neighbours of that order at once, or for the first of them alone. */

const CLOSED: Acl[] = [{ perms: ALL, scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }]
const NOBODY: Acl[] = [{ perms: ALL, scheme: 'nobody', id: 'x' }]

function only(perms: number): Acl[] {
  return [{ perms, scheme: 'world', id: 'anyone' }]
}

interface World {
  readonly stage: Stage
  readonly holder: Holder
  /** Its session is closed. */
  readonly gone: Holder
  /** Another has taken its session over. */
  readonly moved: Holder
}

function world(options: ZnodeTreeOptions = {}): World {
  const stage = new Stage({ enforceQuota: true, ...options })
  const [holder, gone, moved] = [stage.open(), stage.open(), stage.open()]
  holder.writeAll([
    create('/open'),
    create('/open/there'),
    create('/closed', { acl: CLOSED }),
    create('/eph', { mode: 'ephemeral' }),
    create('/eph-closed', { mode: 'ephemeral', acl: CLOSED }),
    create('/parent'),
    create('/parent/child'),
    create('/readable', { acl: only(READ) }),
    create('/writable', { acl: only(WRITE) }),
    create('/makeable', { acl: only(CREATE) }),
    create('/deletable', { acl: only(DELETE) }),
    create('/administrable', { acl: only(ADMIN) }),
    create('/q', { data: '12345' }),
    create('/q/there'),
    create('/q-closed', { acl: CLOSED, data: '12345' }),
    create('/zookeeper/quota/q'),
    create('/zookeeper/quota/q/zookeeper_limits', { data: 'count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=2' }),
    create('/zookeeper/quota/q/zookeeper_stats', { data: 'count=0,bytes=0' }),
    create('/zookeeper/quota/q-closed'),
    create('/zookeeper/quota/q-closed/zookeeper_limits', { data: 'count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=1' }),
    create('/zookeeper/quota/q-closed/zookeeper_stats', { data: 'count=0,bytes=0' }),
  ])
  gone.close()
  stage.ask({ kind: 'attachSession', session: moved.id, password: passwordOf(moved.id), peer: 2, timeoutMs: 5000 })
  return { stage, holder, gone, moved }
}

type Row = readonly [what: string, operation: WriteOperation | MultiPart, expected: string, who?: 'gone' | 'moved', options?: ZnodeTreeOptions]

function rows(all: readonly Row[]): void {
  test.each(all.map((row) => ({ what: row[0], row })))('$what', ({ row: [, operation, expected, who, options] }) => {
    const { stage, ...holders } = world(options)
    const holder = holders[who ?? 'holder']
    const before = stage.leader.treeDigest()
    expect(holder.code(operation)).toBe(expected)
    if (expected !== 'OK') expect(stage.leader.treeDigest(), 'a write that fails changes nothing').toBe(before)
    // As the only part of a multi it fails for the same.
    if (operation.type === 'setAcl') return
    const again = world(options)
    const [first] = codeOf(again[who ?? 'holder'].write(multi(operation as MultiPart))).split(' ')
    expect(first).toBe(expected === 'OK' ? operation.type : expected)
  })
}

describe('create', () => {
  rows([
    ['TTL disabled, before the range of the TTL', create('bad', { mode: 'persistent-with-ttl', ttlMs: 0 }), 'UNIMPLEMENTED', 'gone', { ttlNodes: false }],
    ['the range of the TTL, before the session', create('/x', { mode: 'persistent-with-ttl', ttlMs: 0 }), 'BAD_ARGUMENTS', 'gone'],
    ['a TTL below zero', create('/x', { mode: 'persistent-sequential-with-ttl', ttlMs: -1 }), 'BAD_ARGUMENTS'],
    ['a TTL of 41 bits', create('/x', { mode: 'persistent-with-ttl', ttlMs: 2 ** 40 }), 'BAD_ARGUMENTS'],
    ['the longest TTL', create('/x', { mode: 'persistent-with-ttl', ttlMs: 2 ** 40 - 1 }), 'OK'],
    ['a TTL of a mode that has none', create('/x', { ttlMs: 5 }), 'BAD_ARGUMENTS'],
    ['the session, before the path', create('bad'), 'SESSION_EXPIRED', 'gone'],
    ['a moved session, before the path', create('bad'), 'SESSION_MOVED', 'moved'],
    ['no slash in the path, before the ACL', create('bad', { acl: [] }), 'BAD_ARGUMENTS'],
    ['NUL in the path, before the ACL', create('/a\0', { acl: [] }), 'BAD_ARGUMENTS'],
    ['no ACL, before the parent', create('/none/x', { acl: [] }), 'INVALID_ACL'],
    ['an ACL of an unknown scheme, before the parent', create('/none/x', { acl: NOBODY }), 'INVALID_ACL'],
    ['`auth` of somebody who has not authenticated', create('/x', { acl: [{ perms: ALL, scheme: 'auth', id: '' }] }), 'INVALID_ACL'],
    ['no parent, before the rest of the path', create('/none/.'), 'NO_NODE'],
    ['`/bad/`, whose parent would be /bad', create('/bad/'), 'NO_NODE'],
    ['`/a//b`, whose parent would be /a/', create('/a//b'), 'NO_NODE'],
    ['CREATE on the parent, before the rest of the path', create('/closed/.'), 'NO_AUTH'],
    ['CREATE on the parent is what it takes', create('/makeable/x'), 'OK'],
    ['WRITE on the parent is not', create('/writable/x'), 'NO_AUTH'],
    ['the rest of the path', create('/open/.'), 'BAD_ARGUMENTS'],
    ['a slash at the end of a path whose parent is there', create('/open/'), 'BAD_ARGUMENTS'],
    ['a slash at the end, and a number behind it', create('/open/', { mode: 'persistent-sequential' }), 'OK'],
    ['the root', create('/'), 'NODE_EXISTS'],
    ['the node is there, before the quota', create('/q/there', { data: 'much too much' }), 'NODE_EXISTS'],
    ['a parent that is ephemeral', create('/eph/x'), 'NO_CHILDREN_FOR_EPHEMERALS'],
    ['CREATE on the parent, before what it is', create('/eph-closed/x'), 'NO_AUTH'],
    ['the rest of the path, before what the parent is', create('/eph/.'), 'BAD_ARGUMENTS'],
    ['the count of a quota', create('/q/x'), 'QUOTA_EXCEEDED'],
    ['CREATE on the parent, before the quota', create('/q-closed/x'), 'NO_AUTH'],
    ['nothing', create('/open/x'), 'OK'],
  ])
})

describe('delete', () => {
  rows([
    ['the session, before the path', remove('bad'), 'SESSION_EXPIRED', 'gone'],
    ['a moved session', remove('/open/there'), 'SESSION_MOVED', 'moved'],
    ['no slash in the path', remove('bad'), 'BAD_ARGUMENTS'],
    ['NUL in the path', remove('/none/\0'), 'BAD_ARGUMENTS'],
    ['/, whose emptiness would be asked for later', remove('/'), 'BAD_ARGUMENTS'],
    ['/zookeeper', remove('/zookeeper'), 'BAD_ARGUMENTS'],
    ['/zookeeper/config', remove('/zookeeper/config'), 'BAD_ARGUMENTS'],
    ['/zookeeper/quota', remove('/zookeeper/quota'), 'BAD_ARGUMENTS'],
    ['no parent', remove('/none/x'), 'NO_NODE'],
    ['DELETE on the parent, before the node is looked for', remove('/closed/x'), 'NO_AUTH'],
    ['the node’s own ACL does not matter', remove('/closed'), 'OK'],
    ['no node', remove('/deletable/x', 7), 'NO_NODE'],
    ['the version, before the children', remove('/parent', 7), 'BAD_VERSION'],
    ['children', remove('/parent', 0), 'NOT_EMPTY'],
    ['nothing', remove('/open/there', 0), 'OK'],
  ])
})

describe('setData', () => {
  rows([
    ['the session, before the path', setData('bad', ''), 'SESSION_EXPIRED', 'gone'],
    ['a moved session', setData('/open', ''), 'SESSION_MOVED', 'moved'],
    ['the whole path, before the node is looked for', setData('/none/', ''), 'BAD_ARGUMENTS'],
    ['an empty path', setData('', ''), 'BAD_ARGUMENTS'],
    ['no node', setData('/none', '', 7), 'NO_NODE'],
    ['WRITE, before the quota', setData('/q-closed', 'much too much'), 'NO_AUTH'],
    ['WRITE, before the version', setData('/readable', '', 7), 'NO_AUTH'],
    ['the quota, before the version', setData('/q', 'much too much', 7), 'QUOTA_EXCEEDED'],
    ['the version', setData('/q', 'ten bytes!', 7), 'BAD_VERSION'],
    ['nothing', setData('/writable', '', 0), 'OK'],
    ['the root', setData('/', 'x'), 'OK'],
  ])
})

describe('setACL', () => {
  rows([
    ['the session, before the path', setAcl('bad', OPEN_ACL), 'SESSION_EXPIRED', 'gone'],
    ['a moved session', setAcl('/open', OPEN_ACL), 'SESSION_MOVED', 'moved'],
    ['the path, before the ACL', setAcl('/none/', []), 'BAD_ARGUMENTS'],
    ['the ACL, before the node is looked for', setAcl('/none', []), 'INVALID_ACL'],
    ['no node', setAcl('/none', OPEN_ACL), 'NO_NODE'],
    ['ADMIN, before the version', setAcl('/writable', OPEN_ACL, 7), 'NO_AUTH'],
    ['the version of the ACL', setAcl('/administrable', OPEN_ACL, 7), 'BAD_VERSION'],
    ['nothing', setAcl('/administrable', OPEN_ACL, 0), 'OK'],
  ])
})

describe('check', () => {
  const inMulti = (what: string, part: MultiPart, expected: string, who: 'holder' | 'gone' | 'moved' = 'holder'): void =>
    test(what, () => {
      expect(world()[who].code(multi(part))).toBe(expected)
    })
  inMulti('the session, before the path', check('bad'), 'SESSION_EXPIRED', 'gone')
  inMulti('a moved session', check('/open'), 'SESSION_MOVED', 'moved')
  inMulti('the path, before the node is looked for', check('/none/'), 'BAD_ARGUMENTS')
  inMulti('no node', check('/none', 7), 'NO_NODE')
  inMulti('READ, before the version', check('/writable', 7), 'NO_AUTH')
  inMulti('the version', check('/readable', 7), 'BAD_VERSION')
  inMulti('nothing', check('/readable', 0), 'check')

  test('outside a multi it is no request (ZOOKEEPER-2623)', () => {
    const { holder } = world()
    expect(() => holder.write(check('/open'))).toThrow(/multi/)
  })
})

describe('access control', () => {
  test('who may everything is asked nothing; without checks everybody is', () => {
    const { holder } = world()
    holder.identities = [{ scheme: 'super', id: '' }]
    expect(holder.code(create('/closed/x'))).toBe('OK')
    expect(world({ checkAcls: false }).holder.code(setData('/closed', ''))).toBe('OK')
  })

  test('the credentials of an ACL are those of the request', () => {
    const { holder } = world()
    holder.identities = [{ scheme: 'digest', id: CLOSED[0]!.id }]
    expect(holder.code(create('/closed/x', { acl: [{ perms: ALL, scheme: 'auth', id: '' }] }))).toBe('OK')
    holder.identities = []
    expect(holder.code(setData('/closed/x', ''))).toBe('NO_AUTH')
  })
})
