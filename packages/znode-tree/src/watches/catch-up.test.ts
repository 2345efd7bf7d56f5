import type { Zxid } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { childPath, isWithin, parentPath } from '../path.ts'
import type { WatchEvent, Watcher, WatchKind } from '../types.ts'
import { WatchManager } from './watch-manager.ts'
import { Listener, lockedBy, World } from './world.test-support.ts'

type Missed = WatchKind | 'exists'

/** What one who watched `path` hears that was away while `act` happened, and whether the watch is there afterwards. */
function missed(before: readonly string[], path: string, kind: Missed, act: (world: World) => void): { heard: string[]; left: boolean } {
  const world = new World()
  for (const one of before) world.create(one)
  const watches = new WatchManager(world)
  const listener = new Listener()
  const since = world.zxid
  act(world)
  watches.resume(listener, since, [{ path, kind }])
  expect(listener.heard.every(({ zxid }) => zxid > since && zxid <= world.zxid)).toBe(true)
  return { heard: listener.take(), left: watches.has(listener, path, kind === 'exists' ? 'data' : kind) }
}

const nothing = (): void => {}
const again = (world: World): void => {
  world.delete('/a/b')
  world.create('/a/b')
}

describe('watches that fire once, registered anew (client-protocol.md 8, setWatches; WatchEventWhenAutoResetTest, WatcherTest)', () => {
  test.each<[kind: Missed, what: string, before: readonly string[], act: (world: World) => void, heard: readonly string[]]>([
    ['data', 'nothing', ['/a', '/a/b'], nothing, []],
    ['data', 'setData', ['/a', '/a/b'], (world) => world.set('/a/b'), ['dataChanged /a/b']],
    ['data', 'a child made', ['/a', '/a/b'], (world) => world.create('/a/b/c'), []],
    ['data', 'delete', ['/a', '/a/b'], (world) => world.delete('/a/b'), ['deleted /a/b']],
    ['data', 'delete and create', ['/a', '/a/b'], again, ['dataChanged /a/b']],
    ['exists', 'nothing', ['/a'], nothing, []],
    ['exists', 'create', ['/a'], (world) => world.create('/a/b'), ['created /a/b']],
    ['exists', 'delete and create', ['/a', '/a/b'], again, ['created /a/b']],
    [
      'exists',
      'create and delete',
      ['/a'],
      (world) => {
        world.create('/a/b')
        world.delete('/a/b')
      },
      [],
    ],
    ['children', 'nothing', ['/a', '/a/b'], nothing, []],
    ['children', 'setData', ['/a', '/a/b'], (world) => world.set('/a/b'), []],
    ['children', 'a child made', ['/a', '/a/b'], (world) => world.create('/a/b/c'), ['childrenChanged /a/b']],
    ['children', 'a child gone', ['/a', '/a/b', '/a/b/c'], (world) => world.delete('/a/b/c'), ['childrenChanged /a/b']],
    ['children', 'delete', ['/a', '/a/b'], (world) => world.delete('/a/b'), ['deleted /a/b']],
    ['children', 'delete and create', ['/a', '/a/b'], again, ['childrenChanged /a/b']],
  ])('%s, %s', (kind, _, before, act, heard) => {
    expect(missed(before, '/a/b', kind, act)).toEqual({ heard, left: heard.length === 0 })
  })

  test('what is registered fires as any other does', () => {
    const world = new World()
    world.create('/a')
    const watches = new WatchManager(world)
    world.triggers.push(watches)
    const listener = new Listener()
    const kinds = { '/a': 'data', '/b': 'exists', '/': 'children' } as const
    watches.resume(
      listener,
      world.zxid,
      Object.entries(kinds).map(([path, kind]) => ({ path, kind })),
    )
    world.set('/a')
    world.create('/b')
    world.delete('/b')
    expect(listener.take()).toEqual(['dataChanged /a', 'created /b', 'childrenChanged /'])
    expect(watches.size).toBe(0)
  })

  test('each event once, in the order of the changes, whatever the order of the list', () => {
    const world = new World()
    for (const path of ['/a', '/b', '/c']) world.create(path)
    const watches = new WatchManager(world)
    const listener = new Listener()
    const since = world.zxid
    world.set('/b')
    world.set('/a')
    world.delete('/c')
    world.create('/d')
    watches.resume(listener, since, [
      { path: '/d', kind: 'exists' },
      { path: '/c', kind: 'data' },
      { path: '/c', kind: 'children' },
      { path: '/a', kind: 'data' },
      { path: '/b', kind: 'persistent' },
      { path: '/b', kind: 'data' },
    ])
    expect(listener.take()).toEqual(['dataChanged /b', 'dataChanged /a', 'deleted /c', 'created /d'])
    expect(watches.size).toBe(1)
  })

  test('of one change: what is gone, from below; then nodes, from above; then lists of children', () => {
    const world = new World()
    for (const path of ['/c', '/c/d', '/p', '/x', '/gone']) world.create(path)
    const watches = new WatchManager(world)
    const listener = new Listener()
    const since = world.zxid
    world.delete('/gone')
    world.multi(() => {
      world.create('/m')
      world.create('/m/long')
      world.create('/m/b')
      world.set('/x')
      world.create('/p/q')
      world.delete('/c/d')
      world.delete('/c')
    })
    watches.resume(listener, since, [
      ...(['/', '/p'] as const).map((path) => ({ path, kind: 'children' as const })),
      ...(['/m/b', '/m'] as const).map((path) => ({ path, kind: 'exists' as const })),
      ...(['/gone', '/c', '/c/d', '/x'] as const).map((path) => ({ path, kind: 'data' as const })),
      { path: '/', kind: 'recursive' },
    ])
    expect(listener.heard.every(({ zxid }) => zxid === world.zxid)).toBe(true)
    expect(listener.take()).toEqual([
      'deleted /c/d',
      ...['deleted /c', 'deleted /gone'],
      ...['created /m', 'dataChanged /x'],
      // As listed, and below a recursive watch as they were made.
      ...['created /m/b', 'created /p/q', 'created /m/long'],
      'childrenChanged /',
      ...['childrenChanged /p'],
    ])
  })

  test('what may not be read is not told, and used up', () => {
    const world = new World()
    world.create('/a')
    const watches = new WatchManager(world)
    const listener = new Listener()
    const since = world.zxid
    world.set('/a')
    world.setAcl('/a', lockedBy('theirs'))
    world.create('/b', lockedBy('theirs'))
    watches.resume(listener, since, [
      { path: '/a', kind: 'data' },
      { path: '/b', kind: 'exists' },
    ])
    expect(listener.take()).toEqual([])
    expect(watches.size).toBe(0)
  })
})

