import { describe, expect, test } from 'vitest'
import { DrivenCore, type DrivenOptions, runsOf, z } from './driven-core.test-support.ts'
import type { AckEpoch, Message } from './messages.ts'
import type { Member, SnapshotMeta } from './types.ts'
import { peerId } from './types.ts'
import { ZERO, type Zxid } from './zxid.ts'

// Rule 28, one step at a time.

const GOOD = 'a'.repeat(16)
const BAD = 'b'.repeat(16)
const tail = z(1, 4)

function members(voters: number, observers = 0, weights: Readonly<Record<number, number>> = {}, groups: Readonly<Record<number, number>> = {}): Member[] {
  return Array.from({ length: voters + observers }, (_, i) => ({
    id: peerId(i + 1),
    role: i < voters ? 'voter' : 'observer',
    weight: i < voters ? (weights[i + 1] ?? 1) : 0,
    group: groups[i + 1] ?? 0,
    storeId: i < voters ? (i + 1).toString(16).padStart(32, '0') : null,
  }))
}

function ackEpoch(driven: DrivenCore, rest: Partial<AckEpoch> = {}): AckEpoch {
  const { history, epochs } = driven.core.state
  const { last, checksum, endPoints } = history
  return {
    kind: 'ACK-E',
    epoch: epochs.accepted,
    current: epochs.current,
    last,
    checksum,
    committed: ZERO,
    wall: 1_000_000,
    quarantined: false,
    endPoints,
    staged: null,
    ...rest,
  }
}

/** The last voter leads, established in epoch 2, with four entries applied; the others are active. */
function leading(options: DrivenOptions & { readonly members: readonly Member[] }): DrivenCore {
  const voters = options.members.filter((member) => member.role === 'voter').map((member) => member.id)
  const self = voters.at(-1)!
  const others = options.members.map((member) => member.id).filter((id) => id !== self)
  const driven = new DrivenCore({ self, runs: runsOf(4), ...options })
  driven.identify(...others)
  for (const id of others) {
    const vote: Message = {
      kind: 'VOTE',
      state: voters.includes(id) ? 'looking' : 'observing',
      leader: voters.includes(id) ? self : 0,
      zxid: tail,
      epoch: 1,
      round: 1,
    }
    driven.from(id, vote)
  }
  for (const id of others) driven.from(id, { kind: 'CEPOCH', accepted: 1, acceptedFrom: null })
  driven.persist()
  for (const id of others) if (voters.includes(id)) driven.from(id, ackEpoch(driven))
  driven.persist()
  for (const id of others) if (voters.includes(id)) driven.from(id, { kind: 'ACK-LD', epoch: 2, last: tail })
  for (const id of others) {
    if (voters.includes(id)) continue
    driven.from(id, ackEpoch(driven))
    driven.from(id, { kind: 'ACK-LD', epoch: 2, last: tail })
  }
  driven.step({ kind: 'applied', upTo: tail })
  expect(driven.core.view()).toMatchObject({ role: 'leading', active: true, epoch: 2, applied: tail })
  expect(driven.core.view().learners.map(({ stage }) => stage)).toEqual(others.map(() => 'active'))
  return driven
}

const told = (zxid: Zxid, digest: string): Message => ({ kind: 'DIGEST', epoch: 2, zxid, digest })
const own = (driven: DrivenCore, zxid: Zxid, digest: string): string[] => driven.step({ kind: 'digest', zxid, digest })
const verdictTo = (id: number, zxid = '1.4'): string => `to ${id}: VERDICT ${GOOD} at ${zxid}`
const metaAt = (driven: DrivenCore, zxid: Zxid): SnapshotMeta => ({
  zxid,
  checksum: driven.core.state.history.checksum,
  endPoints: driven.core.state.history.endPoints,
  time: 9,
})

