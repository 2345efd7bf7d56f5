import { describe, expect, test } from 'vitest'
import { type Acl, OPEN_ACL, type WatchKind } from '../types.ts'
import { hashOf } from './recursive-table.ts'
import { WatchManager } from './watch-manager.ts'
import { Listener, lifeOf, lockedBy, World } from './world.test-support.ts'

function worldOf(...paths: string[]): { world: World; watches: WatchManager } {
  const world = new World()
  for (const path of paths) world.create(path)
  const watches = new WatchManager(world)
  world.triggers.push(watches)
  return { world, watches }
}

describe('what fires what (client-protocol.md 8, the table row by row; ZooKeeper WatcherFuncTest)', () => {
  const ROWS: readonly {
    readonly change: string
    readonly before: readonly string[]
    readonly act: (world: World) => void
    readonly events: Readonly<Record<string, readonly string[]>>
  }[] = [
    {
      change: 'a create',
      before: ['/p'],
      act: (world) => world.create('/p/n'),
      events: {
        'data /p/n': ['created /p/n'],
        'children /p': ['childrenChanged /p'],
        'recursive /p/n': ['created /p/n'],
        'recursive /p': ['created /p/n'],
        'recursive /': ['created /p/n'],
      },
    },
    {
      change: 'a delete',
      before: ['/p', '/p/n'],
      act: (world) => world.delete('/p/n'),
      events: {
        'data /p/n': ['deleted /p/n'],
        'children /p/n': ['deleted /p/n'],
        'children /p': ['childrenChanged /p'],
        'recursive /p/n': ['deleted /p/n'],
        'recursive /p': ['deleted /p/n'],
        'recursive /': ['deleted /p/n'],
      },
    },
    {
      change: 'a setData',
      before: ['/p', '/p/n'],
      act: (world) => world.set('/p/n'),
      events: {
        'data /p/n': ['dataChanged /p/n'],
        'recursive /p/n': ['dataChanged /p/n'],
        'recursive /p': ['dataChanged /p/n'],
        'recursive /': ['dataChanged /p/n'],
      },
    },
    { change: 'a setACL', before: ['/p', '/p/n'], act: (world) => world.setAcl('/p/n', OPEN_ACL), events: {} },
    {
      change: 'a create below the root',
      before: [],
      act: (world) => world.create('/n'),
      events: { 'data /n': ['created /n'], 'children /': ['childrenChanged /'], 'recursive /': ['created /n'], 'recursive /n': ['created /n'] },
    },
  ]
  const KINDS: readonly WatchKind[] = ['data', 'children', 'recursive']

  for (const { change, before, act, events } of ROWS) {
    for (const kind of KINDS) {
      for (const path of ['/', '/p', '/p/n', '/n', '/p/n/x', '/p/nn', '/pp']) {
        const expected = events[`${kind} ${path}`] ?? []
        test(`${change} tells a ${kind} watch on ${path}: ${expected.join(', ') || 'nothing'}`, () => {
          const { world, watches } = worldOf(...before)
          const listener = new Listener()
          watches.add(listener, path, kind)
          act(world)
          expect(listener.heard).toEqual(expected.map((one) => ({ type: one.split(' ')[0], path: one.split(' ')[1], zxid: world.zxid })))
          expect(watches.has(listener, path, kind)).toBe(kind === 'recursive' || expected.length === 0)
        })
      }
    }

    test(`${change} tells a persistent watch what it tells data and children watches, once, and leaves it`, () => {
      for (const path of ['/', '/p', '/p/n', '/n']) {
        const { world, watches } = worldOf(...before)
        const listener = new Listener()
        watches.add(listener, path, 'persistent')
        act(world)
        expect(listener.take()).toEqual([...new Set([...(events[`data ${path}`] ?? []), ...(events[`children ${path}`] ?? [])])])
        expect(watches.has(listener, path, 'persistent')).toBe(true)
      }
    })
  }

  test("a delete tells who watches the node, its children and its parent's children: the node once, then the parent", () => {
    const { world, watches } = worldOf('/p', '/p/n')
    const listener = new Listener()
    for (const kind of ['data', 'children', 'persistent', 'recursive'] as const) watches.add(listener, '/p/n', kind)
    watches.add(listener, '/p', 'children')
    watches.add(listener, '/', 'recursive')
    world.delete('/p/n')
    expect(listener.take()).toEqual(['deleted /p/n', 'childrenChanged /p'])
    expect(watches.size).toBe(3)
  })

  test('watchers of one path are told in the order in which they registered; then those above, the nearest first', () => {
    const { world, watches } = worldOf('/p', '/p/n')
    const told: string[] = []
    const listener = (name: string) => ({ notify: () => void told.push(name), mayRead: () => true })
    watches.add(listener('root'), '/', 'recursive')
    watches.add(listener('parent'), '/p', 'recursive')
    watches.add(listener('first'), '/p/n', 'data')
    watches.add(listener('second'), '/p/n', 'persistent')
    watches.add(listener('third'), '/p/n', 'data')
    world.set('/p/n')
    expect(told).toEqual(['first', 'second', 'third', 'parent', 'root'])
  })
})