describe('watches that stay miss nothing that the tree still shows (museum row 26; ZooKeeper registers them and tells nothing)', () => {
  test.each<[kind: Missed, what: string, before: readonly string[], act: (world: World) => void, heard: readonly string[]]>([
    ['persistent', 'nothing', ['/a', '/a/b'], nothing, []],
    ['persistent', 'something else', ['/a', '/a/b', '/a/c'], (world) => world.set('/a/c'), []],
    ['persistent', 'setData', ['/a', '/a/b'], (world) => world.set('/a/b'), ['dataChanged /a/b']],
    ['persistent', 'a child made', ['/a', '/a/b'], (world) => world.create('/a/b/c'), ['childrenChanged /a/b']],
    ['persistent', 'create', ['/a'], (world) => world.create('/a/b'), ['created /a/b']],
    ['persistent', 'delete', ['/a', '/a/b'], (world) => world.delete('/a/b'), ['deleted /a/b']],
    ['persistent', 'delete and create', ['/a', '/a/b'], again, ['created /a/b']],
    [
      'persistent',
      'create, setData and a child made',
      ['/a'],
      (world) => {
        world.create('/a/b')
        world.create('/a/b/c')
        world.set('/a/b')
      },
      ['created /a/b', 'childrenChanged /a/b', 'dataChanged /a/b'],
    ],
    [
      'persistent',
      'delete of all above',
      ['/a', '/a/b'],
      (world) => {
        world.delete('/a/b')
        world.delete('/a')
      },
      ['deleted /a/b'],
    ],
    ['persistent', 'nothing where nothing was', ['/a'], nothing, []],
    ['persistent', 'nothing where not even a parent was', [], nothing, []],
    ['persistent', 'a sibling made, which may have been it that went', ['/a'], (world) => world.create('/a/c'), ['deleted /a/b']],
    ['recursive', 'nothing', ['/a', '/a/b', '/a/b/c'], nothing, []],
    ['recursive', 'setData', ['/a', '/a/b', '/a/b/c'], (world) => world.set('/a/b/c'), ['dataChanged /a/b/c']],
    ['recursive', 'setData outside', ['/a', '/a/b', '/a/bb'], (world) => world.set('/a/bb'), []],
    ['recursive', 'create', ['/a', '/a/b'], (world) => world.create('/a/b/c'), ['created /a/b/c', 'childrenChanged /a/b']],
    ['recursive', 'delete below', ['/a', '/a/b', '/a/b/c'], (world) => world.delete('/a/b/c'), ['childrenChanged /a/b']],
    ['recursive', 'delete', ['/a', '/a/b'], (world) => world.delete('/a/b'), ['deleted /a/b']],
    ['recursive', 'delete and create', ['/a', '/a/b'], again, ['created /a/b']],
  ])('%s, %s', (kind, _, before, act, heard) => {
    expect(missed(before, '/a/b', kind, act)).toEqual({ heard, left: true })
  })

  test('a missing node below one that may not be read is always told as gone, so that nothing of that one is', () => {
    const world = new World()
    world.create('/a', lockedBy('theirs'))
    const watches = new WatchManager(world)
    const listener = new Listener()
    const other = new Listener('theirs')
    const watch = [{ path: '/a/b', kind: 'persistent' as const }]
    for (const one of [listener, other]) watches.resume(one, world.zxid, watch)
    expect([listener.heard, other.heard]).toEqual([[{ type: 'deleted', path: '/a/b', zxid: world.zxid }], []])
  })

  test('below a recursive watch each node is told by its own ACL', () => {
    const world = new World()
    world.create('/a', lockedBy('theirs'))
    const watches = new WatchManager(world)
    const listener = new Listener('mine')
    const since = world.zxid
    world.create('/a/b', lockedBy('mine'))
    world.create('/a/b/c', lockedBy('theirs'))
    world.create('/a/b/c/d', lockedBy('mine'))
    world.set('/a/b/c/d')
    watches.resume(listener, since, [{ path: '/a', kind: 'recursive' }])
    expect(listener.take()).toEqual(['created /a/b', 'childrenChanged /a/b', 'created /a/b/c/d', 'dataChanged /a/b/c/d'])
  })
})

