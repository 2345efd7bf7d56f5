import { type AntiphonError, zxidOf } from '@antiphon/ports'
import fc from 'fast-check'
import { applyPatches, enableMapSet, enablePatches } from 'immer'
import { describe, expect, test } from 'vitest'
import { asChunks, batchOf, collect, contextOf, Rehearsal, show } from '../testing/harness.ts'
import { draftableValue } from '../testing/values.ts'
import { immerState, refuse } from './index.ts'

enableMapSet()
enablePatches()

interface State {
  visits: Record<string, number>
  recent: Map<string, { at: number }>
  tags: Set<string>
  log: unknown[]
}

const initial: State = { visits: {}, recent: new Map(), tags: new Set(), log: [] }

function counters() {
  return immerState({
    initial,
    actions: {
      visit(state, page: string) {
        state.visits[page] = (state.visits[page] ?? 0) + 1
        return state.visits[page]
      },
      stamp(state, page: string, { time, random }) {
        state.recent.delete(page)
        state.recent.set(page, { at: time + random() })
        return state.recent
      },
      reset(state) {
        state.visits = {}
      },
      by(state, amount?: number) {
        state.visits['by'] = (state.visits['by'] ?? 0) + (amount ?? 1)
      },
      put(state, value: unknown) {
        state.log.push(value)
      },
      forbid(_state, _reason: string) {
        throw refuse('FORBIDDEN', 'not today')
      },
      fail(state) {
        state.visits['half'] = 1
        throw new Error('half-way')
      },
      leave(state, what: string) {
        state.log.push(bad[what])
      },
      answer(_state, what: string) {
        return bad[what]
      },
      async later(state) {
        state.visits['later'] = 1
        await Promise.resolve()
        state.visits['later'] = 2
      },
    },
    validate: {
      visit(page) {
        if (typeof page !== 'string') throw new TypeError('a page is a string')
      },
    },
  })
}

class Point {
  x = 1
}
const cycle: Record<string, unknown> = {}
cycle['self'] = { cycle }
const bad: Record<string, unknown> = { function: () => 1, class: new Point(), cycle, symbol: Symbol('s'), hole: new Array(2), key: { [Symbol('k')]: 1 } }

function rehearsal(batch = 1): Rehearsal<ReturnType<typeof counters>> {
  const run = new Rehearsal(counters(), counters(), counters())
  run.batch = batch
  return run
}

function expectAgreement({ leader, followers }: Rehearsal<ReturnType<typeof counters>>): void {
  const snapshot = collect(leader.snapshot())
  for (const follower of followers) {
    expect(show(follower.state)).toBe(show(leader.state))
    expect(follower.digest()).toBe(leader.digest())
    expect(collect(follower.snapshot())).toEqual(snapshot)
  }
}

describe('dispatch', () => {
  test('resolves with what the action returned, and every replica has the change', async () => {
    const run = rehearsal()
    const { leader } = run
    expect(await leader.dispatch.visit('/home')).toBe(1)
    expect(await leader.dispatch.visit('/home')).toBe(2)
    expect(await leader.dispatch.reset()).toBeUndefined()
    await leader.dispatch.by()
    await leader.dispatch.by(5)
    expect(leader.state.visits).toEqual({ by: 6 })
    expectAgreement(run)
  })

  test('types payload and result', async () => {
    const { dispatch, state } = counters()
    const calls = (): unknown[] => [
      // @ts-expect-error a page is a string
      dispatch.visit(1),
      // @ts-expect-error there is no such action
      dispatch.nothing,
      // @ts-expect-error an action that returns a promise is refused
      dispatch.later().then((result) => result.length),
      // @ts-expect-error the state is immutable
      (state.visits['/'] = 1),
      dispatch.visit('/').then((count: number) => count),
      dispatch.by(),
      dispatch.by(2, { timeoutMs: 5 }),
      dispatch.reset(undefined, { timeoutMs: 5 }),
    ]
    expect(calls).toBeTypeOf('function')
  })

  test("gives the leader's clock and randomness, and the result may be a part of the draft", async () => {
    const run = rehearsal()
    run.context = contextOf({ time: 5000, random: () => 7 })
    const result = await run.leader.dispatch.stamp('/a')
    expect(result).toEqual(new Map([['/a', { at: 5007 }]]))
    expectAgreement(run)
  })

  test('without a replica is NOT_READY', async () => {
    await expect(counters().dispatch.reset()).rejects.toMatchObject({ code: 'NOT_READY', outcome: 'rejected' })
  })

  test('an unknown action, a payload that does not survive and one that `validate` refuses are INVALID_ARGUMENT before anything is numbered', () => {
    const state = counters()
    for (const request of [
      { action: 'nothing', payload: 1 },
      { action: 'toString', payload: 1 },
      { action: 'visit', payload: 5 },
      ...Object.values(bad).map((payload) => ({ action: 'put', payload })),
    ]) {
      expect(() => state.encodeRequest(request)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', outcome: 'rejected' }))
    }
    expect(() => state.encodeRequest({ action: 'put', payload: { users: [{ avatar: () => 1 }] } })).toThrow('the payload of put.users[0].avatar is a function')
  })

  test('many at once see each other on the leader before any of them is applied', async () => {
    const run = rehearsal(50)
    const results = Promise.all(
      Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? run.leader.dispatch.visit('/home') : run.leader.dispatch.stamp(`/${i % 7}`))),
    )
    expect((await results).filter((result) => typeof result === 'number')).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
    expectAgreement(run)
  })
})

