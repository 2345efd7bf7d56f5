import { AntiphonError } from '@antiphon/ports'
import { type Acl, type CreateMode, READ } from '@antiphon/znode-tree'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Ensemble } from './ensemble.test-support.ts'
import { openSession, type Session, text } from './index.ts'

/** What ZooKeeper's own clients do, and the tests of tests.md sections 1 to 4 that are about them. */

const MIB = 1024 * 1024

let ensemble: Ensemble
let session: Session
let counter = 0

async function home(): Promise<string> {
  return (await session.create(`/contract-${counter++}`)).path
}

beforeAll(async () => {
  ensemble = await Ensemble.start()
  session = await openSession(ensemble.get(ensemble.follower))
})

afterAll(async () => {
  await session.close()
  await ensemble[Symbol.asyncDispose]()
})

async function refusalOf(promise: Promise<unknown>): Promise<string | null> {
  const thrown: unknown = await promise.then(
    () => null,
    (error: unknown) => error,
  )
  if (!(thrown instanceof AntiphonError)) throw new Error(`an AntiphonError was expected, not ${String(thrown)}`)
  return thrown.refusal ?? thrown.code
}

describe('what is no path is said before anything is asked (client-protocol.md section 7: clients validate too; ClientTest, PathUtilsTest)', () => {
  const PATHS = ['', 'a', '/a/', '//', '/a//b', '/.', '/a/..', '/a/./b', '/a\0', '/a\u0001', '/\u007f', '/\ud83d\ude00', '/\ue000', '/\ufff0']

  test.each(PATHS)('%j', async (path) => {
    const acl: Acl[] = [{ perms: READ, scheme: 'world', id: 'anyone' }]
    const promised: (() => Promise<unknown>)[] = [
      () => session.create(path),
      () => session.delete(path),
      () => session.exists(path),
      () => session.exists(path, { watch: () => undefined }),
      () => session.getData(path),
      () => session.setData(path, ''),
      () => session.getChildren(path),
      () => session.getAllChildrenNumber(path),
      () => session.getAcl(path),
      () => session.setAcl(path, acl),
      () => session.multiRead([{ getData: '/' }, { getChildren: path }]),
    ]
    for (const ask of promised) await expect(ask(), String(ask)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'rejected' })
    const atOnce: (() => unknown)[] = [
      () => session.watch(path),
      () => session.chroot(path),
      () => session.node(path, text),
      () => session.transaction().create(path),
      () => session.transaction().delete(path),
      () => session.transaction().setData(path, ''),
      () => session.transaction().check(path),
    ]
    for (const ask of atOnce) expect(ask, String(ask)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    await expect(openSession(ensemble.get(ensemble.follower), { local: true, chroot: path })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('a number makes a path of what was none: `/a/` of a sequential node, and of no other', async () => {
    const at = await home()
    expect((await session.create(`${at}/`, '', { mode: 'persistent-sequential' })).path).toBe(`${at}/0000000000`)
    await expect(session.create(`${at}//`, '', { mode: 'persistent-sequential' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(session.create(`${at}/`, '', { mode: 'ephemeral' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect((await session.create(`${at}/..`, '', { mode: 'persistent-sequential' })).path).toBe(`${at}/..0000000001`)
  })

  test('a local read says of it that there is no such node', () => {
    expect(session.local.exists('/a//b')).toBeNull()
    expect(() => session.local.data('/a/')).toThrow(expect.objectContaining({ refusal: 'NO_NODE' }))
  })
})

describe('how much a node holds, with all settings as they are (BufferSizeTest; client-protocol.md section 2)', () => {
  test('a byte less than 1 MiB, made, set, in a transaction, and read again elsewhere', async () => {
    const at = await home()
    const data = new Uint8Array(MIB - 1).fill(7)
    await session.addAuth('digest', `somebody:${'x'.repeat(1000)}`)
    await session.create(`${at}/made`, data)
    await session.create(`${at}/set`)
    await session.setData(`${at}/set`, data)
    await session.transaction().create(`${at}/both`, data).delete(`${at}/made`).commit()
    await using other = await openSession(ensemble.get(ensemble.leader), { local: true })
    for (const name of ['set', 'both']) {
      const read = (await other.getData(`${at}/${name}`, { level: 'linearizable' })).data!
      expect([read.length, read.every((byte) => byte === 7)]).toEqual([MIB - 1, true])
    }
  })

  test('a byte more is TOO_LARGE, and so is a transaction of many, and nothing of it happens', async () => {
    const at = await home()
    const data = new Uint8Array(MIB)
    expect(await refusalOf(session.create(`${at}/x`, data))).toBe('TOO_LARGE')
    expect(await refusalOf(session.setData(at, data))).toBe('TOO_LARGE')
    const half = data.subarray(MIB / 2 - 1)
    expect(await refusalOf(session.transaction().create(`${at}/a`, half).create(`${at}/b`, half).create(`${at}/c`, half).commit())).toBe('TOO_LARGE')
    expect((await session.getChildren(at)).stat).toMatchObject({ numChildren: 0, version: 0 })
  })
})

describe('every operation refuses by its own code (AsyncOpsTest)', () => {
  test('what is not there', async () => {
    const at = await home()
    const none = `${at}/none`
    const asked = [
      session.getData(none),
      session.getChildren(none),
      session.getAllChildrenNumber(none),
      session.getAcl(none),
      session.setData(none, ''),
      session.setAcl(none, [{ perms: READ, scheme: 'world', id: 'anyone' }]),
      session.delete(none),
      session.create(`${none}/below`),
    ]
    expect(await Promise.all(asked.map(refusalOf))).toEqual(asked.map(() => 'NO_NODE'))
    expect(await session.exists(none)).toBeNull()
  })

  test('a version that is another, children, special nodes, arguments that are none', async () => {
    const at = await home()
    await session.create(`${at}/x`)
    expect(await refusalOf(session.delete(at, { version: 5 }))).toBe('BAD_VERSION')
    expect(await refusalOf(session.setAcl(at, [{ perms: READ, scheme: 'world', id: 'anyone' }], { version: 5 }))).toBe('BAD_VERSION')
    expect(await refusalOf(session.delete(at))).toBe('NOT_EMPTY')
    for (const path of ['/', '/zookeeper', '/zookeeper/config', '/zookeeper/quota']) expect(await refusalOf(session.delete(path))).toBe('BAD_ARGUMENTS')
    expect(await refusalOf(session.create(`${at}/y`, '', { acl: null as never }))).toBe('INVALID_ARGUMENT')
    expect(await refusalOf(session.create(`${at}/y`, '', { mode: 'odd' as CreateMode }))).toBe('INVALID_ARGUMENT')
    for (const reads of [[{ exists: at }], [null], [5], null, 'x']) expect(await refusalOf(session.multiRead(reads as never))).toBe('INVALID_ARGUMENT')
    for (const credential of [5, null, undefined]) expect(await refusalOf(session.addAuth('digest', credential as never))).toBe('INVALID_ARGUMENT')
    for (const identities of [[null], [{ scheme: 'ip' }], 'ip'])
      expect(await refusalOf(openSession(ensemble.get(1), { identities: identities as never }))).toBe('INVALID_ARGUMENT')
  })
})

test('containers and nodes with a TTL, alone and in a transaction (CreateContainerTest, CreateTTLTest)', async () => {
  const at = await home()
  const { stat } = await session.create(`${at}/box`, '', { mode: 'container' })
  expect(stat.ephemeralOwner).toBe(0n)
  await session.create(`${at}/box/child`)
  expect((await session.create(`${at}/ttl-`, '', { mode: 'persistent-sequential-with-ttl', ttlMs: 2 ** 40 - 1 })).path).toBe(`${at}/ttl-0000000001`)
  const made = await session
    .transaction()
    .create(`${at}/brief`, '', { mode: 'persistent-with-ttl', ttlMs: 60_000 })
    .create(`${at}/box2`, '', { mode: 'container' })
    .commit()
  expect(made.map((one) => one.type === 'create' && [one.path, one.stat.ephemeralOwner])).toEqual([
    [`${at}/brief`, 0n],
    [`${at}/box2`, 0n],
  ])
  for (const ttlMs of [0, -1, 2 ** 40]) expect(await refusalOf(session.create(`${at}/bad`, '', { mode: 'persistent-with-ttl', ttlMs }))).toBe('BAD_ARGUMENTS')
  expect(await refusalOf(session.create(`${at}/bad`, '', { mode: 'persistent-with-ttl' }))).toBe('INVALID_ARGUMENT')
})

test('the ephemeral nodes of a session, by a beginning of their paths, below a chroot too (GetEphemeralsTest)', async () => {
  const at = await home()
  await using own = await openSession(ensemble.get(ensemble.leader))
  for (const name of ['b', 'ab', 'a', 'a-c']) await own.create(`${at}/${name}`, '', { mode: 'ephemeral' })
  const all = ['a', 'a-c', 'ab', 'b'].map((name) => `${at}/${name}`)
  expect(await own.getEphemerals()).toEqual(all)
  expect(await own.getEphemerals('/')).toEqual(all)
  expect(await own.getEphemerals(`${at}/`)).toEqual(all)
  expect(await own.getEphemerals(`${at}/a`)).toEqual(all.slice(0, 3))
  expect(await own.getEphemerals(`${at}/none`)).toEqual([])
  const inside = own.chroot(at)
  expect(await inside.getEphemerals('/a')).toEqual(['/a', '/a-c', '/ab'])
  expect(await inside.getEphemerals()).toEqual(['/a', '/a-c', '/ab', '/b'])
  expect(await session.getEphemerals(at)).toEqual([])
})

test('everything below a chroot (ChrootTest, ChrootAsyncTest, MultiOperationTest below one)', async () => {
  const at = await home()
  const inside = session.chroot(at)
  const heard: string[] = []
  inside.watch('/', ({ type, path }) => heard.push(`${type} ${path}`))
  const results = await inside
    .transaction()
    .create('/a', '1')
    .create('/a/n-', '', { mode: 'persistent-sequential' })
    .setData('/a', '2')
    .check('/a', { version: 1 })
    .commit()
  expect(results.map((one) => (one.type === 'create' ? one.path : one.type))).toEqual(['/a', '/a/n-0000000000', 'setData', 'check'])
  expect(await inside.getAllChildrenNumber('/')).toBe(2)
  expect((await inside.getChildren('/')).children).toEqual(['a'])
  expect(await inside.multiRead([{ getChildren: '/a' }, { getData: '/' }])).toMatchObject([
    { ok: true, children: ['n-0000000000'] },
    { ok: true, data: null },
  ])
  expect((await inside.setAcl('/', [{ perms: 31, scheme: 'world', id: 'anyone' }])).aversion).toBe(1)
  expect((await inside.getAcl('/')).stat.aversion).toBe(1)
  const deeper = inside.chroot('/a')
  await deeper.delete('/n-0000000000')
  await inside.delete('/a')
  await session.delete(at)
  expect(heard).toEqual(['childrenChanged /', 'childrenChanged /', 'deleted /'])
  expect(await refusalOf(inside.create('/late'))).toBe('NO_NODE')
  expect(await inside.exists('/')).toBeNull()
})

test('in a multiRead who may not read one node reads the others (MultiOperationTest: multiRead)', async () => {
  const at = await home()
  await using owner = await openSession(ensemble.get(ensemble.leader))
  await owner.addAuth('digest', 'ann:1')
  await owner.create(`${at}/mine`, 'x', { acl: [{ perms: 31, scheme: 'auth', id: '' }] })
  await session.sync()
  const reads = [{ getData: `${at}/mine` }, { getChildren: `${at}/mine` }, { getChildren: at }, { getData: at }] as const
  expect((await session.multiRead(reads)).map((one) => (one.ok ? 'ok' : one.error.refusal))).toEqual(['NO_AUTH', 'NO_AUTH', 'ok', 'ok'])
})

test('a watch that a read was to leave is not there when the read is refused, and is when exists finds nothing (client-protocol.md section 5)', async () => {
  const at = await home()
  await using owner = await openSession(ensemble.get(ensemble.leader))
  await owner.addAuth('digest', 'ann:1')
  await owner.create(`${at}/mine`, 'x', { acl: [{ perms: 31, scheme: 'auth', id: '' }] })
  await session.sync()
  const { watches } = ensemble.get(ensemble.follower).machines.znodes
  const before = watches.size
  const watch = (): void => undefined
  for (const ask of [session.exists(`${at}/mine`, { watch }), session.getData(`${at}/mine`, { watch }), session.getChildren(`${at}/mine`, { watch })])
    expect(await refusalOf(ask)).toBe('NO_AUTH')
  for (const ask of [session.getData(`${at}/none`, { watch }), session.getChildren(`${at}/none`, { watch })]) expect(await refusalOf(ask)).toBe('NO_NODE')
  expect(watches.size).toBe(before)
  expect(await session.exists(`${at}/none`, { watch })).toBeNull()
  expect(watches.size).toBe(before + 1)
  await session.create(`${at}/none`)
  expect(watches.size).toBe(before)
})

test('a transaction makes a local session global when a part of it is ephemeral (MultiOpSessionUpgradeTest)', async () => {
  const at = await home()
  const replica = ensemble.get(ensemble.follower)
  await using local = await openSession(replica, { local: true })
  await local.transaction().create(`${at}/p`).commit()
  expect(replica.machines.znodes.session(local.id)).toBeNull()
  const both = [
    local.transaction().create(`${at}/q`).create(`${at}/q/e-`, '', { mode: 'ephemeral-sequential' }).commit(),
    local.create(`${at}/e`, '', { mode: 'ephemeral' }),
  ]
  await Promise.all(both)
  expect(replica.machines.znodes.session(local.id)?.id).toBe(local.id)
  expect(await local.getEphemerals()).toEqual([`${at}/e`, `${at}/q/e-0000000000`])
})

test('a session that expires is told so once, behind its last events; what iterates its watches throws; none of them is left (WatchLeakTest, SessionTest)', async () => {
  const at = await home()
  const replica = ensemble.get(ensemble.follower)
  const before = replica.machines.znodes.watches.size
  const doomed = await openSession(replica)
  const told: string[] = []
  for (const event of ['connected', 'suspended', 'jeopardy', 'safe', 'expired', 'closed'] as const) doomed.on(event, () => told.push(event))
  doomed.watch(at, ({ type }) => told.push(type))
  const seen: string[] = []
  const iterating = (async () => {
    for await (const { type } of doomed.watch(at, { kind: 'recursive' })) seen.push(type)
  })()
  await doomed.exists(`${at}/none`, { watch: () => undefined })
  await doomed.create(`${at}/e`, '', { mode: 'ephemeral' })
  await replica.propose('znodes', { kind: 'closeSession', session: doomed.id, attachment: null })
  await expect(iterating).rejects.toMatchObject({ code: 'REFUSED', refusal: 'SESSION_EXPIRED', details: { zookeeperCode: -112 } })
  // Its own ephemeral node goes with it, and it hears of that too.
  expect(seen).toEqual(['created', 'deleted'])
  expect(told).toEqual(['childrenChanged', 'childrenChanged', 'expired'])
  expect(doomed.state).toBe('expired')
  expect(replica.machines.znodes.watches.size).toBe(before)
  for (const ask of [doomed.create(`${at}/late`), doomed.getData(at), doomed.sync(), doomed.whoAmI()]) expect(await refusalOf(ask)).toBe('SESSION_EXPIRED')
  expect(() => doomed.watch(at)).toThrow(expect.objectContaining({ refusal: 'SESSION_EXPIRED' }))
  expect(() => doomed.local.exists(at)).toThrow(expect.objectContaining({ refusal: 'SESSION_EXPIRED' }))
  await doomed.close()
  expect(told.at(-1)).toBe('expired')
})

test('a credential that shows nothing is refused, and takes nothing away of what was shown before (AuthTest)', async () => {
  await using own = await openSession(ensemble.get(ensemble.leader), { identities: [{ scheme: 'ip', id: '10.0.0.1' }] })
  await own.addAuth('digest', 'ann:1')
  await own.addAuth('digest', new TextEncoder().encode('ann:1'))
  for (const scheme of ['nobody', 'world', 'auth', 'super', 'ip', 'x509']) expect(await refusalOf(own.addAuth(scheme, 'x')), scheme).toBe('AUTH_FAILED')
  await own.addAuth('digest', 'bob:2')
  expect(await own.whoAmI()).toEqual([
    { scheme: 'ip', id: '10.0.0.1' },
    { scheme: 'digest', id: 'ann' },
    { scheme: 'digest', id: 'bob' },
  ])
  const at = await home()
  await own.sync()
  await own.create(`${at}/x`, '', { acl: [{ perms: 31, scheme: 'auth', id: '' }] })
  expect((await own.getAcl(`${at}/x`)).acl.map(({ id }) => id.split(':')[0])).toEqual(['ann', 'bob'])
})
