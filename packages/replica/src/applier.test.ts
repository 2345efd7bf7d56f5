import { KIND_CHANGE, KIND_REFUSAL, type Run, RunBuilder, type Write } from '@antiphon/consensus-core'
import { type AntiphonError, type CommittedBatch, type LogStore, type StateMachine, ZERO, type Zxid, zxidOf } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { expect, test } from 'vitest'
import { Applier } from './applier.ts'
import { until } from './ensemble.test-support.ts'
import { Forwarding } from './forwarding.ts'
import { Links } from './links.ts'
import { encodeConfirmation, encodeRegistration, encodeRetirement } from './origins.ts'
import { Proposals } from './proposals.ts'
import { decodeRefusal, encodeRefusal } from './refusal.ts'
import { KEPT_REFUSAL, KEPT_TOO_LARGE } from './results.ts'

const STORE = 'ab'.repeat(16)
const OTHER = { storeId: 'cd'.repeat(16), nonce: '77'.repeat(8) }

interface Told {
  readonly machine: number
  readonly payload: Uint8Array
  readonly origin?: Zxid
  readonly sequence?: number
  readonly pending?: number
  readonly kind?: number
}

const text = (payload: string, more: Partial<Told> = {}): Told => ({ machine: 1, payload: new TextEncoder().encode(payload), ...more })
const registration = (of: { storeId: string; nonce: string }): Told => ({ machine: 0, payload: encodeRegistration(of) })

/** Frames entries one behind the other, as a primary would. */
class History {
  last: Zxid = ZERO
  checksum = 0
  readonly #builder = new RunBuilder()

  run(entries: readonly Told[], epoch = 1): Run {
    this.#builder.begin(this.last, this.checksum, epoch, 500 + epoch)
    for (const { machine, payload, origin = ZERO, sequence = 0, pending = sequence === 0 ? 0 : 1, kind = KIND_CHANGE } of entries)
      this.#builder.add({ origin, sequence, pending, machine, kind }, payload)
    const run = this.#builder.finish()!
    this.last = run.last
    this.checksum = run.checksum
    return run
  }
}

class Recorder implements StateMachine<string, string> {
  readonly name = 'recorder'
  readonly version = 1
  readonly batches: { text: string; zxid: Zxid; time: number; ours: boolean }[][] = []
  encodeRequest = (request: string): Uint8Array => new TextEncoder().encode(request)
  decodeRequest = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
  encodeResult = this.encodeRequest
  decodeResult = this.decodeRequest
  apply(batch: CommittedBatch): string[] {
    const told = Array.from({ length: batch.length }, (_, i) => ({
      text: this.decodeRequest(batch.change(i)),
      zxid: batch.zxid(i),
      time: batch.time(i),
      ours: batch.needsResult(i),
    }))
    this.batches.push(told)
    return told.map((one) => `result of ${one.text}`)
  }
  snapshot = (): Iterable<Uint8Array> => []
  restore = async (): Promise<void> => {}
  get texts(): string[] {
    return this.batches.flat().map((one) => one.text)
  }
}

