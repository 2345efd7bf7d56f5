import { AntiphonError } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Proposals } from './proposals.ts'
import { SLOT_BYTES, Slots } from './slots.ts'

const never = Number.POSITIVE_INFINITY

/** Takes a slot whose end is noted in `ends` under `name`. */
function take(slots: Slots, name: string, ends: string[], deadline = never): ReturnType<Slots['take']> {
  const slot = slots.take(1, new TextEncoder().encode(name), deadline)
  slot.resolve = (result) => ends.push(`${name}=${String(result)}`)
  slot.reject = (error) => ends.push(`${name}!${error.code}`)
  return slot
}

const stop = new AntiphonError('ABORTED', 'given up', { remedy: 'none' })

test('numbers follow the order of the calls, and results come by number', () => {
  const slots = new Slots()
  const ends: string[] = []
  for (const name of ['a', 'b', 'c']) take(slots, name, ends)
  expect([slots.number()?.sequence, slots.number()?.sequence]).toEqual([1, 2])
  expect([slots.underWay, slots.waiting, slots.lastNumber, slots.confirmed]).toEqual([2, 1, 2, 0])
  slots.resolve(2, 'second')
  slots.resolve(1, 'first')
  slots.settleUpTo(2)
  expect(ends).toEqual(['b=second', 'a=first'])
  expect([slots.underWay, slots.waiting, slots.confirmed]).toEqual([0, 1, 2])
  expect(slots.number()?.sequence).toBe(3)
  expect(slots.number()).toBeNull()
  expect(slots.at(2)).toBeNull()
  expect(slots.at(3)?.payload.length).toBe(1)
})

test('one that is given up before its number leaves no gap in the numbers', () => {
  const slots = new Slots()
  const ends: string[] = []
  const taken = ['a', 'b', 'c', 'd'].map((name) => take(slots, name, ends))
  slots.reject(taken[0]!, stop)
  slots.reject(taken[2]!, stop)
  expect(slots.waiting).toBe(2)
  expect(slots.bytes).toBe(2 * (SLOT_BYTES + 1))
  expect([slots.number(), slots.number()].map((slot) => new TextDecoder().decode(slot!.payload))).toEqual(['b', 'd'])
  expect(slots.number()).toBeNull()
  take(slots, 'e', ends)
  expect(slots.number()?.sequence).toBe(3)
  slots.settleUpTo(3)
  expect(slots.bytes).toBe(0)
  expect(ends).toEqual(['a!ABORTED', 'c!ABORTED'])
})

test('one that is given up after its number keeps its request until its entry has gone by', () => {
  const slots = new Slots()
  const ends: string[] = []
  const slot = take(slots, 'a', ends)
  slots.number()
  slots.reject(slot, stop)
  expect(slots.at(1)?.payload).toEqual(new TextEncoder().encode('a'))
  slots.resolve(1, 'late')
  slots.settleUpTo(1)
  expect(ends).toEqual(['a!ABORTED'])
  expect([slots.length, slots.bytes]).toEqual([0, 0])
})

test('a growing ring loses nothing', () => {
  const slots = new Slots()
  const ends: string[] = []
  let next = 1
  for (let round = 0; round < 40; round++) {
    for (let i = 0; i < 37; i++) take(slots, `${round}.${i}`, ends)
    for (let i = 0; i < 30; i++) slots.number()
    for (let i = 0; i < 20; i++) slots.resolve(next++, 'x')
    slots.settleUpTo(next - 1)
  }
  expect(slots.length).toBe(40 * 17)
  while (slots.number() !== null);
  for (; next <= 40 * 37; next++) slots.resolve(next, 'x')
  slots.settleUpTo(next - 1)
  expect(slots.length).toBe(0)
  expect(ends).toEqual(Array.from({ length: 40 }, (_, round) => Array.from({ length: 37 }, (_unused, i) => `${round}.${i}=x`)).flat())
})