describe('an action that goes wrong', () => {
  const refusals: [string, (dispatch: ReturnType<typeof counters>['dispatch']) => Promise<unknown>, object][] = [
    ['says no', (dispatch) => dispatch.forbid('x'), { refusal: 'FORBIDDEN', message: 'not today' }],
    ['throws', (dispatch) => dispatch.fail(), { refusal: 'ACTION_THREW', message: 'the action fail threw: half-way' }],
    ['returns a promise', (dispatch) => dispatch.later(), { refusal: 'ASYNC_ACTION' }],
    ['leaves a function', (dispatch) => dispatch.leave('function'), { refusal: 'UNSERIALISABLE', message: 'state.log[0] is a function' }],
    ['leaves a class instance', (dispatch) => dispatch.leave('class'), { refusal: 'UNSERIALISABLE', message: 'state.log[0] is an instance of Point' }],
    ['leaves a cycle', (dispatch) => dispatch.leave('cycle'), { refusal: 'UNSERIALISABLE', message: 'state.log[0].self.cycle is a cycle' }],
    ['leaves a symbol', (dispatch) => dispatch.leave('symbol'), { refusal: 'UNSERIALISABLE', message: 'state.log[0] is a symbol' }],
    ['leaves a symbol as a key', (dispatch) => dispatch.leave('key'), { refusal: 'UNSERIALISABLE' }],
    ['leaves a hole', (dispatch) => dispatch.leave('hole'), { refusal: 'UNSERIALISABLE' }],
    ['returns a function', (dispatch) => dispatch.answer('function'), { refusal: 'UNSERIALISABLE', message: 'the result of answer is a function' }],
    ['returns a cycle', (dispatch) => dispatch.answer('cycle'), { refusal: 'UNSERIALISABLE' }],
  ]

  for (const [what, call, expected] of refusals) {
    test(`${what}: it is refused with a code and a remedy, and the speculation is as before`, async () => {
      const run = rehearsal(2)
      const first = run.leader.dispatch.visit('/home')
      const error = (await call(run.leader.dispatch).catch((thrown: unknown) => thrown)) as AntiphonError
      expect(error).toMatchObject({ code: 'REFUSED', ...expected })
      expect(error.remedy.length).toBeGreaterThan(5)
      const second = run.leader.dispatch.visit('/home')
      expect([await first, await second]).toEqual([1, 2])
      expect(show(run.leader.state)).toBe(show({ ...initial, visits: { '/home': 2 } }))
      expectAgreement(run)
    })
  }

  test('a change above the limit is TOO_LARGE, and nothing of it stays', async () => {
    const run = rehearsal()
    run.context = contextOf({ changeBytesMax: 2000 })
    await expect(run.leader.dispatch.put('x'.repeat(3000))).rejects.toMatchObject({ code: 'TOO_LARGE', outcome: 'rejected' })
    await run.leader.dispatch.put('x'.repeat(500))
    expect(run.leader.state.log.length).toBe(1)
    expectAgreement(run)
  })

  test('aliases that would unfold without end are TOO_LARGE, not an exhausted memory', async () => {
    let wide: unknown = 'leaf'
    for (let i = 0; i < 60; i++) wide = [wide, wide]
    const state = immerState({ initial: { value: null as unknown }, actions: { fill: (draft) => void (draft.value = wide) } })
    const run = new Rehearsal(state)
    await expect(run.leader.dispatch.fill()).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(state.state).toEqual({ value: null })
  })

  test('settings that cannot work are INVALID_SETTINGS', () => {
    const settings = [
      { initial: 5, actions: { a: () => 1 } },
      { initial: new Point(), actions: { a: () => 1 } },
      { initial: { f: () => 1 }, actions: { a: () => 1 } },
      { initial: {}, actions: {} },
      { initial: {}, actions: { a: 5 } },
      { initial: new Date(), actions: { a: () => 1 } },
      { initial: {}, actions: { a: () => 1 }, initail: {} },
      { initial: {}, actions: { a: () => 1 }, create: () => ({}) },
      { initial: {}, actions: { a: () => 1 }, name: 5 },
      { initial: {}, actions: { a: () => 1 }, name: '' },
      { initial: {}, actions: { a: () => 1 }, version: '1' },
      { initial: {}, actions: { a: () => 1 }, validate: null },
      { initial: {}, actions: { a: () => 1 }, validate: { b: () => 1 } },
      { initial: {}, actions: { a: () => 1 }, validate: { a: 'text' } },
      null,
    ]
    for (const options of settings) expect(() => immerState(options as never)).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  })
})