function applying(sliceMs = 10, digestEvery = 0) {
  const digests: [Zxid, string][] = []
  const store: LogStore = memoryStorage()
  const machines = [new Recorder(), new Recorder()]
  const faults: AntiphonError[] = []
  let now = 0
  const proposals = new Proposals(
    { requestBytesMax: 1000, queueBytesMax: 100_000 },
    () => 0,
    () => {},
  )
  const forwarding = new Forwarding({
    storeId: STORE,
    random: { uint32: () => 5 },
    proposals,
    links: new Links({} as never, 1),
    machines: [],
    window: 100,
    resultsBytesMax: 1000,
    tell: () => {},
  })
  const deferred: (() => void)[] = []
  const clock = { monotonic: () => now++, wall: () => 0, schedule: () => () => {}, defer: (callback: () => void) => void deferred.push(callback) }
  const applier = new Applier({
    machines: machines.map((machine, i) => ({ name: `m${i + 1}`, machine })),
    store,
    clock,
    sliceMs,
    proposals,
    forwarding,
    digestEvery,
    digest: (zxid, digest) => void digests.push([zxid, digest]),
    resultsBytesMax: 1000,
    wake: () => applier.advance(),
    fault: (error) => faults.push(error),
  })
  let ticket = 1
  const write = (parts: Partial<Write>, kept = true): void => {
    const whole: Write = { ticket: ticket++, founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [], ...parts }
    store.write(whole, () => {})
    if (kept) applier.note(whole)
  }
  const commit = (zxid: Zxid): void => {
    applier.commitTo(zxid)
    applier.advance()
  }
  const spend = (ms: number): void => void (now += ms)
  return {
    spend,
    now: () => now,
    store,
    machines,
    first: machines[0]!,
    faults,
    proposals,
    forwarding,
    applier,
    write,
    commit,
    deferred,
    digests,
    history: new History(),
  }
}

test('only what is committed reaches the machines, wherever in a run the commit point lies', () => {
  const { applier, first, write, commit, history } = applying()
  write({ append: [history.run([text('a'), text('b'), text('c'), text('d')])] })
  applier.advance()
  expect(first.texts).toEqual([])
  commit(zxidOf(1, 1))
  commit(zxidOf(1, 3))
  expect(first.batches.map((batch) => batch.map((one) => one.text))).toEqual([['a'], ['b', 'c']])
  expect(applier.applied).toBe(zxidOf(1, 3))
  commit(zxidOf(1, 4))
  expect(first.texts).toEqual(['a', 'b', 'c', 'd'])
  expect([applier.checksum, applier.time, applier.entries]).toEqual([history.checksum, 501, 4])
})

test('what a truncation cuts off is never applied, and what takes its place is', () => {
  const { first, write, commit, history } = applying()
  const kept = new History()
  write({ append: [history.run([text('a'), text('b')]), history.run([text('lost'), text('lost too')]), history.run([text('lost as well')])] })
  const common = kept.run([text('a'), text('b')])
  commit(zxidOf(1, 1))
  write({ truncateTo: { zxid: common.last, checksum: common.checksum } })
  write({ append: [kept.run([text('c')], 2)] })
  commit(zxidOf(2, 1))
  expect(first.texts).toEqual(['a', 'b', 'c'])
})

test('a truncation within a run leaves its beginning', () => {
  const { first, write, commit, history } = applying()
  const other = new History()
  write({ append: [history.run([text('a'), text('b'), text('lost')])] })
  commit(zxidOf(1, 1))
  const common = other.run([text('a'), text('b')])
  write({ truncateTo: { zxid: common.last, checksum: common.checksum }, append: [other.run([text('c')], 2)] })
  commit(zxidOf(2, 1))
  expect(first.texts).toEqual(['a', 'b', 'c'])
})

test('entries that were written before this process began are read back from the store', async () => {
  const { applier, first, write, commit, history, store } = applying()
  await store.open(STORE)
  write({ append: [history.run([text('a'), text('b')]), history.run([text('c')])] }, false)
  write({ append: [history.run([text('d')])] })
  commit(zxidOf(1, 2))
  await until(() => applier.applied === zxidOf(1, 2))
  commit(zxidOf(1, 4))
  await until(() => applier.applied === zxidOf(1, 4))
  expect(first.texts).toEqual(['a', 'b', 'c', 'd'])
})

test('each machine is called once for its changes of a piece, in order; refusals and registrations reach none', () => {
  const { machines, write, commit, history } = applying()
  write({
    append: [
      history.run([text('1a'), text('2a', { machine: 2 }), registration(OTHER), text('1b'), text('no', { kind: KIND_REFUSAL }), text('2b', { machine: 2 })]),
    ],
  })
  commit(history.last)
  expect(machines.map((machine) => machine.batches.map((batch) => batch.map((one) => `${one.text} ${one.zxid % 2 ** 32}`)))).toEqual([
    [['1a 1', '1b 4']],
    [['2a 2', '2b 6']],
  ])
})