/** Member 1 follows member 3 in epoch 2, active, with four entries applied. */
function following(): DrivenCore {
  const driven = new DrivenCore({ self: 1, runs: runsOf(4) })
  driven.identify(2, 3)
  driven.from(3, { kind: 'VOTE', state: 'leading', leader: peerId(3), zxid: tail, epoch: 2, round: 1 })
  driven.from(2, { kind: 'VOTE', state: 'following', leader: peerId(3), zxid: tail, epoch: 2, round: 1 })
  driven.from(3, { kind: 'NEWEPOCH', epoch: 2, attempt: { leader: peerId(3), nonce: 7 } })
  driven.persist()
  const { last, checksum } = driven.core.state.history
  driven.from(3, { kind: 'DIFF', epoch: 2, after: last, checksum, staged: false })
  driven.from(3, { kind: 'NEWLEADER', epoch: 2, last, checksum })
  driven.persist()
  return driven
}

function active(): DrivenCore {
  const driven = following()
  driven.from(3, { kind: 'COMMIT-LD', epoch: 2, committed: tail })
  driven.step({ kind: 'applied', upTo: tail })
  return driven
}

/** The same, quarantined. */
function quarantined(): DrivenCore {
  const driven = active()
  own(driven, tail, BAD)
  driven.from(3, { kind: 'VERDICT', epoch: 2, zxid: tail, digest: GOOD })
  return driven
}

describe('who is judged', () => {
  test('nobody, before a quorum agrees; then whoever told another one, and whoever tells one later', () => {
    const driven = leading({ members: members(5, 1) })
    expect(driven.from(1, told(tail, BAD))).toEqual([])
    expect(driven.from(6, told(tail, BAD))).toEqual([])
    expect(own(driven, tail, GOOD)).toEqual([])
    expect(driven.from(2, told(tail, GOOD))).toEqual([])
    expect(driven.from(3, told(tail, GOOD))).toEqual([verdictTo(1), verdictTo(6)])
    expect(driven.from(4, told(tail, BAD))).toEqual([verdictTo(4)])
    expect(driven.from(4, told(tail, GOOD))).toEqual([])
  })

  test('digests are compared at equal ZXIDs only, and each ZXID by itself', () => {
    const driven = leading({ members: members(3) })
    own(driven, z(1, 2), GOOD)
    expect(driven.from(1, told(z(1, 4), BAD))).toEqual([])
    expect(driven.from(2, told(z(1, 4), BAD))).toEqual([])
    expect(driven.from(2, told(z(1, 2), GOOD))).toEqual([])
    expect(driven.from(1, told(z(1, 2), BAD))).toEqual([`to 1: VERDICT ${GOOD} at 1.2`])
  })

  test('an observer is judged and is no part of the quorum', () => {
    const driven = leading({ members: members(3, 2) })
    own(driven, tail, GOOD)
    expect(driven.from(4, told(tail, BAD))).toEqual([])
    expect(driven.from(5, told(tail, BAD))).toEqual([])
    expect(driven.from(1, told(tail, GOOD))).toEqual([verdictTo(4), verdictTo(5)])
  })

  test('weights count: one heavy voter is a quorum, and a weightless one is judged like any', () => {
    const driven = leading({ members: members(3, 0, { 1: 0, 2: 0, 3: 5 }) })
    driven.from(1, told(tail, BAD))
    driven.from(2, told(tail, BAD))
    expect(own(driven, tail, GOOD)).toEqual([verdictTo(1), verdictTo(2)])
  })

  test('groups count: a majority of voters in one group of three is no quorum', () => {
    const driven = leading({ members: members(5, 0, {}, { 1: 0, 2: 0, 3: 0, 4: 1, 5: 2 }) })
    for (const id of [1, 2, 3]) expect(driven.from(id, told(tail, BAD))).toEqual([])
    own(driven, tail, GOOD)
    // Two groups of three.
    expect(driven.from(4, told(tail, GOOD))).toEqual([verdictTo(1), verdictTo(2), verdictTo(3)])
  })

  test('the leader itself: it steps down and tells why', () => {
    const driven = leading({ members: members(3) })
    own(driven, tail, BAD)
    driven.from(1, told(tail, GOOD))
    const lines = driven.from(2, told(tail, GOOD))
    expect(lines).toContain(`quarantine: ${BAD} at 1.4, a quorum has ${GOOD}`)
    expect(lines.some((line) => line.startsWith('role looking'))).toBe(true)
    expect(driven.core.primary(driven.now)).toBe(null)
  })

  test('a single voter is its own quorum', () => {
    const driven = new DrivenCore({ members: members(1), runs: runsOf(4) })
    for (let i = 0; i < 10 && !driven.core.view().active; i++) {
      driven.tick()
      while (driven.writes.length > 0) driven.persist()
    }
    driven.step({ kind: 'applied', upTo: tail })
    expect(driven.core.view()).toMatchObject({ role: 'leading', active: true })
    expect(own(driven, tail, GOOD)).toEqual([])
    expect(driven.core.view().quarantined).toBe(null)
  })

  test('when no quorum can agree any more nobody is judged, and that is told once', () => {
    const driven = leading({ members: members(3) })
    own(driven, tail, GOOD)
    expect(driven.from(1, told(tail, BAD))).toEqual([])
    expect(driven.from(2, told(tail, 'c'.repeat(16)))).toEqual(['disputed: the state at 1.4'])
    expect(driven.from(2, told(tail, 'd'.repeat(16)))).toEqual([])
  })

  test('what was told beyond the commit point, in another epoch or before ACK-LD is not heard', () => {
    const driven = leading({ members: members(3) })
    driven.from(1, told(z(1, 5), GOOD))
    driven.from(1, { kind: 'DIGEST', epoch: 1, zxid: tail, digest: GOOD })
    expect(driven.core.state.role).toMatchObject({ polls: [] })
  })

  test('a leader keeps no more than 64 ZXIDs, and the newest of them', () => {
    const driven = leading({ members: members(3), runs: runsOf(4), config: {} })
    const role = driven.core.state.role as { polls: { zxid: Zxid }[] }
    // The commit point bounds what a follower may tell; our own machines stand where they stand.
    for (let counter = 1; counter <= 100; counter++) own(driven, z(1, counter), GOOD)
    expect(role.polls.map((poll) => poll.zxid)).toEqual(Array.from({ length: 64 }, (_, i) => z(1, 37 + i)))
    expect(driven.from(1, told(tail, BAD))).toEqual([])
    expect(role.polls).toHaveLength(64)
  })
})

