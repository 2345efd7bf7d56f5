import { type Configuration, peerId, type Run, type StoredState, type Write, ZERO, type Zxid, zxidOf } from '@antiphon/ports'
import { RunBuilder } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Durability } from './durability.ts'

const [ONE, TWO, THREE] = [peerId(1), peerId(2), peerId(3)]
const CONFIGURATION: Configuration = { version: ZERO, members: [ONE, TWO, THREE].map((id) => ({ id, role: 'voter', weight: 1, group: 0, storeId: null })) }
const COUNTER_MAX = 1000
const NOTHING = { founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [] }

function run(previous: Zxid, previousChecksum: number, epoch: number, payloads: readonly number[]): Run {
  const builder = new RunBuilder()
  builder.begin(previous, previousChecksum, epoch, 1000)
  for (const payload of payloads) builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array([payload]))
  return builder.finish()!
}

const first = run(ZERO, 0, 1, [1, 2, 3])
const second = run(first.last, first.checksum, 1, [4])
const write = (ticket: number, part: Partial<Write>): Write => ({ ...NOTHING, ticket, ...part })

function stored(of: Run | null): StoredState {
  const log = { start: ZERO, last: of?.last ?? ZERO, checksum: of?.checksum ?? 0, endPoints: [], time: 0 }
  return { storeId: '', founding: null, epochs: { accepted: 0, acceptedFrom: null, current: 0 }, snapshot: null, log }
}

test('what was committed must be durable on a quorum, and stay so', () => {
  const durability = new Durability(CONFIGURATION, COUNTER_MAX)
  for (const id of [ONE, TWO]) durability.record(id).told(write(1, { append: [first] }))
  durability.record(ONE).becameDurable(1)
  expect(() => durability.committed(first.last, 'somebody commits')).toThrow('which no quorum holds durably')
  durability.record(TWO).becameDurable(1)
  durability.committed(first.last, 'somebody commits')
  expect(() => durability.committed(second.last, 'somebody commits')).toThrow('which no quorum holds durably')
  durability.record(TWO).told(write(2, { truncateTo: { zxid: zxidOf(1, 2), checksum: 5 } }))
  expect(durability.record(TWO).holds(zxidOf(1, 3))).toBe(true)
  expect(durability.record(TWO).becameDurable(2)).toBe(true)
  expect(durability.record(TWO).holds(zxidOf(1, 2))).toBe(true)
  expect(() => durability.shrunk(TWO)).toThrow('is no longer held by a quorum')
})

test('a store comes back with what it called durable, or with more of what it was told, whole writes only', () => {
  const told = (): Durability => {
    const durability = new Durability(CONFIGURATION, COUNTER_MAX)
    const record = durability.record(ONE)
    record.told(write(1, { append: [first] }))
    record.becameDurable(1)
    record.told(write(2, { append: [second] }))
    return durability
  }
  for (const good of [first, second]) told().record(ONE).reopened(ONE, stored(good), false)
  expect(() => told().record(ONE).reopened(ONE, stored(null), true)).toThrow('came back with 0.0')
  expect(() =>
    told()
      .record(ONE)
      .reopened(ONE, stored({ ...second, checksum: 1 }), true),
  ).toThrow('came back with')
  expect(() =>
    told()
      .record(ONE)
      .reopened(ONE, { ...stored(first), epochs: { accepted: 1, acceptedFrom: null, current: 0 } }, true),
  ).toThrow('epochs 1/0')
  const saved = told()
  saved.record(ONE).snapshotSaved(zxidOf(1, 2))
  expect(() => saved.record(ONE).reopened(ONE, stored(first), false)).toThrow('lost its snapshot')
  // A damaged one is passed over.
  expect(saved.record(ONE).reopened(ONE, stored(first), true)).toEqual({ images: 2, at: 0, isOlder: true })
})

test('two histories behind one ZXID are found, whoever holds them', () => {
  const durability = new Durability(CONFIGURATION, COUNTER_MAX)
  durability.sawRun(ONE, first)
  durability.sawRun(TWO, second)
  const other = run(ZERO, 0, 1, [1, 2, 9])
  expect(() => durability.sawRun(THREE, other)).toThrow('holds another history up to 1.3')
})

