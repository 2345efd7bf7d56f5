import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NodeTree } from './data-tree.ts'
import { type NewNode, NO_NODE, TTL } from './data-tree-types.ts'
import { create, type Holder, remove, Stage, setAcl, setData } from './machine.test-support.ts'
import type { ZnodeTreeOptions } from './machine-types.ts'
import { Reaper } from './reaper.ts'
import { type MultiPart, OPEN_ACL, type ZnodeRequest } from './types.ts'

/** Of client-protocol.md, section 5 ("Reaper") and tests.md, section 1 (CreateContainerTest, CreateTTLTest). */

function stageOf(options: ZnodeTreeOptions = {}): { readonly stage: Stage; readonly holder: Holder } {
  const stage = new Stage({ reapEveryMs: 1000, sessionTimeoutMsMax: 1_000_000_000, ...options })
  return { stage, holder: stage.open(1_000_000_000) }
}

function ttl(path: string, ttlMs: number): MultiPart {
  return create(path, { mode: 'persistent-with-ttl', ttlMs })
}

function box(path: string): MultiPart {
  return create(path, { mode: 'container' })
}

function ttlNode(path: string, ttlMs: number): NewNode {
  return { kind: TTL, ttlMs, owner: 0n, acl: 0, bytes: new Uint8Array(0), start: 0, end: 0, path }
}

function pathsOf(requests: readonly ZnodeRequest[]): string[] {
  return requests.map((request) => {
    if (request.kind !== 'reap') throw new Error(request.kind)
    return request.path
  })
}

/** What was asked for in each of `ticks` ticks; and applied. */
function reaped(stage: Stage, ticks: number, ms = 1000): string[][] {
  return Array.from({ length: ticks }, () => pathsOf(stage.tick(ms)).sort())
}