describe('kinds of one watcher on one path (PersistentWatcherTest, PersistentRecursiveWatcherTest; ZOOKEEPER-4466)', () => {
  test('one that fires once does, and registering it twice changes nothing', () => {
    const { world, watches } = worldOf('/a')
    const listener = new Listener()
    watches.add(listener, '/a', 'data')
    watches.add(listener, '/a', 'data')
    expect(watches.size).toBe(1)
    world.set('/a')
    world.set('/a')
    expect(listener.take()).toEqual(['dataChanged /a'])
    expect(watches.size).toBe(0)
  })

  test('a persistent watch outlives the node, and one that fires once beside it does not demote it', () => {
    const { world, watches } = worldOf()
    const listener = new Listener()
    watches.add(listener, '/a', 'persistent')
    watches.add(listener, '/a', 'data')
    expect(watches.size).toBe(2)
    lifeOf(world, { '/a': OPEN_ACL, '/a/b': OPEN_ACL })
    world.create('/a')
    expect(listener.take()).toEqual(['created /a', 'dataChanged /a', 'childrenChanged /a', 'childrenChanged /a', 'deleted /a', 'created /a'])
    expect(watches.has(listener, '/a', 'data')).toBe(false)
    expect(watches.has(listener, '/a', 'persistent')).toBe(true)
  })

  test('a recursive watch sees all below it and never children; a persistent one beside it adds those of its own path', () => {
    const { world, watches } = worldOf()
    const recursive = new Listener()
    const both = new Listener()
    watches.add(recursive, '/a', 'recursive')
    watches.add(both, '/a', 'recursive')
    watches.add(both, '/a', 'persistent')
    lifeOf(world, { '/a': OPEN_ACL, '/a/b': OPEN_ACL, '/a/b/c': OPEN_ACL })
    const events = [
      'created /a',
      'dataChanged /a',
      'created /a/b',
      'dataChanged /a/b',
      'created /a/b/c',
      'dataChanged /a/b/c',
      'deleted /a/b/c',
      'deleted /a/b',
      'deleted /a',
    ]
    expect(recursive.take()).toEqual(events)
    expect(both.take()).toEqual([...events.slice(0, 3), 'childrenChanged /a', ...events.slice(3, 8), 'childrenChanged /a', 'deleted /a'])
  })

  test('a recursive watch on the root sees everything, and one on /a nothing of /ab', () => {
    const { world, watches } = worldOf()
    const root = new Listener()
    const near = new Listener()
    watches.add(root, '/', 'recursive')
    watches.add(near, '/a', 'recursive')
    lifeOf(world, { '/ab': OPEN_ACL, '/ab/c': OPEN_ACL })
    expect(near.take()).toEqual([])
    expect(root.take()).toEqual(['created /ab', 'dataChanged /ab', 'created /ab/c', 'dataChanged /ab/c', 'deleted /ab/c', 'deleted /ab'])
  })

  test('a watcher with many recursive watches above a node hears of it once', () => {
    const { world, watches } = worldOf('/a', '/a/b')
    const listener = new Listener()
    for (const path of ['/', '/a', '/a/b']) watches.add(listener, path, 'recursive')
    watches.add(listener, '/a/b', 'data')
    world.set('/a/b')
    expect(listener.take()).toEqual(['dataChanged /a/b'])
  })
})

