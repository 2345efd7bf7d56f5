import { describe, expect, test } from 'vitest'
import { DrivenCore, type DrivenOptions, voters, z } from './driven-core.test-support.ts'
import type { AckEpoch, Message, Vote } from './messages.ts'
import { ROUNDS_MAX } from './reads.ts'
import { RunBuilder } from './run.ts'
import { peerId } from './types.ts'
import { ZERO } from './zxid.ts'

const LEASE = { leaseMs: 500, leaseDriftPerMille: 100 }

const vote = (state: Vote['state'], leader: number, round: number): Vote => ({
  kind: 'VOTE',
  state,
  leader: leader === 0 ? 0 : peerId(leader),
  zxid: ZERO,
  epoch: 0,
  round,
})
const pong = (round: number, epoch = 1): Message => ({ kind: 'PONG', epoch, round, wall: 1_000_000, notes: [] })
const ping = (round: number, epoch = 1): Message => ({ kind: 'PING', epoch, committed: ZERO, round, wall: 1_000_000 })

/** Member 3 of three leads epoch 1; member 1 follows, member 2 is connected. */
function leading(options: DrivenOptions = {}): DrivenCore {
  const driven = new DrivenCore({ self: 3, ...options })
  driven.identify(1, 2)
  driven.from(1, vote('looking', 3, 1))
  driven.from(2, vote('looking', 3, 1))
  while (driven.core.state.role.name === 'looking') driven.tick()
  join(driven, 1)
  driven.step({ kind: 'applied', upTo: ZERO })
  return driven
}

function join(driven: DrivenCore, peer: number): void {
  const ackEpoch: AckEpoch = {
    kind: 'ACK-E',
    epoch: 1,
    current: 0,
    last: ZERO,
    checksum: 0,
    committed: ZERO,
    wall: 1_000_000,
    quarantined: false,
    endPoints: [],
    staged: null,
  }
  driven.from(peer, { kind: 'CEPOCH', accepted: 0, acceptedFrom: null })
  if (driven.writes.length > 0) driven.persist()
  driven.from(peer, ackEpoch)
  if (driven.writes.length > 0) driven.persist()
  driven.from(peer, { kind: 'ACK-LD', epoch: 1, last: driven.core.state.history.last })
}

/** Member 1 of three follows member 3 in epoch 1. */
function following(options: DrivenOptions = {}): DrivenCore {
  const driven = new DrivenCore({ self: 1, ...options })
  driven.identify(2, 3)
  follow(driven, 3, 1)
  return driven
}

function follow(driven: DrivenCore, leader: number, epoch: number): void {
  const { last, checksum } = driven.core.state.history
  driven.from(leader, { ...vote('leading', leader, 1), epoch })
  driven.from(leader, { kind: 'NEWEPOCH', epoch, attempt: { leader: peerId(leader), nonce: 7 } })
  driven.persist()
  driven.from(leader, { kind: 'DIFF', epoch, after: last, checksum, staged: false })
  driven.from(leader, { kind: 'NEWLEADER', epoch, last, checksum })
  driven.persist()
  driven.from(leader, { kind: 'COMMIT-LD', epoch, committed: ZERO })
}

/** An entry of the leader's that member 1 acknowledges: the commit point moves. */
function commit(driven: DrivenCore): void {
  const { previous, previousChecksum, epoch, time } = driven.core.primary(driven.now)!
  const builder = new RunBuilder()
  builder.begin(previous, previousChecksum, epoch, time)
  builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array(1))
  const run = builder.finish()!
  driven.step({ kind: 'propose', run })
  driven.persist()
  driven.from(1, { kind: 'ACK', epoch, upTo: run.last })
}

