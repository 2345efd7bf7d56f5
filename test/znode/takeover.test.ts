import { createReadStream, readdirSync, readFileSync } from 'node:fs'
import type { Zxid } from '@antiphon/ports'
import { type TakenOver, takenOverChunks, takeOverZooKeeper, ZooKeeperSnapshotDecoder, znodeTree, zooKeeperSnapshotChunks } from '@antiphon/znode-tree'
import { expect, test } from 'vitest'
import { LogReplay } from '../../packages/znode-tree/src/snapshot/zookeeper-log.ts'
import { FOLDER, juteOf, logOf, recorded, zxidIn } from './taken-over.ts'

const names = readdirSync(FOLDER)
const snapshots = names.filter((name) => name.startsWith('snapshot.')).sort((a, b) => zxidIn(a) - zxidIn(b))
const logs = names.filter((name) => name.startsWith('log.')).sort((a, b) => zxidIn(a) - zxidIn(b))
/** Cut where no record ends. */
const read = (name: string): AsyncIterable<Uint8Array> => createReadStream(FOLDER + name, { highWaterMark: 777 })

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function decode(...chunks: Uint8Array[]): ReturnType<ZooKeeperSnapshotDecoder['finish']> {
  const decoder = new ZooKeeperSnapshotDecoder()
  for (const chunk of chunks) decoder.push(chunk)
  return decoder.finish()
}

function expectRecorded({ tree, sessions }: Pick<TakenOver, 'tree' | 'sessions'>): void {
  expect(tree.size).toBe(recorded.nodes.length)
  for (const { path, data, stat, children, acl } of recorded.nodes) {
    const node = tree.find(path)
    const ours = tree.stat(node)
    const { czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid } = ours
    const fields = [czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid].map(String)
    const bytes = tree.data(node)
    const hex = bytes === null ? null : Buffer.from(bytes).toString('hex')
    const names: string[] = []
    for (let child = tree.firstChild(node); child !== -1; child = tree.nextSibling(child)) names.push(tree.name(child))
    expect({ path, data: hex, stat: fields, children: names.sort() }).toEqual({ path, data, stat, children })
    expect(acl.startsWith(juteOf(tree.aclOf(tree.acl(node))))).toBe(true)
  }
  expect([...sessions.keys()].map(String).sort()).toEqual(recorded.sessions)
}

test("a data folder of Debian's zookeeper 3.8 is taken over as its server told it", async () => {
  const taken = await takeOverZooKeeper({ names, read })
  expectRecorded(taken)
  expect(taken).toMatchObject({ broken: [], torn: false, digestAgrees: true })
})

test('after each transaction of its logs the tree has the digest that the server logged', async () => {
  const replay = new LogReplay(decode(readFileSync(`${FOLDER}snapshot.0`)), 0 as Zxid)
  for (const log of logs) await replay.readLog(read(log))
  expectRecorded(replay)
  // One for each, sessions and the multi that failed included, but for the one that is an error and nothing else.
  expect(replay).toMatchObject({ compared: replay.zxid - 1, differing: 0 })
})

test('each of its snapshots leads to the same tree, the broken ones passed over', async () => {
  for (const count of [1, 2]) {
    const broken = snapshots.slice(-count)
    const taken = await takeOverZooKeeper({
      names,
      read: (name) => {
        const bytes = readFileSync(FOLDER + name)
        return one(broken.includes(name) ? bytes.subarray(0, -30) : bytes)
      },
    })
    expectRecorded(taken)
    expect(taken).toMatchObject({ broken: broken.reverse(), digestAgrees: true })
  }
  const nothing = takeOverZooKeeper({ names, read: () => one(new Uint8Array(99)) })
  await expect(nothing).rejects.toMatchObject({ code: 'CORRUPT' })
})

