import { describe, expect, test } from 'vitest'
import { check, create, type Holder, multi, remove, Stage, setAcl, setData } from '../machine.test-support.ts'
import { type Acl, ADMIN, ALL, CREATE, DELETE, type Identity, type MultiPart, OPEN_ACL, READ, WRITE, type WriteOperation } from '../types.ts'
import { digestId } from './digest.ts'

/** Access control as the machine asks for it: client-protocol.md section 9, "Needed perms". */

const PERMS = { READ, WRITE, CREATE, DELETE, ADMIN } as const
type Perm = keyof typeof PERMS

const only = (perms: number): Acl[] => [{ perms, scheme: 'world', id: 'anyone' }]
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const NOBODY: readonly Identity[] = []

function read(stage: Stage, what: 'exists' | 'get' | 'data' | 'children' | 'countDescendants' | 'acl', path: string, identities = NOBODY): string {
  try {
    stage.leader.reader[what](path, identities)
    return 'OK'
  } catch (thrown) {
    return (thrown as { refusal: string }).refusal
  }
}

describe('what each operation asks for: this permission, of this node, and no other', () => {
  const WRITES: readonly [what: string, operation: WriteOperation | MultiPart, of: 'node' | 'parent', perm: Perm][] = [
    ['create', create('/p/n/new'), 'node', 'CREATE'],
    ['create of a sequential node', create('/p/n/new-', { mode: 'ephemeral-sequential' }), 'node', 'CREATE'],
    ['delete', remove('/p/n'), 'parent', 'DELETE'],
    ['setData', setData('/p/n', 'x'), 'node', 'WRITE'],
    ['setACL', setAcl('/p/n', OPEN_ACL), 'node', 'ADMIN'],
    ['check', check('/p/n'), 'node', 'READ'],
  ]
  const READS = [
    ['exists', ['READ']],
    ['get', ['READ']],
    ['data', ['READ']],
    ['children', ['READ']],
    ['countDescendants', ['READ']],
    ['acl', ['READ', 'ADMIN']],
  ] as const

  function world(node: number, parent: number): { stage: Stage; holder: Holder } {
    const stage = new Stage()
    const holder = stage.open()
    holder.writeAll([create('/p'), create('/p/n', { acl: only(node) }), setAcl('/p', only(parent))])
    return { stage, holder }
  }

  test.each(WRITES)('%s', (_, operation, of, perm) => {
    const ask = (node: number, parent: number): string => {
      const { holder } = world(node, parent)
      return operation.type === 'check' ? holder.code(multi(operation)) : holder.code(operation)
    }
    for (const [name, bit] of Object.entries(PERMS)) {
      const codes = of === 'node' ? [ask(bit, 0), ask(ALL & ~bit, ALL)] : [ask(0, bit), ask(ALL, ALL & ~bit)]
      const done = operation.type === 'check' ? 'check' : 'OK'
      expect(codes, name).toEqual(name === perm ? [done, 'NO_AUTH'] : ['NO_AUTH', done])
    }
  })

  test.each(READS)('%s', (what, perms) => {
    for (const [name, bit] of Object.entries(PERMS)) {
      expect(read(world(bit, 0).stage, what, '/p/n'), name).toBe((perms as readonly string[]).includes(name) ? 'OK' : 'NO_AUTH')
    }
  })

  test('getEphemerals, sync and who I am ask for nothing: what is a session’s own is told it', () => {
    const { stage, holder } = world(CREATE, ALL)
    holder.writeAll([create('/p/n/e', { mode: 'ephemeral', acl: only(0) })])
    expect(stage.leader.reader.ephemerals(holder.id)).toEqual(['/p/n/e'])
  })
})