describe('speculation', () => {
  const visit = (state: ReturnType<typeof counters>, page: string): Uint8Array =>
    state.prepare!(state.encodeRequest({ action: 'visit', payload: page }), contextOf())

  test('takes the last change back alone', () => {
    const state = counters()
    const first = visit(state, '/a')
    visit(state, '/a')
    state.unprepare!()
    const second = visit(state, '/a')
    expect(state.apply(batchOf([first, second]))).toEqual([1, 2])
  })

  test('taking back the very first change leaves a state that was never born', () => {
    const [state, other] = [counters(), counters()]
    visit(state, '/a')
    state.unprepare!()
    expect(state.digest()).toBe(0n)
    other.apply(batchOf([visit(state, '/b')]))
    expect(other.state.visits).toEqual({ '/b': 1 })
  })

  test('is forgotten when the reign ends, and what of it was committed is applied all the same', () => {
    const state = counters()
    const changes = [visit(state, '/a'), visit(state, '/a'), visit(state, '/a')]
    state.apply(batchOf(changes.slice(0, 1)))
    state.abandon!()
    expect(state.state.visits).toEqual({ '/a': 1 })
    state.apply(batchOf(changes.slice(1, 2), 2))
    state.leading!(contextOf())
    expect(state.apply(batchOf([visit(state, '/a')], 3))).toEqual([3])
  })

  test('gives way to what was committed, should that be another change', () => {
    const [leader, other] = [counters(), counters()]
    const foreign = visit(other, '/foreign')
    visit(leader, '/own')
    leader.apply(batchOf([foreign]))
    expect(leader.state.visits).toEqual({ '/foreign': 1 })
    expect(leader.apply(batchOf([visit(leader, '/foreign')], 2))).toEqual([2])
  })

  test("others' results are left undefined", () => {
    const [leader, other] = [counters(), counters()]
    expect(other.apply(batchOf([visit(leader, '/a')], 1, false))).toEqual([undefined])
  })
})

