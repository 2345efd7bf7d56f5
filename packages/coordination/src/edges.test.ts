import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Ensemble } from './ensemble.test-support.ts'
import { openSession, type Session, text } from './index.ts'

let ensemble: Ensemble
let session: Session

beforeAll(async () => {
  ensemble = await Ensemble.start()
  session = await openSession(ensemble.get(ensemble.leader))
})

afterAll(async () => {
  await session.close()
  await ensemble[Symbol.asyncDispose]()
})

describe('a local session that becomes a global one', () => {
  test('never asked for more time than the tree gives, and can be taken over with its password', async () => {
    const local = await openSession(ensemble.get(ensemble.follower), { local: true, timeoutMs: 3_600_000 })
    expect(local.timeoutMs).toBe(40_000)
    const { path } = await local.create('/mine-', null, { mode: 'ephemeral-sequential' })
    const { id, password } = local
    const taken = await openSession(ensemble.get(ensemble.leader), { resume: { id, password } })
    expect(await taken.getEphemerals()).toEqual([path])
    await taken.close()
  })

  test('is refused an ephemeral node when somebody else has its id', async () => {
    const replica = ensemble.get(ensemble.leader)
    const other = await openSession(replica)
    const words = [Number((other.id >> 32n) & 0xffffffn), Number(other.id & 0xffffffffn)]
    const local = await openSession(replica, { local: true, random: { uint32: () => words.shift()! } })
    expect(local.id).toBe(other.id)
    await expect(local.create('/not-mine', null, { mode: 'ephemeral' })).rejects.toMatchObject({ refusal: 'NODE_EXISTS' })
    await local.create('/plain')
    await local.close()
    await other.create('/still-mine', null, { mode: 'ephemeral' })
    await other.close()
  })
})

test('a local session that is closed while it becomes a global one leaves nothing behind', async () => {
  const replica = ensemble.get(ensemble.follower)
  const local = await openSession(replica, { local: true })
  const made = local.create('/brief', null, { mode: 'ephemeral' })
  const plain = local.create('/behind')
  await local.close()
  expect((await made).path).toBe('/brief')
  expect((await plain).path).toBe('/behind')
  expect(replica.machines.znodes.session(local.id)).toBeNull()
  expect(replica.machines.znodes.reader.exists('/brief')).toBeNull()
  await expect(local.create('/late', null, { mode: 'ephemeral' })).rejects.toMatchObject({ code: 'CLOSED' })
})

describe('a session that has ended before it was told to whoever opened it', () => {
  test('is not given to them', async () => {
    const replica = ensemble.get(ensemble.leader)
    const { id, password } = await openSession(replica)
    const taken = openSession(replica, { resume: { id, password } })
    const closed = replica.propose('znodes', { kind: 'closeSession', session: id, attachment: null })
    await expect(taken).rejects.toMatchObject({ code: 'REFUSED', refusal: 'SESSION_EXPIRED' })
    await closed
  })

  test('or taken over by another', async () => {
    const replica = ensemble.get(ensemble.leader)
    const { id, password } = await openSession(replica)
    const [first, second] = [openSession(replica, { resume: { id, password } }), openSession(replica, { resume: { id, password } })]
    await expect(first).rejects.toMatchObject({ code: 'REFUSED', refusal: 'SESSION_MOVED' })
    await (await second).close()
  })
})

