import { expect, test } from 'vitest'
import { check, codeOf, create, multi, remove, Stage, setAcl, setData } from './machine.test-support.ts'
import { CREATE, OPEN_ACL, READ } from './types.ts'

/** More than are kept before those that are applied, or gone again, are forgotten. */
const MANY = 1024

test('a session whose many ephemeral nodes are under way, and one more multi fails: closing it deletes them all, and those alone', () => {
  const stage = new Stage()
  const [owner, other] = [stage.open(), stage.open()]
  owner.prepare(create('/first', { mode: 'ephemeral' }))
  for (let i = 2; i < MANY; i++) owner.prepare(create(`/e${i}`, { mode: 'ephemeral' }))
  // Counts the first as gone, and is undone.
  owner.prepare(multi(remove('/first'), create('/a', { mode: 'ephemeral' }), create('/b', { mode: 'ephemeral' }), check('/none')))
  stage.prepare({ kind: 'closeSession', session: owner.id, attachment: owner.attachment })
  other.prepare(setData('/first', 'x'))
  expect(stage.flush().slice(-3).map(codeOf)).toEqual(['OK OK OK NO_NODE', 'OK', 'NO_NODE'])
  expect(stage.leader.reader.size).toBe(4)
})

test('what is forgotten of a session because it is applied is not missed when a multi is undone', () => {
  const stage = new Stage()
  const [owner, other] = [stage.open(), stage.open()]
  for (let i = 1; i < MANY; i++) owner.prepare(create(`/e${i}`, { mode: 'ephemeral' }))
  stage.flush(MANY - 2)
  owner.prepare(multi(create('/a', { mode: 'ephemeral' }), create('/b', { mode: 'ephemeral' }), check('/none')))
  stage.prepare({ kind: 'closeSession', session: owner.id, attachment: owner.attachment })
  other.prepare(setData('/e5', 'x'))
  expect(stage.flush().slice(-2).map(codeOf)).toEqual(['OK', 'NO_NODE'])
  expect(stage.leader.reader.size).toBe(4)
})

test('what is prepared for a path that is deleted and made again changes the node that is there then, and not the one that has its place', () => {
  const stage = new Stage()
  const owner = stage.open()
  owner.prepare(create('/a'))
  stage.flush()
  owner.prepare(remove('/a'))
  owner.prepare(create('/b'))
  owner.prepare(create('/a'))
  owner.prepare(setData('/a', 'x'))
  owner.prepare(remove('/a'))
  expect(stage.flush(4).map(codeOf)).toEqual(['OK', 'OK', 'OK', 'OK'])
  const { reader } = stage.leader
  expect([reader.get('/a').stat.version, reader.get('/b').stat.version]).toEqual([1, 0])
  expect(stage.flush().map(codeOf)).toEqual(['OK'])
  expect([reader.exists('/a'), reader.exists('/b')?.version]).toEqual([null, 0])
})

test('a node that is made anew while the end of the one before is under way has nothing of that one', () => {
  const stage = new Stage()
  const owner = stage.open()
  owner.writeAll([create('/n'), setData('/n', '1'), setAcl('/n', OPEN_ACL), create('/n/c'), remove('/n/c')])
  const operations = [
    remove('/n'),
    create('/n'),
    setData('/n', 'x', 0),
    setAcl('/n', OPEN_ACL, 0),
    create('/n/s-', { mode: 'persistent-sequential' }),
    remove('/n', 1),
    remove('/n/s-0000000000'),
    remove('/n', 1),
  ]
  for (const operation of operations) owner.prepare(operation)
  expect(stage.flush().map(codeOf)).toEqual(['OK', 'OK', 'OK', 'OK', 'OK', 'NOT_EMPTY', 'OK', 'OK'])
  stage.alike()
})

