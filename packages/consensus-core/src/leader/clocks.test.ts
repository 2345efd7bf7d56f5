import { expect, test } from 'vitest'
import { DrivenCore, type DrivenOptions, voters } from '../driven-core.test-support.ts'
import { RunBuilder } from '../run.ts'
import { peerId } from '../types.ts'
import { ZERO } from '../zxid.ts'

const BOUND = 1000

/** The last member of `count` leads epoch 1; the others follow. `walls`: how far their clocks are ahead of true time when they promise. */
function leading(count: number, walls: readonly number[] = [], options: DrivenOptions = {}): DrivenCore {
  const driven = new DrivenCore({ self: count, members: voters(count), config: { clockAheadMsMax: BOUND }, ...options })
  const others = Array.from({ length: count - 1 }, (_, i) => i + 1)
  driven.identify(...others)
  for (const id of others) driven.from(id, { kind: 'VOTE', state: 'looking', leader: peerId(count), zxid: ZERO, epoch: 0, round: 1 })
  while (driven.core.state.role.name === 'looking') driven.tick()
  for (const id of others) driven.from(id, { kind: 'CEPOCH', accepted: 0, acceptedFrom: null })
  driven.persist()
  for (const id of others) {
    const wall = trueTime(driven) + (walls[id - 1] ?? 0)
    driven.from(id, { kind: 'ACK-E', epoch: 1, current: 0, last: ZERO, checksum: 0, committed: ZERO, wall, quarantined: false, endPoints: [], staged: null })
  }
  driven.persist()
  for (const id of others) driven.from(id, { kind: 'ACK-LD', epoch: 1, last: ZERO })
  driven.step({ kind: 'applied', upTo: ZERO })
  return driven
}

function trueTime(driven: DrivenCore): number {
  return driven.now.wall - driven.wallOffset
}

function tells(driven: DrivenCore, id: number, aheadMs: number): void {
  driven.from(id, { kind: 'PONG', epoch: 1, round: 0, wall: trueTime(driven) + aheadMs, notes: [] })
}

/** How far the next entry's time is ahead of true time. */
function stamp(driven: DrivenCore): number {
  return driven.core.primary(driven.now)!.time - trueTime(driven)
}

test('a leader whose clock is right, or ahead within the bound, stamps its own', () => {
  const driven = leading(3)
  expect(stamp(driven)).toBe(0)
  driven.wallOffset = BOUND
  expect(stamp(driven)).toBe(BOUND)
})

test('beyond the bound it stamps the median, from its first entry on: ACK-E told the clocks', () => {
  const driven = leading(3)
  driven.wallOffset = 3_600_000
  expect(stamp(driven)).toBe(0)
  driven.wallOffset = 0
  expect(stamp(driven)).toBe(0)
})

test('one follower whose clock is off changes nothing, in either direction', () => {
  for (const off of [3_600_000, -3_600_000]) {
    const driven = leading(3)
    tells(driven, 1, off)
    tells(driven, 2, 20)
    expect(stamp(driven)).toBe(0)
  }
})

test('a clock that jumps back holds time where it is, and never takes it back', () => {
  const driven = leading(3)
  const { previous, previousChecksum, epoch, time } = driven.core.primary(driven.now)!
  const builder = new RunBuilder()
  builder.begin(previous, previousChecksum, epoch, time)
  builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array(1))
  driven.step({ kind: 'propose', run: builder.finish()! })
  driven.wallOffset = -30_000
  driven.pass(5)
  expect(driven.core.primary(driven.now)!.time).toBe(time)
})

test('of two clocks the lower one counts: a time that is behind can be caught up with', () => {
  const driven = leading(3)
  driven.disconnect(2)
  for (let i = 0; i < 60; i++) {
    driven.tick()
    tells(driven, 1, 0)
  }
  driven.wallOffset = 3_600_000
  expect(stamp(driven)).toBe(0)
})

test('who was not heard of late is left out, and its clock goes on until then', () => {
  const driven = leading(5)
  driven.wallOffset = 3_600_000
  for (const id of [3, 4]) tells(driven, id, 3_600_000)
  expect(stamp(driven)).toBe(3_600_000)
  // Members 1 and 2, whose clocks are right, were heard; of five the one in the middle is theirs once member 4 is right too.
  tells(driven, 4, 0)
  expect(stamp(driven)).toBe(0)
  // Nobody but member 3 is heard any more.
  for (let i = 0; i < 51; i++) {
    driven.pass(100)
    tells(driven, 3, 3_600_000)
  }
  expect(stamp(driven)).toBe(3_600_000)
})

test('a broken connection, or a pause of our own, makes no clock unknown', () => {
  const driven = leading(3)
  driven.wallOffset = 3_600_000
  driven.disconnect(1)
  driven.disconnect(2)
  expect(stamp(driven)).toBe(0)
  driven.pass(60_000)
  expect(stamp(driven)).toBe(0)
})

test('a leader knows how far its clock is off; alone it has nothing to compare with', () => {
  const driven = leading(3)
  expect(driven.core.clockAheadMs(driven.now)).toBe(0)
  driven.wallOffset = -2500
  expect(driven.core.clockAheadMs(driven.now)).toBe(-2500)
  driven.wallOffset = 2500
  expect(driven.core.clockAheadMs(driven.now)).toBe(2500)
  expect(new DrivenCore().core.clockAheadMs(driven.now)).toBeNull()
})

test('a store that does not count has no say in the time', () => {
  const members = voters(5).map((member) => (member.id <= 2 ? { ...member, storeId: 'f'.repeat(32) } : member))
  const driven = leading(5, [], { members })
  for (const id of [1, 2]) tells(driven, id, 3_600_000)
  tells(driven, 3, 3_600_000)
  driven.wallOffset = 3_600_000
  expect(stamp(driven)).toBe(3_600_000)
  tells(driven, 3, 0)
  expect(stamp(driven)).toBe(0)
})
