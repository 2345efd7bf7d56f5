import fc, { type Arbitrary } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AntiphonError } from './errors.ts'
import {
  COUNTER_MAX,
  counterOf,
  EPOCH_MAX,
  epochOf,
  following,
  follows,
  formatZxid,
  isZxid,
  maxZxid,
  minZxid,
  ZERO,
  type Zxid,
  zxidFromHalves,
  zxidOf,
} from './zxid.ts'

const epochs = fc.oneof(fc.integer({ min: 0, max: EPOCH_MAX }), fc.constantFrom(0, 1, EPOCH_MAX))
const counters = fc.oneof(fc.integer({ min: 0, max: COUNTER_MAX }), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, COUNTER_MAX))
const zxids: Arbitrary<Zxid> = fc.tuple(epochs, counters).map(([epoch, counter]) => zxidOf(epoch, counter))

test('a ZXID gives back its epoch and its counter, up to the last of each', () => {
  fc.assert(
    fc.property(epochs, counters, (epoch, counter) => {
      const zxid = zxidOf(epoch, counter)
      expect([epochOf(zxid), counterOf(zxid), zxidFromHalves(epoch, counter)]).toEqual([epoch, counter, zxid])
      expect(formatZxid(zxid)).toBe(`${epoch}.${counter}`)
    }),
  )
  expect(zxidOf(EPOCH_MAX, COUNTER_MAX)).toBe(Number.MAX_SAFE_INTEGER)
  expect(zxidOf(0, 0)).toBe(ZERO)
})

test('plain comparison is the order of history: by epoch, then by counter', () => {
  fc.assert(
    fc.property(zxids, zxids, (a, b) => {
      const byHalves = epochOf(a) - epochOf(b) || counterOf(a) - counterOf(b)
      expect(Math.sign(a - b)).toBe(Math.sign(byHalves))
      expect([minZxid(a, b), maxZxid(a, b)]).toEqual(byHalves < 0 ? [a, b] : [b, a])
    }),
  )
})

test.each([
  [-1, 1],
  [1.5, 1],
  [EPOCH_MAX + 1, 1],
  [Number.NaN, 1],
  [1, -1],
  [1, 0.5],
  [1, COUNTER_MAX + 1],
  [1, Number.POSITIVE_INFINITY],
])('epoch %d with counter %d is refused', (epoch, counter) => {
  expect(() => zxidOf(epoch, counter)).toThrow(AntiphonError)
  expect(() => zxidOf(epoch, counter)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})

describe('follows', () => {
  test('the next counter of the same epoch follows', () => {
    expect(follows(zxidOf(3, 7), zxidOf(3, 8))).toBe(true)
    expect(follows(zxidOf(3, 7), following(zxidOf(3, 7)))).toBe(true)
  })

  test('the first entry of any later epoch follows, of the empty history too', () => {
    expect(follows(zxidOf(3, 7), zxidOf(4, 1))).toBe(true)
    expect(follows(zxidOf(3, 7), zxidOf(9, 1))).toBe(true)
    expect(follows(ZERO, zxidOf(1, 1))).toBe(true)
    expect(follows(zxidOf(3, COUNTER_MAX), zxidOf(4, 1))).toBe(true)
  })

  test('a gap, a repetition, a step back and an exhausted counter do not', () => {
    expect(follows(zxidOf(3, 7), zxidOf(3, 9))).toBe(false)
    expect(follows(zxidOf(3, 7), zxidOf(3, 7))).toBe(false)
    expect(follows(zxidOf(3, 7), zxidOf(3, 1))).toBe(false)
    expect(follows(zxidOf(3, 7), zxidOf(2, 1))).toBe(false)
    expect(follows(zxidOf(3, 7), zxidOf(4, 2))).toBe(false)
    expect(follows(zxidOf(3, 7), zxidOf(4, 0))).toBe(false)
    expect(follows(zxidOf(3, COUNTER_MAX), zxidOf(4, 0))).toBe(false)
  })
})

test('what came from outside is a ZXID only if it is a safe integer, 0 or more', () => {
  expect([0, 1, Number.MAX_SAFE_INTEGER].every(isZxid)).toBe(true)
  expect([-1, 0.5, Number.MAX_SAFE_INTEGER + 1, Number.NaN, '1', 1n, null, undefined, {}].some(isZxid)).toBe(false)
})