describe('rounds of reads (rule 23)', () => {
  test('several rounds are under way, each with the commit point at which it was sent', () => {
    const driven = leading()
    expect(driven.step({ kind: 'read', number: 1 })).toEqual(['to 1: PING 1 committed 0.0 round 1'])
    commit(driven)
    expect(driven.step({ kind: 'read', number: 2 })).toEqual(['to 1: PING 1 committed 1.1 round 2'])
    expect(driven.from(1, pong(0))).toEqual([])
    expect(driven.from(1, pong(1))).toEqual(['read 1 at 0.0'])
    expect(driven.from(1, pong(2))).toEqual(['read 2 at 1.1'])
  })

  test('an echo of a round is one of all before it, and an older echo confirms nothing (museum 42)', () => {
    const driven = leading()
    for (const number of [1, 2, 3]) driven.step({ kind: 'read', number })
    expect(driven.from(1, pong(2))).toEqual(['read 1 at 0.0', 'read 2 at 0.0'])
    expect(driven.from(1, pong(2))).toEqual([])
    expect(driven.from(1, pong(3))).toEqual(['read 3 at 0.0'])
  })

  test('beyond the bound reads wait and share the next round', () => {
    const driven = leading()
    for (let number = 1; number <= ROUNDS_MAX; number++) driven.step({ kind: 'read', number })
    expect(driven.step({ kind: 'read', number: 101 })).toEqual([])
    expect(driven.step({ kind: 'read', number: 102 })).toEqual([])
    expect(driven.from(1, pong(1))).toEqual([`to 1: PING 1 committed 0.0 round ${ROUNDS_MAX + 1}`, 'read 1 at 0.0'])
    expect(driven.from(1, pong(ROUNDS_MAX + 1)).slice(-2)).toEqual(['read 101 at 0.0', 'read 102 at 0.0'])
  })

  test('acknowledgements, echoes of another epoch and those of a store that does not count confirm nothing', () => {
    const driven = leading({ members: voters(3).map((member) => (member.id === 2 ? { ...member, storeId: 'f'.repeat(32) } : member)) })
    driven.from(2, { kind: 'CEPOCH', accepted: 0, acceptedFrom: null })
    driven.step({ kind: 'read', number: 1 })
    expect(driven.from(1, { kind: 'ACK', epoch: 1, upTo: ZERO })).toEqual([])
    expect(driven.from(1, pong(1, 2))).toEqual([])
    expect(driven.from(2, pong(1))).toEqual([])
    expect(driven.from(1, pong(1))).toEqual(['read 1 at 0.0'])
  })

  test('a learner is answered on the connection on which it asked, by the same rounds', () => {
    const driven = leading()
    expect(driven.from(1, { kind: 'READ', epoch: 1, number: 7 })).toEqual(['to 1: PING 1 committed 0.0 round 1'])
    expect(driven.from(1, pong(1))).toEqual(['to 1: READ-POINT 7 at 0.0'])
    driven.from(1, { kind: 'READ', epoch: 1, number: 8 })
    join(driven, 2)
    driven.disconnect(1)
    expect(driven.from(2, pong(2))).toEqual([])
    expect(driven.core.state.role).toMatchObject({ reads: { underway: [] } })
  })

  test("a follower echoes the round while its promise is this leader's, and not before its history is (museum 21)", () => {
    const driven = new DrivenCore({ self: 1 })
    driven.identify(2, 3)
    driven.from(3, { ...vote('leading', 3, 1), epoch: 1 })
    driven.from(3, { kind: 'NEWEPOCH', epoch: 1, attempt: { leader: peerId(3), nonce: 7 } })
    driven.persist()
    expect(driven.from(3, ping(4))).toEqual(['to 3: PONG 1'])
    driven.from(3, { kind: 'DIFF', epoch: 1, after: ZERO, checksum: 0, staged: false })
    driven.from(3, { kind: 'NEWLEADER', epoch: 1, last: ZERO, checksum: 0 })
    expect(driven.from(3, ping(5))).toEqual(['to 3: PONG 1 round 5'])
  })

  test('reads that wait for a leader that is gone are given back, those under way too', () => {
    const driven = leading()
    for (let number = 1; number <= ROUNDS_MAX + 1; number++) driven.step({ kind: 'read', number })
    for (let i = 0; i < 10; i++) driven.tick()
    const told = driven.tick()
    for (let number = 1; number <= ROUNDS_MAX + 1; number++) expect(told).toContain(`read ${number} not granted`)
  })
})