describe('a chroot', () => {
  test('has nothing of what only begins with its name', async () => {
    await session.create('/app')
    await session.create('/apple', null, { mode: 'ephemeral' })
    await session.create('/app/e', null, { mode: 'ephemeral' })
    expect(await session.chroot('/app').getEphemerals()).toEqual(['/e'])
    await session.delete('/apple')
  })

  test('says what is wrong of the path that was asked for', async () => {
    const inside = session.chroot('/nowhere')
    const error = { refusal: 'NO_NODE', message: 'NO_NODE for /x', details: { path: '/x', zookeeperCode: -101 } }
    await expect(inside.getData('/x')).rejects.toMatchObject(error)
    await expect(inside.getChildren('/x')).rejects.toMatchObject(error)
    await expect(inside.getAllChildrenNumber('/x')).rejects.toMatchObject(error)
    await expect(inside.getAcl('/x')).rejects.toMatchObject(error)
    await expect(inside.setData('/x', '')).rejects.toMatchObject(error)
    expect(await inside.multiRead([{ getData: '/x' }, { getChildren: '/x' }])).toMatchObject([{ error }, { error }])
    expect(() => inside.local.getData('/x')).toThrow(expect.objectContaining(error))
    expect(() => inside.local.data('/x')).toThrow(expect.objectContaining(error))
    expect(() => inside.local.getChildren('/x')).toThrow(expect.objectContaining(error))
  })

  test('a sequential node of no name is its child, as that of `/` is a child of the root', async () => {
    await session.create('/below')
    const inside = session.chroot('/below')
    expect((await inside.create('/', null, { mode: 'persistent-sequential' })).path).toBe('/0000000000')
    const [made] = await inside.transaction().create('/', null, { mode: 'persistent-sequential' }).commit()
    expect(made).toMatchObject({ path: '/0000000001' })
    expect((await session.getChildren('/below')).children).toEqual(['0000000000', '0000000001'])
  })
})

test('an update of a node without a parent says so', async () => {
  const change = (): string => {
    if (calls++ > 3) throw new Error('asked again and again')
    return 'x'
  }
  let calls = 0
  await expect(session.node('/none/child', text).update(change)).rejects.toMatchObject({ refusal: 'NO_NODE' })
})

test('two iterations of one watch share its events, and both end with it', async () => {
  const { path } = await session.create('/shared')
  const watch = session.watch(path)
  const heard: string[] = []
  const iterate = async (): Promise<void> => {
    for await (const { type } of { [Symbol.asyncIterator]: () => watch[Symbol.asyncIterator]() }) heard.push(type)
  }
  const both = [iterate(), iterate()]
  await session.setData(path, '1')
  await session.setData(path, '2')
  watch.close()
  await Promise.all(both)
  expect(heard).toEqual(['dataChanged', 'dataChanged'])
})

test('values that nobody has taken are not read one by one when they are', async () => {
  let decoded = 0
  const counting = { encode: (value: string) => value, decode: (data: Uint8Array | null) => `${decoded++} ${new TextDecoder().decode(data ?? undefined)}` }
  const node = session.node('/values', counting)
  await node.put('0')
  const values = node.values()[Symbol.asyncIterator]()
  await values.next()
  await Promise.all(Array.from({ length: 50 }, (_, i) => session.setData('/values', `${i}`)))
  const before = decoded
  expect((await values.next()).value?.value).toMatch(/ 49$/)
  const last = values.next()
  await session.setData('/values', 'last')
  expect((await last).value?.value).toMatch(/ last$/)
  expect(decoded - before).toBe(2)
  await values.return?.()
})

describe('an iteration that waits', () => {
  test('of events can be left from outside, and its watch ends', async () => {
    const { watches } = ensemble.get(ensemble.leader).machines.znodes
    const before = watches.size
    const iterator = session.watch('/')[Symbol.asyncIterator]()
    const waiting = iterator.next()
    expect(watches.size).toBe(before + 1)
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined })
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
    expect(watches.size).toBe(before)
  })

  test('of values too', async () => {
    const { watches } = ensemble.get(ensemble.leader).machines.znodes
    const before = watches.size
    const values = session.node('/no-values', text).values()[Symbol.asyncIterator]()
    expect((await values.next()).value).toBeNull()
    const waiting = values.next()
    expect(watches.size).toBe(before + 1)
    expect(await values.return?.()).toMatchObject({ done: true })
    expect(await waiting).toMatchObject({ done: true })
    expect(watches.size).toBe(before)
  })

  test('is told once that the session has ended', async () => {
    const replica = ensemble.get(ensemble.leader)
    const doomed = await openSession(replica)
    const iterator = doomed.watch('/')[Symbol.asyncIterator]()
    const waiting = expect(iterator.next()).rejects.toMatchObject({ refusal: 'SESSION_MOVED' })
    await openSession(replica, { resume: { id: doomed.id, password: doomed.password } }).then((taken) => taken.close())
    await waiting
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  })
})
