import { type AntiphonError, zxidOf } from '@antiphon/ports'
import { describe, expect, test } from 'vitest'
import { asChunks, batchOf, collect, Rehearsal } from '../testing/harness.ts'
import { type MutableModel, mutableState, refuse, Table } from './index.ts'

interface Package {
  readonly version: string
  readonly writes: number
}

function registry() {
  return mutableState({
    create: () => new Table<Package>(),
    actions: {
      put(table, { name, version }: { name: string; version: string }) {
        const writes = (table.get(name)?.writes ?? 0) + 1
        table.set(name, { version, writes })
        return writes
      },
      remove: (table, name: string) => table.delete(name),
      stamp: (table, name: string, { time, zxid }) => void table.set(name, { version: `${time}/${zxid}`, writes: 0 }),
      forbid() {
        throw refuse('FORBIDDEN', 'not today')
      },
      leave: (table, name: string) => void table.set(name, { version: (() => 1) as never, writes: 0 }),
      async later() {
        await Promise.resolve()
      },
    },
    validate: {
      remove(name) {
        if (typeof name !== 'string') throw new TypeError('a name is a string')
      },
    },
  })
}

describe('mutableState', () => {
  test('runs actions in place on every replica, which then hold the same', async () => {
    const run = new Rehearsal(registry(), registry())
    const { leader } = run
    run.batch = 10
    const results = Promise.all(Array.from({ length: 5000 }, (_, i) => leader.dispatch.put({ name: `package-${i % 2000}`, version: `${i}` })))
    expect((await results).at(-1)).toBe(3)
    run.batch = 1
    expect(await leader.dispatch.remove('package-7')).toBe(true)
    await leader.dispatch.stamp('package-8')
    expect(leader.model.size).toBe(1999)
    const [follower] = run.followers
    expect(follower!.digest!()).toBe(leader.digest!())
    expect(collect(follower!.snapshot())).toEqual(collect(leader.snapshot()))
    expect(follower!.model.get('package-8')).toEqual(leader.model.get('package-8'))
  })

  test('a snapshot is fixed at the call, whatever is applied while it is taken, and restores to the same', async () => {
    const run = new Rehearsal(registry())
    const { leader } = run
    for (let i = 0; i < 3000; i++) await leader.dispatch.put({ name: `package-${i}`, version: '1' })
    const digest = leader.digest!()
    const chunks = leader.snapshot()[Symbol.iterator]()
    const parts = [chunks.next().value as Uint8Array]
    for (let i = 0; i < 3000; i++) await (i % 3 === 0 ? leader.dispatch.remove(`package-${i}`) : leader.dispatch.put({ name: `package-${i}`, version: '2' }))
    for (let i = 0; i < 100; i++) await leader.dispatch.put({ name: `new-${i}`, version: '2' })
    for (let next = chunks.next(); next.done !== true; next = chunks.next()) parts.push(next.value)
    expect(parts.length).toBeGreaterThan(1)
    const restored = registry()
    await restored.restore(zxidOf(1, 3000), asChunks(collect(parts), 777))
    expect(restored.digest!()).toBe(digest)
    expect(restored.zxid).toBe(zxidOf(1, 3000))
    expect(collect(restored.snapshot())).toEqual(collect(parts))
    restored.apply(batchOf(run.changes.slice(3000), 3001))
    expect(restored.digest!()).toBe(leader.digest!())
  })

  test('refusals have codes and remedies, and stop nobody', async () => {
    const { leader } = new Rehearsal(registry())
    const errors = await Promise.all(
      [leader.dispatch.forbid(), leader.dispatch.leave('x'), leader.dispatch.later()].map((call) => call.catch((error: AntiphonError) => error)),
    )
    expect(errors).toMatchObject([
      { code: 'REFUSED', refusal: 'FORBIDDEN', message: 'not today' },
      { code: 'REFUSED', refusal: 'UNSERIALISABLE', message: 'value.version is a function' },
      { code: 'REFUSED', refusal: 'ASYNC_ACTION' },
    ])
    expect(leader.model.size).toBe(0)
    expect(() => leader.encodeRequest({ action: 'remove', payload: 5 })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
    await expect(registry().dispatch.remove('x')).rejects.toMatchObject({ code: 'NOT_READY' })
  })

  test('an action that this version does not have stops the replica', () => {
    const newer = mutableState({ create: () => new Table<number>(), actions: { count: () => 1 } })
    expect(() => registry().apply(batchOf([newer.encodeRequest({ action: 'count', payload: undefined })]))).toThrow(
      expect.objectContaining({ code: 'VERSION_MISMATCH' }),
    )
  })

  test('a snapshot that is cut, or of another kind, is CORRUPT, and the model is as before', async () => {
    const { leader } = new Rehearsal(registry())
    for (let i = 0; i < 10; i++) await leader.dispatch.put({ name: `package-${i}`, version: '1' })
    const whole = collect(leader.snapshot())
    for (const damaged of [whole.slice(0, -1), whole.slice(0, 20), whole.slice(0, 0), Uint8Array.of(0x85, 0x85, 0x80)]) {
      await expect(leader.restore(zxidOf(1, 1), asChunks(damaged, 9))).rejects.toMatchObject({ code: 'CORRUPT' })
      expect(leader.model.size).toBe(10)
    }
  })

  test("takes a structure of one's own", async () => {
    class Queue implements MutableModel {
      items: unknown[] = []
      view(): Iterable<unknown> {
        return [...this.items]
      }
      load(item: unknown): void {
        this.items.push(item)
      }
    }
    const create = () =>
      mutableState({
        name: 'queue',
        create: () => new Queue(),
        actions: { push: (queue, item: unknown) => queue.items.push(item), shift: (queue) => queue.items.shift() },
      })
    const { leader } = new Rehearsal(create())
    await leader.dispatch.push({ job: 1 })
    await leader.dispatch.push({ job: 2 })
    expect(await leader.dispatch.shift()).toEqual({ job: 1 })
    expect(leader.digest).toBeUndefined()
    const restored = create()
    await restored.restore(zxidOf(1, 3), asChunks(collect(leader.snapshot()), 3))
    expect(restored.model.items).toEqual([{ job: 2 }])
    const good = { create: () => new Table<number>(), actions: { a: () => 1 } }
    for (const wrong of [{ create: () => [] }, { create: 5 }, { initial: {} }, { nmae: 'x' }, { version: 1.5 }, { validate: { b: () => 1 } }])
      expect(() => mutableState({ ...good, ...wrong } as never), JSON.stringify(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  })
})

describe('a Table', () => {
  test('behaves as a Map does, but for the order', () => {
    const table = new Table<number>()
    const map = new Map<string, number>()
    let random = 1
    for (let i = 0; i < 20_000; i++) {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0
      const key = `key ${(random >>> 8) % 3000}`
      if (random % 3 === 0) expect(table.delete(key)).toBe(map.delete(key))
      else {
        table.set(key, i)
        map.set(key, i)
      }
      if (i % 1000 === 0) table.view()
    }
    expect(table.size).toBe(map.size)
    expect([...table].sort()).toEqual([...map].sort())
    expect([...table.keys()].sort()).toEqual([...map.keys()].sort())
    expect([...table.values()].length).toBe(map.size)
    expect(map.has([...table.keys()][0]!)).toBe(true)
    table.clear()
    expect([table.size, [...table]]).toEqual([0, []])
  })

  test('its digest tells what it holds, however it came to that', () => {
    const table = new Table<unknown>()
    const empty = table.digest()
    let random = 1
    for (let i = 0; i < 3000; i++) {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0
      const key = `key ${(random >>> 8) % 200}`
      if (random % 3 === 0) table.delete(key)
      else table.set(key, random % 5 === 0 ? undefined : { n: random % 7, words: ['a', `${random % 11}`] })
    }
    const same = new Table<unknown>()
    for (const [key, value] of [...table].reverse()) same.set(key, value)
    expect(table.size).toBeGreaterThan(100)
    expect(same.digest()).toBe(table.digest())
    const told = new Set([empty, table.digest()])
    for (const [key, value] of [
      ['key 1', 'another value'],
      ['key 2', 'another value'],
      ['another key', undefined],
    ] as const) {
      same.set(key, value)
      told.add(same.digest())
    }
    same.delete('key 1')
    told.add(same.digest())
    expect(told.size).toBe(6)
    const [left, right] = [new Table<number>().set('a', 1).set('b', 2), new Table<number>().set('a', 2).set('b', 1)]
    expect(left.digest()).not.toBe(right.digest())
    same.clear()
    expect(same.digest()).toBe(empty)
  })

  test('values in it cannot be written to', () => {
    const table = new Table<{ n: number; tags: Set<string> }>().set('a', { n: 1, tags: new Set() })
    expect(() => (table.get('a')!.n = 2)).toThrow()
    expect(() => table.get('a')!.tags.add('x')).toThrow()
  })
})