describe('the root (ACLRootTest, ACLTest: exists of the root)', () => {
  test('can be closed to all but its owner, who can open it again', () => {
    const stage = new Stage()
    const holder = stage.open()
    const owner = stage.leader.authenticate('digest', bytes('pat:test'))
    holder.identities = owner
    expect(holder.code(setAcl('/', [{ perms: ALL, scheme: 'auth', id: '' }], -1))).toBe('OK')
    holder.identities = NOBODY
    expect([create('/a'), setData('/', 'x'), setAcl('/', OPEN_ACL)].map((operation) => holder.code(operation))).toEqual(['NO_AUTH', 'NO_AUTH', 'NO_AUTH'])
    for (const what of ['exists', 'get', 'children', 'countDescendants', 'acl'] as const) {
      expect([read(stage, what, '/'), read(stage, what, '/', owner)]).toEqual(['NO_AUTH', 'OK'])
    }
    // Nothing is inherited.
    expect(read(stage, 'get', '/zookeeper')).toBe('OK')
    holder.identities = stage.leader.authenticate('digest', bytes('world:anyone'))
    expect(holder.code(create('/a'))).toBe('NO_AUTH')
    holder.identities = owner
    expect(holder.code(create('/a'))).toBe('OK')
    expect(holder.code(setAcl('/', OPEN_ACL, 1))).toBe('OK')
    holder.identities = NOBODY
    expect(holder.code(create('/b'))).toBe('OK')
  })
})

describe('the ACL that a node has', () => {
  test('is what was given without its duplicates, `auth` expanded, in the order given (ACLCountTest, ACLTest)', () => {
    const stage = new Stage()
    const holder = stage.open()
    const ann = digestId('ann:1')
    holder.identities = [{ scheme: 'ip', id: '10.0.0.1' }, ...stage.leader.authenticate('digest', bytes('ann:1'))]
    const acl: Acl[] = [
      { perms: READ, scheme: 'world', id: 'anyone' },
      { perms: ALL, scheme: 'auth', id: '' },
      { perms: READ, scheme: 'world', id: 'anyone' },
      { perms: WRITE, scheme: 'ip', id: '10.0.0.0/8' },
      { perms: ALL, scheme: 'auth', id: '' },
    ]
    const stored = [acl[0]!, { perms: ALL, scheme: 'digest', id: ann }, acl[3]!]
    holder.writeAll([create('/a', { acl }), create('/b'), setAcl('/b', acl)])
    for (const path of ['/a', '/b']) for (const machine of [stage.leader, stage.follower]) expect(machine.reader.acl(path).acl).toEqual(stored)
    // Who may read it and not change it sees no hash; nobody else sees it.
    expect(stage.leader.reader.acl('/a', NOBODY).acl[1]).toEqual({ perms: ALL, scheme: 'digest', id: 'ann:x' })
    expect(stage.leader.reader.acl('/a', holder.identities).acl).toEqual(stored)
    expect(read(stage, 'acl', '/a', [{ scheme: 'digest', id: 'ann:x' }])).toBe('OK')
  })

  test('is built in: everything for all, and /zookeeper/config to be read', () => {
    const stage = new Stage()
    const holder = stage.open()
    for (const path of ['/', '/zookeeper', '/zookeeper/quota']) expect(stage.leader.reader.acl(path)).toMatchObject({ acl: OPEN_ACL, stat: { aversion: 0 } })
    expect(stage.leader.reader.acl('/zookeeper/config')).toMatchObject({ acl: only(READ), stat: { aversion: -1 } })
    expect(
      [setData('/zookeeper/config', 'x'), setAcl('/zookeeper/config', OPEN_ACL), create('/zookeeper/config/x')].map((operation) => holder.code(operation)),
    ).toEqual(['NO_AUTH', 'NO_AUTH', 'NO_AUTH'])
    expect(holder.code(create('/zookeeper/mine'))).toBe('OK')
    holder.identities = [{ scheme: 'super', id: '' }]
    expect(holder.code(setAcl('/zookeeper/config', OPEN_ACL))).toBe('OK')
    expect(stage.leader.reader.exists('/zookeeper/config')!.aversion).toBe(0)
  })
})