describe('what replicas agree on', () => {
  test('whatever actions do, leader and followers hold the same, in the same order, with the same digest and snapshot', () => {
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('put', 'visit', 'stamp'), draftableValue, fc.nat(5)), { maxLength: 30 }),
        fc.integer({ min: 1, max: 9 }),
        async (calls, batch) => {
          const run = rehearsal(batch)
          const results = calls.map(([action, value, page]) =>
            action === 'put'
              ? run.leader.dispatch.put(value)
              : action === 'visit'
                ? run.leader.dispatch.visit(`/${page}`)
                : run.leader.dispatch.stamp(`/${page}`),
          )
          run.flush()
          await Promise.all(results)
          expectAgreement(run)
        },
      ),
      { numRuns: 100, seed: 11 },
    )
  })

  test('replicas that were built with different initial states agree from the first change on', () => {
    const actions = { add: (state: { n: number; extra?: string }, by: number) => (state.n += by) }
    const [leader, follower] = [
      immerState({ initial: { n: 1 } as { n: number; extra?: string }, actions }),
      immerState({ initial: { n: 100, extra: 'new' } as { n: number; extra?: string }, actions }),
    ]
    expect(leader.digest()).toBe(follower.digest())
    expect(collect(leader.snapshot())).toEqual(collect(follower.snapshot()))
    follower.apply(batchOf([leader.prepare!(leader.encodeRequest({ action: 'add', payload: 2 }), contextOf())]))
    expect(follower.state).toEqual({ n: 3 })
  })

  test('an in-place write to bytes, which nothing can prevent, shows in the digest', async () => {
    const run = rehearsal()
    await run.leader.dispatch.put({ wide: Array.from({ length: 100 }, (_, i) => i), bytes: new Uint8Array(8) })
    expectAgreement(run)
    const [item] = run.leader.state.log as unknown as [{ bytes: Uint8Array }]
    item.bytes[3] = 1
    expect(run.leader.digest()).not.toBe(run.followers[0]!.digest())
  })

  test('the digest tells the order of keys and every kind of value apart', async () => {
    const digests = new Set<bigint>()
    const values = [
      0,
      -0,
      '0',
      0n,
      null,
      undefined,
      false,
      '',
      [],
      {},
      new Map(),
      new Set(),
      new Date(0),
      new Uint8Array(0),
      { a: 1, b: 2 },
      { b: 2, a: 1 },
      [1, [2]],
      [[1], 2],
      new Map([['a', 1]]),
      { a: 1 },
      Number.NaN,
      new Set([1, 2]),
      new Set([2, 1]),
    ]
    for (const value of values) {
      const run = rehearsal()
      await run.leader.dispatch.put(value)
      digests.add(run.leader.digest())
    }
    expect(digests.size).toBe(values.length)
  })

  test('a change that is damaged or newer is CORRUPT, and the state is as before', async () => {
    const run = rehearsal()
    await run.leader.dispatch.visit('/a')
    const change = run.leader.prepare!(run.leader.encodeRequest({ action: 'visit', payload: '/b' }), contextOf())
    for (const damaged of [
      Uint8Array.of(9, ...change.subarray(1)),
      change.subarray(0, change.length - 2),
      Uint8Array.of(...change, 0),
      Uint8Array.of(1, 200, 1),
    ]) {
      const [follower] = run.followers
      expect(() => follower!.apply(batchOf([damaged], 2))).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
      expect(follower!.state.visits).toEqual({ '/a': 1 })
    }
  })
})

describe('a snapshot', () => {
  test('is fixed at the call, whatever is applied while it is taken, and restores to the same', async () => {
    const run = rehearsal()
    for (let i = 0; i < 1000; i++) await run.leader.dispatch.put({ i, text: 'x'.repeat(150) })
    const digest = run.leader.digest()
    const chunks = run.leader.snapshot()[Symbol.iterator]()
    const parts = [chunks.next().value as Uint8Array]
    for (let i = 0; i < 100; i++) await run.leader.dispatch.put('later')
    for (let next = chunks.next(); next.done !== true; next = chunks.next()) parts.push(next.value)
    const restored = counters()
    await restored.restore(zxidOf(1, 1000), asChunks(collect(parts), 1000))
    expect(restored.state.log.length).toBe(1000)
    expect(restored.digest()).toBe(digest)
    expect(restored.zxid).toBe(zxidOf(1, 1000))
    expect(collect(restored.snapshot())).toEqual(collect(parts))
    restored.apply(batchOf(run.changes.slice(1000), 1001))
    expect(restored.digest()).toBe(run.leader.digest())
  })

  test('of a state that was never changed restores to that', async () => {
    const restored = counters()
    await restored.restore(zxidOf(1, 1), asChunks(collect(counters().snapshot()), 7))
    expect(restored.digest()).toBe(0n)
    expect(restored.state).toEqual(initial)
  })

  test('of another kind is CORRUPT', async () => {
    await expect(counters().restore(zxidOf(1, 1), asChunks(Uint8Array.of(5, 5, 5), 1))).rejects.toMatchObject({ code: 'CORRUPT' })
    await expect(counters().restore(zxidOf(1, 1), asChunks(Uint8Array.of(0x85), 1))).rejects.toMatchObject({ code: 'CORRUPT' })
  })
})