test('a long replay gives the loop back when a slice is used up, and goes on', () => {
  const { applier, first, write, commit, history, deferred } = applying(1)
  for (let i = 0; i < 3; i++) write({ append: [history.run(Array.from({ length: 2000 }, (_, j) => text(`${i}.${j}`)))] })
  commit(history.last)
  expect(applier.applied).toBeLessThan(history.last)
  const before = applier.applied
  applier.advance()
  expect([applier.applied, deferred.length]).toEqual([before, 1])
  while (deferred.length > 0) deferred.shift()!()
  expect(applier.applied).toBe(history.last)
  expect(first.texts).toEqual(Array.from({ length: 6000 }, (_, i) => `${Math.floor(i / 2000)}.${i % 2000}`))
  expect(Math.max(...first.batches.map((batch) => batch.length))).toBeLessThanOrEqual(1024)
})

test('a machine that is slow gets smaller pieces, so that its slices end in time, and larger ones when it is quick again', () => {
  const { applier, first, write, commit, history, deferred, spend, now } = applying(100)
  const apply = first.apply.bind(first)
  let entryMs = 0.5
  first.apply = (batch) => {
    spend(batch.length * entryMs)
    return apply(batch)
  }
  for (let i = 0; i < 8; i++) write({ append: [history.run(Array.from({ length: 1000 }, (_, j) => text(`${i}.${j}`)))] })
  const slices: number[] = []
  const timed = (slice: () => void): void => {
    const begun = now()
    slice()
    slices.push(now() - begun)
  }
  timed(() => commit(zxidOf(1, 4000)))
  while (deferred.length > 0) timed(deferred.shift()!)
  expect(slices.length).toBeGreaterThan(15)
  expect(Math.max(...slices.slice(5))).toBeLessThanOrEqual(100)
  expect(Math.max(...first.batches.slice(-10).map((batch) => batch.length))).toBeLessThan(64)
  entryMs = 0
  timed(() => commit(zxidOf(1, 8000)))
  while (deferred.length > 0) timed(deferred.shift()!)
  expect(applier.applied).toBe(zxidOf(1, 8000))
  expect(first.batches.at(-1)!.length).toBeGreaterThan(500)
})

test('our own results and refusals come to those who wait, and the table advances for everyone', async () => {
  const { applier, first, write, commit, history, proposals, forwarding } = applying()
  write({ append: [history.run([registration(forwarding.registration), registration(OTHER)])] })
  commit(history.last)
  expect(forwarding.origin).toBe(zxidOf(1, 1))
  const asked = ['a', 'b', 'c'].map((one) => proposals.propose(1, new TextEncoder().encode(one), undefined))
  while (proposals.slots.number() !== null);
  const ours = forwarding.origin
  const theirs = zxidOf(1, 2)
  const refusal = encodeRefusal(Object.assign(new Error('not b'), { code: 'NOT_B' }))
  write({
    append: [
      history.run([
        text('a', { origin: ours, sequence: 1 }),
        text('x', { origin: theirs, sequence: 1 }),
        { machine: 1, payload: refusal, origin: ours, sequence: 2, kind: KIND_REFUSAL },
        text('y', { origin: theirs, sequence: 2 }),
        text('c', { origin: ours, sequence: 3 }),
      ]),
    ],
  })
  commit(history.last)
  const told = await Promise.allSettled(asked)
  expect(told.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as AntiphonError).refusal))).toEqual(['result of a', 'NOT_B', 'result of c'])
  expect(first.batches.at(-1)!.map((one) => one.ours)).toEqual([true, true, true, true])
  expect(applier.table.get(ours)).toMatchObject({ last: 3, confirmed: 2 })
  expect(applier.table.get(theirs)).toMatchObject({ last: 2, confirmed: 1 })
  expect(keptOf(applier, ours)).toEqual(['3 result of c'])
  expect(keptOf(applier, theirs)).toEqual(['2 result of y'])
  expect(proposals.slots.length).toBe(0)
})