test('an installed generation takes the place of everything', () => {
  const record = new Durability(CONFIGURATION, COUNTER_MAX).record(ONE)
  record.told(write(1, { append: [first] }))
  record.staged(1, { zxid: zxidOf(2, 5), checksum: 77, endPoints: [{ epoch: 2, last: zxidOf(2, 5), checksum: 77 }], time: 0 })
  const behind = run(zxidOf(2, 5), 77, 2, [1])
  record.stagedAppend(1, [behind])
  record.told(write(2, { install: 1, epochs: { accepted: 2, acceptedFrom: null, current: 2 } }))
  record.becameDurable(2)
  expect(record.durable).toMatchObject({ last: behind.last, checksum: behind.checksum, epochs: { accepted: 2, current: 2 } })
  expect(record.holds(zxidOf(1, 1))).toBe(false)
  expect(record.holds(zxidOf(2, 6))).toBe(true)
})

test('a wiped store counts no more: what it held must be elsewhere', () => {
  const durability = new Durability(CONFIGURATION, COUNTER_MAX)
  const founding = { ensembleId: 'e', configuration: CONFIGURATION }
  for (const id of [ONE, TWO, THREE]) {
    expect(durability.mayChangeDisks([ONE], false)).toBe(false)
    durability.record(id).told(write(1, { founding, append: id === THREE ? [] : [first] }))
    durability.record(id).becameDurable(1)
  }
  durability.committed(first.last, 'somebody commits')
  expect(durability.mayChangeDisks([ONE], true)).toBe(true)
  durability.wiped(ONE)
  expect([durability.isCounted(ONE), durability.hasLost, durability.mayChangeDisks([TWO], true)]).toEqual([false, true, false])
  // Any quorum of those that count includes member 2.
  durability.shrunk(ONE)
  durability.record(ONE).told(write(1, { append: [first, second] }))
  durability.record(ONE).becameDurable(1)
  durability.record(TWO).told(write(2, { append: [second] }))
  durability.record(TWO).becameDurable(2)
  expect(() => durability.committed(second.last, 'somebody commits')).toThrow('which no quorum holds durably')
})

test('an acknowledgement that was true when it left may commit after the disk behind it was wiped', () => {
  const durability = new Durability(CONFIGURATION, COUNTER_MAX)
  const founding = { ensembleId: 'e', configuration: CONFIGURATION }
  for (const id of [ONE, TWO, THREE]) {
    durability.record(id).told(write(1, { founding, append: id === THREE ? [] : [first] }))
    durability.record(id).becameDurable(1)
  }
  durability.wiped(ONE)
  durability.committed(first.last, 'somebody commits')
})

test('no epoch is longer than its counter', () => {
  const durability = new Durability(CONFIGURATION, 3)
  durability.sawRun(ONE, first)
  expect(() => durability.sawRun(ONE, second)).toThrow('beyond the end of the counter')
})

test('two stores that have changed places count for nobody, and lose nothing', () => {
  const durability = new Durability(CONFIGURATION, COUNTER_MAX)
  const founding = { ensembleId: 'e', configuration: CONFIGURATION }
  for (const id of [ONE, TWO, THREE]) {
    durability.record(id).told(write(1, { founding, append: id === THREE ? [] : [first] }))
    durability.record(id).becameDurable(1)
  }
  expect([durability.mayChangeDisks([ONE, THREE], false), durability.mayChangeDisks([ONE, THREE], true)]).toEqual([true, false])
  durability.swapped(ONE, THREE)
  expect([ONE, TWO, THREE].map((id) => durability.isCounted(id))).toEqual([false, true, false])
  durability.committed(first.last, 'somebody commits')
  expect(durability.record(THREE).holds(first.last)).toBe(true)
  durability.record(THREE).told(write(2, { truncateTo: { zxid: ZERO, checksum: 0 } }))
  expect(durability.record(THREE).becameDurable(2)).toBe(true)
  expect(() => durability.shrunk(THREE)).toThrow('is no longer held by a quorum')
  durability.swapped(ONE, THREE)
  expect(durability.isCounted(ONE)).toBe(true)
})