describe('a state that is replaced under its watches', () => {
  test('all of them catch up: those that were used up meanwhile fire, the others stay', () => {
    const world = new World()
    for (const path of ['/a', '/b', '/c']) world.create(path)
    const watches = new WatchManager(world)
    const listener = new Listener()
    const other = new Listener()
    for (const path of ['/a', '/b', '/c', '/d', '/e']) watches.add(listener, path, 'data')
    watches.add(listener, '/', 'children')
    watches.add(listener, '/b', 'children')
    watches.add(listener, '/c', 'persistent')
    watches.add(other, '/', 'recursive')
    const since = world.zxid
    world.set('/a')
    world.delete('/c')
    world.create('/d')
    watches.restored(since)
    const heard = listener.take()
    // But for the first all are of one ZXID: what is gone is told as of the state's own.
    expect(heard).toEqual(['dataChanged /a', 'deleted /c', 'created /d', 'childrenChanged /'])
    expect(other.take()).toEqual(['dataChanged /a', 'created /d', 'childrenChanged /'])
    expect(watches.size).toBe(5)
    const left = (['/a', '/b', '/c', '/d', '/e'] as const).filter((path) => watches.has(listener, path, 'data'))
    expect(left).toEqual(['/b', '/e'])
    world.triggers.push(watches)
    world.delete('/b')
    world.create('/e')
    expect(listener.take()).toEqual(['deleted /b', 'created /e'])
  })
})

/** Keeps a picture of what it watches: looks at the node that an event names, as a cache does. */
class Picture implements Watcher {
  readonly seen = new Map<string, Zxid>()
  readonly #world: World
  readonly #below: boolean

  constructor(world: World, path: string, below: boolean) {
    this.#world = world
    this.#below = below
    for (const one of world.paths()) if (below ? isWithin(one, path) : one === path) this.#look(one)
  }

  mayRead(): boolean {
    return true
  }