test('under a new row numbers begin with 1 again', () => {
  const slots = new Slots()
  const ends: string[] = []
  for (const name of ['a', 'b', 'c']) take(slots, name, ends)
  slots.number()
  slots.number()
  slots.settleUpTo(slots.lastNumber)
  slots.renumber()
  expect([slots.confirmed, slots.lastNumber]).toEqual([0, 0])
  expect(new TextDecoder().decode(slots.number()!.payload)).toBe('c')
  slots.resolve(1, 'of c')
  expect(ends).toEqual(['c=of c'])
})

test('deadlines are looked at only where there are any, and end each with its outcome', async () => {
  let now = 0
  const proposals = new Proposals(
    { requestBytesMax: 100, queueBytesMax: 1000 },
    () => now,
    () => {},
  )
  const ends: string[] = []
  const watch = (promise: Promise<unknown>): void => void promise.catch((error: AntiphonError) => ends.push(`${error.code} ${error.outcome}`))
  watch(proposals.propose(1, new Uint8Array(1), { timeoutMs: 10 }))
  watch(proposals.propose(1, new Uint8Array(1), { timeoutMs: 20 }))
  watch(proposals.propose(1, new Uint8Array(1), undefined))
  proposals.slots.number()
  now = 10
  proposals.expire()
  await Promise.resolve()
  expect(ends).toEqual(['TIMEOUT unknown'])
  now = 20
  proposals.expire()
  await Promise.resolve()
  expect(ends).toEqual(['TIMEOUT unknown', 'TIMEOUT rejected'])
  proposals.close(null)
  await Promise.resolve()
  expect(ends.at(-1)).toBe('CLOSED rejected')
})

test('those who wait for room come in by their order, and are not overtaken', async () => {
  const proposals = new Proposals(
    { requestBytesMax: 1000, queueBytesMax: 600 },
    () => 0,
    () => {},
  )
  const ends: unknown[] = []
  const propose = (bytes: number, whenFull: 'wait' | 'reject'): void =>
    void proposals.propose(1, new Uint8Array(bytes), { whenFull }).then(
      (result) => ends.push(result),
      (error: AntiphonError) => ends.push(error.code),
    )
  propose(300, 'reject')
  propose(400, 'wait')
  propose(1, 'wait')
  propose(1, 'reject')
  await Promise.resolve()
  expect(proposals.parked).toBe(2)
  const { slots } = proposals
  slots.number()
  slots.resolve(1, 'first')
  slots.settleUpTo(1)
  proposals.admitParked()
  expect([proposals.parked, slots.waiting]).toEqual([1, 1])
  slots.number()
  slots.resolve(2, 'second')
  slots.settleUpTo(2)
  proposals.admitParked()
  slots.number()
  slots.resolve(3, 'third')
  await new Promise((resolve) => setImmediate(resolve))
  expect(ends).toEqual(['OVERLOADED', 'first', 'second', 'third'])
})

test('room that is given back by giving up is used by those who wait', async () => {
  let now = 0
  const proposals = new Proposals(
    { requestBytesMax: 1000, queueBytesMax: 600 },
    () => now,
    () => {},
  )
  const controller = new AbortController()
  const gone = [
    proposals.propose(1, new Uint8Array(200), { signal: controller.signal }).catch((error: AntiphonError) => error.code),
    proposals.propose(1, new Uint8Array(100), { timeoutMs: 5 }).catch((error: AntiphonError) => error.code),
  ]
  const waiting = [250, 250].map((bytes) => proposals.propose(1, new Uint8Array(bytes), { whenFull: 'wait' }).catch(() => {}))
  expect(proposals.parked).toBe(2)
  controller.abort()
  expect([proposals.parked, proposals.slots.waiting]).toEqual([2, 1])
  now = 5
  proposals.expire()
  expect([proposals.parked, proposals.slots.waiting]).toEqual([1, 1])
  expect(await Promise.all(gone)).toEqual(['ABORTED', 'TIMEOUT'])
  await expect(proposals.propose(1, new Uint8Array(1), { timeoutMs: Number.NaN })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  proposals.close(null)
  await Promise.all(waiting)
})
