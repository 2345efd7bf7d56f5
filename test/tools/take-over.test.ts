import { execFileSync } from 'node:child_process'
import { cp, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { immerState } from '@antiphon/immer-state'
import type { LogStore, Zxid } from '@antiphon/ports'
import { Replica } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { OPEN_ACL, type WriteOperation, type ZnodeTree, ZooKeeperSnapshotDecoder, znodeTree } from '@antiphon/znode-tree'
import { expect, onTestFinished, test } from 'vitest'
import { inNewFolders } from '../../packages/cli/src/new-ensemble.ts'
import { passwordOf } from '../../packages/znode-tree/src/sessions/session-id.ts'
import { FOLDER, juteOf, logOf, recorded } from '../znode/taken-over.ts'
import { run, scratch, spawned } from './command.ts'

const EPOCH = 2 ** 32
const NOBODY = { kind: 'write', session: 0n, attachment: 0 as Zxid, local: true, identities: [] } as const
/** Of the newest change in the fixture. */
const LAST = 0x42

interface Member {
  readonly replica: Replica
  readonly tree: ZnodeTree
}

/** Replicas in this process with their stores in these folders; closed with the test. */
function ensembleIn(folders: ReadonlyMap<number, () => LogStore>, machine = 'znodes'): (id: number) => Promise<Member> {
  const network = new MemoryNetwork()
  const members = Object.fromEntries([...folders.keys()].map((id) => [id, `member-${id}`]))
  return async (id) => {
    // What may be reaped stays while the test looks.
    const tree = znodeTree({ reapEveryMs: 3_600_000 })
    const transport = network.transport(`member-${id}`)
    const replica = await Replica.start({ id, members, storage: folders.get(id)!(), transport, machines: { [machine]: tree }, tickMs: 20, digestEvery: 4 })
    onTestFinished(() => replica.close())
    return { replica, tree }
  }
}

function filed(folder: string): () => LogStore {
  return () => fileStorage({ folder, mainThread: true })
}

function membersFlag(folder: string, ids: readonly number[]): string {
  return ids.map((id) => `${id}=${join(folder, `m${id}`)}`).join()
}

/** A copy that may be changed. */
async function fixture(folder: string): Promise<string> {
  const copy = join(folder, 'version-2')
  await mkdir(copy)
  for (const name of await readdir(FOLDER)) if (/^(log|snapshot)\./.test(name)) await cp(join(FOLDER, name), join(copy, name))
  return copy
}

/** Every node as the ZooKeeper told it, but for the one that names the members, which are others. */
function expectRecorded({ reader }: ZnodeTree): void {
  expect(reader.size).toBe(recorded.nodes.length)
  for (const { path, data, stat, children, acl } of recorded.nodes) {
    if (path === '/zookeeper/config') continue
    const node = reader.get(path)
    const { czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid } = node.stat
    const fields = [czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid].map(String)
    const hex = node.data === null ? null : Buffer.from(node.data).toString('hex')
    expect({ path, data: hex, stat: fields, children: reader.children(path).sort() }).toEqual({ path, data, stat, children })
    expect(acl.startsWith(juteOf(reader.acl(path).acl))).toBe(true)
  }
}

async function expectAgree(members: readonly Member[]): Promise<void> {
  await Promise.all(members.map(({ replica }) => replica.read('linearizable')))
  const [first, ...others] = members.map(({ tree }) => [tree.digest(), tree.treeDigest(), tree.reader.size])
  for (const other of others) expect(other).toEqual(first)
}

test("a ZooKeeper's folder becomes an ensemble that has its tree and goes on, also with a member whose folder was wiped", { timeout: 60_000 }, async () => {
  const folder = await scratch()
  const places = [`1=${join(folder, 'm1')}`, `2=${join(folder, 'm2')}`, `3=lmdb:${join(folder, 'm3')}`]
  const done = await spawned('take-over', FOLDER, '--members', ...places, '--json')
  expect(done).toMatchObject({
    status: 0,
    err: '',
    json: { ok: true, zxid: LAST, last: EPOCH + 1, nodes: recorded.nodes.length, sessions: 3, ephemerals: 4, digestAgrees: true },
  })
  expect(done.json).toMatchObject({
    torn: false,
    broken: [],
    machine: 'znodes',
    members: [{ id: 1, role: 'voter' }, { id: 2 }, { id: 3, folder: join(folder, 'm3') }],
  })

  const start = ensembleIn(
    new Map([
      [1, filed(join(folder, 'm1'))],
      [2, filed(join(folder, 'm2'))],
      [3, () => lmdbStorage({ folder: join(folder, 'm3'), mainThread: true })],
    ]),
  )
  const members = [await start(1), await start(2), await start(3)]
  await Promise.all(members.map(({ replica }) => replica.ready()))
  for (const { tree, replica } of members) {
    expectRecorded(tree)
    expect(replica.status()).toMatchObject({ ensembleId: done.json['ensembleId'], epoch: 2, votes: true, warnings: [] })
    for (const id of recorded.sessions.map(BigInt)) expect(tree.session(id)).toMatchObject({ id, timeoutMs: 30_000 })
  }

  const [one, two, three] = members as [Member, Member, Member]
  const before = two.tree.reader.get('/app').stat
  const write = (member: Member, operation: WriteOperation) => member.replica.propose('znodes', { ...NOBODY, operation })
  const set = await write(two, { type: 'setData', path: '/app', data: Buffer.from('ours'), version: before.version })
  expect(set).toMatchObject({ type: 'setData', stat: { czxid: before.czxid, mzxid: set.zxid, version: before.version + 1, numChildren: before.numChildren } })
  expect(set.zxid).toBeGreaterThan(2 * EPOCH)
  await expect.poll(() => Buffer.from(two.tree.reader.data('/zookeeper/config')!).toString()).toContain('server.3=member-3')
  // Sequence numbers go on.
  const create = { type: 'create', path: '/app/seq-', data: null, acl: OPEN_ACL, mode: 'persistent-sequential', ttlMs: 0 } as const
  const made = await write(three, create)
  expect(made).toMatchObject({ type: 'create', stat: { czxid: made.zxid } })
  const siblings = recorded.nodes.filter(({ path }) => path.startsWith('/app/seq-')).map(({ path }) => path)
  expect((made as { path: string }).path > siblings.sort().at(-1)!).toBe(true)

  // Whoever has a session's id and password takes it up again, and ends it with its nodes; the others are not touched.
  const session = two.tree.reader.get('/app/eph').stat.ephemeralOwner
  const taken = await one.replica.propose('znodes', { kind: 'attachSession', session, password: passwordOf(session), peer: 1, timeoutMs: 20_000 })
  expect(taken).toMatchObject({ type: 'session', session, timeoutMs: 20_000 })
  const wrong = await one.replica.propose('znodes', { kind: 'attachSession', session, password: new Uint8Array(16), peer: 1, timeoutMs: 20_000 })
  expect(wrong).toMatchObject({ type: 'error', error: 'SESSION_EXPIRED' })
  await one.replica.propose('znodes', { kind: 'closeSession', session, attachment: taken.zxid })
  await expectAgree(members)
  for (const { tree } of members) {
    expect(tree.reader.exists('/app/eph')).toBeNull()
    expect(recorded.sessions.filter((id) => tree.session(BigInt(id)) !== null)).toHaveLength(2)
  }

  await two.replica.close()
  await rm(join(folder, 'm2'), { recursive: true })
  for (let i = 0; i < 10; i++) await write(one, { ...create, path: '/app/more-' })
  const wiped = await start(2)
  await wiped.replica.ready()
  await expectAgree([one, wiped, three])
  expect(Buffer.from(wiped.tree.reader.data('/app')!).toString()).toBe('ours')
  const { data } = recorded.nodes.find(({ path }) => path === '/large')!
  expect(Buffer.from(wiped.tree.reader.data('/large')!).toString('hex')).toBe(data)
})

test('sessions that nobody takes up expire when their time is up, and take their nodes along', { timeout: 60_000 }, async () => {
  const folder = await scratch()
  const copy = await fixture(folder)
  // A session of 100 ms, and its ephemeral node.
  const [session, made] = [BigInt(7) << 56n, Buffer.alloc(4)]
  made.writeInt32BE(100)
  await writeFile(join(copy, 'log.43'), logOf(session, (LAST + 1) as Zxid, -10, made))
  const path = Buffer.from('/brief')
  const create = Buffer.concat([lengthOf(path), path, lengthOf(null), lengthOf([]), Buffer.from([1]), Buffer.from([0, 0, 0, 200])])
  await writeFile(join(copy, 'log.44'), logOf(session, (LAST + 2) as Zxid, 1, create))
  expect((await run('take-over', copy, '--members', membersFlag(folder, [1]), '--json')).json).toMatchObject({ sessions: 4, ephemerals: 5 })
  const { tree } = await ensembleIn(new Map([[1, filed(join(folder, 'm1'))]]))(1)
  expect(tree.reader.exists('/brief')).toMatchObject({ ephemeralOwner: session })
  await new Promise<void>((resolve) => {
    tree.listen({ moved() {}, restored() {}, applied() {}, closed: (id) => id === session && resolve() })
  })
  await new Promise(setImmediate)
  expect([tree.reader.exists('/brief'), tree.session(session), recorded.sessions.filter((id) => tree.session(BigInt(id)) === null)]).toEqual([null, null, []])
})

test('members of another kind and number, another name of the machine, and epochs that the server had begun', async () => {
  const folder = await scratch()
  const copy = await fixture(folder)
  await writeFile(join(copy, 'currentEpoch'), '5')
  await writeFile(join(copy, 'acceptedEpoch'), '6\n')
  // A dataDir with a dataLogDir of its own.
  await mkdir(join(folder, 'logs'))
  await mkdir(join(folder, 'logs', 'version-2'))
  for (const name of await readdir(copy)) if (name.startsWith('log.')) await rename(join(copy, name), join(folder, 'logs', 'version-2', name))
  const flags = ['--members', membersFlag(folder, [4, 7]), '--observers', '7', '--machine', 'tree', '--logs', join(folder, 'logs')]
  const done = await run('take-over', folder, ...flags)
  expect(done).toMatchObject({ status: 0, err: '' })
  expect(done.out).toContain(`with the data of ${copy} to 0.66 (0x42)\n  40 nodes, 4 of them ephemeral, 3 sessions; the digest is`)
  expect(done.out).toContain('machine `tree`; the history begins at 6.1\n  4 voter, store ')
  expect(await run('inspect', folder, '--logs', join(folder, 'logs'))).toMatchObject({ status: 0, out: expect.stringContaining('0.66 (0x42), epoch 6') })
  expect((await run('inspect', join(folder, 'm4'), '--json')).json).toMatchObject({
    entries: 0,
    epochs: { accepted: 6, current: 6 },
    snapshots: [{ meta: { zxid: 6 * EPOCH + 1 } }],
  })
  expect(await run('verify', join(folder, 'm7'))).toMatchObject({ status: 0, out: expect.stringMatching(/^sound: 0 entries to 6\.1 /) })

  const members = { 4: 'member-4', 7: { address: 'member-7', role: 'observer' } } as const
  const settings = { id: 4, members, tickMs: 20 }
  const storage = filed(join(folder, 'm4'))
  const network = new MemoryNetwork()
  const misnamed = { ...settings, storage: storage(), transport: network.transport('elsewhere'), machines: { znodes: znodeTree() } }
  await expect(Replica.start(misnamed)).rejects.toMatchObject({ code: 'VERSION_MISMATCH' })
  const tree = znodeTree()
  const replica = await Replica.start({ ...settings, storage: storage(), transport: network.transport('member-4'), machines: { tree } })
  onTestFinished(() => replica.close())
  await replica.ready()
  expect(replica.status().epoch).toBe(7)
  expectRecorded(tree)
})

test('what a crash or rot has left is refused, unless it is asked for, and nothing is made', async () => {
  const folder = await scratch()
  const copy = await fixture(folder)
  const sound = await contentOf(copy)
  const refuses = async (what: string, ...more: string[]): Promise<void> => {
    await mkdir(join(folder, 'n2'), { recursive: true })
    const flags = ['--members', `1=${join(folder, 'n1')},2=${join(folder, 'n2')}`, ...more, '--json']
    const { status, err, json } = await run('take-over', copy, ...flags)
    expect({ status, err, json }).toEqual({
      status: 1,
      err: expect.stringContaining(what),
      json: { ok: false, error: expect.objectContaining({ code: 'CORRUPT', remedy: expect.stringMatching(/\w/) }) },
    })
    expect((await readdir(folder)).sort()).toEqual(['n2', 'version-2'])
    expect(await readdir(join(folder, 'n2'))).toEqual([])
  }
  const accepts = async (flag: string): Promise<string> => {
    const made = await run('take-over', copy, '--members', `1=${join(folder, 'accepted')}`, flag)
    expect(made).toMatchObject({ status: 0, err: '' })
    await rm(join(folder, 'accepted'), { recursive: true })
    return made.out
  }
  const put = async (name: string, bytes: Uint8Array | null): Promise<void> => {
    for (const [held, before] of sound) await writeFile(join(copy, held), before)
    await rm(join(copy, 'log.43'), { force: true })
    if (bytes === null) await rm(join(copy, name))
    else await writeFile(join(copy, name), bytes)
  }

  const last = sound.get('log.2c')!
  await put('log.2c', last.subarray(0, last.lastIndexOf(0x42) - 3))
  await refuses('ends in the midst of an entry')
  await refuses('ends in the midst of an entry', '--accept-digest')
  expect(await accepts('--accept-torn')).toContain('warning: a log ends in the midst of an entry')
  expect((await run('inspect', copy)).out).toContain('torn end     of a log')

  const rotten = Uint8Array.from(last)
  rotten[60]! ^= 1
  await put('log.2c', rotten)
  await refuses('a checksum in a log does not fit', '--accept-torn', '--accept-digest')
  await put('log.1', null)
  // The newest snapshot needs no log before it.
  expect(await run('inspect', copy)).toMatchObject({ status: 0 })
  await put('log.19', null)
  await refuses('changes are missing between the files', '--accept-torn', '--accept-digest')
  const newest = sound.get('snapshot.2a')!
  await put('snapshot.2a', newest.subarray(0, -20))
  expect(await accepts('--accept-torn')).toContain('warning: snapshot.2a not whole: an older snapshot was taken')
  await put('currentEpoch', Buffer.from('one'))
  await refuses('currentEpoch holds no epoch')
  await rm(join(copy, 'currentEpoch'))

  // An error, of which the server told another digest than the tree has.
  const differing = Buffer.from('ffffff9c' + '00000002' + '0123456789abcdef', 'hex')
  await put('log.43', logOf(0n, (LAST + 1) as Zxid, -1, differing))
  await refuses('does not have the digest', '--accept-torn')
  expect(await accepts('--accept-digest')).toContain('THE DIGEST IS NOT')
  expect(await run('inspect', copy, '--json')).toMatchObject({ status: 1, json: { ok: false, kind: 'zookeeper', digestAgrees: false } })

  // As if it had been begun to be written when 0x18 was the last change, and had some of those that followed.
  for (const name of await readdir(copy)) if (name !== 'log.1') await rm(join(copy, name))
  await writeFile(join(copy, 'snapshot.18'), newest)
  await refuses('changes that no log has', '--accept-torn', '--accept-digest')
})

test('what can not be taken over is refused by its reason, and nothing is made or changed', async () => {
  const folder = await scratch()
  const copy = await fixture(folder)
  for (const name of ['empty', 'full', 'alone', 'squeezed', 'far', 'farther']) await mkdir(join(folder, name))
  await writeFile(join(folder, 'full', 'mine'), 'dear')
  await cp(join(copy, 'snapshot.2a'), join(folder, 'alone', 'snapshot.2a'))
  for (const name of ['squeezed', 'far', 'farther']) await cp(copy, join(folder, name), { recursive: true })
  await writeFile(join(folder, 'squeezed', 'snapshot.50.gz'), 'x')
  await writeFile(join(folder, 'far', 'acceptedEpoch'), String(2 ** 21 - 1))
  await writeFile(join(folder, 'farther', 'snapshot.2000000000000a'), 'x')
  const m1 = `1=${join(folder, 'm1')}`
  const before = [await contentOf(copy), (await readdir(folder)).sort()]
  for (const [what, from, ...flags] of [
    ['there is no folder', join(folder, 'absent'), m1],
    ['there is no snapshot', join(folder, 'empty'), m1],
    ['there is no folder', join(copy, 'snapshot.0'), m1],
    ['there is no log', join(folder, 'alone'), m1],
    ['there is no folder', copy, m1, '--logs', join(folder, 'absent')],
    ['there is no log', copy, m1, '--logs', join(folder, 'empty')],
    ['compressed', join(folder, 'squeezed'), m1],
    ['epoch 2097151', join(folder, 'far'), m1],
    ['epoch 2097152', join(folder, 'farther'), m1],
    ['is not empty', copy, `1=${join(folder, 'full')}`],
    ['is not empty', copy, `1=${copy}`],
    ['have one folder', copy, m1, `2=${join(folder, 'm1')}`],
    ['no member', copy, ','],
    ['is not among', copy, m1, '--observers', '2'],
    ['no voter', copy, m1, '--observers', '1'],
    ['no name for a machine', copy, m1, '--machine', '1'],
  ] as const) {
    const { status, err, json } = await run('take-over', from, '--members', ...flags, '--json')
    expect({ what, status, err, json }).toEqual({
      what,
      status: 2,
      err: expect.stringContaining(what),
      json: {
        ok: false,
        error: {
          code: expect.stringMatching(/^INVALID_/),
          message: expect.stringMatching(/\w/),
          remedy: expect.stringMatching(/\w/),
          details: expect.anything(),
        },
      },
    })
  }
  expect([await contentOf(copy), (await readdir(folder)).sort()]).toEqual(before)
})

test('nothing stays of what fails when stores have been written already', async () => {
  const folder = await scratch()
  await mkdir(join(folder, 'm2'))
  const failing = inNewFolders({ members: [membersFlag(folder, [1, 2])] }, async (members) => {
    for (const { store } of members) {
      await store.open('e'.repeat(32))
      await store.close()
    }
    for (const name of ['m1', 'm2']) expect(await readdir(join(folder, name))).toContain('antiphon-store')
    throw new Error('the disk is full')
  })
  await expect(failing).rejects.toThrow('the disk is full')
  expect([await readdir(folder), await readdir(join(folder, 'm2'))]).toEqual([['m2'], []])
})

test.runIf(process.platform !== 'win32')('a server that writes while it is read is found out', async () => {
  const folder = await scratch()
  const copy = await fixture(folder)
  // Whoever reads it waits until it is written.
  const pipe = join(copy, 'currentEpoch')
  execFileSync('mkfifo', [pipe])
  const refused = run('take-over', copy, '--members', membersFlag(folder, [1]))
  const epoch = await open(pipe, 'w')
  await writeFile(join(copy, 'log.43'), '')
  await epoch.writeFile('1')
  await epoch.close()
  expect(await refused).toMatchObject({ status: 2, err: expect.stringContaining('the server runs') })
  expect(await readdir(folder)).toEqual(['version-2'])
})

test('a tree is exported as a dataDir of ZooKeeper: from the folder of a member at work, also beside other machines, and from a backup', {
  timeout: 60_000,
}, async () => {
  const folder = await scratch()
  const notes = immerState({ initial: { notes: [] as string[] }, actions: { note: (state, text: string) => state.notes.push(text) } })
  const tree = znodeTree()
  const transport = new MemoryNetwork().transport('here')
  const m1 = join(folder, 'm1')
  const settings = { id: 1, members: { 1: 'here' }, storage: filed(m1)(), transport, tickMs: 20, snapshotEveryEntries: 40 }
  const replica = await Replica.start({ ...settings, machines: { notes, tree } })
  onTestFinished(() => replica.close())
  await replica.ready()
  const write = (operation: WriteOperation) => replica.propose('tree', { ...NOBODY, operation })
  const node = { type: 'create', data: Buffer.from('x'), acl: OPEN_ACL, mode: 'persistent', ttlMs: 0 } as const
  const expectExported = async (from: string, to: string): Promise<void> => {
    const done = await run('export-zookeeper', from, join(folder, to), '--machine', 'tree', '--json')
    expect(done).toMatchObject({ status: 0, err: '', json: { ok: true, nodes: tree.reader.size, sessions: 0, digestAgrees: true, zxid: tree.reader.zxid } })
    const name = `snapshot.${tree.reader.zxid.toString(16)}`
    expect([await readdir(join(folder, to)), await readdir(join(folder, to, 'version-2'))]).toEqual([['version-2'], [name]])
    const decoder = new ZooKeeperSnapshotDecoder()
    decoder.push(await readFile(join(folder, to, 'version-2', name)))
    const { tree: read, digest } = decoder.finish()
    expect([read.digest(), digest?.digest]).toEqual([tree.treeDigest(), tree.treeDigest()])
  }
  // From the log alone, and what was refused beside it.
  await write({ ...node, path: '/a' })
  await write({ ...node, path: '/a' })
  await notes.dispatch.note('one')
  expect((await run('inspect', m1, '--json')).json).toMatchObject({ snapshots: [], machines: [{ key: 'notes' }, { key: 'tree', name: 'znodes', version: 1 }] })
  await expectExported(m1, 'from-log')
  for (let i = 0; i < 60; i++) {
    await write({ ...node, path: `/a/${i}` })
    await notes.dispatch.note(`note ${i}`)
  }
  await expect.poll(async () => ((await run('inspect', m1, '--json')).json['snapshots'] as unknown[]).length).toBeGreaterThan(0)
  expect((await run('inspect', m1)).out).toContain('machines   notes (immer-state, version 1), tree (znodes, version 1)\n')
  await write({ ...node, path: '/behind' })
  await mkdir(join(folder, 'from-both'))
  await expectExported(m1, 'from-both')
  const backup = join(folder, 'backup')
  expect(await run('backup', m1, backup)).toMatchObject({ status: 0 })
  await expectExported(backup, 'from-backup')
  await expect(replica.close()).resolves.toBeUndefined()

  const before = (await readdir(folder)).sort()
  const refuses = async (status: number, code: string, from: string, to: string, ...more: string[]): Promise<void> => {
    expect(await run('export-zookeeper', from, join(folder, to), ...more, '--json')).toMatchObject({
      status,
      json: { ok: false, error: { code, remedy: expect.stringMatching(/\w/) } },
    })
    expect((await readdir(folder)).sort()).toEqual(before)
  }
  await refuses(2, 'VERSION_MISMATCH', m1, 'new')
  await refuses(2, 'VERSION_MISMATCH', backup, 'new', '--machine', 'notes')
  await refuses(2, 'INVALID_ARGUMENT', m1, 'from-log', '--machine', 'tree')
  await refuses(2, 'INVALID_ARGUMENT', join(folder, 'absent'), 'new')
  const bytes = await readFile(backup)
  bytes[bytes.length - 20]! ^= 1
  await writeFile(backup, bytes)
  await refuses(1, 'CORRUPT', backup, 'new', '--machine', 'tree')
})

/** Of all files, by name. */
async function contentOf(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).sort()
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)))
}

/** In front of what ZooKeeper writes. */
function lengthOf(value: { readonly length: number } | null): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value?.length ?? -1)
  return bytes
}
