import { expect, test } from 'vitest'
import { hashBytes, hashText } from './hash.ts'
import { Facts, Queues } from './interner.ts'
import { Visited } from './visited.ts'

test('a hash is new once, however many there are', () => {
  const visited = new Visited()
  let fresh = 0
  for (let i = 0; i < 200_000; i++) if (visited.add(i % 7, i)) fresh++
  expect(fresh).toBe(200_000)
  for (let i = 0; i < 200_000; i++) if (visited.add(i % 7, i)) fresh++
  expect(fresh).toBe(200_000)
  expect(visited.add(8, 0)).toBe(true)
  expect(visited.size).toBe(200_001)
})

test('hashes that differ in one half only are two, and so is the hash of two zeros', () => {
  const visited = new Visited()
  expect([visited.add(0, 5), visited.add(5, 0), visited.add(5, 5), visited.add(0, 0)]).toEqual([true, true, true, true])
  expect([visited.add(0, 5), visited.add(5, 0), visited.add(5, 5), visited.add(0, 0)]).toEqual([false, false, false, false])
})

test('a set goes over into another one whole, and what both hold counts once', () => {
  const [one, other, none] = [new Visited(), new Visited(), new Visited()]
  for (let i = 0; i < 1000; i++) one.add(i % 3, i)
  for (let i = 500; i < 1600; i++) other.add(i % 3, i)
  expect(one.all().high).toHaveLength(1000)
  other.addAll(one.all())
  other.addAll(none.all())
  expect(other.size).toBe(1600)
  for (let i = 0; i < 1600; i++) expect(other.add(i % 3, i)).toBe(false)
})

test('contents that differ in a bit, in length or in order have other hashes, in both halves', () => {
  const highs = new Set<number>()
  const lows = new Set<number>()
  let count = 0
  const take = ({ high, low }: { high: number; low: number }): void => {
    highs.add(high)
    lows.add(low)
    count++
  }
  for (let length = 0; length < 70; length++) {
    take(hashBytes(new Uint8Array(length)))
    for (let bit = 0; bit < length * 8; bit++) {
      const bytes = new Uint8Array(length)
      bytes[bit >> 3] = 1 << (bit & 7)
      take(hashBytes(bytes))
    }
  }
  expect(hashText('ab')).not.toEqual(hashText('ba'))
  // Of n random 32-bit numbers about n * n / 2 ** 33 are equal to another one.
  const expected = (count * count) / 2 ** 33
  expect(count - highs.size).toBeLessThanOrEqual(4 * expected + 4)
  expect(count - lows.size).toBeLessThanOrEqual(4 * expected + 4)
})

test('a queue is the same whichever way it came about', () => {
  const facts = new Facts<string>()
  const queues = new Queues(facts)
  const [a, b, c] = [facts.add('a'), facts.add('b'), facts.add('c')]
  expect(facts.add('b')).toBe(b)
  const direct = queues.push(queues.push(0, b), c)
  expect(queues.shift(queues.push(queues.push(queues.push(0, a), b), c))).toBe(direct)
  expect(queues.items(direct)).toEqual([b, c])
  expect(queues.head(direct)).toBe(b)
  expect(queues.shift(queues.shift(direct))).toBe(0)
  expect(queues.push(queues.push(0, c), b)).not.toBe(direct)
})