describe('a member that is judged', () => {
  test('tells its digests to its leader, those of before as soon as it is active', () => {
    const driven = following()
    expect(own(driven, z(1, 2), GOOD)).toEqual([])
    expect(driven.from(3, { kind: 'COMMIT-LD', epoch: 2, committed: tail })).toContain(`to 3: DIGEST ${GOOD} at 1.2`)
    expect(own(driven, tail, GOOD)).toEqual([`to 3: DIGEST ${GOOD} at 1.4`])
  })

  test('asks its leader for a sound state, and tells no digest until it has one', () => {
    const driven = active()
    own(driven, tail, BAD)
    expect(driven.from(3, { kind: 'VERDICT', epoch: 2, zxid: tail, digest: GOOD })).toEqual([
      `to 3: REBUILD behind 1.4, against ${GOOD} at 1.4`,
      `quarantine: ${BAD} at 1.4, a quorum has ${GOOD}`,
    ])
    expect(own(driven, tail, BAD)).toEqual([])
    expect(driven.core.view()).toMatchObject({ quarantined: tail, active: true, counted: true })
  })

  test('a verdict that it agrees with changes nothing', () => {
    const driven = active()
    own(driven, tail, GOOD)
    expect(driven.from(3, { kind: 'VERDICT', epoch: 2, zxid: tail, digest: GOOD })).toEqual([])
  })

  test('a verdict on what an earlier process has told says nothing of this one', () => {
    const driven = active()
    expect(driven.from(3, { kind: 'VERDICT', epoch: 2, zxid: tail, digest: GOOD })).toEqual([])
    expect(driven.core.view().quarantined).toBe(null)
    own(driven, tail, BAD)
    driven.from(3, { kind: 'VERDICT', epoch: 2, zxid: tail, digest: GOOD })
    expect(driven.core.view().quarantined).toBe(tail)
  })

  test('its promise and its acknowledgements count as ever, and say that it is quarantined', () => {
    const driven = quarantined()
    driven.disconnect(3)
    driven.identify(3)
    driven.from(3, { kind: 'VOTE', state: 'leading', leader: peerId(3), zxid: tail, epoch: 3, round: 2 })
    driven.from(2, { kind: 'VOTE', state: 'following', leader: peerId(3), zxid: tail, epoch: 3, round: 2 })
    expect(driven.from(3, { kind: 'NEWEPOCH', epoch: 3, attempt: { leader: peerId(3), nonce: 8 } })).toEqual([
      'write 3: epochs accepted 3 current 2 | then ACK-E 3 current 2 last 1.4, quarantined to 3',
    ])
  })

  test('stands for nobody, and votes for others', () => {
    const driven = quarantined()
    const lines = driven.disconnect(3)
    expect(lines).toContain('to 2: VOTE looking for nobody at 2/1.4 round 2')
    expect(driven.from(2, { kind: 'VOTE', state: 'looking', leader: peerId(2), zxid: z(1, 3), epoch: 2, round: 2 })).toContain(
      'to 2: VOTE looking for 2 at 2/1.3 round 2',
    )
  })

  test('takes a SNAP as its state, in front of a log that stays, and is as good as any again', () => {
    const driven = quarantined()
    const meta = metaAt(driven, tail)
    expect(driven.from(3, { kind: 'SNAP', epoch: 2, transfer: 9, meta, chunks: 0, digest: 0 })).toEqual(['receive transfer 9 at 1.4 as the state'])
    expect(driven.from(3, { kind: 'SNAP', epoch: 2, transfer: 10, meta, chunks: 0, digest: 0 })).toEqual([])
    expect(driven.step({ kind: 'rebuilt', transfer: 9, snapshot: meta })).toEqual(['to 3: RECEIVED 9 up to 1.4'])
    expect(driven.core.view()).toMatchObject({ quarantined: null, last: tail, applied: tail })
    // What was still under way is of the former state.
    expect(driven.from(3, { kind: 'VERDICT', epoch: 2, zxid: tail, digest: GOOD })).toEqual([])
    expect(driven.core.view().quarantined).toBe(null)
  })

  test('who is not quarantined takes no SNAP on an active relation', () => {
    const driven = active()
    expect(driven.from(3, { kind: 'SNAP', epoch: 2, transfer: 9, meta: metaAt(driven, tail), chunks: 0, digest: 0 })).toEqual([])
  })

  test('a snapshot of another history than its own stops it', () => {
    const driven = quarantined()
    const lines = driven.from(3, { kind: 'SNAP', epoch: 2, transfer: 9, meta: { ...metaAt(driven, tail), checksum: 1 }, chunks: 0, digest: 0 })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^fault DIVERGED: the history up to 1.4/)
  })

  test('a transfer that came to nothing ends the relation, so that it asks again', () => {
    const driven = quarantined()
    driven.from(3, { kind: 'SNAP', epoch: 2, transfer: 9, meta: metaAt(driven, tail), chunks: 0, digest: 0 })
    expect(driven.step({ kind: 'rebuilt', transfer: 9, snapshot: null })).toContain('close 3: the snapshot that was to replace our state could not be stored')
    expect(driven.core.view().quarantined).toBe(tail)
  })
})

