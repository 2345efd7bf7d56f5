import { describe, expect, test } from 'vitest'
import { crc32 } from '../crc32.ts'
import { ackEpoch, candidate, DrivenCore, runsOf, z } from '../driven-core.test-support.ts'
import type { StagedPart } from '../messages.ts'
import { peerId, type SnapshotMeta } from '../types.ts'
import { ZERO } from '../zxid.ts'

// Rule 14, one step at a time: what a SNAP that broke off leaves, and how it goes on.

const meta: SnapshotMeta = { zxid: z(4, 7), checksum: 77, endPoints: [{ epoch: 4, last: z(4, 7), checksum: 77 }], time: 9 }
const bytes = [Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4, 5)]
const digest = crc32(bytes[1]!, crc32(bytes[0]!))

/** Member 1, synchronised by member 3 in `epoch`; what it told in ACK-E stands in the lines. */
function synchronizing(driven: DrivenCore, epoch: number): string[] {
  driven.identify(2, 3)
  driven.from(2, { kind: 'VOTE', state: 'following', leader: peerId(3), zxid: ZERO, epoch, round: epoch })
  driven.from(3, { kind: 'VOTE', state: 'leading', leader: peerId(3), zxid: ZERO, epoch, round: epoch })
  const lines = driven.from(3, { kind: 'NEWEPOCH', epoch, attempt: { leader: peerId(3), nonce: epoch } })
  driven.persist()
  return lines
}

function chunk(driven: DrivenCore, transfer: number, index: number): string[] {
  return driven.from(3, { kind: 'CHUNK', transfer, index, last: index === 2, bytes: bytes[index]! })
}

/** Two of three chunks have come by transfer 6, in epoch 5. */
function half(): DrivenCore {
  const driven = new DrivenCore({ self: 1, runs: runsOf(2) })
  synchronizing(driven, 5)
  driven.from(3, { kind: 'SNAP', epoch: 5, transfer: 6, meta, chunks: 0, digest: 0 })
  chunk(driven, 6, 0)
  chunk(driven, 6, 1)
  return driven
}

/** The connection is gone; the back-off passes. */
function cutOff(driven: DrivenCore): string[] {
  const lines = [...driven.disconnect(2), ...driven.disconnect(3)]
  driven.pass(40_000)
  driven.tick()
  return lines
}

const rest = { kind: 'SNAP', epoch: 6, transfer: 1, meta, chunks: 2, digest } as const

