import { describe, expect, test } from 'vitest'
import { ackEpoch, chained, type DrivenCore, established, propose, welcomed, z } from './driven-core.test-support.ts'
import type { Message } from './messages.ts'
import { peerId } from './types.ts'
import { ZERO } from './zxid.ts'

/** Counter used up, everything committed and applied: the promise of the next epoch is under way. */
function changing(): DrivenCore {
  const driven = established({ config: { counterMax: 1 } })
  propose(driven)
  driven.persist()
  driven.from(1, { kind: 'ACK', epoch: 1, upTo: z(1, 1) })
  driven.step({ kind: 'applied', upTo: z(1, 1) })
  return driven
}

function ackOfPlace(epoch: number, driven: DrivenCore): Message {
  const { last, checksum, endPoints } = driven.core.state.history
  return ackEpoch(epoch, { current: epoch - 1, last, checksum, endPoints })
}

describe('change of epoch in place (rule 12)', () => {
  test('when the counter is used up, and everything is committed and applied, the same leader promises the next epoch', () => {
    const driven = established({ config: { counterMax: 1 } })
    propose(driven)
    expect(driven.core.primary(driven.now)!.entriesRoom).toBe(0)
    driven.persist()
    expect(driven.from(1, { kind: 'ACK', epoch: 1, upTo: z(1, 1) })).toEqual(['to 1: COMMIT 1.1', 'commit to 1.1'])
    expect(driven.step({ kind: 'applied', upTo: z(1, 1) })).toEqual([
      'write 4: epochs accepted 2 current 1 | then ACK-E 2 current 1 last 1.1 to 3, NEWEPOCH 2 to 1',
    ])
    expect(driven.core.primary(driven.now)).toBe(null)
    // Until NEWEPOCH has left its heartbeats are those of the epoch that ends.
    expect(driven.tick()).toEqual(['to 1: PING 1 committed 1.1'])
    driven.persist()
    expect(driven.tick()).toEqual(['to 1: PING 2 committed 1.1'])
    expect(driven.from(1, ackOfPlace(2, driven))).toEqual([
      'write 5: epochs accepted 2 current 2 | then ACK-LD 2 last 1.1 to 3',
      'to 1: DIFF after 1.1',
      'to 1: NEWLEADER 2 last 1.1',
    ])
    driven.persist()
    expect(driven.from(1, { kind: 'ACK-LD', epoch: 2, last: z(1, 1) })).toEqual(['to 1: COMMIT-LD 2 committed 1.1', 'role leading of 3 epoch 2 active'])
    expect(driven.core.primary(driven.now)).toMatchObject({ epoch: 2, previous: z(1, 1), entriesRoom: 1 })
  })

  test('acknowledgements of the epoch that ends count nothing in the next', () => {
    const driven = changing()
    driven.persist()
    expect(driven.from(1, ackOfPlace(1, driven))).toEqual([])
    expect(driven.from(1, { kind: 'ACK-LD', epoch: 1, last: z(1, 1) })).toEqual([])
    expect(driven.from(1, { kind: 'PONG', epoch: 1, round: 9, wall: 0, notes: [] })).toEqual([])
    expect(driven.core.state.epochs.current).toBe(1)
  })

  test('reads that wait when the epoch ends are asked again, and no round of it is confirmed behind a promise (rules 12, 23)', () => {
    const driven = established({ config: { counterMax: 1 } })
    driven.step({ kind: 'read', number: 7 })
    propose(driven)
    driven.persist()
    driven.from(1, { kind: 'ACK', epoch: 1, upTo: z(1, 1) })
    expect(driven.step({ kind: 'applied', upTo: z(1, 1) })).toContain('read 7 not granted')
    expect(driven.from(1, { kind: 'PONG', epoch: 1, round: 1, wall: 0, notes: [] })).toEqual([])
    expect(driven.step({ kind: 'read', number: 8 })).toEqual(['read 8 not granted'])
  })

  test('a change of epoch in which nobody makes progress for initLimit, or in which somebody has promised more, ends the reign', () => {
    const stalled = changing()
    stalled.persist()
    for (let i = 0; i < 50; i++) {
      stalled.tick()
      stalled.from(1, { kind: 'PONG', epoch: 1, round: 0, wall: 0, notes: [] })
    }
    expect(stalled.tick()).toContain('close 1: no quorum made progress')
    const overtaken = changing()
    overtaken.persist()
    overtaken.disconnect(1)
    overtaken.identify(1)
    expect(overtaken.from(1, { kind: 'CEPOCH', accepted: 3, acceptedFrom: { leader: peerId(2), nonce: 1 } })).toContain('role looking epoch 1')
  })

  test('a follower takes the next epoch in the active phase, and says what it holds; what is still under way in the old one is not taken', () => {
    const driven = welcomed()
    driven.persist()
    driven.from(3, { kind: 'COMMIT-LD', epoch: 5, committed: z(1, 2) })
    driven.step({ kind: 'read', number: 4 })
    const attempt = { leader: peerId(3), nonce: 12 }
    expect(driven.from(3, { kind: 'NEWEPOCH', epoch: 5, attempt })).toEqual([])
    expect(driven.from(3, { kind: 'NEWEPOCH', epoch: 6, attempt })).toEqual([
      'write 3: epochs accepted 6 current 5 | then ACK-E 6 current 5 last 1.2 to 3',
      'read 4 not granted',
    ])
    const { last, checksum } = driven.core.state.history
    const [run] = chained(last, checksum, 5)
    expect(driven.from(3, { kind: 'PROPOSE', epoch: 5, committed: ZERO, run: run! })).toEqual([])
    driven.persist()
    driven.from(3, { kind: 'DIFF', epoch: 6, after: last, checksum, staged: false })
    expect(driven.from(3, { kind: 'NEWLEADER', epoch: 6, last, checksum })).toEqual(['write 4: epochs accepted 6 current 6 | then ACK-LD 6 last 1.2 to 3'])
    driven.persist()
    expect(driven.from(3, { kind: 'COMMIT-LD', epoch: 6, committed: last })).toEqual(['role following of 3 epoch 6 active'])
  })
})
