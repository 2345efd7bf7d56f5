import { createReadStream, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Zxid } from '@antiphon/ports'
import { type TakenOver, takeOverZooKeeper, ZooKeeperSnapshotDecoder, zooKeeperSnapshotChunks } from '@antiphon/znode-tree'
import { expect, test } from 'vitest'
import { LogReplay } from '../../packages/znode-tree/src/snapshot/zookeeper-log.ts'

/** What Debian's zookeeper 3.8.0 left when it was killed: see the README there. */
const FOLDER = fileURLToPath(new URL('takeover/', import.meta.url))

interface Recorded {
  readonly path: string
  readonly data: string | null
  readonly stat: readonly string[]
  readonly children: readonly string[]
  readonly acl: string
}
const recorded = JSON.parse(readFileSync(`${FOLDER}tree.json`, 'utf8')) as { sessions: string[]; nodes: Recorded[] }
const names = readdirSync(FOLDER)
const snapshots = names.filter((name) => name.startsWith('snapshot.')).sort((a, b) => zxidIn(a) - zxidIn(b))
const logs = names.filter((name) => name.startsWith('log.')).sort((a, b) => zxidIn(a) - zxidIn(b))
/** Cut where no record ends. */
const read = (name: string): AsyncIterable<Uint8Array> => createReadStream(FOLDER + name, { highWaterMark: 777 })

function zxidIn(name: string): Zxid {
  return Number.parseInt(name.split('.')[1]!, 16) as Zxid
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function decode(...chunks: Uint8Array[]): ReturnType<ZooKeeperSnapshotDecoder['finish']> {
  const decoder = new ZooKeeperSnapshotDecoder()
  for (const chunk of chunks) decoder.push(chunk)
  return decoder.finish()
}

/** As the wire has it, in hexadecimal. */
function juteOf(acl: readonly { readonly perms: number; readonly scheme: string; readonly id: string }[]): string {
  const integer = (value: number): string => value.toString(16).padStart(8, '0')
  const text = (value: string): string => integer(value.length) + Buffer.from(value).toString('hex')
  return integer(acl.length) + acl.map(({ perms, scheme, id }) => integer(perms) + text(scheme) + text(id)).join('')
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

test('what is exported in its format is the same tree again', async () => {
  const taken = await takeOverZooKeeper({ names, read })
  const sessions = Array.from(taken.sessions, ([id, timeoutMs]) => ({ id, timeoutMs }))
  const chunks = [...zooKeeperSnapshotChunks(taken.tree.view(), { zxid: taken.zxid, sessions })]
  const again = decode(...chunks)
  expectRecorded(again)
  expect(again.digest).toEqual({ zxid: taken.zxid, digest: taken.tree.digest() })
})