  notify({ type, path }: WatchEvent): void {
    if (type === 'deleted' || type === 'created') this.#forget(path)
    if (type === 'created' || type === 'dataChanged') this.#look(path)
    if (type === 'childrenChanged' && this.#below) {
      for (const one of [...this.seen.keys()]) if (one !== '/' && parentPath(one) === path && !this.#world.has(one)) this.#forget(one)
    }
  }

  #look(path: string): void {
    const node = this.#world.find(path)
    if (node >= 0) this.seen.set(path, this.#world.mzxid(node))
  }

  #forget(path: string): void {
    for (const one of [...this.seen.keys()]) if (isWithin(one, path)) this.seen.delete(one)
  }
}

const anyPath = fc.array(fc.constantFrom('a', 'b'), { maxLength: 3 }).map((names) => names.reduce(childPath, '/'))
const anyChange = fc.record({ act: fc.constantFrom('make', 'make', 'set', 'delete'), path: anyPath })

function change(world: World, { act, path }: { act: string; path: string }): void {
  if (act === 'set' && world.has(path)) world.set(path)
  if (path === '/') return
  if (act === 'make' && !world.has(path) && world.has(parentPath(path))) world.create(path)
  if (act === 'delete' && world.has(path)) {
    for (const one of world.paths().toReversed()) if (isWithin(one, path) && one !== '/') world.delete(one)
  }
}

describe('the order in which somebody catches up', () => {
  test('is that in which somebody who was there heard the same events; of what is gone, the lower goes before the upper', () => {
    const all = ['', '/a', '/b'].flatMap((above) => ['a', 'b'].flatMap((name) => [`${above}/${name}`, `${above}/${name}/a`]))
    const paths = ['/', ...new Set(all)]
    fc.assert(
      fc.property(
        fc.array(anyChange, { maxLength: 10 }),
        fc.array(anyChange, { minLength: 1, maxLength: 12 }),
        fc.shuffledSubarray(paths, { minLength: 1 }),
        fc.boolean(),
        (before, changes, watched, isRecursive) => {
          const world = new World()
          for (const one of before) change(world, one)
          const watches = new WatchManager(world)
          world.triggers.push(watches)
          const [present, away] = [new Listener(), new Listener()]
          for (const path of paths) watches.add(present, path, 'persistent')
          const since = world.zxid
          for (const one of changes) change(world, one)
          watches.resume(away, since, [
            ...watched.map((path) => ({ path, kind: 'persistent' as const })),
            ...(isRecursive ? [{ path: '/', kind: 'recursive' as const }] : []),
          ])
          const text = ({ type, path, zxid }: WatchEvent): string => `${type} ${path} ${zxid}`
          const heard = present.heard.map(text)
          const places = away.heard.filter(({ type, path }) => type !== 'deleted' && paths.includes(path)).map((event) => heard.indexOf(text(event)))
          expect(places).not.toContain(-1)
          expect(places).toEqual([...places].sort((one, other) => one - other))
          const gone = away.heard.filter(({ type }) => type === 'deleted').map(({ path }) => path)
          for (const [at, path] of gone.entries()) expect(gone.slice(at + 1).filter((one) => isWithin(one, path))).toEqual([])
        },
      ),
      { numRuns: 1_000, seed: 3 },
    )
  })
})

describe('a picture that is kept by events', () => {
  test.each(['persistent', 'recursive'] as const)('of a %s watch is the tree after any life, any absence and any restore', (kind) => {
    fc.assert(
      fc.property(
        anyPath,
        fc.array(anyChange, { maxLength: 10 }),
        fc.array(fc.record({ here: fc.constantFrom('there', 'away', 'restored'), changes: fc.array(anyChange, { maxLength: 8 }) }), { maxLength: 5 }),
        (path, before, phases) => {
          const world = new World()
          for (const one of before) change(world, one)
          const watches = new WatchManager(world)
          const picture = new Picture(world, path, kind === 'recursive')
          watches.add(picture, path, kind)
          for (const { here, changes } of phases) {
            const since = world.zxid
            if (here === 'away') watches.drop(picture)
            if (here === 'there') world.triggers.push(watches)
            for (const one of changes) change(world, one)
            world.triggers.length = 0
            if (here === 'away') watches.resume(picture, since, [{ path, kind }])
            if (here === 'restored') watches.restored(since)
            const truth = world.paths().filter((one) => (kind === 'recursive' ? isWithin(one, path) : one === path))
            expect(Object.fromEntries(picture.seen)).toEqual(Object.fromEntries(truth.map((one) => [one, world.mzxid(world.find(one))])))
          }
        },
      ),
      { numRuns: 1_000, seed: 26 },
    )
  })
})