describe('removal (RemoveWatchesTest, WatchManagerTest, RecursiveWatchQtyTest)', () => {
  const KINDS = ['data', 'children', 'persistent', 'recursive'] as const

  test.each(KINDS)('%s takes that kind and no other, and says whether there was one', (kind) => {
    const { watches } = worldOf('/a')
    const listener = new Listener()
    expect(watches.remove(listener, '/a', kind)).toBe(false)
    for (const one of KINDS) watches.add(listener, '/a', one)
    expect(watches.size).toBe(4)
    expect(watches.remove(listener, '/b', kind)).toBe(false)
    expect(watches.remove(new Listener(), '/a', kind)).toBe(false)
    expect(watches.remove(listener, '/a', kind)).toBe(true)
    expect(watches.remove(listener, '/a', kind)).toBe(false)
    expect(KINDS.filter((one) => watches.has(listener, '/a', one))).toEqual(KINDS.filter((one) => one !== kind))
    expect(watches.size).toBe(3)
  })

  test('any takes all of one watcher on one path, and of nobody else', () => {
    const { world, watches } = worldOf('/a', '/b')
    const listener = new Listener()
    const other = new Listener()
    for (const one of KINDS) {
      watches.add(listener, '/a', one)
      watches.add(listener, '/b', one)
      watches.add(other, '/a', one)
    }
    expect(watches.remove(listener, '/a', 'any')).toBe(true)
    expect(watches.remove(listener, '/a', 'any')).toBe(false)
    expect(watches.has(listener, '/a', 'any')).toBe(false)
    expect(watches.has(listener, '/b', 'any')).toBe(true)
    expect(watches.size).toBe(8)
    world.set('/a')
    expect(listener.take()).toEqual([])
    expect(other.take()).toEqual(['dataChanged /a'])
  })

  test('of a kind that fires once leaves what lies in the same table for good, and the other way round (client-protocol.md 8: the types of 3.9)', () => {
    const { world, watches } = worldOf('/a')
    const [lasting, once] = [new Listener(), new Listener()]
    for (const listener of [lasting, once]) for (const one of ['data', 'children', 'persistent'] as const) watches.add(listener, '/a', one)
    for (const one of ['data', 'children'] as const) watches.remove(lasting, '/a', one)
    watches.remove(once, '/a', 'persistent')
    for (const name of ['/a/b', '/a/c']) {
      world.create(name)
      world.set('/a')
    }
    expect(lasting.take()).toEqual(['childrenChanged /a', 'dataChanged /a', 'childrenChanged /a', 'dataChanged /a'])
    expect(once.take()).toEqual(['childrenChanged /a', 'dataChanged /a'])
  })

  test.each(KINDS)('any is there, and goes, when %s is all that there is', (kind) => {
    const { watches } = worldOf('/a')
    const listener = new Listener()
    watches.add(listener, '/a', kind)
    expect(watches.has(listener, '/a', 'any')).toBe(true)
    expect(watches.has(listener, '/a/b', 'any')).toBe(false)
    expect(watches.remove(listener, '/a', 'any')).toBe(true)
    expect(watches.has(listener, '/a', 'any')).toBe(false)
  })

  test('of one of two recursive watches whose paths have one hash leaves the other', () => {
    const byHash = new Map<number, string>()
    let pair: [string, string] | null = null
    for (let i = 0; pair === null; i++) {
      const path = `/${(i * 0x9e3779b1).toString(36)}`
      const other = byHash.get(hashOf(path))
      if (other !== undefined) pair = [other, path]
      byHash.set(hashOf(path), path)
    }
    const { world, watches } = worldOf(...pair)
    const listener = new Listener()
    for (const path of pair) watches.add(listener, path, 'recursive')
    watches.remove(listener, pair[0], 'recursive')
    for (const path of pair) world.create(`${path}/child`)
    expect(listener.take()).toEqual([`created ${pair[1]}/child`])
    watches.remove(listener, pair[1], 'recursive')
    world.set(`${pair[1]}/child`)
    expect(listener.take()).toEqual([])
  })

  test('no event is sent for a removal, and none to one who dropped all', () => {
    const { world, watches } = worldOf('/a')
    const listeners = [new Listener(), new Listener(), new Listener()] as const
    for (const listener of listeners) for (const one of KINDS) watches.add(listener, '/a', one)
    watches.drop(listeners[1])
    watches.drop(listeners[1])
    expect(watches.size).toBe(8)
    world.set('/a')
    expect(listeners.map((listener) => listener.take().length)).toEqual([1, 0, 1])
  })

  test('recursive watches are asked no more when the last one is gone (RecursiveWatchQtyTest)', () => {
    const { world, watches } = worldOf('/a', '/a/b')
    const listeners = [new Listener(), new Listener()] as const
    for (const listener of listeners) watches.add(listener, '/a', 'recursive')
    watches.remove(listeners[0], '/a', 'recursive')
    world.set('/a/b')
    expect(listeners.map((listener) => listener.take())).toEqual([[], ['dataChanged /a/b']])
    watches.drop(listeners[1])
    world.set('/a/b')
    expect(listeners[1].take()).toEqual([])
    expect(watches.size).toBe(0)
  })

  test('the first, the last and one in between of many on a path can go, and those who stay keep their order', () => {
    for (const gone of [0, 1, 2, 3, 4]) {
      const { world, watches } = worldOf('/a')
      const told: number[] = []
      const listeners = [0, 1, 2, 3, 4].map((name) => ({ notify: () => void told.push(name), mayRead: () => true }))
      for (const listener of listeners) watches.add(listener, '/a', 'persistent')
      watches.remove(listeners[gone]!, '/a', 'persistent')
      watches.add(listeners[gone]!, '/a', 'persistent')
      world.set('/a')
      expect(told).toEqual([...[0, 1, 2, 3, 4].filter((name) => name !== gone), gone])
    }
  })
})

