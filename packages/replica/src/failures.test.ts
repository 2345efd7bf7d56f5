import { AntiphonError } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { afterEach, expect, test } from 'vitest'
import { address, Ensemble, failure, itemsOf, ListMachine, type ListReplica, until } from './ensemble.test-support.ts'
import { Replica } from './replica.ts'
import type { ReplicaSettings } from './settings.ts'

const opened: Ensemble[] = []
function ensemble(...args: ConstructorParameters<typeof Ensemble>): Ensemble {
  const made = new Ensemble(...args)
  opened.push(made)
  return made
}
afterEach(async () => {
  for (const one of opened.splice(0)) await one.closeAll()
})

function troublesOf(replica: ListReplica): AntiphonError[] {
  const troubles: AntiphonError[] = []
  replica.on('trouble', (error) => troubles.push(error))
  return troubles
}

test('a refusal takes its place in the order and is told to the caller alone', async () => {
  const three = ensemble(3)
  await three.startAll()
  for (const replica of [three.leader(), three.follower()]) {
    const before = replica.status().last
    const error = await failure(replica.propose('list', { text: 'x !refuse' }))
    expect(error).toMatchObject({ code: 'REFUSED', outcome: 'rejected', refusal: 'NOT_THAT', message: 'not that' })
    expect(replica.status().applied).toBeGreaterThan(before)
  }
  expect(itemsOf(three.leader())).toEqual([])
})

test('what a refusal was computed against is what stands before it in the order', async () => {
  const three = ensemble(3)
  await three.startAll()
  const follower = three.follower()
  const [a, b, c] = [
    follower.propose('list', { text: 'a', expected: 0 }),
    failure(follower.propose('list', { text: 'b', expected: 0 })),
    follower.propose('list', { text: 'c', expected: 1 }),
  ]
  expect(await a).toBe(0)
  expect(await b).toMatchObject({ code: 'REFUSED', refusal: 'OTHER_LENGTH', message: 'the list has 1 items' })
  expect(await c).toBe(1)
})

test('a request above the limit is rejected where it is made; a change above it is taken back on the primary', async () => {
  const three = ensemble(3, { requestBytesMax: 1000 })
  await three.startAll()
  for (const replica of [three.leader(), three.follower()]) {
    const before = replica.status().last
    expect(await failure(replica.propose('list', { text: 'x'.repeat(1001) }))).toMatchObject({ code: 'TOO_LARGE', outcome: 'rejected' })
    expect(replica.status().last).toBe(before)
    expect(await failure(replica.propose('list', { text: 'grows', padding: 1000 }))).toMatchObject({ code: 'TOO_LARGE', outcome: 'rejected' })
    expect(replica.status().applied).toBeGreaterThan(before)
  }
  expect(await three.leader().propose('list', { text: 'small' })).toBe(0)
})

test('a request that can not be encoded is rejected before it gets a number', async () => {
  const one = ensemble(1)
  const [replica] = await one.startAll()
  const cycle: { text: string; self?: unknown } = { text: 'x' }
  cycle.self = cycle
  expect(await failure(replica!.propose('list', cycle))).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'rejected' })
  expect(await failure(replica!.propose('none' as 'list', { text: 'x' }))).toMatchObject({ code: 'INVALID_ARGUMENT', outcome: 'rejected' })
  expect(await failure(replica!.read('eventual' as 'local'))).toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test('a full queue rejects with OVERLOADED, or waits for room in turn', async () => {
  const one = ensemble(1, { queueBytesMax: 4000, requestBytesMax: 1000 })
  const [replica] = await one.startAll()
  const taken: Promise<number>[] = []
  while (replica!.status().proposals.bytes < 3800) taken.push(replica!.propose('list', { text: 'x'.repeat(50) }))
  expect(await failure(replica!.propose('list', { text: 'x'.repeat(500) }))).toMatchObject({ code: 'OVERLOADED', outcome: 'rejected' })
  const patient = [1, 2, 3].map((i) => replica!.propose('list', { text: `patient ${i} ${'x'.repeat(900)}` }, { whenFull: 'wait' }))
  expect(replica!.status().proposals.parked).toBe(3)
  expect(await failure(replica!.propose('list', { text: 'y'.repeat(900) }, { whenFull: 'wait', signal: AbortSignal.abort() }))).toMatchObject({
    code: 'ABORTED',
    outcome: 'rejected',
  })
  const places = await Promise.all([...taken, ...patient])
  expect(places).toEqual(places.map((_, i) => i))
  expect(replica!.status().proposals).toEqual({ underWay: 0, waiting: 0, parked: 0, bytes: 0 })
})