test('a container and a TTL node that are made anew, and are under way, are reaped by what they are themselves', () => {
  const stage = new Stage()
  const owner = stage.open()
  const ttl = (path: string, ttlMs: number) => create(path, { mode: 'persistent-with-ttl', ttlMs })
  owner.writeAll([create('/box', { mode: 'container' }), create('/box/c'), remove('/box/c'), ttl('/young', 500), ttl('/longer', 500), ttl('/shorter', 5000)])
  stage.time += 1000
  for (const path of ['/box', '/young', '/longer', '/shorter']) owner.prepare(remove(path))
  for (const operation of [create('/box', { mode: 'container' }), ttl('/young', 500), ttl('/longer', 5000), ttl('/shorter', 500)]) owner.prepare(operation)
  const reap = (path: string): string | null => stage.tryPrepare({ kind: 'reap', path })
  expect(['/box', '/young'].map(reap)).toEqual(['BAD_VERSION', 'BAD_VERSION'])
  stage.time += 501
  expect(['/box', '/longer', '/shorter', '/young'].map(reap)).toEqual(['BAD_VERSION', 'BAD_VERSION', null, null])
  stage.flush()
  stage.alike()
})

test('what is prepared behind a configuration that is under way sees the version that it will have', () => {
  const stage = new Stage()
  const admin = stage.open()
  admin.identities = [{ scheme: 'super', id: '' }]
  admin.prepare(multi(check('/zookeeper/config', 0)))
  stage.prepare({ kind: 'setConfig', data: new Uint8Array(3) })
  admin.prepare(multi(check('/zookeeper/config', 0)))
  admin.prepare(setData('/zookeeper/config', 'x', -1))
  admin.prepare(multi(check('/zookeeper/config', 0)))
  expect(stage.flush().map(codeOf)).toEqual(['check', 'OK', 'BAD_VERSION', 'OK', 'check'])
})

test('nodes that are made behind others that have gone through have nothing of those', () => {
  const stage = new Stage()
  const owner = stage.open()
  const names = Array.from({ length: 20 }, (_, i) => `/before${i}`)
  owner.writeAll(names.flatMap((path) => [create(path), setData(path, 'x'), setAcl(path, OPEN_ACL), create(`${path}/c`)]))
  const all = Array.from({ length: 60 }, (_, i) => `/new${i}`).flatMap((path) => [
    create(path),
    setData(path, 'x', 0),
    setAcl(path, OPEN_ACL, 0),
    create(`${path}/s-`, { mode: 'persistent-sequential' }),
    remove(`${path}/s-0000000000`, 0),
    remove(path, 1),
  ])
  owner.writeAll(all)
  stage.alike()
})

test('what is prepared behind an ACL that is under way is judged by it', () => {
  const stage = new Stage()
  const owner = stage.open()
  owner.writeAll([create('/n')])
  owner.prepare(setAcl('/n', [{ perms: READ | CREATE, scheme: 'world', id: 'anyone' }]))
  for (const operation of [setData('/n', 'x'), create('/n/c'), remove('/n/c'), setAcl('/n', OPEN_ACL)]) owner.prepare(operation)
  expect(stage.flush().map(codeOf)).toEqual(['OK', 'NO_AUTH', 'OK', 'NO_AUTH', 'NO_AUTH'])
})

test('the end of a session, all of it under way, takes none that is gone already, nor one that is another session’s by then', () => {
  const stage = new Stage()
  const [first, second] = [stage.open(), stage.open()]
  first.writeAll([
    create('/p'),
    create('/p/e', { mode: 'ephemeral' }),
    create('/p/f', { mode: 'ephemeral' }),
    create('/p/g', { mode: 'ephemeral' }),
    create('/p/x'),
  ])
  second.prepare(remove('/p/e'))
  second.prepare(remove('/p/f'))
  second.prepare(create('/p/f', { mode: 'ephemeral' }))
  stage.prepare({ kind: 'closeSession', session: first.id, attachment: first.attachment })
  for (const operation of [setData('/p/g', ''), setData('/p/f', 'mine'), remove('/p/f'), remove('/p'), remove('/p/x'), remove('/p')]) second.prepare(operation)
  expect(stage.flush().slice(-7).map(codeOf)).toEqual(['OK', 'NO_NODE', 'OK', 'OK', 'NOT_EMPTY', 'OK', 'OK'])
  stage.alike()
})
