import { join } from 'node:path'
import type { Zxid } from '@antiphon/ports'
import { Replica } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { OPEN_ACL, READ, type WriteOperation, type ZnodeTree, znodeTree } from '@antiphon/znode-tree'
import { expect, onTestFinished, test } from 'vitest'
import { run, scratch } from '../../tools/command.ts'
import { FOLDER, recorded } from '../taken-over.ts'
import { ask } from '../wire/ask.ts'
import { Connection } from '../wire/connection.ts'
import { javaPassword } from '../wire/password.ts'
import { missingZookeeper, startZookeeper } from './server.ts'

const demanded = (process.env['REQUIRE'] ?? '').split(',').includes('zookeeper')

async function memberIn(folder: string): Promise<{ readonly replica: Replica<{ znodes: ZnodeTree }>; readonly tree: ZnodeTree }> {
  const tree = znodeTree({ reapEveryMs: 3_600_000 })
  const transport = new MemoryNetwork().transport('here')
  const replica = await Replica.start({
    id: 1,
    members: { 1: 'here' },
    storage: fileStorage({ folder, mainThread: true }),
    transport,
    machines: { znodes: tree },
    tickMs: 20,
  })
  onTestFinished(() => replica.close())
  await replica.ready()
  return { replica, tree }
}

test('what was taken over and written to goes back to a server of ZooKeeper, and from there to us once more', { timeout: 180_000 }, async (context) => {
  const missing = missingZookeeper()
  if (missing !== null && !demanded) context.skip(missing)
  const folder = await scratch()
  const [ours, theirs, again] = [join(folder, 'ours'), join(folder, 'theirs'), join(folder, 'again')]
  expect(await run('take-over', FOLDER, '--members', `1=${ours}`)).toMatchObject({ status: 0 })
  const { replica, tree } = await memberIn(ours)
  const write = (operation: WriteOperation) =>
    replica.propose('znodes', { kind: 'write', session: 0n, attachment: 0 as Zxid, local: true, identities: [], operation })
  const created = await write({ type: 'create', path: '/between', data: Buffer.from('by us'), acl: OPEN_ACL, mode: 'persistent', ttlMs: 0 })
  const deleted = await write({ type: 'delete', path: '/app/f10', version: -1 })
  expect([created.type, deleted.type]).toEqual(['create', 'delete'])
  await replica.close()

  const exported = await run('export-zookeeper', ours, theirs, '--json')
  expect(exported).toMatchObject({
    status: 0,
    json: { ok: true, nodes: recorded.nodes.length, sessions: 3, ephemerals: 4, digestAgrees: true, zxid: tree.reader.zxid },
  })
  const server = await startZookeeper(theirs)
  onTestFinished(() => server[Symbol.asyncDispose]())
  const session = tree.reader.get('/app/eph').stat.ephemeralOwner
  const client = await Connection.open(server.port, { session, password: javaPassword(session) }, () => undefined)
  expect(client.credentials).toMatchObject({ session })
  const paths = [...recorded.nodes.map(({ path }) => path).filter((path) => path !== '/app/f10' && path !== '/zookeeper/config'), '/between']
  let compared = 0
  for (const path of paths) {
    if (!tree.permits(tree.reader.acl(path).acl, READ, [])) continue
    const { data, stat } = tree.reader.get(path)
    const reply = await ask(client, { op: 'getData', path, watch: false })
    expect({ path, code: reply.code, data: reply.data ?? null, stat: reply.stat }).toEqual({
      path,
      code: 0,
      data: data === null ? null : Buffer.from(data).toString('latin1'),
      stat,
    })
    compared++
  }
  expect(compared).toBeGreaterThan(30)
  expect(await ask(client, { op: 'getData', path: '/app/f10', watch: false })).toMatchObject({ code: -101 })
  expect(await ask(client, { op: 'setData', path: '/between', data: 'by them', version: 0 })).toMatchObject({ code: 0 })
  client.end()
  await server[Symbol.asyncDispose]()

  expect(await run('take-over', theirs, '--members', `1=${again}`, '--json')).toMatchObject({
    status: 0,
    json: { digestAgrees: true, torn: false, broken: [] },
  })
  const last = await memberIn(again)
  const { data, stat } = last.tree.reader.get('/between')
  expect([Buffer.from(data!).toString(), stat.czxid, stat.version]).toEqual(['by them', tree.reader.get('/between').stat.czxid, 1])
  expect(stat.mzxid).toBeGreaterThan(tree.reader.zxid)
  expect(last.tree.session(session)).toMatchObject({ id: session })
})