test('a flipped bit in a snapshot or a log is CORRUPT', async () => {
  const newest = readFileSync(FOLDER + snapshots.at(-1)!)
  for (let at = 0; at < newest.length; at += 37) {
    const flipped = Uint8Array.from(newest)
    flipped[at]! ^= 4
    // ZooKeeper's own identifier of a data base is looked at by nobody, but it is in the checksum.
    expect(() => decode(flipped)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  }
  // In the head, a checksum, a length that then goes beyond the file, and entries.
  for (const at of [0, 20, 24, 40, 90, 400]) {
    const taken = takeOverZooKeeper({
      names: ['snapshot.0', ...logs],
      read: (name) => {
        const bytes = Uint8Array.from(readFileSync(FOLDER + name))
        if (name === logs[0]) bytes[at]! ^= 4
        return one(bytes)
      },
    })
    await expect(taken).rejects.toMatchObject({ code: 'CORRUPT' })
  }
})

test('a log that was torn at its end is read up to there, and a hole between logs is CORRUPT', async () => {
  const last = readFileSync(FOLDER + logs.at(-1)!)
  const end = last.lastIndexOf(0x42) + 1
  for (const length of [end - 1, end - 30]) {
    const taken = await takeOverZooKeeper({ names, read: (name) => (name === logs.at(-1) ? one(last.subarray(0, length)) : read(name)) })
    expect(taken).toMatchObject({ torn: true, digestAgrees: true })
    expect(taken.sessions.size).toBe(recorded.sessions.length - 1)
  }
  await expect(takeOverZooKeeper({ names: names.filter((name) => name !== logs[1]), read })).rejects.toMatchObject({ code: 'CORRUPT' })
})

test('a log that was torn before another epoch began is told, unless a digest shows that nothing is missing', async () => {
  const [newest, last] = [readFileSync(FOLDER + snapshots.at(-1)!), readFileSync(FOLDER + logs.at(-1)!)]
  const digestBytes = 33
  const error = (zxid: number): Uint8Array => logOf(0n, zxid as Zxid, -1, Buffer.alloc(4))
  const files = new Map<string, Uint8Array>([
    ['snapshot.2a', newest.subarray(0, -digestBytes)],
    ['log.2b', error(0x2b)],
    ['log.2c', error(0x2c).subarray(0, -3)],
    ['log.100000001', error(0x1_0000_0001)],
  ])
  const take = (): Promise<TakenOver> => takeOverZooKeeper({ names: [...files.keys()], read: (name) => one(files.get(name)!) })
  expect(await take()).toMatchObject({ torn: true, digestAgrees: null, zxid: 0x1_0000_0001, beginsAt: 0x1_0000_0001 })
  files.set('log.2c', error(0x2c))
  expect(await take()).toMatchObject({ torn: false, zxid: 0x1_0000_0001 })
  // The next log begins with the entry that was torn.
  files.set('log.2b', Buffer.concat([error(0x2b), error(0x2c).subarray(16, -3)]))
  expect(await take()).toMatchObject({ torn: false, zxid: 0x1_0000_0001 })
  // Digests before it tell nothing, one behind it does.
  const digested = new Map<string, Uint8Array>(names.map((name) => [name, readFileSync(FOLDER + name)]))
  digested.set(logs.at(-1)!, last.subarray(0, last.lastIndexOf(0x42) - 3)).set('log.100000001', error(0x1_0000_0001))
  const takeDigested = (): Promise<TakenOver> => takeOverZooKeeper({ names: [...digested.keys()], read: (name) => one(digested.get(name)!) })
  const { torn, digestAgrees, tree } = await takeDigested()
  expect([torn, digestAgrees]).toEqual([true, true])
  const digest = Buffer.alloc(16)
  digest.writeInt32BE(2, 4)
  digest.writeBigUInt64BE(tree.digest(), 8)
  digested.set('log.100000001', logOf(0n, 0x1_0000_0001 as Zxid, -1, digest))
  expect(await takeDigested()).toMatchObject({ torn: false, digestAgrees: true })
})

test('changes that a snapshot has already, and such as it lacks, lead to the same tree (FuzzySnapshotRelatedTest, DataTreeTest)', async () => {
  const taken = await takeOverZooKeeper({ names, read })
  const sessions = Array.from(taken.sessions, ([id, timeoutMs]) => ({ id, timeoutMs }))
  const last = decode(...zooKeeperSnapshotChunks(taken.tree.view(), { zxid: taken.zxid, sessions }))
  // As if the server had begun to write it when nothing had been done yet.
  const replay = new LogReplay(last, 0 as Zxid)
  for (const log of logs) await replay.readLog(read(log))
  expectRecorded(replay)
  expect(replay.agrees).toBe(true)
})

test('a session that ends without a list of its nodes takes them along, as before 3.6; and so does one that is not there', async () => {
  const taken = await takeOverZooKeeper({ names, read })
  const session = [...taken.tree.owners()][0]!
  const mine = taken.tree.ephemerals(session)
  expect(mine.length).toBeGreaterThan(0)
  const name = `log.${(taken.zxid + 1).toString(16)}`
  const log = logOf(session, (taken.zxid + 1) as Zxid, -11)
  const after = await takeOverZooKeeper({ names: [...names, name], read: (file) => (file === name ? one(log) : read(file)) })
  expect(after.tree.ephemerals(session)).toEqual([])
  expect(after.tree.size).toBe(taken.tree.size - mine.length)
  expect(after.zxid).toBe(taken.zxid + 1)
  const orphaned = [...zooKeeperSnapshotChunks(taken.tree.view(), { zxid: taken.zxid, sessions: [] })]
  const alone = await takeOverZooKeeper({ names: [`snapshot.${taken.zxid.toString(16)}`], read: () => one(Buffer.concat(orphaned)) })
  expect([...alone.tree.owners()]).toEqual([])
})

test('children are in the order in which they were made, quotas are counted anew', async () => {
  const { tree, zxid } = await takeOverZooKeeper({ names, read })
  for (const { path } of recorded.nodes.filter((node) => !node.path.startsWith('/zookeeper'))) {
    const made: number[] = []
    for (let child = tree.firstChild(tree.find(path)); child !== -1; child = tree.nextSibling(child)) made.push(tree.czxid(child))
    expect(made).toEqual([...made].sort((a, b) => a - b))
  }
  const stats = tree.find('/zookeeper/quota/q/zookeeper_stats')
  const before = Buffer.from(tree.data(stats)!).toString()
  tree.setData(stats, Buffer.from('count=77'), 0, 8, 0, zxid, 0)
  const again = decode(...zooKeeperSnapshotChunks(tree.view(), { zxid, sessions: [] }))
  expect(Buffer.from(again.tree.data(again.tree.find('/zookeeper/quota/q/zookeeper_stats'))!).toString()).toBe(before)
})

test('a snapshot without a digest, as before 3.6, is read as well; one without its checksum is not', () => {
  const newest = readFileSync(FOLDER + snapshots.at(-1)!)
  const [digestBytes, sealBytes] = [20, 13]
  expect(decode(newest.subarray(0, -(digestBytes + sealBytes))).digest).toBeNull()
  expect(() => decode(newest.subarray(0, -sealBytes))).toThrow('ends too early')
  expect(() => decode(newest.subarray(0, -(digestBytes + 2 * sealBytes)))).toThrow('ends too early')
})

test('a machine goes on from what was taken over', async () => {
  const taken = await takeOverZooKeeper({ names, read })
  const machine = znodeTree({ name: 'taken' })
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield* takenOverChunks(taken)
  }
  await machine.restore(taken.zxid, chunks())
  expect(machine.treeDigest()).toBe(taken.tree.digest())
  expect(machine.reader.size).toBe(recorded.nodes.length)
  for (const id of recorded.sessions.map(BigInt)) expect(machine.session(id)).toMatchObject({ id, timeoutMs: 30_000 })
})

test('what is exported in its format is the same tree again', async () => {
  const taken = await takeOverZooKeeper({ names, read })
  const sessions = Array.from(taken.sessions, ([id, timeoutMs]) => ({ id, timeoutMs }))
  const chunks = [...zooKeeperSnapshotChunks(taken.tree.view(), { zxid: taken.zxid, sessions })]
  const again = decode(...chunks)
  expectRecorded(again)
  expect(again.digest).toEqual({ zxid: taken.zxid, digest: taken.tree.digest() })
})
