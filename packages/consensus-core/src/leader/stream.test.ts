import { expect, test } from 'vitest'
import { type DrivenCore, established, propose, z } from '../driven-core.test-support.ts'
import type { Message } from '../messages.ts'
import { ZERO, type Zxid } from '../zxid.ts'

// Rule 17, on the leader: member 3 leads, member 1 acknowledges, member 2 is slow.

const ENTRY_BYTES = entryBytes()
/** Room for four entries. */
const WINDOW = { windowBytes: 4 * ENTRY_BYTES, recentBytes: 0 }

function entryBytes(): number {
  const driven = established()
  propose(driven)
  return driven.core.state.history.recent.end
}

const ack = (upTo: Zxid): Message => ({ kind: 'ACK', epoch: 1, upTo })

/** Both followers active. */
function leading(config: Parameters<typeof established>[0] = {}): DrivenCore {
  const driven = established(config)
  driven.from(2, { kind: 'CEPOCH', accepted: 0, acceptedFrom: null })
  driven.from(2, { kind: 'ACK-E', epoch: 1, current: 0, last: ZERO, checksum: 0, committed: ZERO, endPoints: [], wall: 0, quarantined: false, staged: null })
  driven.from(2, { kind: 'ACK-LD', epoch: 1, last: ZERO })
  return driven
}

/** One entry, committed by members 1 and 3. */
function commitOne(driven: DrivenCore): string[] {
  const lines = propose(driven)
  driven.persist()
  const { last } = driven.core.state.history
  driven.from(1, ack(last))
  driven.step({ kind: 'applied', upTo: last })
  return lines.filter((line) => line.startsWith('to 2: PROPOSE') || line.startsWith('close'))
}

function commitMany(driven: DrivenCore, count: number): string[] {
  return Array.from({ length: count }, () => commitOne(driven)).flat()
}

const isStreaming = (driven: DrivenCore): boolean => driven.core.view().learners.find(({ peer }) => peer === 2)!.streaming
const transferred = (transfer: number, upTo: Zxid, ok = true) => ({ kind: 'transferred', transfer, upTo, ok }) as const

test('a follower whose window is full gets no more entries and keeps its connection; the others go on', () => {
  const driven = leading({ config: WINDOW })
  expect(commitMany(driven, 12)).toEqual(Array.from({ length: 5 }, (_, i) => expect.stringContaining(`to 2: PROPOSE 1.${i + 1} `)))
  expect(isStreaming(driven)).toBe(true)
  expect(driven.core.view()).toMatchObject({ committed: z(1, 12), connected: [1, 2] })
  // Nothing is kept in memory for it, but compaction keeps what it needs.
  const { recent } = driven.core.state.history
  expect(recent.runs.length - recent.head).toBeLessThan(6)
  expect(driven.core.keepFrom()).toBe(z(1, 5))
})

test('pieces of half a window come as far as it acknowledges, and at the tail it is live again', () => {
  const driven = leading({ config: WINDOW })
  commitMany(driven, 12)
  expect(driven.from(2, ack(z(1, 4)))).toEqual([])
  expect(driven.from(2, ack(z(1, 5)))).toEqual(['transfer 1 to 2: entries (1.5, 1.12]'])
  // Two of them fill the window.
  expect(driven.step(transferred(1, z(1, 7)))).toEqual(['transfer 2 to 2: entries (1.7, 1.12]'])
  expect(driven.step(transferred(2, z(1, 9)))).toEqual([])
  expect(driven.core.keepFrom()).toBe(z(1, 9))
  expect(driven.from(2, ack(z(1, 6)))).toEqual([])
  expect(driven.from(2, ack(z(1, 7)))).toEqual(['transfer 3 to 2: entries (1.9, 1.12]'])
  driven.step(transferred(3, z(1, 11)))
  expect(driven.from(2, ack(z(1, 9)))).toEqual(['transfer 4 to 2: entries (1.11, 1.12]'])
  // What comes while it meets the tail is held in memory for it.
  commitMany(driven, 2)
  expect(driven.step(transferred(4, z(1, 12)))).toEqual([])
  expect(driven.from(2, ack(z(1, 12)))).toEqual(['to 2: PROPOSE 1.13 committed 1.14', 'to 2: PROPOSE 1.14 committed 1.14'])
  expect(isStreaming(driven)).toBe(false)
  expect(commitOne(driven)).toEqual(['to 2: PROPOSE 1.15 committed 1.14'])
  expect(driven.core.keepFrom()).toBe(z(1, 15))
})

test('its acknowledgements count while it is streamed to, and only as far as it was sent', () => {
  const driven = leading({ config: { ...WINDOW, recentBytes: 1 << 20 } })
  commitMany(driven, 12)
  driven.disconnect(1)
  driven.from(2, ack(z(1, 5)))
  propose(driven)
  driven.persist()
  // Beyond anything that it can have been sent.
  driven.from(2, ack(z(1, 14)))
  expect(driven.core.state.committed).toBe(z(1, 12))
  driven.step(transferred(1, z(1, 9)))
  driven.from(2, ack(z(1, 9)))
  expect(isStreaming(driven)).toBe(true)
  driven.step(transferred(2, z(1, 11)))
  expect(isStreaming(driven)).toBe(false)
  expect(driven.from(2, ack(z(1, 13)))).toContain('commit to 1.13')
})

test('a stream that the store cannot give ends the connection; a report of an older one means nothing', () => {
  const driven = leading({ config: WINDOW })
  commitMany(driven, 12)
  driven.from(2, ack(z(1, 5)))
  expect(driven.step(transferred(9, z(1, 12)))).toEqual([])
  expect(driven.step(transferred(1, z(1, 5), false))).toEqual(['cancel transfer 1', 'close 2: its stream failed'])
})

test('a silent follower is given up although it is being streamed to, and its stream with it (rule 25)', () => {
  const driven = leading({ config: WINDOW })
  commitMany(driven, 12)
  driven.from(2, ack(z(1, 5)))
  for (let i = 0; i < 10; i++) {
    driven.tick()
    driven.from(1, { kind: 'PONG', epoch: 1, round: 0, wall: 0, notes: [] })
  }
  expect(driven.tick()).toEqual(expect.arrayContaining(['cancel transfer 1', 'close 2: it has fallen silent']))
})

test('the end of the counter cancels the stream: what the follower says that it holds is gone on from (rule 12)', () => {
  const driven = leading({ config: { ...WINDOW, counterMax: 12 } })
  commitMany(driven, 11)
  driven.from(2, ack(z(1, 5)))
  propose(driven)
  driven.persist()
  driven.from(1, ack(z(1, 12)))
  expect(driven.step({ kind: 'applied', upTo: z(1, 12) })).toEqual([
    'write 15: epochs accepted 2 current 1 | then ACK-E 2 current 1 last 1.12 to 3, NEWEPOCH 2 to 1, NEWEPOCH 2 to 2',
    'cancel transfer 1',
  ])
})