describe('a container', () => {
  test('that got a child in between goes when it is empty again (CreateContainerTest)', () => {
    const { stage, holder } = stageOf()
    holder.write(box('/box'))
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

  test('goes behind the one that it held (cascading deletion)', () => {
    const { stage, holder } = stageOf()
    for (const path of ['/outer', '/outer/inner']) holder.write(box(path))
    holder.write(create('/outer/inner/child'))
    expect(reaped(stage, 1)).toEqual([[]])
    holder.write(remove('/outer/inner/child'))
    expect(reaped(stage, 3)).toEqual([['/outer/inner'], ['/outer'], []])
    expect(stage.leader.treeDigest()).toBe(stage.follower.treeDigest())
  })

  test('that was never used stays for ever, unless it is told how long', () => {
    const never = stageOf()
    never.holder.write(box('/box'))
    expect(reaped(never.stage, 3, 100_000_000)).toEqual([[], [], []])
    expect(never.stage.tryPrepare({ kind: 'reap', path: '/box' })).toBe('BAD_VERSION')

    const { stage, holder } = stageOf({ containerUnusedMsMax: 5000 })
    holder.write(box('/box'))
    expect(reaped(stage, 6)).toEqual([[], [], [], [], [], ['/box']])
  })

  test('that was never used has its time anew when it is written to', () => {
    const { stage, holder } = stageOf({ containerUnusedMsMax: 5000 })
    holder.write(box('/box'))
    reaped(stage, 4)
    holder.write(setData('/box', 'x'))
    expect(reaped(stage, 6)).toEqual([[], [], [], [], [], ['/box']])
  })

  test('that was used waits for nothing, whatever the time of unused ones', () => {
    const { stage, holder } = stageOf({ containerUnusedMsMax: 1_000_000 })
    for (const operation of [box('/box'), create('/box/child'), remove('/box/child')]) holder.write(operation)
    expect(reaped(stage, 1)).toEqual([['/box']])
  })
})

describe('a TTL node', () => {
  test('goes when its time is over, not with its last millisecond', () => {
    const { stage, holder } = stageOf()
    holder.write(ttl('/n', 2000))
    expect(reaped(stage, 2)).toEqual([[], []])
    expect(stage.tryPrepare({ kind: 'reap', path: '/n' })).toBe('BAD_VERSION')
    stage.time += 1
    expect(stage.tryPrepare({ kind: 'reap', path: '/n' })).toBeNull()
    stage.flush()
    expect(stage.follower.reader.exists('/n')).toBeNull()
  })

  test('has its whole time again with data that is set, applied or not, and with nothing else (CreateTTLTest)', () => {
    const { stage, holder } = stageOf()
    for (const path of ['/set', '/acl', '/child', '/read']) holder.write(ttl(path, 2500))
    holder.write(create('/child/c'))
    reaped(stage, 2)
    holder.prepare(setData('/set', 'x'))
    stage.time += 600
    expect(stage.tryPrepare({ kind: 'reap', path: '/set' })).toBe('BAD_VERSION')
    stage.time -= 600
    holder.write(setAcl('/acl', OPEN_ACL))
    holder.write(remove('/child/c'))
    stage.leader.reader.get('/read')
    expect(reaped(stage, 1)).toEqual([['/acl', '/child', '/read']])
    expect(reaped(stage, 2)).toEqual([[], ['/set']])
  })

  test('with a child stays, however old; without one it goes at once', () => {
    const { stage, holder } = stageOf()
    holder.write(ttl('/n', 1))
    holder.write(create('/n/child'))
    expect(reaped(stage, 2, 10_000)).toEqual([[], []])
    expect(stage.tryPrepare({ kind: 'reap', path: '/n' })).toBe('BAD_VERSION')
    holder.write(remove('/n/child'))
    expect(reaped(stage, 1)).toEqual([['/n']])
  })

  test('was made with more than 32 bits of milliseconds, and keeps them', () => {
    const { stage, holder } = stageOf()
    holder.write(ttl('/n', 2 ** 33))
    expect(reaped(stage, 1, 2 ** 33)).toEqual([[]])
    expect(reaped(stage, 1)).toEqual([['/n']])
  })
})

describe('between the look and the reaping', () => {
  test.each([
    ['is gone', []],
    ['is a plain one', [create('/n')]],
    ['is another TTL node, whose time has begun', [ttl('/n', 500)]],
    ['is a container', [box('/n')]],
  ])('the node %s: nothing is reaped', (_, made) => {
    const { stage, holder } = stageOf()
    holder.write(ttl('/n', 500))
    const asked = stage.ask4tick(1000)
    expect(pathsOf(asked)).toEqual(['/n'])
    holder.writeAll([remove('/n'), ...made])
    expect(stage.tryPrepare(asked[0]!)).toBe('BAD_VERSION')
    expect(stage.leader.reader.exists('/n') === null).toBe(made.length === 0)
  })

  test('it is deleted by a change that is under way: it is not reaped twice', () => {
    const { stage, holder } = stageOf()
    holder.write(ttl('/n', 500))
    const [first] = stage.ask4tick(1000)
    expect(stage.tryPrepare(first!)).toBeNull()
    const [again] = stage.ask4tick(1000)
    expect(again).toEqual(first)
    expect(stage.tryPrepare(again!)).toBe('BAD_VERSION')
    stage.flush()
    stage.alike()
  })
})

describe('the rate', () => {
  test('is that of a minute, in parts, and what was not asked for comes with the next ticks', () => {
    const { stage, holder } = stageOf({ reapsPerMinuteMax: 120 })
    holder.writeAll(Array.from({ length: 50 }, (_, i) => ttl(`/n${i}`, 1)))
    const perTick = reaped(stage, 30)
    expect(perTick.map((paths) => paths.length)).toEqual([...new Array<number>(25).fill(2), 0, 0, 0, 0, 0])
    expect(new Set(perTick.flat()).size).toBe(50)
  })

  test('of less than one in a tick is kept', () => {
    const { stage, holder } = stageOf({ reapsPerMinuteMax: 6 })
    holder.writeAll(Array.from({ length: 3 }, (_, i) => ttl(`/n${i}`, 1)))
    const asked: number[] = []
    for (let second = 1; second <= 40; second++) if (stage.tick(1000).length > 0) asked.push(second)
    expect(asked).toEqual([10, 20, 30])
  })

  test('is not saved up while there is nothing to reap: a second of it at most', () => {
    const { stage, holder } = stageOf({ reapsPerMinuteMax: 600 })
    reaped(stage, 5, 60_000)
    holder.writeAll(Array.from({ length: 100 }, (_, i) => ttl(`/n${i}`, 1)))
    expect(reaped(stage, 3, 100).map((paths) => paths.length)).toEqual([0, 0, 0])
    expect(reaped(stage, 1, 60_000).map((paths) => paths.length)).toEqual([10])
    expect(reaped(stage, 2, 100).map((paths) => paths.length)).toEqual([1, 1])
  })

  test('has an upper bound in each tick', () => {
    const { stage, holder } = stageOf({ reapsPerMinuteMax: 2 ** 31 - 1 })
    holder.writeAll(Array.from({ length: 1500 }, (_, i) => ttl(`/n${i}`, 1)))
    expect(reaped(stage, 3, 1000).map((paths) => paths.length)).toEqual([1024, 476, 0])
  })
})

describe('the looking', () => {
  test('begins every `reapEveryMs`, and goes on from where it was', () => {
    const { stage, holder } = stageOf({ reapEveryMs: 10_000 })
    holder.write(ttl('/n', 1))
    expect(reaped(stage, 10).flat()).toEqual(['/n'])
    holder.write(ttl('/m', 1))
    expect(reaped(stage, 9).flat()).toEqual([])
    expect(reaped(stage, 1)).toEqual([['/m']])
  })

  test('of a new leader begins anew, after the whole of `reapEveryMs`', () => {
    const { stage, holder } = stageOf({ reapEveryMs: 10_000, reapsPerMinuteMax: 60 })
    holder.writeAll([ttl('/a', 1), ttl('/b', 1), ttl('/c', 1)])
    reaped(stage, 9)
    expect(reaped(stage, 1).flat()).toHaveLength(1)
    stage.reignAnew()
    expect(reaped(stage, 9).flat()).toEqual([])
    expect(reaped(stage, 3).map((paths) => paths.length)).toEqual([1, 1, 0])
  })

  test('of one tick has a bound, however many may be reaped one day; all have their turn', () => {
    const tree = new NodeTree()
    const young = 40_000
    for (let i = 0; i <= young; i++) tree.create(ttlNode(`/n${i}`, i === 0 ? 1 : 1_000_000), 1 as never, 1)
    const reaper = new Reaper(tree, { reapEveryMs: 1000, reapsPerMinuteMax: 10_000, containerUnusedMsMax: 0 })
    reaper.begin(0)
    // The one that came first is looked at last.
    const perTick = [1000, 1001, 1002, 1003].map((monotonic) => reaper.tick({ monotonic, time: 100 }))
    expect(perTick).toEqual([[], [], ['/n0'], []])
  })

  test('passes over nothing that stands and comes to nothing twice, whatever goes and comes in its midst', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(1000)), { maxLength: 200, size: 'max' }), (steps) => {
        const tree = new NodeTree()
        const stand = new Set<string>()
        /** Stood when the looking began, and were neither come to nor deleted since. */
        let due = new Set<string>()
        let made = 0
        for (const [kind, pick] of steps) {
          const one = [...stand][pick % (stand.size || 1)]
          if (kind === 0) {
            const path = `/${made++}`
            tree.create(ttlNode(path, 1), made as never, 1)
            stand.add(path)
          } else if (kind === 1 && one !== undefined) {
            tree.delete(tree.find(one), 1 as never)
            stand.delete(one)
            due.delete(one)
          } else if (kind === 2 && pick % 8 === 0) {
            tree.rewindReapable()
            due = new Set(stand)
          } else {
            const node = tree.nextReapable()
            if (node === NO_NODE) expect(due).toEqual(new Set())
            else expect(due.delete(tree.path(node))).toBe(true)
          }
        }
        for (let node = tree.nextReapable(); node !== NO_NODE; node = tree.nextReapable()) expect(due.delete(tree.path(node))).toBe(true)
        expect(due).toEqual(new Set())
      }),
      { numRuns: 300 },
    )
  })
})