describe('the leader under a lease (rule 23)', () => {
  const granted = (driven: DrivenCore): boolean => driven.step({ kind: 'read', number: 99 }).includes('read 99 at 0.0')

  test('a heartbeat is a round; once a quorum has echoed it, reads are granted in the same step, those of learners too', () => {
    const driven = leading({ config: LEASE })
    expect(driven.tick()).toContain('to 1: PING 1 committed 0.0 round 1')
    driven.from(1, pong(1))
    expect(driven.step({ kind: 'read', number: 1 })).toEqual(['read 1 at 0.0'])
    expect(driven.from(1, { kind: 'READ', epoch: 1, number: 7 })).toEqual(['to 1: READ-POINT 7 at 0.0'])
  })

  test('it counts from when the round was sent, less the drift, however late the echo comes', () => {
    const driven = leading({ config: LEASE })
    driven.tick()
    driven.pass(400)
    driven.from(1, pong(1))
    driven.pass(49)
    expect(granted(driven)).toBe(true)
    driven.pass(1)
    expect(granted(driven)).toBe(false)
  })

  test('without leases an echo permits nothing that comes later', () => {
    const driven = leading()
    driven.step({ kind: 'read', number: 1 })
    driven.from(1, pong(1))
    expect(driven.step({ kind: 'read', number: 2 })).toEqual(['to 1: PING 1 committed 0.0 round 2'])
  })

  test('a read that finds no lease asks as ever, and the echo of its round is a lease', () => {
    const driven = leading({ config: LEASE })
    expect(driven.step({ kind: 'read', number: 1 })).toEqual(['to 1: PING 1 committed 0.0 round 1'])
    expect(driven.from(1, pong(1))).toEqual(['read 1 at 0.0'])
    expect(driven.step({ kind: 'read', number: 2 })).toEqual(['read 2 at 0.0'])
  })

  test('goes on while connections flap: a closed one is silent only after syncLimit (rule 25)', () => {
    const driven = leading({ config: LEASE })
    driven.tick()
    driven.from(1, pong(1))
    driven.disconnect(1)
    driven.disconnect(2)
    driven.tick()
    expect(granted(driven)).toBe(true)
    for (let i = 0; i < 9; i++) driven.tick()
    expect(driven.core.view().role).toBe('leading')
    driven.tick()
    expect(driven.core.view().role).toBe('looking')
  })

  test('no lease outlives the reign', () => {
    const driven = leading({ config: { ...LEASE, leaseMs: 60_000 } })
    driven.tick()
    driven.from(1, pong(1))
    expect(granted(driven)).toBe(true)
    for (let i = 0; i < 12; i++) driven.tick()
    expect(driven.core.view().role).toBe('looking')
    expect(driven.step({ kind: 'read', number: 1 })).toEqual(['read 1 not granted'])
  })

  test('rounds that nobody echoes do not pile up', () => {
    const driven = leading({ config: { ...LEASE, syncLimitTicks: 100 } })
    for (let i = 0; i < 2 * ROUNDS_MAX; i++) driven.tick()
    expect(driven.core.state.role).toMatchObject({ reads: { round: ROUNDS_MAX, underway: expect.objectContaining({ length: ROUNDS_MAX }) } })
    driven.from(1, pong(ROUNDS_MAX))
    expect(driven.core.state.role).toMatchObject({ reads: { underway: [] } })
  })
})

