import { expect, test } from 'vitest'
import { check, codeOf, create, multi, remove, Stage, setData } from './machine.test-support.ts'

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