describe('a leader that is asked for its state', () => {
  const rebuild = (digest: string, after = tail): Message => ({ kind: 'REBUILD', epoch: 2, zxid: tail, digest, after })

  test('takes a snapshot, sends it, and knows when it has arrived', () => {
    const driven = leading({ members: members(3) })
    own(driven, tail, GOOD)
    expect(driven.from(1, rebuild(GOOD))).toEqual(['a snapshot is due, at 1.4 or behind'])
    expect(driven.step({ kind: 'compacted', snapshot: metaAt(driven, tail), start: ZERO })).toEqual(['transfer 1 to 1: snapshot'])
    expect(driven.tick().filter((line) => line.startsWith('transfer'))).toEqual([])
    expect(driven.from(1, { kind: 'RECEIVED', epoch: 2, transfer: 1, upTo: tail, ok: true })).toEqual([])
    expect(driven.tick().filter((line) => !line.includes('PING'))).toEqual([])
  })

  test('sends nothing that lies below what the member knows to be committed, and nothing before it stands there itself', () => {
    const driven = leading({ members: members(3) })
    own(driven, tail, GOOD)
    expect(driven.step({ kind: 'compacted', snapshot: metaAt(driven, z(1, 3)), start: ZERO })).toEqual([])
    expect(driven.from(1, rebuild(GOOD))).toEqual(['a snapshot is due, at 1.4 or behind'])
    expect(driven.from(2, rebuild(GOOD, z(2, 1)))).toEqual(['a snapshot is due, at 1.4 or behind'])
  })

  test('to whom the verdict is news finds its own state void', () => {
    const driven = leading({ members: members(3) })
    own(driven, tail, BAD)
    expect(driven.from(1, rebuild(GOOD))).toContain(`quarantine: ${BAD} at 1.4, a quorum has ${GOOD}`)
  })

  test('gives the transfer up with the member, and when it steps down', () => {
    const driven = leading({ members: members(3) })
    driven.step({ kind: 'compacted', snapshot: metaAt(driven, tail), start: ZERO })
    expect(driven.from(1, rebuild(GOOD))).toEqual(['transfer 1 to 1: snapshot'])
    expect(driven.disconnect(1)).toContain('cancel transfer 1')
    expect(driven.from(2, rebuild(GOOD))).toEqual(['transfer 2 to 2: snapshot'])
    expect(driven.step({ kind: 'transferred', transfer: 2, upTo: ZERO, ok: false })).toEqual(['cancel transfer 2', 'close 2: its rebuild failed'])
  })
})

