import { expect, test } from 'vitest'
import { sessionsOfNote, Touches } from './touches.ts'

function told(touches: Touches): bigint[] {
  const note = touches.note()
  return note === null ? [] : sessionsOfNote(note)
}

test('a session that is held is told with each note until it is let go, one that was touched once', () => {
  const touches = new Touches()
  expect(touches.note()).toBeNull()
  const letGo = touches.hold(1n)
  const same = touches.hold(1n)
  touches.touch(2n)
  expect(new Set(told(touches))).toEqual(new Set([1n, 2n]))
  expect(told(touches)).toEqual([1n])
  letGo()
  letGo()
  expect(told(touches)).toEqual([1n])
  same()
  expect(touches.note()).toBeNull()
})

test('a note has 64 KiB at most; what does not fit comes with the next ones, and nobody waits for ever', () => {
  const touches = new Touches()
  const held = Array.from({ length: 10_000 }, (_, i) => BigInt(i + 1))
  for (const session of held) touches.hold(session)
  told(touches)
  told(touches)
  const heard = new Set<bigint>()
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 20_000; i++) touches.touch(BigInt(1_000_000 + i))
    const note = touches.note()!
    expect(note.length).toBeLessThanOrEqual(64 * 1024)
    for (const session of sessionsOfNote(note)) heard.add(session)
  }
  expect(held.every((session) => heard.has(session))).toBe(true)
})

test('a session that comes to be held is told with the next note, however many were held before', () => {
  const touches = new Touches()
  for (let i = 1; i <= 20_000; i++) touches.hold(BigInt(i))
  for (let note = 0; note < 10; note++) told(touches)
  touches.hold(1_000_000n)
  expect(told(touches)).toContain(1_000_000n)
})

test('what is no note is CORRUPT', () => {
  for (const length of [1, 7, 9, 64 * 1024 + 8]) expect(() => sessionsOfNote(new Uint8Array(length))).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
})