/** What the table keeps for `origin`: number, and result, refusal or marker. */
function keptOf({ table }: Applier, origin: Zxid): string[] {
  const kept: string[] = []
  table.get(origin)?.results.forEach((sequence, kind, _machine, bytes) => {
    const told = kind === KEPT_REFUSAL ? decodeRefusal(bytes, 0, bytes.length).refusal : kind === KEPT_TOO_LARGE ? 'too large' : new TextDecoder().decode(bytes)
    kept.push(`${sequence} ${told}`)
  })
  return kept
}

test('rule 22: results and refusals stay in the table until their origin has them, whatever pieces they were applied in', () => {
  const origin = zxidOf(1, 1)
  const refusal = encodeRefusal(Object.assign(new Error('no'), { code: 'NO' }))
  const long = 'x'.repeat(950)
  const entries = (): Told[] => [
    registration(OTHER),
    text('a', { origin, sequence: 1 }),
    { machine: 2, payload: refusal, origin, sequence: 2, pending: 2, kind: KIND_REFUSAL },
    text('b', { machine: 2, origin, sequence: 3, pending: 3 }),
    text(long, { origin, sequence: 4, pending: 4 }),
    text('c', { origin, sequence: 5, pending: 4 }),
  ]
  const kept = ['2 NO', '3 result of b', '4 too large', '5 result of c']
  const encoded: Uint8Array[] = []
  for (const pieces of [[6], [1, 2, 3, 4, 5, 6], [2, 5, 6]]) {
    const { applier, write, commit, history } = applying()
    write({ append: [history.run(entries())] })
    for (const counter of pieces) commit(zxidOf(1, counter))
    expect(keptOf(applier, origin)).toEqual(kept)
    encoded.push(applier.table.encodeResults()[0]!)
    write({ append: [history.run([{ machine: 0, payload: encodeConfirmation({ origin, confirmed: 4 }) }])] })
    commit(history.last)
    expect(keptOf(applier, origin)).toEqual(['5 result of c'])
    expect(applier.table.get(origin)).toMatchObject({ last: 5, confirmed: 4 })
  }
  expect(encoded[1]).toEqual(encoded[0])
  expect(encoded[2]).toEqual(encoded[0])
})

test('rule 22: what a retired row was asked for and is not applied goes on under the next one', async () => {
  const { applier, write, commit, history, proposals, forwarding } = applying()
  write({ append: [history.run([registration(forwarding.registration)])] })
  commit(history.last)
  const ours = forwarding.origin
  const asked = ['a', 'b', 'c'].map((one) => proposals.propose(1, new TextEncoder().encode(one), undefined))
  while (proposals.slots.number() !== null);
  write({ append: [history.run([text('a', { origin: ours, sequence: 1 }), { machine: 0, payload: encodeRetirement(ours) }])] })
  commit(history.last)
  expect(await asked[0]).toBe('result of a')
  expect([forwarding.origin, proposals.slots.underWay, proposals.slots.waiting, applier.table.size]).toEqual([ZERO, 0, 2, 0])
  write({ append: [history.run([registration(forwarding.registration)])] })
  commit(history.last)
  expect(forwarding.origin).toBe(zxidOf(1, 4))
  while (proposals.slots.number() !== null);
  const next = forwarding.origin
  write({ append: [history.run([text('b', { origin: next, sequence: 1 }), text('c', { origin: next, sequence: 2 })])] })
  commit(history.last)
  expect(await Promise.all(asked)).toEqual(['result of a', 'result of b', 'result of c'])
})