describe('a voter under a lease (rule 23)', () => {
  const wins = (driven: DrivenCore): boolean =>
    driven.from(2, { ...vote('looking', 2, 9), zxid: z(9, 1), epoch: 9 }).some((line) => /VOTE looking for 2/.test(line))

  test('votes for nobody, not for itself either, until its echo has run out, drift included', () => {
    const driven = following({ config: LEASE })
    driven.from(3, ping(1))
    driven.disconnect(3)
    expect(wins(driven)).toBe(false)
    expect(driven.core.state.role).toMatchObject({ name: 'looking', vote: null })
    driven.pass(549)
    expect(wins(driven)).toBe(false)
    driven.pass(1)
    expect(wins(driven)).toBe(true)
  })

  test('follows no other leader that stands already, and the same one at once', () => {
    const driven = following({ config: LEASE })
    driven.from(3, ping(1))
    driven.disconnect(3)
    driven.from(2, { ...vote('leading', 2, 9), epoch: 9 })
    expect(driven.core.view().role).toBe('looking')
    driven.identify(3)
    driven.from(3, { ...vote('leading', 3, 1), epoch: 1 })
    expect(driven.core.view()).toMatchObject({ role: 'following', leader: 3 })
    driven.from(3, { kind: 'NEWEPOCH', epoch: 2, attempt: { leader: peerId(3), nonce: 8 } })
    expect(driven.writes).toHaveLength(1)
  })

  test('is free as soon as the leader itself tells that it leads no more', () => {
    const driven = following({ config: LEASE })
    driven.from(3, ping(1))
    driven.from(3, vote('looking', 0, 1))
    expect(wins(driven)).toBe(true)
  })

  test('an echo that was not given binds nobody, nor does one without leases', () => {
    const unbound = following({ config: LEASE })
    unbound.from(3, ping(0))
    unbound.disconnect(3)
    expect(wins(unbound)).toBe(true)
    const without = following()
    without.from(3, ping(1))
    without.disconnect(3)
    expect(wins(without)).toBe(true)
  })

  test('a process that has just started keeps what its earlier one may have promised', () => {
    const epochs = { accepted: 4, acceptedFrom: { leader: peerId(3), nonce: 7 }, current: 4 }
    const driven = new DrivenCore({ self: 1, epochs, config: LEASE })
    driven.identify(2, 3)
    expect(wins(driven)).toBe(false)
    driven.pass(550)
    expect(wins(driven)).toBe(true)
  })

  test('nor does it know to whom that was: then it holds out against everybody', () => {
    const driven = new DrivenCore({ self: 1, epochs: { accepted: 4, acceptedFrom: null, current: 4 }, config: LEASE })
    driven.identify(2, 3)
    driven.from(3, { ...vote('leading', 3, 1), epoch: 4 })
    expect(driven.core.view().role).toBe('looking')
    driven.pass(550)
    driven.tick()
    expect(driven.core.view().role).toBe('following')
  })

  test('who has never promised anything, or led itself, has nothing to keep', () => {
    const fresh = new DrivenCore({ self: 1, config: LEASE })
    fresh.identify(2, 3)
    expect(wins(fresh)).toBe(true)
    const led = new DrivenCore({ self: 1, epochs: { accepted: 4, acceptedFrom: { leader: peerId(1), nonce: 7 }, current: 4 }, config: LEASE })
    led.identify(2, 3)
    expect(wins(led)).toBe(true)
  })

  test('the promise does not rely on the election: NEWEPOCH of another leader is turned down', () => {
    const driven = following({ config: LEASE })
    driven.from(3, ping(1))
    driven.from(3, vote('looking', 0, 1))
    driven.from(2, { ...vote('leading', 2, 9), epoch: 9 })
    expect(driven.core.view()).toMatchObject({ role: 'following', leader: 2 })
    // As if it had joined although it was bound.
    const state = driven.core.state as { lease: { to: number; until: number } }
    state.lease = { to: 3, until: driven.now.monotonic + 100 }
    expect(driven.from(2, { kind: 'NEWEPOCH', epoch: 9, attempt: { leader: peerId(2), nonce: 8 } }).at(-2)).toMatch(
      /^close 2: our echo to another leader still binds us/,
    )
    expect(driven.writes).toHaveLength(0)
  })
})