describe('subscribers', () => {
  test('are called once a batch, with what their selector takes, if it changed', async () => {
    const run = rehearsal(4)
    const [follower] = run.followers
    const seen: unknown[] = []
    follower!.subscribe(
      (state) => state.visits['/a'],
      (count, previous) => seen.push([count, previous]),
    )
    const whole: unknown[] = []
    const stop = follower!.subscribe((state) => whole.push(state))
    await Promise.all([run.leader.dispatch.visit('/a'), run.leader.dispatch.visit('/a'), run.leader.dispatch.visit('/b'), run.leader.dispatch.visit('/a')])
    await Promise.all([run.leader.dispatch.visit('/b'), run.leader.dispatch.visit('/b'), run.leader.dispatch.visit('/b'), run.leader.dispatch.visit('/b')])
    stop()
    run.batch = 1
    await run.leader.dispatch.visit('/a')
    expect(seen).toEqual([
      [3, undefined],
      [4, 3],
    ])
    expect(whole.length).toBe(2)
  })

  test('may compare by themselves, and be called at once', async () => {
    const run = rehearsal()
    const seen: string[][] = []
    run.leader.subscribe(
      (state) => Object.keys(state.visits),
      (pages) => seen.push([...pages]),
      { equals: (a, b) => a.join() === b.join(), immediate: true },
    )
    for (const page of ['/a', '/a', '/b', '/b']) await run.leader.dispatch.visit(page)
    expect(seen).toEqual([[], ['/a'], ['/a', '/b']])
  })

  test("get patches that immer's applyPatches takes", async () => {
    const run = rehearsal(3)
    const [follower] = run.followers
    let copy = structuredClone(initial) as object
    const zxids: number[] = []
    follower!.patches((patches, { zxid }) => {
      copy = applyPatches(copy, patches as never)
      zxids.push(zxid)
    })
    await Promise.all([run.leader.dispatch.visit('/a'), run.leader.dispatch.stamp('/x'), run.leader.dispatch.stamp('/y')])
    await Promise.all([run.leader.dispatch.put([1, 2]), run.leader.dispatch.stamp('/x'), run.leader.dispatch.by(3)])
    expect(show(copy)).toBe(show(follower!.state))
    expect(zxids).toEqual([zxidOf(1, 3), zxidOf(1, 6)])
  })

  test('hear of a restored snapshot as of any other change', async () => {
    const run = rehearsal()
    await run.leader.dispatch.visit('/a')
    const restored = counters()
    const seen: unknown[] = []
    restored.subscribe(
      (state) => state.visits['/a'],
      (count) => seen.push(count),
    )
    restored.patches((patches, { zxid, time }) => seen.push([patches, zxid, time]))
    await restored.restore(zxidOf(1, 1), asChunks(collect(run.leader.snapshot()), 9))
    expect(seen).toEqual([[[{ op: 'add', path: ['visits', '/a'], value: 1 }], zxidOf(1, 1), 0], 1])
  })

  test('that throw stop nobody: it is told as trouble', async () => {
    const run = rehearsal()
    const troubles: AntiphonError[] = []
    const seen: unknown[] = []
    run.leader.on('trouble', (error) => troubles.push(error))
    run.leader.subscribe(() => {
      throw new Error('mine')
    })
    run.leader.subscribe(
      (state) => state.visits['/a'],
      (count) => seen.push(count),
    )
    expect(await run.leader.dispatch.visit('/a')).toBe(1)
    expect(seen).toEqual([1])
    expect(troubles).toMatchObject([{ code: 'INVALID_ARGUMENT', message: 'a subscriber threw: mine' }])
  })

  test('a state cannot be written to from outside', async () => {
    const run = rehearsal()
    await run.leader.dispatch.stamp('/a')
    for (const { state } of [run.leader, run.followers[0]!]) {
      expect(() => ((state as State).visits['/x'] = 1)).toThrow()
      expect(() => (state as State).recent.clear()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
      expect(() => (state as State).log.push(1)).toThrow()
    }
  })

  test('a state belongs to one replica', () => {
    const run = rehearsal()
    expect(() => new Rehearsal(run.leader)).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  })
})
