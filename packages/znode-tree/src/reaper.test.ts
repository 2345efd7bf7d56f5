import { expect, test } from 'vitest'
import { create, remove, Stage } from './machine.test-support.ts'

test('a container that got a child in between goes when it is empty again (CreateContainerTest)', () => {
  const stage = new Stage({ reapEveryMs: 1000 })
  const holder = stage.open(40_000)
  holder.write(create('/box', { mode: 'container' }))
  holder.write(create('/box/child'))
  holder.write(remove('/box/child'))
  const asked = stage.ask4tick(1000)
  expect(asked).toEqual([{ kind: 'reap', path: '/box' }])
  holder.write(create('/box/child'))
  expect(stage.tryPrepare(asked[0]!)).toBe('BAD_VERSION')
  holder.write(remove('/box/child'))
  expect(stage.tick(1000)).toEqual([{ kind: 'reap', path: '/box' }])
  expect(stage.leader.reader.exists('/box')).toBeNull()
  expect(stage.tick(1000)).toEqual([])
})
