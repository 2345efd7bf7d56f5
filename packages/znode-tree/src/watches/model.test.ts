import type { Zxid } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_NODE } from '../data-tree-types.ts'
import { childPath, isWithin, parentPath } from '../path.ts'
import { type Acl, OPEN_ACL, type WatchEvent, type WatchEventType, type WatchKind } from '../types.ts'
import { WatchManager } from './watch-manager.ts'
import { Listener, lockedBy, type Triggers, World } from './world.test-support.ts'

interface Watch {
  readonly listener: Listener
  readonly path: string
  readonly kind: WatchKind
}

/** Watches as a list, looked through for each event: what client-protocol.md 8 says, and nothing to make it fast. */
class NaiveWatches implements Triggers {
  list: Watch[] = []
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  add(listener: Listener, path: string, kind: WatchKind): void {
    if (!this.has(listener, path, kind)) this.list.push({ listener, path, kind })
  }

  has(listener: Listener, path: string, kind: WatchKind | 'any'): boolean {
    return this.list.some((watch) => watch.listener === listener && watch.path === path && (kind === 'any' || watch.kind === kind))
  }

  remove(listener: Listener, path: string, kind: WatchKind | 'any'): boolean {
    const had = this.has(listener, path, kind)
    this.list = this.list.filter((watch) => !(watch.listener === listener && watch.path === path && (kind === 'any' || watch.kind === kind)))
    return had
  }

  drop(listener: Listener): void {
    this.list = this.list.filter((watch) => watch.listener !== listener)
  }

  created(path: string, acl: readonly Acl[], parentAcl: readonly Acl[], zxid: Zxid): void {
    this.#fire('created', path, acl, zxid, ['data', 'persistent', 'recursive'])
    this.#fire('childrenChanged', parentPath(path), parentAcl, zxid, ['children', 'persistent'])
  }

  deleted(path: string, acl: readonly Acl[], parentAcl: readonly Acl[], zxid: Zxid): void {
    this.#fire('deleted', path, acl, zxid, ['data', 'children', 'persistent', 'recursive'])
    this.#fire('childrenChanged', parentPath(path), parentAcl, zxid, ['children', 'persistent'])
  }

  dataChanged(path: string, acl: readonly Acl[], zxid: Zxid): void {
    this.#fire('dataChanged', path, acl, zxid, ['data', 'persistent', 'recursive'])
  }

  #fire(type: WatchEventType, path: string, acl: readonly Acl[], zxid: Zxid, kinds: readonly WatchKind[]): void {
    const matching = this.list.filter((watch) => kinds.includes(watch.kind) && (watch.kind === 'recursive' ? isWithin(path, watch.path) : watch.path === path))
    this.list = this.list.filter((watch) => !matching.includes(watch) || watch.kind === 'persistent' || watch.kind === 'recursive')
    for (const listener of new Set(matching.map((watch) => watch.listener))) if (listener.mayRead(acl)) listener.notify({ type, path, zxid })
  }

  resume(listener: Listener, since: Zxid, watches: readonly { readonly path: string; readonly kind: WatchKind | 'exists' }[]): void {
    const world = this.#world
    const events: WatchEvent[] = []
    const tell = (type: WatchEventType, path: string, zxid: Zxid, acl: readonly Acl[] | null): void => {
      const isNew = !events.some((event) => event.type === type && event.path === path)
      if (isNew && (acl === null || listener.mayRead(acl))) events.push({ type, path, zxid })
    }
    for (const { path, kind } of watches) {
      const node = world.find(path)
      if (kind === 'persistent' || kind === 'recursive') {
        this.add(listener, path, kind)
        if (node === NO_NODE) {
          const above = world
            .paths()
            .filter((one) => isWithin(path, one))
            .reduce((one, other) => (other.length > one.length ? other : one))
          const seen = listener.mayRead(world.aclOf(world.acl(world.find(above))))
          if (!seen || world.pzxid(world.find(above)) > since) tell('deleted', path, world.zxid, null)
        }
        for (const one of world.paths()) {
          if (one !== path && (kind === 'persistent' || !isWithin(one, path))) continue
          const at = world.find(one)
          const { czxid, mzxid, pzxid } = world.stat(at)
          const acl = world.aclOf(world.acl(at))
          if (czxid > since) tell('created', one, czxid, acl)
          if (mzxid > since && mzxid !== czxid) tell('dataChanged', one, mzxid, acl)
          if (pzxid > since && pzxid !== czxid) tell('childrenChanged', one, pzxid, acl)
        }
      } else if (kind === 'exists') {
        if (node === NO_NODE) this.add(listener, path, 'data')
        else tell('created', path, world.stat(node).czxid, world.aclOf(world.acl(node)))
      } else if (node === NO_NODE) {
        tell('deleted', path, world.zxid, null)
      } else {
        const zxid = kind === 'data' ? world.mzxid(node) : world.pzxid(node)
        if (zxid > since) tell(kind === 'data' ? 'dataChanged' : 'childrenChanged', path, zxid, world.aclOf(world.acl(node)))
        else this.add(listener, path, kind)
      }
    }
    for (const event of events) listener.notify(event)
  }
}