describe('nobody hears of a node that he may not read (client-protocol.md 8.1, CVE-2024-23944; PersistentWatcherACLTest)', () => {
  const YES = lockedBy('mine')
  const NO = lockedBy('theirs')
  const A = ['created /a', 'dataChanged /a', 'childrenChanged /a', 'childrenChanged /a', 'deleted /a']
  const all = (path: string): string[] => [`created ${path}`, `dataChanged ${path}`, `deleted ${path}`]

  const TRUTH: readonly [path: string, kind: WatchKind, a: readonly Acl[], b: readonly Acl[], c: readonly Acl[] | null, seen: readonly string[]][] = [
    ['/a', 'persistent', NO, YES, null, []],
    ['/a', 'persistent', NO, NO, null, []],
    ['/a', 'persistent', YES, NO, null, A],
    ['/a', 'recursive', NO, YES, null, all('/a/b')],
    ['/a', 'recursive', NO, NO, null, []],
    ['/a', 'recursive', NO, NO, NO, []],
    ['/a', 'recursive', NO, YES, YES, ['created /a/b', 'dataChanged /a/b', 'created /a/b/c', 'dataChanged /a/b/c', 'deleted /a/b/c', 'deleted /a/b']],
    ['/a', 'recursive', NO, YES, NO, all('/a/b')],
    ['/a/b/c', 'recursive', YES, YES, NO, []],
    ['/a/b/c', 'recursive', YES, YES, YES, all('/a/b/c')],
  ]

  test.each(TRUTH)('%s %s, row %#', (path, kind, a, b, c, seen) => {
    const { world, watches } = worldOf()
    const listener = new Listener('mine')
    watches.add(listener, path, kind)
    lifeOf(world, { '/a': a, '/a/b': b, ...(c === null ? {} : { '/a/b/c': c }) })
    expect(listener.take()).toEqual(seen)
  })

  test('a watch that fires once is used up all the same', () => {
    const { world, watches } = worldOf()
    const listener = new Listener('mine')
    world.create('/a', NO)
    watches.add(listener, '/a', 'data')
    watches.add(listener, '/a', 'children')
    world.set('/a')
    world.create('/a/b')
    expect(listener.take()).toEqual([])
    expect(watches.size).toBe(0)
  })

  test("children are the parent's matter, and the ACL is that of the moment", () => {
    const { world, watches } = worldOf()
    const listener = new Listener('mine')
    world.create('/a', YES)
    watches.add(listener, '/a', 'persistent')
    world.create('/a/b', NO)
    world.setAcl('/a', NO)
    world.create('/a/c', YES)
    world.set('/a')
    expect(listener.take()).toEqual(['childrenChanged /a'])
  })

  test.each(['children', 'persistent', 'data'] as const)("that a node is deleted is told by its own ACL, not by the parent's (%s)", (kind) => {
    const { world, watches } = worldOf()
    const listener = new Listener('mine')
    world.create('/theirs', NO)
    world.create('/theirs/mine', YES)
    world.create('/mine', YES)
    world.create('/mine/theirs', NO)
    for (const path of ['/theirs/mine', '/mine/theirs']) watches.add(listener, path, kind)
    world.delete('/theirs/mine')
    world.delete('/mine/theirs')
    expect(listener.take()).toEqual(['deleted /theirs/mine'])
  })

  test('nobody is asked who does not watch, and a watcher once for an event', () => {
    const { world, watches } = worldOf('/a', '/b')
    const listener = new Listener()
    for (const path of ['/', '/a']) watches.add(listener, path, 'recursive')
    for (const kind of ['data', 'persistent'] as const) watches.add(listener, '/a', kind)
    world.set('/a')
    expect(listener.asked).toHaveLength(1)
    watches.drop(listener)
    world.set('/a')
    world.delete('/b')
    expect(listener.asked).toHaveLength(1)
  })
})