describe('a learner whose connection breaks in the middle of a SNAP', () => {
  test('keeps what has come, tells it, and goes on with exactly the rest of it', () => {
    const driven = half()
    expect(cutOff(driven).filter((line) => line.startsWith('abandon') || line.startsWith('discard'))).toEqual([])
    expect(synchronizing(driven, 6)).toContain('write 2: epochs accepted 6 current 1 | then ACK-E 6 current 1 last 1.2 staged 4.7 2 chunks to 3')
    expect(driven.from(3, rest)).toEqual(['receive transfer 1 at 4.7 from chunk 2'])
    expect(driven.core.state.kept).toBeNull()
    expect(chunk(driven, 1, 2)).toEqual([])
    // A report under the old number is of nothing that is awaited.
    expect(driven.step({ kind: 'staged', transfer: 6, generation: 9, ok: true })).toEqual(['discard generation 9'])
    expect(driven.step({ kind: 'staged', transfer: 1, generation: 2, ok: true })).toEqual(['to 3: RECEIVED 1 up to 4.7'])
  })

  test.each([
    ['another point', { ...rest, meta: { ...meta, zxid: z(4, 6) } }],
    ['another history', { ...rest, meta: { ...meta, checksum: 78 } }],
    ['fewer chunks', { ...rest, chunks: 1, digest: crc32(bytes[0]!) }],
    ['other bytes', { ...rest, digest: digest ^ 1 }],
  ])('refuses the rest of a snapshot of %s, and voids what it has', (_what, message) => {
    const driven = half()
    cutOff(driven)
    synchronizing(driven, 6)
    const lines = driven.from(3, message)
    expect(lines[0]).toBe('abandon transfer 6')
    expect(lines.some((line) => line.startsWith('close 3: the rest of a snapshot'))).toBe(true)
    expect(driven.core.state.kept).toBeNull()
  })

  test('voids it when another one begins, when entries do, and when it is told to truncate', () => {
    for (const message of [
      { ...rest, chunks: 0, digest: 0 },
      { kind: 'DIFF', epoch: 6, after: z(1, 2), checksum: runsOf(2)[0]!.checksum, staged: false },
      { kind: 'TRUNC', epoch: 6, to: ZERO, checksum: 0 },
    ] as const) {
      const driven = half()
      cutOff(driven)
      synchronizing(driven, 6)
      expect(driven.from(3, message)[0], message.kind).toBe('abandon transfer 6')
      expect(driven.core.state.kept).toBeNull()
    }
  })

  test('voids it when a chunk is missing: that is of its content', () => {
    const driven = half()
    const lines = driven.from(3, { kind: 'CHUNK', transfer: 6, index: 3, last: true, bytes: bytes[2]! })
    expect(lines).toContain('abandon transfer 6')
    expect(lines.some((line) => line.startsWith('close 3: chunk 3'))).toBe(true)
  })

  test('has nothing to keep before the first chunk, or when the store could not take it', () => {
    const driven = new DrivenCore({ self: 1, runs: runsOf(2) })
    synchronizing(driven, 5)
    driven.from(3, { kind: 'SNAP', epoch: 5, transfer: 6, meta, chunks: 0, digest: 0 })
    expect(driven.disconnect(3)).toContain('abandon transfer 6')
    const full = half()
    cutOff(full)
    expect(full.step({ kind: 'staged', transfer: 6, generation: 0, ok: false })).toEqual([])
    expect(full.core.state.kept).toBeNull()
  })

  test('whose store is done meanwhile goes on by entries, behind what it has staged', () => {
    const driven = half()
    chunk(driven, 6, 2)
    cutOff(driven)
    expect(driven.step({ kind: 'staged', transfer: 6, generation: 1, ok: true })).toEqual([])
    expect(synchronizing(driven, 6)).toContain('write 2: epochs accepted 6 current 1 | then ACK-E 6 current 1 last 1.2 staged 4.7 3 chunks up to 4.7 to 3')
    expect(driven.from(3, { kind: 'DIFF', epoch: 6, after: z(4, 7), checksum: 77, staged: true })).toEqual([])
    expect(driven.from(3, { kind: 'NEWLEADER', epoch: 6, last: z(4, 7), checksum: 77 })).toEqual([
      'write 3: install generation 1, epochs accepted 6 current 6 | then ACK-LD 6 last 4.7 to 3',
    ])
  })
})

describe('a leader whose learner has something staged', () => {
  const runs = runsOf(9)
  const tail = runs[0]!
  const told = (staged: StagedPart): string[] => {
    const driven = candidate({ runs })
    driven.step({ kind: 'compacted', snapshot: { zxid: z(1, 4), checksum: 4, endPoints: [{ epoch: 1, last: z(1, 4), checksum: 4 }], time: 1 }, start: z(1, 4) })
    driven.persist()
    return driven.from(1, ackEpoch(2, { current: 1, last: ZERO, staged }))
  }
  const part: StagedPart = { zxid: z(1, 4), checksum: 4, chunks: 2, digest: 5, log: null }

  test('has it compared with its own snapshot when it is of its history', () => {
    expect(told(part)).toContain('transfer 1 to 1: snapshot 1.4 2 chunks')
    expect(told({ ...part, checksum: 5 })).toContain('transfer 1 to 1: snapshot')
    expect(told({ ...part, zxid: z(1, 12) })).toContain('transfer 1 to 1: snapshot')
    expect(told({ ...part, zxid: z(1, 2) })).toContain('transfer 1 to 1: snapshot')
  })

  test('goes on by entries behind a staged log whose end is in its history, and from the beginning otherwise', () => {
    expect(told({ ...part, log: { last: tail.last, checksum: tail.checksum } })).toContain('to 1: DIFF after staged 1.9')
    expect(told({ ...part, log: { last: tail.last, checksum: 1 } })).toContain('transfer 1 to 1: snapshot')
    expect(told({ ...part, log: { last: z(1, 10), checksum: 1 } })).toContain('transfer 1 to 1: snapshot')
    expect(told({ ...part, log: { last: z(1, 2), checksum: 1 } })).toContain('transfer 1 to 1: snapshot')
  })
})
