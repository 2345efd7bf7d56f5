import { expect, test } from 'vitest'
import { WatchManager } from './watch-manager.ts'
import { Listener, lockedBy, World } from './world.test-support.ts'

test('who comes to a later state hears what happened below what they watch, each what they may read, and the tree is looked at once for all', () => {
  const world = new World()
  const watches = new WatchManager(world)
  world.create('/a')
  world.create('/a/open')
  world.create('/a/secret', lockedBy('k'))
  world.create('/b')
  const since = world.zxid
  const listeners = [new Listener(), new Listener('k'), ...Array.from({ length: 50 }, () => new Listener())]
  for (const listener of listeners) watches.add(listener, '/a', 'recursive')
  const above = new Listener('k')
  watches.add(above, '/', 'recursive')
  world.set('/a/secret')
  world.set('/a/open')
  world.set('/b')
  let asked = 0
  const { firstChild } = world
  world.firstChild = (node) => {
    asked++
    return firstChild.call(world, node)
  }
  watches.restored(since)
  expect(listeners[0]!.take()).toEqual(['dataChanged /a/open'])
  expect(listeners[1]!.take()).toEqual(['dataChanged /a/secret', 'dataChanged /a/open'])
  for (const listener of listeners.slice(2)) expect(listener.take()).toEqual(['dataChanged /a/open'])
  expect(above.take()).toEqual(['dataChanged /a/secret', 'dataChanged /a/open', 'dataChanged /b'])
  // The three of `/a`, and all five.
  expect(asked).toBe(3 + 5)
  watches.restored(world.zxid)
  expect(listeners.flatMap((listener) => listener.take())).toEqual([])
  expect(watches.size).toBe(listeners.length + 1)
})

test('each watch is of the kind that it was', () => {
  const world = new World()
  const watches = new WatchManager(world)
  world.create('/a')
  const kinds = ['data', 'children', 'persistent', 'recursive'] as const
  const listeners = kinds.map((kind) => {
    const listener = new Listener()
    watches.add(listener, '/a', kind)
    return listener
  })
  watches.restored(world.zxid)
  for (const [index, listener] of listeners.entries()) expect(kinds.filter((kind) => watches.has(listener, '/a', kind))).toEqual([kinds[index]])
  expect(watches.size).toBe(4)
})