test('a machine that throws in encodeResult is a fault', () => {
  const { first, faults, write, commit, history } = applying()
  first.encodeResult = () => {
    throw new Error('no words')
  }
  write({ append: [history.run([registration(OTHER), text('x', { origin: zxidOf(1, 1), sequence: 1 })])] })
  commit(history.last)
  expect(faults.map(({ code, message }) => `${code} ${message}`)).toEqual([expect.stringMatching(/^DIVERGED .*encodeResult: no words/)])
})

test('what can not be is a fault: a gap in the numbers, an unknown origin, machine or entry of our own', () => {
  const cases: [string, Told[], string][] = [
    ['a gap', [registration(OTHER), text('x', { origin: zxidOf(1, 1), sequence: 2 })], 'DIVERGED'],
    ['a number twice', [registration(OTHER), text('x', { origin: zxidOf(1, 1), sequence: 1 }), text('x', { origin: zxidOf(1, 1), sequence: 1 })], 'DIVERGED'],
    [
      'a retired origin',
      [registration(OTHER), registration({ ...OTHER, nonce: '78'.repeat(8) }), text('x', { origin: zxidOf(1, 1), sequence: 1 })],
      'DIVERGED',
    ],
    ['an unknown origin', [text('x', { origin: zxidOf(1, 9), sequence: 1 })], 'DIVERGED'],
    ['an unknown machine', [text('x', { machine: 3 })], 'DIVERGED'],
    ['an entry of a later version', [{ machine: 0, payload: new Uint8Array([9, 9]) }], 'VERSION_MISMATCH'],
  ]
  for (const [name, entries, code] of cases) {
    const { faults, first, write, commit, history, applier } = applying()
    write({ append: [history.run(entries)] })
    commit(history.last)
    commit(history.last)
    expect(
      faults.map((fault) => fault.code),
      name,
    ).toEqual([code])
    expect(first.texts, name).toEqual([])
    expect(applier.applied, name).toBe(ZERO)
  }
})

test('while a snapshot is being installed nothing is applied; then what follows it is', () => {
  const { applier, first, write, commit, history } = applying()
  write({ append: [history.run([text('old')])] })
  const skipped = history.run([text('in the snapshot')])
  applier.note({ ticket: 9, founding: null, install: 1, truncateTo: null, append: [], epochs: null, afterwards: [] })
  const behind = history.run([text('behind')])
  applier.note({ ticket: 10, founding: null, install: null, truncateTo: null, append: [behind], epochs: null, afterwards: [] })
  commit(behind.last)
  expect([first.texts, applier.isBlocked]).toEqual([[], true])
  applier.reset(skipped.last, skipped.checksum, skipped.time, applier.table, true)
  applier.advance()
  expect([first.texts, applier.applied, applier.isBlocked]).toEqual([['behind'], behind.last, false])
})

test('a batch ends at every ZXID whose counter is a multiple of digestEvery, wherever runs end, and there the digest is taken', () => {
  const { applier, first, write, commit, digests, history } = applying(10, 3)
  write({ append: [history.run([text('a'), text('b'), text('c'), text('d')]), history.run([text('e'), text('f'), text('g')])] })
  commit(zxidOf(1, 7))
  expect(first.batches.map((batch) => batch.map((one) => one.text))).toEqual([['a', 'b', 'c'], ['d'], ['e', 'f'], ['g']])
  expect(digests.map(([zxid]) => zxid)).toEqual([zxidOf(1, 3), zxidOf(1, 6)])
  expect(applier.applied).toBe(zxidOf(1, 7))
})

test('a void state takes nothing in, and goes on from the one that replaces it', () => {
  const { applier, first, write, commit, history } = applying()
  write({ append: [history.run([text('a'), text('b'), text('c'), text('d')])] })
  commit(zxidOf(1, 1))
  applier.quarantine()
  commit(zxidOf(1, 3))
  expect(first.texts).toEqual(['a'])
  applier.reset(zxidOf(1, 2), 0, 0, applier.table, false)
  applier.advance()
  expect(applier.isBlocked).toBe(false)
})
