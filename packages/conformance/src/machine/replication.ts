import type { StateMachine, Zxid } from '@antiphon/ports'
import { assert, assertEqual, ConformanceError, within } from '../suite.ts'
import { applyAll, type Change, changesOf, contextOf, prepare, restore, type StateMachineSetup, snapshotOf } from './setup.ts'

export type AddMachineCase = (name: string, skip: string | null, body: () => Promise<void> | void) => void

/** Same state: same snapshot, same digest. */
export function assertAlike<Request, Result>(actual: StateMachine<Request, Result>, expected: StateMachine<Request, Result>, what: string): void {
  assertEqual(snapshotOf(actual), snapshotOf(expected), `${what}: the snapshot`)
  if (expected.digest !== undefined) assertEqual(actual.digest?.(), expected.digest(), `${what}: the digest`)
}

/** What holds on every replica: codecs, determinism, batches, snapshots. */
export function replication<Request, Result>(setup: StateMachineSetup<Request, Result>, add: AddMachineCase): void {
  const noDigest = setup.create().digest === undefined ? 'the machine has no digest' : null
  const noBulk = setup.bulk === undefined ? 'the set-up gives no state of several slices' : null
  const after = (changes: readonly Change[]): StateMachine<Request, Result> => {
    const machine = setup.create()
    applyAll(machine, changes, 0)
    return machine
  }

  add('there are twenty requests or more to judge by', null, () => {
    assert(setup.requests.length >= 20, `the set-up gives ${setup.requests.length} requests`)
  })

  add('requests and results survive their codecs', null, () => {
    const machine = setup.create()
    for (const request of setup.requests) {
      const bytes = machine.encodeRequest(request).slice()
      assertEqual(machine.encodeRequest(machine.decodeRequest(bytes.slice())).slice(), bytes, 'a request, decoded and encoded again')
    }
    for (const result of applyAll(setup.create(), changesOf(setup), 0)) {
      const bytes = machine.encodeResult(result).slice()
      assertEqual(machine.encodeResult(machine.decodeResult(bytes.slice())).slice(), bytes, 'a result, decoded and encoded again')
    }
  })

  add('the same changes give the same state and the same results', null, () => {
    const changes = changesOf(setup)
    const [one, other] = [setup.create(), setup.create()]
    assertEqual(encoded(one, applyAll(one, changes, 0)), encoded(other, applyAll(other, changes, 0)), 'the results')
    assertAlike(one, other, 'two machines after the same changes')
  })

  add('apply() reads no clock and draws nothing at random', null, () => {
    const changes = changesOf(setup)
    const machine = setup.create()
    trapped(() => applyAll(machine, changes, 0))
    trapped(() => snapshotOf(machine))
  })

  add('a batch and its changes one by one give the same state and results', null, () => {
    const changes = changesOf(setup)
    const [batched, single, mixed] = [setup.create(), setup.create(), setup.create()]
    const results = encoded(batched, applyAll(batched, changes, 0))
    assertEqual(results.length, changes.length, 'results of a batch')
    assertEqual(
      changes.flatMap((change, index) => encoded(single, applyAll(single, [change], index))),
      results,
      'the results',
    )
    for (let at = 0, size = 1; at < changes.length; at += size, size++) applyAll(mixed, changes.slice(at, at + size), at)
    assertAlike(single, batched, 'one by one')
    assertAlike(mixed, batched, 'in batches of growing size')
  })

  add('there is one result per change, whoever made the requests', null, () => {
    const changes = changesOf(setup)
    const machine = setup.create()
    assertEqual(applyAll(machine, changes, 0, false).length, changes.length, "results of a batch of others' requests")
    assertAlike(machine, after(changes), "a batch of others' requests")
  })

  add("nothing of a batch's memory is kept", null, () => {
    const changes = changesOf(setup)
    const [one, other] = [setup.create(), setup.create()]
    applyAll(one, changes, 0, true, 0x22)
    applyAll(other, changes, 0, true, 0x7b)
    assertAlike(one, other, 'two machines whose batches were overwritten in two ways')
  })

  add('an empty batch changes nothing', null, () => {
    const machine = after(changesOf(setup))
    assertEqual(applyAll(machine, [], setup.requests.length), [], 'the results')
    assertAlike(machine, after(changesOf(setup)), 'an empty batch')
  })

  add('a snapshot, restored, is the same state and goes on in the same way', null, async () => {
    const changes = changesOf(setup)
    const half = changes.length >> 1
    for (const at of [0, half, changes.length]) {
      const machine = after(changes.slice(0, at))
      // One that is new, and one with a state of its own to be replaced.
      for (const restored of [setup.create(), after(changes.slice(0, 3))]) {
        await restore(restored, at, snapshotOf(machine))
        assertAlike(restored, machine, `a snapshot of ${at} changes`)
        applyAll(restored, changes.slice(at), at)
        assertAlike(restored, after(changes), `a snapshot of ${at} changes, and the rest`)
      }
    }
  })

  add('a snapshot stays what it was at the call while apply() goes on', null, () => {
    const changes = changesOf(setup)
    const half = changes.length >> 1
    const expected = snapshotOf(after(changes.slice(0, half)))
    for (const chunksBefore of [0, 1]) {
      const machine = after(changes.slice(0, half))
      const source = machine.snapshot()[Symbol.iterator]()
      const chunks: Uint8Array[] = []
      const take = (): boolean => {
        const next = source.next()
        if (next.done !== true) chunks.push(next.value.slice())
        return next.done !== true
      }
      for (let i = 0; i < chunksBefore; i++) take()
      applyAll(machine, changes.slice(half), half)
      while (take());
      assertEqual(chunks, expected, `a snapshot of which ${chunksBefore} chunks were taken before apply()`)
      assertAlike(machine, after(changes), 'the machine itself')
    }
  })

  add('a snapshot taken slice by slice, with changes applied between the slices, is exact', noBulk, async () => {
    const bulk = setup.bulk ?? []
    const changes = changesOf(setup, [...bulk, ...setup.requests])
    const expected = snapshotOf(after(changes.slice(0, bulk.length)))
    assert(expected.length > 1, `the snapshot of the state that the set-up's bulk leads to has ${expected.length} chunks`)
    const machine = after(changes.slice(0, bulk.length))
    const chunks: Uint8Array[] = []
    let at = bulk.length
    for (const chunk of machine.snapshot()) {
      chunks.push(chunk.slice())
      const some = changes.slice(at, at + 1 + (chunks.length % 3))
      applyAll(machine, some, at)
      at += some.length
    }
    applyAll(machine, changes.slice(at), at)
    assertEqual(chunks, expected, 'the snapshot')
    assertAlike(machine, after(changes), 'the machine itself')
    const restored = setup.create()
    await restore(restored, bulk.length, chunks)
    assertAlike(restored, after(changes.slice(0, bulk.length)), 'a machine restored from it')
  })

  add('a snapshot that is given up half-way leaves no trace', null, () => {
    const changes = changesOf(setup)
    const machine = after(changes.slice(0, 10))
    const untouched = machine.snapshot()[Symbol.iterator]()
    untouched.return?.()
    const begun = machine.snapshot()[Symbol.iterator]()
    begun.next()
    begun.return?.()
    // Nobody tells it that this one will not be read on.
    machine.snapshot()[Symbol.iterator]().next()
    applyAll(machine, changes.slice(10), 10)
    assertAlike(machine, after(changes), 'the machine')
  })

  add('restore() rejects when its source breaks off', null, async () => {
    const changes = changesOf(setup)
    const chunks = snapshotOf(after(changes))
    for (const whole of [0, chunks.length - 1]) {
      async function* source(): AsyncGenerator<Uint8Array> {
        yield* chunks.slice(0, whole)
        throw new Error('the connection is gone')
      }
      const resolved = await within(
        setup
          .create()
          .restore((2 ** 32 + changes.length) as Zxid, source())
          .then(
            () => true,
            () => false,
          ),
        'restore()',
      )
      assert(!resolved, `restore() resolved although its source broke off after ${whole} of ${chunks.length} chunks`)
    }
  })

  add('two snapshots can be under way at once', null, () => {
    const changes = changesOf(setup)
    const machine = after(changes.slice(0, 5))
    const first = machine.snapshot()
    applyAll(machine, changes.slice(5), 5)
    const second = machine.snapshot()
    assertEqual(
      Array.from(second, (chunk) => chunk.slice()),
      snapshotOf(after(changes)),
      'the second snapshot',
    )
    assertEqual(
      Array.from(first, (chunk) => chunk.slice()),
      snapshotOf(after(changes.slice(0, 5))),
      'the first snapshot',
    )
  })

  add('the digest tells states apart, and reading it changes nothing', noDigest, () => {
    const changes = changesOf(setup)
    const machine = setup.create()
    const digests = new Map<bigint, string>()
    for (const [index, change] of changes.entries()) {
      applyAll(machine, [change], index)
      const digest = machine.digest?.() ?? 0n
      assertEqual(machine.digest?.(), digest, 'the digest, read again')
      const state = JSON.stringify(snapshotOf(machine).map((chunk) => [...chunk]))
      assert((digests.get(digest) ?? state) === state, `two states have the digest ${digest}`)
      digests.set(digest, state)
    }
  })

  add('what the primary applies is what the others apply', null, () => {
    const primary = setup.create()
    primary.leading?.(contextOf(0))
    const changes: Change[] = []
    for (let at = 0; at < setup.requests.length; at += 4) {
      const some = setup.requests.slice(at, at + 4).map((request, index) => prepare(primary, request, at + index))
      applyAll(primary, some, at)
      changes.push(...some)
    }
    assertAlike(after(changes), primary, 'a follower')
  })
}

function encoded<Request, Result>(machine: StateMachine<Request, Result>, results: readonly Result[]): Uint8Array[] {
  return results.map((result) => machine.encodeResult(result).slice())
}

/** Runs `body`, which is synchronous, with every ambient source of time and randomness rigged. */
function trapped(body: () => unknown): void {
  const { Date: RealDate } = globalThis
  const { random } = Math
  const { now } = performance
  const trap = (what: string): never => {
    throw new ConformanceError(`apply() or snapshot() called ${what}: replicas would differ`)
  }
  const rigged = new Proxy(RealDate, {
    construct: (target, values, newTarget) => (values.length === 0 ? trap('new Date()') : Reflect.construct(target, values, newTarget)),
    get: (target, key, receiver) => (key === 'now' ? () => trap('Date.now()') : Reflect.get(target, key, receiver)),
    apply: () => trap('Date()'),
  })
  try {
    globalThis.Date = rigged
    Math.random = () => trap('Math.random()')
    performance.now = () => trap('performance.now()')
    body()
  } finally {
    globalThis.Date = RealDate
    Math.random = random
    performance.now = now
  }
}