describe('who one is (AuthTest)', () => {
  test.each(['SHA-1', 'SHA-256'] as const)('by %s: with the password, whoever asks; super by superDigest of the same algorithm', (digestAlgorithm) => {
    const stage = new Stage({ digestAlgorithm, superDigest: digestId('super:test', digestAlgorithm) })
    const holder = stage.open()
    const as = (...credentials: string[]): readonly Identity[] => credentials.flatMap((credential) => stage.leader.authenticate('digest', bytes(credential)))
    holder.identities = as('pat:test')
    holder.writeAll([create('/pats', { acl: [{ perms: ALL, scheme: 'auth', id: '' }] })])
    expect(stage.leader.reader.acl('/pats').acl).toEqual([{ perms: ALL, scheme: 'digest', id: digestId('pat:test', digestAlgorithm) }])
    const codeOfSet = (identities: readonly Identity[]): string => {
      holder.identities = identities
      return holder.code(setData('/pats', 'x'))
    }
    expect(codeOfSet(NOBODY)).toBe('NO_AUTH')
    expect(codeOfSet(as('pat:other'))).toBe('NO_AUTH')
    expect(codeOfSet(as('super:wrong'))).toBe('NO_AUTH')
    expect(codeOfSet(as('pat:other', 'pat:test'))).toBe('OK')
    expect(codeOfSet(as('super:test'))).toBe('OK')
    const other = digestAlgorithm === 'SHA-1' ? 'SHA-256' : 'SHA-1'
    expect(codeOfSet([{ scheme: 'digest', id: digestId('pat:test', other) }])).toBe('NO_AUTH')
  })

  test('an address is who comes from it, and nothing that `auth` stands for; a subject is both', () => {
    const stage = new Stage()
    const holder = stage.open()
    holder.identities = [{ scheme: 'ip', id: '10.1.2.3' }]
    expect(holder.code(create('/a', { acl: [{ perms: ALL, scheme: 'auth', id: '' }] }))).toBe('INVALID_ACL')
    holder.writeAll([create('/a', { acl: [{ perms: ALL, scheme: 'ip', id: '10.1.0.0/16' }] }), setData('/a', 'x')])
    holder.identities = [{ scheme: 'ip', id: '10.2.2.3' }]
    expect(holder.code(setData('/a', 'x'))).toBe('NO_AUTH')
    holder.identities = [{ scheme: 'x509', id: 'CN=web,O=Example' }]
    holder.writeAll([create('/b', { acl: [{ perms: ALL, scheme: 'auth', id: '' }] }), setData('/b', 'x')])
    expect(stage.leader.reader.acl('/b').acl).toEqual([{ perms: ALL, scheme: 'x509', id: 'CN=web,O=Example' }])
    holder.identities = NOBODY
    expect(holder.code(setData('/b', 'x'))).toBe('NO_AUTH')
  })

  test('a watch hears by the permission to read, of the node as it is then', () => {
    const stage = new Stage()
    const holder = stage.open()
    const owner = stage.leader.authenticate('digest', bytes('pat:test'))
    const heard: string[] = []
    const watcher = (name: string, identities: readonly Identity[]) => ({
      notify: ({ type, path }: { type: string; path: string }) => void heard.push(`${name} ${type} ${path}`),
      mayRead: (acl: readonly Acl[]) => stage.leader.permits(acl, READ, identities),
    })
    stage.leader.watches.add(watcher('owner', owner), '/', 'recursive')
    stage.leader.watches.add(watcher('other', NOBODY), '/', 'recursive')
    holder.identities = owner
    holder.writeAll([create('/a', { acl: [{ perms: ALL, scheme: 'auth', id: '' }] }), setAcl('/a', OPEN_ACL), setData('/a', 'x')])
    expect(heard).toEqual(['owner created /a', 'owner dataChanged /a', 'other dataChanged /a'])
  })
})