test('given up before it was numbered a proposal is rejected, afterwards it is unknown', async () => {
  const three = ensemble(3)
  const alone = await three.start(1)
  expect(await failure(alone.propose('list', { text: 'timed' }, { timeoutMs: 30 }))).toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
  const controller = new AbortController()
  const given = failure(alone.propose('list', { text: 'aborted' }, { signal: controller.signal }))
  controller.abort()
  expect(await given).toMatchObject({ code: 'ABORTED', outcome: 'rejected' })
  expect(await failure(alone.propose('list', { text: 'aborted' }, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'ABORTED', outcome: 'rejected' })
  const kept = alone.propose('list', { text: 'kept' })
  await three.start(2)
  await three.start(3)
  expect(await kept).toBe(0)
  await three.leader().read('linearizable')
  expect(itemsOf(three.leader())).toEqual(['kept'])

  // Held on its way to the leader: it has its number.
  const follower = three.follower()
  three.network.hold(address(follower.id), address(three.leader().id))
  const late = new AbortController()
  const timed = failure(follower.propose('list', { text: 'timed out' }, { timeoutMs: 15 }))
  const numbered = failure(follower.propose('list', { text: 'held' }, { signal: late.signal }))
  await until(() => follower.status().proposals.underWay === 2)
  late.abort()
  expect(await numbered).toMatchObject({ code: 'ABORTED', outcome: 'unknown' })
  expect(await timed).toMatchObject({ code: 'TIMEOUT', outcome: 'unknown' })
  three.network.release(address(follower.id), address(three.leader().id))
  // Unknown means: it may still happen. Here it does, and what comes later is behind it.
  expect(await follower.propose('list', { text: 'later' })).toBe(3)
  expect(itemsOf(follower)).toEqual(['kept', 'timed out', 'held', 'later'])
})

test('ready and reads give up by timeout and signal', async () => {
  const three = ensemble(3)
  const alone = await three.start(1)
  expect(await failure(alone.ready({ timeoutMs: 20 }))).toMatchObject({ code: 'NOT_READY', outcome: 'rejected' })
  expect(await failure(alone.read('linearizable', { timeoutMs: 20 }))).toMatchObject({ code: 'TIMEOUT' })
  const controller = new AbortController()
  const reads = [failure(alone.ready({ signal: controller.signal })), failure(alone.read('linearizable', { signal: controller.signal }))]
  controller.abort()
  for (const error of await Promise.all(reads)) expect(error.code).toBe('ABORTED')
  expect((await failure(alone.read('local', { signal: AbortSignal.abort() }))).code).toBe('ABORTED')
})

test('the death of the leader loses nothing and doubles nothing, wherever it was asked', async () => {
  const three = ensemble(3)
  await three.startAll()
  const dying = three.leader()
  const others = [...three.replicas.values()].filter((replica) => replica !== dying)
  const outcomes: Promise<{ text: string; outcome: string }>[] = []
  const propose = (replica: ListReplica, text: string): void => {
    outcomes.push(
      replica.propose('list', { text }).then(
        () => ({ text, outcome: 'done' }),
        (error: AntiphonError) => ({ text, outcome: error.outcome }),
      ),
    )
  }
  for (let i = 0; i < 400; i++) {
    for (const replica of [dying, ...others]) propose(replica, `${replica.id}/${i}`)
    if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    if (i === 200) void three.stop(dying.id)
  }
  const told = await Promise.all(outcomes)
  await Promise.all(others.map((replica) => replica.read('linearizable')))
  const items = itemsOf(others[0]!)
  expect(itemsOf(others[1]!)).toEqual(items)
  expect(new Set(items).size).toBe(items.length)
  for (const { text, outcome } of told) {
    if (outcome === 'done') expect(items).toContain(text)
    if (outcome === 'rejected') expect(items).not.toContain(text)
  }
  // Those who stayed never had to give anything up.
  expect(told.filter(({ text, outcome }) => !text.startsWith(`${dying.id}/`) && outcome !== 'done')).toEqual([])
})

test('connections that break again and again lose nothing and double nothing', async () => {
  const three = ensemble(3, {}, { delayMs: { min: 0, max: 2 } })
  const replicas = await three.startAll()
  let stop = false
  const done: string[] = []
  const client = async (replica: ListReplica, name: number): Promise<void> => {
    for (let i = 0; !stop; i++) {
      const text = `${replica.id}/${name}/${i}`
      await replica.propose('list', { text })
      done.push(text)
    }
  }
  const clients = replicas.flatMap((replica) => [0, 1, 2].map((name) => client(replica, name)))
  for (let round = 0; round < 12; round++) {
    const before = done.length
    const [a, b] = [address(1 + (round % 3)), address(1 + ((round + 1) % 3))]
    three.network.cut(a, b)
    // How long the link is cut: shorter than the silence that ends a reign, or longer.
    await new Promise((resolve) => setTimeout(resolve, round % 4 === 3 ? 150 : 5))
    three.network.heal()
    await until(() => done.length > before + 10)
  }
  stop = true
  await Promise.all(clients)
  await Promise.all(replicas.map((replica) => replica.read('linearizable')))
  for (const replica of replicas) {
    const items = itemsOf(replica)
    expect(new Set(items).size).toBe(items.length)
    expect(items.length).toBe(done.length)
    expect(new Set(items)).toEqual(new Set(done))
  }
})

test('rule 22: a replica that catches up by a snapshot finds in it what became of what it had asked before', async () => {
  const three = ensemble(3, { snapshotEveryEntries: 20, retainSnapshots: 1, recentBytes: 0 })
  await three.startAll()
  const [leader, late] = [three.leader(), three.follower()]
  const [there, here] = [address(leader.id), address(late.id)]
  await late.propose('list', { text: 'registered' })
  three.network.hold(there, here)
  const passed = late.propose('list', { text: 'passed by' })
  await until(() => itemsOf(leader).includes('passed by'))
  three.network.cut(there, here)
  const pending = late.propose('list', { text: 'still pending' })
  for (let i = 0; i < 100; i++) await leader.propose('list', { text: `${i}` })
  three.network.heal()
  expect(await passed).toBe(itemsOf(leader).indexOf('passed by'))
  expect(late.machines.list.restores).toBe(1)
  await pending
  expect(itemsOf(late).filter((text) => text === 'passed by' || text === 'still pending')).toEqual(['passed by', 'still pending'])
})

test('a snapshot whose transfer is broken off again and again arrives in the end', async () => {
  const three = ensemble(3, { snapshotEveryEntries: 100, retainSnapshots: 1, recentBytes: 0, snapshotChunkBytes: 8192 }, { delayMs: 2 })
  await three.startAll()
  const late = three.follower().id
  await three.stop(late)
  const leader = three.leader()
  const long = 'x'.repeat(10_000)
  await Promise.all(Array.from({ length: 120 }, (_, i) => leader.propose('list', { text: `${i} ${long}` })))
  const back = await three.start(late)
  const isTransferring = (): boolean => leader.status().learners.some(({ peer, stage }) => peer === late && stage === 'transferring')
  let broken = 0
  while (broken < 3 && !back.status().active) {
    await until(() => isTransferring() || back.status().active)
    if (!isTransferring()) break
    three.network.drop(address(leader.id), address(late))
    broken++
    await until(() => !isTransferring())
  }
  await back.ready()
  expect(broken).toBe(3)
  expect(itemsOf(back)).toEqual(itemsOf(leader))
})

test('a deposed leader forgets what it prepared, and its requests go to the next one', async () => {
  const three = ensemble(3)
  const replicas = await three.startAll()
  const deposed = three.leader()
  const others = replicas.filter((replica) => replica !== deposed)
  for (const other of others) three.network.cut(address(deposed.id), address(other.id))
  const kept = deposed.propose('list', { text: 'kept' })
  await until(() => others.some((replica) => replica.status().role === 'leading' && replica.status().active))
  await others[0]!.propose('list', { text: 'between' })
  await until(() => deposed.machines.list.abandons > 0)
  three.network.heal()
  expect(await kept).toBe(1)
  expect(itemsOf(deposed)).toEqual(['between', 'kept'])
})

test('a machine that throws in apply stops the replica, which says so', async () => {
  const one = ensemble(1)
  const [replica] = await one.startAll()
  const faults: AntiphonError[] = []
  replica!.on('fault', (error) => faults.push(error))
  const closed = new Promise<void>((resolve) => replica!.on('closed', resolve))
  const error = await failure(replica!.propose('list', { text: 'x !break' }))
  expect(error).toMatchObject({ code: 'CLOSED', outcome: 'unknown' })
  expect(error.cause).toBe(faults[0])
  expect(faults[0]).toMatchObject({ code: 'DIVERGED' })
  expect(faults[0]!.message).toContain('cannot apply this')
  await closed
  expect(replica!.status()).toMatchObject({ closed: true, fault: { code: 'DIVERGED' } })
})

test('one replica that can not apply leaves the others to go on', async () => {
  const three = ensemble(3)
  await three.startAll()
  const [leader, broken] = [three.leader(), three.follower()]
  broken.machines.list.throwsInApply = true
  const closed = new Promise<void>((resolve) => broken.on('closed', resolve))
  await leader.propose('list', { text: 'a' })
  await closed
  expect(await leader.propose('list', { text: 'b' })).toBe(1)
})

test('a listener that throws stops nothing, and is told of', async () => {
  const one = ensemble(1)
  const replica = await one.start(1)
  const troubles = troublesOf(replica)
  replica.on('trouble', () => {
    throw new Error('this one too')
  })
  const roles: string[] = []
  replica.on('role', () => {
    throw new Error('from a listener')
  })
  replica.on('role', ({ role }) => roles.push(role))
  replica.once('leader', () => {
    throw new Error('once')
  })
  await replica.ready()
  expect(await replica.propose('list', { text: 'a' })).toBe(0)
  expect(roles).toContain('leading')
  expect(troubles.map(({ message }) => message)).toEqual(expect.arrayContaining([expect.stringContaining('from a listener'), expect.stringContaining('once')]))
  expect(troubles.filter(({ message }) => message.includes('once'))).toHaveLength(1)
})

test('a listener may close the replica', async () => {
  const one = ensemble(1)
  const replica = await one.start(1)
  const closed = new Promise<void>((resolve) => replica.on('closed', resolve))
  replica.on('leader', () => void replica.close())
  await closed
  expect(replica.status().closed).toBe(true)
})

test('two replicas of different settings do not work together, and say why', async () => {
  const three = ensemble(3)
  const replicas = [await three.start(1), await three.start(2), await three.start(3, { requestBytesMax: 4096 })]
  const troubles = replicas.map(troublesOf)
  await until(() => troubles.every((told) => told.length > 0))
  for (const told of troubles) expect(told[0]).toMatchObject({ code: 'INVALID_SETTINGS' })
  expect(replicas.map((replica) => replica.status().active)).toEqual([false, false, false])
})

test('a member of another ensemble is told off and not listened to', async () => {
  const [ours, theirs] = [ensemble(3), ensemble(3)]
  const replicas = await ours.startAll()
  await theirs.startAll()
  const stranger = ours.follower().id
  await ours.stop(stranger)
  await theirs.stop(stranger)
  const troubles = troublesOf(ours.leader())
  const back = await ours.start(stranger, { storage: theirs.stores.get(stranger)! })
  const told = troublesOf(back)
  await until(() => troubles.length > 0 && told.length > 0)
  expect(troubles[0]!.code).toBe('WRONG_ENSEMBLE')
  expect(told[0]!.code).toBe('WRONG_ENSEMBLE')
  expect(await failure(back.propose('list', { text: 'foreign' }, { timeoutMs: 30 }))).toMatchObject({ code: 'TIMEOUT', outcome: 'rejected' })
  expect(await ours.leader().propose('list', { text: 'ours' })).toBe(0)
  expect(replicas.length).toBe(3)
})

test('a failed store stops the replica', async () => {
  const one = ensemble(1)
  const store = memoryStorage()
  const { AntiphonError: Failure } = await import('@antiphon/ports')
  let broken = false
  const failing = Object.assign(Object.create(store) as typeof store, {
    open: store.open.bind(store),
    close: store.close.bind(store),
    read: store.read.bind(store),
    write: (...[write, done]: Parameters<typeof store.write>) =>
      broken ? setImmediate(() => done(new Failure('DISK_FAILED', 'the flush failed', { remedy: 'Replace the disk.' }))) : store.write(write, done),
  })
  const replica = await one.start(1, { storage: failing })
  await replica.ready()
  const faults: AntiphonError[] = []
  replica.on('fault', (error) => faults.push(error))
  broken = true
  expect(await failure(replica.propose('list', { text: 'a' }))).toMatchObject({ code: 'CLOSED', outcome: 'unknown' })
  expect(faults.map(({ code }) => code)).toEqual(['DISK_FAILED'])
})

test('wrong settings are refused with a remedy, and open nothing', async () => {
  const good = ensemble(3).settings(1)
  const bad: [string, Partial<Record<keyof ReplicaSettings, unknown>>, RegExp][] = [
    ['own id is no member', { id: 9 }, /member 9 is not among/],
    ['an id above 255', { id: 300, members: { 300: 'x' } }, /300/],
    ['no members', { members: undefined }, /members/],
    ['no voter', { members: { 1: { address: 'a', role: 'observer' } } }, /no voter/],
    ['no address', { members: { 1: '' } }, /no address/],
    ['an unknown role', { members: { 1: { address: 'a', role: 'king' } } }, /role king/],
    ['a negative weight', { members: { 1: { address: 'a', weight: -1 } } }, /weight/],
    ['no machines', { machines: {} }, /no state machine/],
    ['a machine that is none', { machines: { list: {} } }, /lacks encodeRequest/],
    ['a machine without a version', { machines: { list: Object.assign(new ListMachine(), { version: 'one' }) } }, /version/],
    ['a name that is a number', { machines: { 1: new ListMachine() } }, /no name/],
    ['no storage', { storage: undefined }, /storage/],
    ['no transport', { transport: {} }, /transport/],
    ['a clock that is none', { clock: {} }, /clock/],
    ['tickMs of 0', { tickMs: 0 }, /tickMs/],
    ['a misspelt name', { tickMS: 5 } as never, /no setting `tickMS`/],
    ['a fraction', { syncLimitTicks: 1.5 }, /syncLimitTicks/],
    ['a negative number', { snapshotEveryBytes: -1 }, /snapshotEveryBytes/],
    ['no entries at all', { snapshotEveryEntries: 0 }, /snapshotEveryEntries/],
    ['a text for a number', { snapshotEveryEntries: 'many' }, /snapshotEveryEntries/],
    ['requests that do not fit the window', { requestBytesMax: 2 ** 20, windowBytes: 2 ** 20 }, /windowBytes/],
    ['requests that do not fit the queue', { queueBytesMax: 1000 }, /queueBytesMax/],
    ['requests that no frame holds', { requestBytesMax: 2 ** 30, windowBytes: 2 ** 31 }, /requestBytesMax/],
  ]
  for (const [name, changes, message] of bad) {
    const error = await failure(Replica.start({ ...good, ...changes } as ReplicaSettings))
    expect(error, name).toMatchObject({ code: 'INVALID_SETTINGS', outcome: 'rejected' })
    expect(error.message, name).toMatch(message)
    expect(error.remedy.length, name).toBeGreaterThan(10)
  }
  const replica = await Replica.start(good)
  expect((await failure(Replica.start({ ...ensemble(3).settings(1), machines: good.machines }))).message).toMatch(/runs in a replica/)
  await replica.close()
})

test('what fails at the start leaves store and address free', async () => {
  const one = ensemble(1)
  const taken = one.network.transport(address(1))
  await taken.start(9 as never, new Uint8Array(36), { up: () => false, frame: () => {}, drain: () => {}, down: () => {}, trouble: () => {} })
  await expect(one.start(1)).rejects.toThrow()
  await taken.close()
  const replica = await one.start(1)
  await replica.ready()
})

test('a front that fails to attach fails the start, which leaves nothing open', async () => {
  class Failing extends ListMachine {
    attach(): void {
      throw new Error('no front')
    }
  }
  const one = ensemble(1)
  await expect(one.start(1, { machines: { list: new Failing() } })).rejects.toThrow('no front')
  const replica = await one.start(1)
  await replica.ready()
})

test('the members of the settings can not be others than those of the founding', async () => {
  const one = ensemble(1)
  await one.startAll()
  await one.stop(1)
  expect(await failure(one.start(1, { members: { 1: 'member-1', 2: 'member-2' } }))).toMatchObject({ code: 'INVALID_SETTINGS' })
})

test('a snapshot of other machines is refused at the start', async () => {
  const one = ensemble(1, { snapshotEveryEntries: 5 })
  await one.startAll()
  for (let i = 0; i < 20; i++) await one.leader().propose('list', { text: `${i}` })
  await one.stop(1)
  expect(await failure(one.start(1, { machines: { list: new ListMachine('list', 2) } }))).toMatchObject({ code: 'VERSION_MISMATCH' })
})

test('a frame that is none ends the connection and is told of, and the ensemble goes on', async () => {
  const network = new MemoryNetwork()
  const two = ensemble(2)
  const storage = memoryStorage()
  const members = { 1: 'a', 2: 'b' }
  const replica = await Replica.start({ id: 1, members, storage, transport: network.transport('a'), machines: { list: new ListMachine() }, tickMs: 10 })
  const troubles = troublesOf(replica)
  const { encodeGreeting, PROTOCOL_VERSIONS } = await import('@antiphon/wire')
  const rogue = network.transport('b')
  const greeting = encodeGreeting({ versions: PROTOCOL_VERSIONS, peer: 2 as never, storeId: 'ab'.repeat(16) })
  let ups = 0
  let downs = 0
  const garbage = (): void => void rogue.send(1 as never, [new Uint8Array(40).fill(9)], 'control')
  await rogue.start(2 as never, greeting, {
    up: () => {
      setImmediate(garbage)
      return ++ups > 0
    },
    frame: () => {},
    drain: () => {},
    down: () => downs++,
    trouble: () => {},
  })
  rogue.setPeers(new Map([[1 as never, 'a']]))
  await until(() => ups > 1 && downs > 0)
  expect(troubles[0]).toMatchObject({ code: 'CORRUPT' })
  await rogue.close()
  await replica.close()
  expect(two.replicas.size).toBe(0)
})

test('options that are none are INVALID_ARGUMENT, and nothing is asked', async () => {
  const one = ensemble(1)
  await one.startAll()
  const replica = one.leader()
  const bad: unknown[] = [
    { timeoutMs: '100' },
    { timeoutMs: -1 },
    { timeoutMs: Number.NaN },
    { timeoutMs: null },
    { timeoutMs: 5n },
    { whenFull: 'waits' },
    { whenFull: true },
    { signal: {} },
    { signal: null },
    'soon',
    null,
  ]
  for (const options of bad) {
    const invalid = { code: 'INVALID_ARGUMENT', outcome: 'rejected' }
    const asked = typeof options === 'object' && options !== null && 'whenFull' in options ? ['propose'] : ['propose', 'ready', 'linearizable', 'local']
    for (const what of asked) {
      const call = {
        propose: () => replica.propose('list', { text: 'x' }, options as never),
        ready: () => replica.ready(options as never),
        linearizable: () => replica.read('linearizable', options as never),
        local: () => replica.read('local', options as never),
      }[what]!
      expect(await failure(call()), what).toMatchObject(invalid)
    }
  }
  await replica.propose('list', { text: 'y' }, { timeoutMs: 1000, whenFull: 'wait', signal: new AbortController().signal })
  expect(itemsOf(replica)).toEqual(['y'])
})

test('damage that the store goes on in spite of is told as trouble, also what it finds before anybody can listen', async () => {
  const inner = memoryStorage()
  const damage = (file: string) => new AntiphonError('CORRUPT', `${file} is damaged`, { remedy: 'Examine the disk.', details: { file } })
  let tell: (error: AntiphonError) => void = () => {}
  const storage = new Proxy(inner, {
    get(target, name) {
      if (name === 'watch')
        return (trouble: (error: AntiphonError) => void) => {
          tell = trouble
        }
      if (name === 'open')
        return async (id: string) => {
          tell(damage('snapshot-1'))
          return target.open(id)
        }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const replica = await Replica.start({
    id: 1,
    members: { 1: address(1) },
    machines: { list: new ListMachine() },
    storage,
    transport: new MemoryNetwork().transport(address(1)),
  })
  const troubles = troublesOf(replica)
  await until(() => troubles.length === 1)
  tell(damage('log-1'))
  await until(() => troubles.length === 2)
  expect(troubles.map(({ code, details }) => [code, details['file']])).toEqual([
    ['CORRUPT', 'snapshot-1'],
    ['CORRUPT', 'log-1'],
  ])
  await replica.propose('list', { text: 'goes on' })
  await replica.close()
})