describe('discovery (rule 10)', () => {
  function acknowledging(): DrivenCore {
    const driven = new DrivenCore({ self: 3, runs: runsOf(4) })
    driven.identify(1, 2)
    for (const id of [1, 2]) driven.from(id, { kind: 'VOTE', state: 'looking', leader: peerId(3), zxid: tail, epoch: 1, round: 1 })
    for (const id of [1, 2]) driven.from(id, { kind: 'CEPOCH', accepted: 1, acceptedFrom: null })
    driven.persist()
    return driven
  }

  test('a quarantined member that knows more neither ends the attempt nor is counted: it is brought back to what a quorum of others knows', () => {
    const driven = acknowledging()
    const longer = runsOf(9)[0]!
    const better = ackEpoch(driven, {
      last: longer.last,
      checksum: longer.checksum,
      endPoints: [{ epoch: 1, last: longer.last, checksum: longer.checksum }],
      quarantined: true,
    })
    expect(driven.from(1, better)).toEqual([])
    const lines = driven.from(2, ackEpoch(driven))
    expect(lines).toContain('to 1: TRUNC to 1.4')
    expect(lines.some((line) => line.includes('ACK-LD 2 last 1.4'))).toBe(true)
  })

  test('one that knows no more is counted like any', () => {
    const driven = acknowledging()
    expect(driven.from(1, ackEpoch(driven, { quarantined: true })).some((line) => line.includes('ACK-LD 2 last 1.4'))).toBe(true)
  })
})