const KINDS = ['data', 'children', 'persistent', 'recursive'] as const
const ACLS: readonly (readonly Acl[])[] = [OPEN_ACL, lockedBy('red'), lockedBy('blue')]
const KEYS = [[], ['red'], ['red', 'blue']] as const

const path = fc.array(fc.constantFrom('a', 'b', 'ab'), { maxLength: 3 }).map((names) => names.reduce(childPath, '/'))
const who = fc.nat(2)
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ act: fc.constant('create' as const), path, acl: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constantFrom('delete' as const, 'set' as const), path }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('setAcl' as const), path, acl: fc.nat(2) }) },
  { weight: 6, arbitrary: fc.record({ act: fc.constant('add' as const), who, path, kind: fc.constantFrom(...KINDS) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('remove' as const), who, path, kind: fc.constantFrom(...KINDS, 'any' as const) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('drop' as const), who }) },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant('resume' as const),
      who,
      back: fc.nat(12),
      watches: fc.array(fc.record({ path, kind: fc.constantFrom(...KINDS, 'exists' as const) }), { maxLength: 5 }),
    }),
  },
)

describe('watches against a list that is looked through', () => {
  test('any program of changes and registrations is told the same', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = new World()
        const watches = new WatchManager(world)
        const naive = new NaiveWatches(world)
        const real = KEYS.map((keys) => new Listener(...keys))
        const model = KEYS.map((keys) => new Listener(...keys))
        world.triggers.push(watches, naive)
        for (const one of steps) {
          switch (one.act) {
            case 'create':
              if (!world.has(one.path) && world.has(parentPath(one.path))) world.create(one.path, ACLS[one.acl])
              break
            case 'delete':
              if (one.path !== '/' && world.has(one.path) && world.children(one.path).length === 0) world.delete(one.path)
              break
            case 'set':
              if (world.has(one.path)) world.set(one.path)
              break
            case 'setAcl':
              if (world.has(one.path)) world.setAcl(one.path, ACLS[one.acl]!)
              break
            case 'add':
              watches.add(real[one.who]!, one.path, one.kind)
              naive.add(model[one.who]!, one.path, one.kind)
              break
            case 'remove':
              expect(watches.remove(real[one.who]!, one.path, one.kind)).toBe(naive.remove(model[one.who]!, one.path, one.kind))
              break
            case 'drop':
              watches.drop(real[one.who]!)
              naive.drop(model[one.who]!)
              break
            case 'resume': {
              const since = Math.max(0, world.zxid - one.back) as Zxid
              watches.resume(real[one.who]!, since, one.watches)
              naive.resume(model[one.who]!, since, one.watches)
              const zxids = real[one.who]!.heard.map(({ zxid }) => zxid)
              expect(zxids).toEqual(zxids.toSorted((a, b) => a - b))
              for (const { heard } of [real[one.who]!, model[one.who]!]) heard.sort((a, b) => (`${a.type} ${a.path}` < `${b.type} ${b.path}` ? -1 : 1))
              break
            }
          }
          expect(real.map(({ heard }) => heard.splice(0))).toEqual(model.map(({ heard }) => heard.splice(0)))
          expect(watches.size).toBe(naive.list.length)
        }
        for (const { listener, path, kind } of naive.list) expect(watches.has(real[model.indexOf(listener)]!, path, kind)).toBe(true)
        for (const listener of real) watches.drop(listener)
        expect(watches.size).toBe(0)
      }),
      { numRuns: 1_000, seed: 8 },
    )
  })
})
