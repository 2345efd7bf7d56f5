import { describe, expect, test } from 'vitest'
import { CORE_DEFAULTS } from './config.ts'
import { Core } from './core.ts'
import {
  ackEpoch,
  candidate,
  chained,
  DrivenCore,
  ENSEMBLE,
  established,
  foundingOf,
  looking,
  propose,
  runsOf,
  storeIdOf,
  synchronizing,
  voters,
  welcomed,
  z,
} from './driven-core.test-support.ts'
import type { Message } from './messages.ts'
import { peerId, type StoredState } from './types.ts'
import { ZERO } from './zxid.ts'

describe('founding (rule 8)', () => {
  const identity = (ensembleId: string | null, empty: boolean): Message => ({ kind: 'IDENTITY', ensembleId, settings: '0'.repeat(16), empty })

  test('the founder founds only when every voter has answered that it is empty, and tells nobody before its record is durable', () => {
    const driven = new DrivenCore({ founded: false })
    expect(driven.connect(2)).toEqual(['to 2: IDENTITY empty'])
    driven.connect(3)
    expect(driven.from(2, identity(null, true))).toEqual([])
    expect(driven.from(3, identity(null, true))).toEqual(['write 1: founding | then FOUNDING eeeeeeee to 2, FOUNDING eeeeeeee to 3'])
  })

  test('another voter than the lowest never founds', () => {
    const driven = new DrivenCore({ founded: false, self: 2 })
    driven.connect(1)
    driven.connect(3)
    driven.from(1, identity(null, true))
    expect(driven.from(3, identity(null, true))).toEqual([])
  })

  test('a founder does not found while anybody holds a record', () => {
    const driven = new DrivenCore({ founded: false })
    driven.connect(2)
    driven.connect(3)
    driven.from(2, identity(null, false))
    expect(driven.from(3, identity(null, true))).toEqual([])
    expect(driven.tick()).toEqual([])
    // The record that 2 was handed was lost before it was durable: then there is none.
    expect(driven.from(2, identity(null, true))).toEqual(['write 1: founding | then FOUNDING eeeeeeee to 2, FOUNDING eeeeeeee to 3'])
  })

  test('who was handed a record is not empty any more, although it is not durable yet', () => {
    const driven = new DrivenCore({ founded: false, self: 2 })
    driven.connect(1)
    expect(driven.from(1, { kind: 'FOUNDING', founding: foundingOf(voters(3)) })).toEqual(['write 1: founding'])
    expect(driven.connect(3)).toEqual(['to 3: IDENTITY unfounded'])
  })

  test('a member of another ensemble is refused', () => {
    const driven = new DrivenCore()
    driven.connect(2)
    expect(driven.from(2, identity('f'.repeat(32), false))).toEqual([
      `refuse 2: WRONG_ENSEMBLE: member 2 belongs to ensemble ${'f'.repeat(32)}, this one to ${ENSEMBLE}`,
    ])
  })

  test('a member with other settings is refused, by name of what differs, and not listened to', () => {
    const driven = new DrivenCore()
    driven.connect(2)
    const told = driven.from(2, { kind: 'IDENTITY', ensembleId: ENSEMBLE, settings: '000000ffffff0000', empty: false })
    expect(told).toEqual(['refuse 2: INVALID_SETTINGS: member 2 was started with other machines than this one'])
    expect(driven.from(2, looking(2, 1))).toEqual([])
    expect(driven.core.state.peers.get(peerId(2))!.identified).toBe(false)
  })

  test('one process without peers founds and leads an ensemble of its own, each step behind its own disk', () => {
    const driven = new DrivenCore({ founded: false, members: voters(1) })
    expect(driven.tick()).toEqual(['write 1: founding'])
    expect(driven.persist()).toEqual(['write 2: epochs accepted 1 current 0 | then ACK-E 1 current 0 last 0.0 to 1', 'role leading of 1 epoch 0'])
    expect(driven.persist()).toEqual(['write 3: epochs accepted 1 current 1 | then ACK-LD 1 last 0.0 to 1'])
    expect(driven.persist()).toEqual(['role leading of 1 epoch 1 active'])
  })

  test('settings that name other members than the ensemble was founded with are refused', () => {
    const { state } = new DrivenCore().core
    const stored = {
      storeId: storeIdOf(1),
      founding: state.founding,
      epochs: state.epochs,
      snapshot: null,
      log: { start: ZERO, last: ZERO, checksum: 0, endPoints: [], time: 0 },
    }
    const config = { ...CORE_DEFAULTS, self: peerId(1), initial: { version: ZERO, members: voters(4) }, settings: '', freshEnsembleId: '', seed: 1 }
    expect(() => new Core(config, stored, { monotonic: 0, wall: 0 })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  })
})

describe('election', () => {
  test('the better history wins, then the higher id; all voters agreeing decides at once', () => {
    const driven = new DrivenCore({ self: 1, runs: runsOf(2) })
    driven.identify(2, 3)
    expect(driven.from(2, looking(2, 1, z(1, 1), 1))).toEqual([])
    expect(driven.from(3, looking(3, 1, z(1, 2), 1))).toEqual(['to 2: VOTE looking for 3 at 1/1.2 round 1', 'to 3: VOTE looking for 3 at 1/1.2 round 1'])
    expect(driven.from(2, looking(3, 1, z(1, 2), 1))).toEqual([
      'to 3: CEPOCH accepted 1',
      'to 2: VOTE following for 3 at 0/1.2 round 1',
      'to 3: VOTE following for 3 at 0/1.2 round 1',
      'role following of 3 epoch 0',
    ])
  })

  test('a higher epoch beats a longer history (ZOOKEEPER-1549 family)', () => {
    const driven = new DrivenCore({ self: 3, runs: runsOf(9) })
    driven.identify(1, 2)
    expect(driven.from(1, looking(1, 1, z(1, 1), 2))).toEqual(['to 1: VOTE looking for 1 at 2/1.1 round 1', 'to 2: VOTE looking for 1 at 2/1.1 round 1'])
  })

  test('a quorum waits a little for a better vote', () => {
    const driven = new DrivenCore({ self: 3 })
    driven.identify(1)
    expect(driven.from(1, looking(3, 1))).toEqual([])
    expect(driven.tick()).toEqual([])
    expect(driven.tick()).toEqual(['to 1: VOTE leading for 3 at 0/0.0 round 1', 'role leading of 3 epoch 0'])
  })

  test('no vote before the last write is durable (rule 7)', () => {
    const driven = welcomed()
    expect(driven.disconnect(3)).toEqual(['role looking epoch 5'])
    expect(driven.tick()).toEqual([])
    expect(driven.persist()).toEqual(['to 2: VOTE looking for 1 at 5/1.2 round 2'])
  })

  test('a store that the founding does not name has no vote (rule 9)', () => {
    const driven = new DrivenCore({ self: 3, members: voters(3).map((member) => (member.id === 3 ? { ...member, storeId: 'a'.repeat(32) } : member)) })
    driven.connect(1)
    expect(driven.from(1, { kind: 'IDENTITY', ensembleId: ENSEMBLE, settings: '0'.repeat(16), empty: false })).toEqual([
      'to 1: VOTE observing for nobody at 0/0.0 round 1',
    ])
  })
})

describe('discovery (rule 10)', () => {
  test('NEWEPOCH and our own ACK-E hang on our own promise', () => {
    const driven = candidate()
    expect(driven.writes.map((write) => write.afterwards.map((outgoing) => [outgoing.to, outgoing.message.kind]))).toEqual([
      [
        [3, 'ACK-E'],
        [1, 'NEWEPOCH'],
      ],
    ])
  })

  test('ACK-E of somebody who knows more ends the attempt; nothing is fetched', () => {
    const driven = candidate()
    driven.persist()
    expect(driven.from(1, ackEpoch(1, { last: z(1, 1) }))).toEqual([
      'to 2: VOTE looking for nobody at 0/0.0 round 1',
      'close 1: member 1 knows more than we do',
      'role looking epoch 0',
    ])
  })

  test('with a quorum of ACK-E the current epoch is written, and our own ACK-LD hangs on it', () => {
    const driven = candidate()
    driven.persist()
    expect(driven.from(1, ackEpoch(1))).toEqual([
      'write 2: epochs accepted 1 current 1 | then ACK-LD 1 last 0.0 to 3',
      'to 1: DIFF after 0.0',
      'to 1: NEWLEADER 1 last 0.0',
    ])
  })

  test('an epoch that is not above the promised one is not promised, and an equal one only to the same attempt', () => {
    const driven = new DrivenCore({ self: 1, epochs: { accepted: 5, acceptedFrom: { leader: peerId(3), nonce: 7 }, current: 0 } })
    driven.identify(2, 3)
    driven.from(3, { ...looking(3, 1), state: 'leading', epoch: 5 })
    expect(driven.from(3, { kind: 'NEWEPOCH', epoch: 5, attempt: { leader: peerId(3), nonce: 8 } })[0]).toBe(
      'close 3: epoch 5 is not above the promised one, 5',
    )
    driven.identify(3)
    driven.tick(10_000)
    driven.from(3, { ...looking(3, 1), state: 'leading', epoch: 5 })
    expect(driven.from(3, { kind: 'NEWEPOCH', epoch: 5, attempt: { leader: peerId(3), nonce: 7 } })).toEqual([
      'write 1: epochs accepted 5 current 0 | then ACK-E 5 current 0 last 0.0 to 3',
    ])
  })

  test('an established leader that shuts a voter out steps down (museum 49)', () => {
    const driven = established()
    expect(driven.from(2, { kind: 'CEPOCH', accepted: 4, acceptedFrom: null })).toEqual([
      'to 2: VOTE looking for nobody at 0/0.0 round 1',
      'to 2: VOTE looking for 3 at 1/0.0 round 2',
      'close 1: member 2 has promised epoch 4: ours, 1, shuts it out',
      'role looking epoch 1',
    ])
    expect(driven.core.state.acceptedHeard).toBe(4)
  })
})

describe('synchronisation', () => {
  test('history and epoch are one write, and ACK-LD hangs on it (museum 1, 2)', () => {
    const driven = synchronizing(runsOf(2))
    const [, second] = runsOf(2, 3)
    expect(driven.from(3, { kind: 'DIFF', epoch: 5, after: z(1, 2), checksum: second!.previousChecksum, staged: false })).toEqual([])
    expect(driven.from(3, { kind: 'PROPOSE', epoch: 5, committed: ZERO, run: second! })).toEqual(['write 2: append 2.1..2.3'])
    expect(driven.from(3, { kind: 'NEWLEADER', epoch: 5, last: second!.last, checksum: second!.checksum })).toEqual([
      'write 3: epochs accepted 5 current 5 | then ACK-LD 5 last 2.3 to 3',
    ])
  })

  test('NEWLEADER that does not end where our log ends closes the connection (rule 15)', () => {
    const driven = synchronizing(runsOf(2))
    const { last, checksum } = driven.core.state.history
    driven.from(3, { kind: 'DIFF', epoch: 5, after: last, checksum, staged: false })
    expect(driven.from(3, { kind: 'NEWLEADER', epoch: 5, last: z(1, 3), checksum })[0]).toBe('close 3: NEWLEADER ends at 1.3, our history at 1.2')
  })

  test('equal ZXID with another checksum stops the replica (rule 6)', () => {
    const driven = synchronizing(runsOf(2))
    expect(driven.from(3, { kind: 'DIFF', epoch: 5, after: z(1, 2), checksum: 1, staged: false })[0]).toMatch(/^fault DIVERGED/)
    expect(driven.tick()).toEqual([])
  })

  test('truncating below the commit point stops the replica (rule 13)', () => {
    const driven = welcomed()
    driven.persist()
    driven.from(3, { kind: 'COMMIT-LD', epoch: 5, committed: z(1, 2) })
    driven.disconnect(3)
    driven.identify(3)
    driven.from(3, { ...looking(3, 9), state: 'leading', epoch: 6 })
    driven.from(3, { kind: 'NEWEPOCH', epoch: 6, attempt: { leader: peerId(3), nonce: 8 } })
    expect(driven.from(3, { kind: 'TRUNC', epoch: 6, to: z(1, 1), checksum: 0 })[0]).toMatch(/^fault DIVERGED/)
  })

  test('PROPOSE before the point is named is not taken, nor is one of another epoch', () => {
    const driven = synchronizing(runsOf(2))
    const [, second] = runsOf(2, 3)
    expect(driven.from(3, { kind: 'PROPOSE', epoch: 5, committed: ZERO, run: second! })).toEqual([])
    expect(driven.from(3, { kind: 'DIFF', epoch: 4, after: z(1, 2), checksum: second!.previousChecksum, staged: false })).toEqual([])
  })

  test('a store in a place where it does not count keeps what it has promised in its own (rule 10)', () => {
    const members = voters(3).map((member) => (member.id === 1 ? { ...member, storeId: 'f'.repeat(32) } : member))
    const acceptedFrom = { leader: peerId(2), nonce: 7 }
    const join = (epochs: StoredState['epochs']): unknown => {
      const driven = new DrivenCore({ members, runs: runsOf(2), epochs })
      driven.identify(2, 3)
      driven.from(2, { kind: 'VOTE', state: 'following', leader: peerId(3), zxid: ZERO, epoch: 3, round: 3 })
      driven.from(3, { kind: 'VOTE', state: 'leading', leader: peerId(3), zxid: ZERO, epoch: 3, round: 3 })
      driven.from(3, { kind: 'NEWEPOCH', epoch: 3, attempt: { leader: peerId(3), nonce: 3 } })
      const { history } = driven.core.state
      driven.from(3, { kind: 'DIFF', epoch: 3, after: history.last, checksum: history.checksum, staged: false })
      driven.from(3, { kind: 'NEWLEADER', epoch: 3, last: history.last, checksum: history.checksum })
      return driven.writes.at(-1)?.epochs
    }
    expect(join({ accepted: 4, acceptedFrom, current: 1 })).toEqual({ accepted: 4, acceptedFrom, current: 3 })
    expect(join({ accepted: 3, acceptedFrom, current: 1 })).toEqual({ accepted: 3, acceptedFrom, current: 3 })
    expect(join({ accepted: 2, acceptedFrom, current: 1 })).toEqual({ accepted: 3, acceptedFrom: null, current: 3 })
  })

  test('nothing is committed before COMMIT-LD, however much was heard; and it carries the latest commit point (museum 4)', () => {
    const driven = welcomed()
    expect(driven.from(3, { kind: 'COMMIT', epoch: 5, committed: z(1, 2) })).toEqual([])
    driven.persist()
    expect(driven.from(3, { kind: 'COMMIT-LD', epoch: 5, committed: z(1, 1) })).toEqual(['commit to 1.2', 'role following of 3 epoch 5 active'])
  })

  test('a learner whose last epoch is longer than ours is cut back to where ours ends', () => {
    const driven = candidate({ runs: runsOf(2), epochs: { accepted: 2, acceptedFrom: null, current: 2 } })
    driven.persist()
    const [longer] = runsOf(4)
    const lines = driven.from(
      1,
      ackEpoch(3, { current: 1, last: longer!.last, checksum: longer!.checksum, endPoints: [{ epoch: 1, last: longer!.last, checksum: longer!.checksum }] }),
    )
    expect(lines.slice(1)).toEqual(['to 1: TRUNC to 1.2', 'to 1: DIFF after 1.2', 'to 1: NEWLEADER 3 last 1.2'])
  })
})

describe('broadcast', () => {
  test('nothing is prepared before the initial history is applied (rule 20)', () => {
    const driven = candidate({ runs: runsOf(2) })
    driven.persist()
    const { history, epochs } = driven.core.state
    driven.from(1, ackEpoch(2, { last: history.last, checksum: history.checksum, endPoints: history.endPoints, current: epochs.current }))
    driven.persist()
    expect(driven.from(1, { kind: 'ACK-LD', epoch: 2, last: history.last })).toEqual([
      'to 1: COMMIT-LD 2 committed 1.2',
      'commit to 1.2',
      'role leading of 3 epoch 2 active',
    ])
    expect(driven.core.primary(driven.now)).toBe(null)
    driven.step({ kind: 'applied', upTo: history.last })
    expect(driven.core.primary(driven.now)).toMatchObject({ epoch: 2, previous: z(1, 2) })
  })

  test('a proposal goes to the log and to the followers side by side; our own ACK hangs on the write', () => {
    expect(propose(established())).toEqual(['write 3: append 1.1 | then ACK 1.1 to 3', 'to 1: PROPOSE 1.1 committed 0.0'])
  })

  test('a quorum of ACKs commits, whether or not ours is among them', () => {
    const driven = established()
    propose(driven)
    expect(driven.from(1, { kind: 'ACK', epoch: 1, upTo: z(1, 1) })).toEqual([])
    expect(driven.persist()).toEqual(['to 1: COMMIT 1.1', 'commit to 1.1'])
  })

  test('an ACK before ACK-LD does not count (museum 3)', () => {
    const driven = established()
    driven.from(2, { kind: 'CEPOCH', accepted: 0, acceptedFrom: null })
    expect(driven.from(2, ackEpoch(1))).toEqual(['to 2: DIFF after 0.0', 'to 2: NEWLEADER 1 last 0.0'])
    expect(propose(driven)).toEqual(['write 3: append 1.1 | then ACK 1.1 to 3', 'to 1: PROPOSE 1.1 committed 0.0', 'to 2: PROPOSE 1.1 committed 0.0'])
    driven.from(2, { kind: 'ACK', epoch: 1, upTo: z(1, 1) })
    expect(driven.persist()).toEqual([])
    expect(driven.from(2, { kind: 'ACK-LD', epoch: 1, last: ZERO })).toEqual([
      'to 2: COMMIT-LD 1 committed 0.0',
      'to 1: COMMIT 1.1',
      'to 2: COMMIT 1.1',
      'commit to 1.1',
    ])
  })

  test('a follower acknowledges with the write, and keeps a commit point beyond what it holds', () => {
    const driven = welcomed()
    driven.persist()
    driven.from(3, { kind: 'COMMIT-LD', epoch: 5, committed: z(1, 2) })
    expect(driven.from(3, { kind: 'COMMIT', epoch: 5, committed: z(5, 1) })).toEqual([])
    const { last, checksum } = driven.core.state.history
    const [run] = chained(last, checksum, 5)
    expect(driven.from(3, { kind: 'PROPOSE', epoch: 5, committed: z(1, 2), run: run! })).toEqual(['write 3: append 5.1 | then ACK 5.1 to 3', 'commit to 5.1'])
    expect(driven.from(3, { kind: 'PROPOSE', epoch: 5, committed: z(1, 2), run: run! })).toEqual([])
  })

  test('a gap ends the relation', () => {
    const driven = welcomed()
    driven.persist()
    const [run] = chained(z(5, 3), 1, 5)
    expect(driven.from(3, { kind: 'PROPOSE', epoch: 5, committed: ZERO, run: run! })[0]).toBe('close 3: entries from 5.4 leave a gap behind 1.2')
  })

  test('a leader whose quorum is silent for syncLimit steps down, and one whose own store is silent too (rule 25)', () => {
    const silent = established()
    for (let i = 0; i < 10; i++) silent.tick()
    expect(silent.tick()).toEqual([
      'to 2: VOTE looking for nobody at 0/0.0 round 1',
      'to 2: VOTE looking for 3 at 1/0.0 round 2',
      'close 1: it has fallen silent',
      'role looking epoch 1',
    ])
    const stuck = established()
    propose(stuck)
    for (let i = 0; i < 10; i++) {
      stuck.tick()
      stuck.from(1, { kind: 'PONG', epoch: 1, round: 0, wall: 0, notes: [] })
    }
    expect(stuck.tick()).toEqual(['to 2: VOTE looking for nobody at 0/0.0 round 1', 'close 1: our own store is silent', 'role looking epoch 1'])
  })
})

test('a state survives encoding: the same input has the same effects', () => {
  const driven = established()
  const bytes = driven.core.encode()
  const config = {
    ...CORE_DEFAULTS,
    self: peerId(3),
    initial: { version: ZERO, members: voters(3) },
    settings: '0'.repeat(16),
    freshEnsembleId: ENSEMBLE,
    seed: 1,
  }
  const copy = Core.decode(config, bytes)
  expect(copy.encode()).toEqual(bytes)
  expect(copy.view()).toEqual(driven.core.view())
  copy.step({ kind: 'read', number: 1 }, driven.now)
  driven.step({ kind: 'read', number: 1 })
  expect(copy.encode()).toEqual(driven.core.encode())
  expect(() => Core.decode(config, bytes.subarray(0, bytes.length - 1))).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
})
