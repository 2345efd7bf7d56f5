import { AntiphonError } from '@antiphon/ports'
import type { WatchEvent } from '@antiphon/znode-tree'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Ensemble, until } from './ensemble.test-support.ts'
import { json, openSession, type Session, text } from './index.ts'

let ensemble: Ensemble
let session: Session
let counter = 0

/** A node of its own for each test. */
async function home(): Promise<string> {
  return (await session.create(`/home-${counter++}`)).path
}

beforeAll(async () => {
  ensemble = await Ensemble.start()
  session = await openSession(ensemble.get(ensemble.leader))
})

afterAll(async () => {
  await session.close()
  await ensemble[Symbol.asyncDispose]()
})

async function refusalOf(promise: Promise<unknown>): Promise<[string | null, unknown]> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof AntiphonError)) throw new Error(`an AntiphonError was expected, not ${String(error)}`)
  return [error.refusal, error.details['zookeeperCode']]
}

describe('reads and writes', () => {
  test('/zookeeper/config tells who belongs to the ensemble', async () => {
    await until(session, '/zookeeper/config', () => session.local.getData('/zookeeper/config').stat.dataLength > 0)
    const { data } = await session.getData('/zookeeper/config')
    expect(new TextDecoder().decode(data!)).toBe('server.1=a:participant\nserver.2=b:participant\nserver.3=c:participant\nversion=0')
  })

  test('a node is what it was made of, on every replica', async () => {
    const at = await home()
    const { path, stat } = await session.create(`${at}/x`, 'hello')
    expect([path, stat.version, stat.dataLength]).toEqual([`${at}/x`, 0, 5])
    for (const replica of ensemble.replicas.values()) {
      await using other = await openSession(replica, { local: true })
      const read = await other.getData(`${at}/x`, { level: 'linearizable' })
      expect(new TextDecoder().decode(read.data!)).toBe('hello')
      expect(read.stat).toEqual(stat)
    }
  })

  test('null and empty data are different', async () => {
    const at = await home()
    await session.create(`${at}/null`)
    await session.create(`${at}/empty`, '')
    expect((await session.getData(`${at}/null`)).data).toBeNull()
    expect((await session.getData(`${at}/empty`)).data).toEqual(new Uint8Array(0))
  })

  test("refusals have ZooKeeper's names and numbers", async () => {
    const at = await home()
    await session.create(`${at}/x`)
    await session.create(`${at}/x/y`)
    expect(await refusalOf(session.getData(`${at}/none`))).toEqual(['NO_NODE', -101])
    expect(await refusalOf(session.create(`${at}/x`))).toEqual(['NODE_EXISTS', -110])
    expect(await refusalOf(session.setData(`${at}/x`, '', { version: 3 }))).toEqual(['BAD_VERSION', -103])
    expect(await refusalOf(session.delete(`${at}/x`))).toEqual(['NOT_EMPTY', -111])
    await session.create(`${at}/brief`, '', { mode: 'ephemeral' })
    expect(await refusalOf(session.create(`${at}/brief/child`))).toEqual(['NO_CHILDREN_FOR_EPHEMERALS', -108])
    expect(await refusalOf(session.setAcl(`${at}/x`, []))).toEqual(['INVALID_ACL', -114])
  })

  test('what is wrong with an argument is said before anything is done', async () => {
    await expect(session.create('no-slash')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'rejected' })
    await expect(session.create('/x', 7 as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(session.setData('/x', '', { version: 1.5 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(session.create('/x', '', { ttlMs: 5 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    await expect(openSession(ensemble.get(1), { timeout: 3 } as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(() => session.watch('/x', { kind: 'all' as never })).toThrow(/no watch of kind/)
  })

  test('writes take their order from the calls, and a read sees every earlier write of its session', async () => {
    const at = await home()
    await using follower = await openSession(ensemble.get(ensemble.follower))
    const created = Array.from({ length: 50 }, () => follower.create(`${at}/n-`, '', { mode: 'persistent-sequential' }))
    const { children } = await follower.getChildren(at)
    expect(children).toEqual(Array.from({ length: 50 }, (_, i) => `n-${String(i).padStart(10, '0')}`))
    expect((await Promise.all(created)).map(({ path }) => path.slice(at.length + 1))).toEqual(children)
  })

  test('a linearizable read on any replica shows what another has acknowledged', async () => {
    const at = await home()
    await using follower = await openSession(ensemble.get(ensemble.follower), { local: true })
    for (let i = 0; i < 20; i++) {
      await session.setData(at, String(i))
      const { data } = await follower.getData(at, { level: 'linearizable' })
      expect(Number(new TextDecoder().decode(data!))).toBe(i)
    }
  })

  test('local reads answer at once, without a copy', async () => {
    const at = await home()
    await session.create(`${at}/x`, 'now')
    expect(new TextDecoder().decode(session.local.data(`${at}/x`)!)).toBe('now')
    expect(session.local.getChildren(at)).toEqual(['x'])
    expect(session.local.exists(`${at}/none`)).toBeNull()
    expect(() => session.local.getData(`${at}/none`)).toThrow(expect.objectContaining({ refusal: 'NO_NODE' }))
  })

  test('multiRead answers each read by itself', async () => {
    const at = await home()
    await session.create(`${at}/x`, 'a')
    const results = await session.multiRead([{ getData: `${at}/x` }, { getData: `${at}/none` }, { getChildren: at }])
    expect(results.map((result) => (result.ok ? ('children' in result ? result.children : result.data) : result.error.refusal))).toEqual([
      new TextEncoder().encode('a'),
      'NO_NODE',
      ['x'],
    ])
  })
})

describe('transactions', () => {
  test('all of it happens', async () => {
    const at = await home()
    const results = await session
      .transaction()
      .create(`${at}/a`, '1')
      .create(`${at}/a/b`, '2')
      .setData(`${at}/a`, '3')
      .check(`${at}/a`, { version: 1 })
      .delete(`${at}/a/b`)
      .commit()
    expect(results.map(({ type }) => type)).toEqual(['create', 'create', 'setData', 'check', 'delete'])
    expect((await session.getChildren(`${at}/a`)).children).toEqual([])
  })

  test('or nothing, and the error names the operation', async () => {
    const at = await home()
    const failing = session.transaction().create(`${at}/a`).delete(`${at}/none`).create(`${at}/c`)
    await expect(failing.commit()).rejects.toMatchObject({
      code: 'REFUSED',
      refusal: 'NO_NODE',
      outcome: 'rejected',
      details: { index: 1, path: `${at}/none` },
    })
    expect((await session.getChildren(at)).children).toEqual([])
    await expect(failing.commit()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('watches', () => {
  test('an event comes before the answer to the write that fired it', async () => {
    const at = await home()
    const order: string[] = []
    session.watch(at, ({ type, path }) => order.push(`${type} ${path}`), { kind: 'recursive' })
    await session.create(`${at}/x`).then(() => order.push('created'))
    await session.setData(`${at}/x`, '1').then(() => order.push('set'))
    await session.delete(`${at}/x`).then(() => order.push('deleted'))
    expect(order).toEqual([`created ${at}/x`, 'created', `dataChanged ${at}/x`, 'set', `deleted ${at}/x`, 'deleted'])
  })

  test('and before a read on another replica that shows it', async () => {
    const at = await home()
    await using follower = await openSession(ensemble.get(ensemble.follower))
    await follower.sync()
    let heard = 0
    follower.watch(at, () => heard++)
    for (let i = 1; i <= 50; i++) {
      void session.setData(at, String(i))
      const { stat } = await follower.getData(at)
      expect(heard).toBe(stat.version)
    }
    await follower.sync()
    expect(heard).toBe((await follower.getData(at)).stat.version)
  })

  test('those of reads fire once', async () => {
    const at = await home()
    const heard: WatchEvent[] = []
    const note = (event: WatchEvent): number => heard.push(event)
    expect(await session.exists(`${at}/x`, { watch: note })).toBeNull()
    await session.create(`${at}/x`, 'a')
    await session.setData(`${at}/x`, 'b')
    await session.getData(`${at}/x`, { watch: note })
    await session.getChildren(at, { watch: note })
    await session.setData(`${at}/x`, 'c')
    await session.setData(`${at}/x`, 'd')
    await session.delete(`${at}/x`)
    expect(heard.map(({ type, path }) => `${type} ${path}`)).toEqual([`created ${at}/x`, `dataChanged ${at}/x`, `childrenChanged ${at}`])
  })

  test('an iteration loses nothing while its consumer is slow, and is left with break', async () => {
    const at = await home()
    const watch = session.watch(at, { kind: 'recursive' })
    for (let i = 0; i < 20; i++) await session.create(`${at}/n${i}`)
    const seen: string[] = []
    for await (const { path } of watch) {
      seen.push(path)
      if (seen.length === 20) break
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `${at}/n${i}`))
    const before = ensemble.get(ensemble.leader).machines.znodes.watches.size
    const other = session.watch(at)
    expect(ensemble.get(ensemble.leader).machines.znodes.watches.size).toBe(before + 1)
    other.close()
    expect(ensemble.get(ensemble.leader).machines.znodes.watches.size).toBe(before)
  })

  test('a listener that throws is trouble, and nothing else', async () => {
    const at = await home()
    const trouble: string[] = []
    const note = (error: AntiphonError): number => trouble.push(error.message)
    session.on('trouble', note)
    const heard: string[] = []
    session.watch(at, () => {
      throw new Error('not today')
    })
    session.watch(at, ({ type }) => heard.push(type))
    await session.setData(at, 'x')
    session.off('trouble', note)
    expect(trouble).toEqual(['a listener threw: not today'])
    expect(heard).toEqual(['dataChanged'])
  })
})

describe('views', () => {
  test('a chroot puts a path in front, and takes it off again', async () => {
    const at = await home()
    const inside = session.chroot(at)
    const events: string[] = []
    inside.watch('/', ({ type, path }) => events.push(`${type} ${path}`), { kind: 'recursive' })
    const { path } = await inside.create('/x-', 'v', { mode: 'ephemeral-sequential' })
    expect(path).toBe('/x-0000000000')
    await inside.setData('/', 'root')
    expect(events).toEqual(['created /x-0000000000', 'dataChanged /'])
    expect(await inside.getEphemerals()).toEqual(['/x-0000000000'])
    expect((await session.getData(`${at}${path}`)).data).toEqual(new TextEncoder().encode('v'))
    await expect(inside.transaction().delete('/none').commit()).rejects.toMatchObject({ details: { path: '/none' } })
    await expect(inside.getData('/none')).rejects.toMatchObject({ refusal: 'NO_NODE' })
  })

  test('typed nodes: update never loses a change', async () => {
    const at = await home()
    const count = session.node<{ n: number }>(`${at}/count`, json())
    expect(await count.get()).toBeNull()
    const follower = await openSession(ensemble.get(ensemble.follower))
    const same = follower.node<{ n: number }>(`${at}/count`, json())
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? count : same).update((value) => ({ n: (value?.n ?? 0) + 1 }))))
    expect((await count.get({ level: 'linearizable' }))?.value).toEqual({ n: 20 })
    await follower.close()
  })

  test('typed nodes: values come as they are, then the newest of the later ones', async () => {
    const at = await home()
    const name = session.node(`${at}/name`, text)
    const seen: (string | null)[] = []
    const reading = (async () => {
      for await (const found of name.values()) {
        seen.push(found?.value ?? null)
        if (found?.value === 'last') return
      }
    })()
    await name.put('first')
    await name.put('second')
    await name.delete()
    await name.put('last')
    await reading
    expect(seen.at(-1)).toBe('last')
    for (let i = 1; i < seen.length; i++) expect(seen[i]).not.toBe(seen[i - 1])
  })

  test('data that a codec does not understand reject the read, by name', async () => {
    const at = await home()
    await session.create(`${at}/x`, 'no json')
    await expect(session.node(`${at}/x`, json()).get()).rejects.toMatchObject({ refusal: 'CORRUPT_VALUE', details: { path: `${at}/x` } })
  })
})

describe('identities', () => {
  test('an ACL keeps others out, locally too', async () => {
    const at = await home()
    await using owner = await openSession(ensemble.get(1))
    await owner.addAuth('digest', 'ada:secret')
    await owner.create(`${at}/mine`, 'x', { acl: [{ perms: 31, scheme: 'auth', id: '' }] })
    expect((await owner.getAcl(`${at}/mine`)).acl).toHaveLength(1)
    await session.sync()
    expect(await refusalOf(session.getData(`${at}/mine`))).toEqual(['NO_AUTH', -102])
    expect(() => session.local.data(`${at}/mine`)).toThrow(expect.objectContaining({ refusal: 'NO_AUTH' }))
    expect(await refusalOf(session.setData(`${at}/mine`, ''))).toEqual(['NO_AUTH', -102])
    expect(await owner.whoAmI()).toEqual([{ scheme: 'digest', id: 'ada' }])
    await expect(owner.addAuth('unknown', 'x')).rejects.toMatchObject({ refusal: 'AUTH_FAILED' })
  })
})

describe('the life of a session', () => {
  test('closing deletes its ephemeral nodes, and those alone', async () => {
    const at = await home()
    const brief = await openSession(ensemble.get(ensemble.follower))
    await brief.create(`${at}/e`, '', { mode: 'ephemeral' })
    await brief.create(`${at}/p`)
    await brief.close()
    await session.sync()
    expect((await session.getChildren(at)).children).toEqual(['p'])
    await expect(brief.getData(at)).rejects.toMatchObject({ code: 'CLOSED' })
    await brief.close()
  })

  test('what was written before the close happens, what comes behind it does not', async () => {
    const at = await home()
    const brief = await openSession(ensemble.get(1))
    const before = brief.create(`${at}/before`)
    const closing = brief.close()
    const behind = brief.create(`${at}/behind`)
    await expect(behind).rejects.toMatchObject({ code: 'CLOSED', outcome: 'rejected' })
    await before
    await closing
    await session.sync()
    expect((await session.getChildren(at)).children).toEqual(['before'])
  })

  test('another process takes it over with its password, and whoever held it is told', async () => {
    const at = await home()
    const first = await openSession(ensemble.get(ensemble.leader))
    await first.create(`${at}/e`, '', { mode: 'ephemeral' })
    const ended = new Promise<void>((resolve) => first.once('closed', resolve))
    await using second = await openSession(ensemble.get(ensemble.follower), { resume: first })
    expect(second.id).toBe(first.id)
    await ended
    expect(await refusalOf(first.create(`${at}/late`))).toEqual(['SESSION_MOVED', -118])
    await second.sync()
    expect(await second.getEphemerals()).toEqual([`${at}/e`])
    expect(await refusalOf(openSession(ensemble.get(1), { resume: { id: first.id, password: new Uint8Array(16) } }))).toEqual(['SESSION_EXPIRED', -112])
    expect((await session.exists(`${at}/e`, { level: 'linearizable' }))?.ephemeralOwner).toBe(first.id)
  })

  test('many sessions are one listener of their replica, and leave none behind', async () => {
    const replica = ensemble.get(ensemble.follower)
    const before = [replica.listenerCount('leader'), replica.machines.znodes.watches.size]
    const many = await Promise.all(Array.from({ length: 30 }, () => openSession(replica)))
    const leaving = new AbortController()
    for (const one of many) one.watch('/', { signal: leaving.signal })
    expect(replica.listenerCount('leader')).toBe(before[0]! + 1)
    leaving.abort()
    expect(replica.machines.znodes.watches.size).toBe(before[1])
    await Promise.all(many.map((one) => one.close()))
    expect([replica.listenerCount('leader'), replica.machines.znodes.watches.size]).toEqual(before)
  })

  test('a local session is in no tree until its first ephemeral node', async () => {
    const at = await home()
    const replica = ensemble.get(ensemble.follower)
    await using local = await openSession(replica, { local: true })
    await local.create(`${at}/p`)
    expect(replica.machines.znodes.session(local.id)).toBeNull()
    const [made] = await Promise.all([local.create(`${at}/e`, '', { mode: 'ephemeral' }), local.setData(at, 'behind it')])
    expect(made.stat.ephemeralOwner).toBe(local.id)
    expect(replica.machines.znodes.session(local.id)?.id).toBe(local.id)
    await local.close()
    await session.sync()
    expect((await session.getChildren(at)).children).toEqual(['p'])
  })
})

describe('when members die', () => {
  test("a session dies with its replica's process, after its timeout; and lives on when its leader's does", async () => {
    await using own = await Ensemble.start()
    const doomed = own.follower
    const witness = ([1, 2, 3] as const).find((id) => id !== doomed && id !== own.leader)!
    await using watching = await openSession(own.get(witness), { timeoutMs: 5_000 })
    const states: string[] = []
    for (const event of ['connected', 'suspended', 'jeopardy', 'safe', 'expired'] as const) watching.on(event, () => states.push(event))
    await watching.create('/alive', '', { mode: 'ephemeral' })
    const dying = await openSession(own.get(doomed), { timeoutMs: 400 })
    await dying.create('/dying', '', { mode: 'ephemeral' })
    await watching.sync()
    await own.kill(doomed)
    expect(dying.state).toBe('closed')
    await until(watching, '/dying', () => watching.local.exists('/dying') === null)
    await own.start(doomed)
    await own.get(doomed).ready({ timeoutMs: 20_000 })

    const leader = own.leader
    await own.kill(leader)
    await watching.setData('/alive', 'under another leader')
    expect(own.leader).not.toBe(leader)
    expect(states.filter((event) => event === 'expired')).toEqual([])
    expect(await watching.getEphemerals()).toEqual(['/alive'])
  })

  test('a replica that loses its quorum suspends its sessions, then they are in jeopardy, then safe', async () => {
    await using own = await Ensemble.start()
    const stays = own.leader
    const others = ([1, 2, 3] as const).filter((id) => id !== stays)
    const held = await openSession(own.get(stays), { timeoutMs: 2_000 })
    await held.create('/mine', '', { mode: 'ephemeral' })
    const states: string[] = []
    const safe = new Promise<void>((resolve) => held.on('connected', resolve))
    const jeopardy = new Promise<void>((resolve) => held.on('jeopardy', resolve))
    for (const event of ['connected', 'suspended', 'jeopardy', 'safe'] as const) held.on(event, () => states.push(event))
    for (const id of others) await own.kill(id)
    await jeopardy
    expect(held.state).toBe('jeopardy')
    const waiting = held.setData('/mine', 'later')
    await expect(held.setData('/mine', 'given up', { timeoutMs: 50 })).rejects.toMatchObject({ code: 'TIMEOUT' })
    await expect(held.getData('/mine', { timeoutMs: 50 })).rejects.toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
    expect(held.local.getData('/mine').stat.version).toBe(0)
    for (const id of others) await own.start(id)
    await safe
    expect(states).toEqual(['suspended', 'jeopardy', 'safe', 'connected'])
    await waiting
    expect((await held.exists('/mine', { level: 'linearizable' }))?.ephemeralOwner).toBe(held.id)
    await held.close()
  })
})
