import { crc32 as reference } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32, crc32ByTable, crc32OfView, crc32OfWord } from './crc32.ts'

const seeds = fc.integer({ min: 0, max: 0xffff_ffff })
/** Lengths around the steps of the loops and around the turn to the native routine. */
const lengths = fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 300, max: 520 }), fc.integer({ min: 1, max: 5000 }))
const ranges = fc.tuple(lengths, fc.nat({ max: 40 }), fc.nat({ max: 40 }), fc.infiniteStream(fc.nat({ max: 255 }))).map(([length, before, behind, values]) => ({
  bytes: Uint8Array.from({ length: before + length + behind }, () => values.next().value!),
  start: before,
  end: before + length,
}))

test('the check value of the catalogue of CRCs is met', () => {
  const digits = new TextEncoder().encode('123456789')
  expect(crc32(digits)).toBe(0xcbf43926)
  expect(crc32ByTable(digits, 0, 0, 9)).toBe(0xcbf43926)
})

test('every form gives zlib’s value, for every range and seed', () => {
  fc.assert(
    fc.property(ranges, seeds, ({ bytes, start, end }, seed) => {
      const expected = reference(bytes.subarray(start, end), seed)
      expect(crc32(bytes, seed, start, end)).toBe(expected)
      expect(crc32ByTable(bytes, seed, start, end)).toBe(expected)
      expect(crc32OfView(new DataView(bytes.buffer), seed, start, end)).toBe(expected)
      expect(crc32(bytes.subarray(start, end), seed)).toBe(expected)
      const inner = new DataView(bytes.buffer, start, end - start)
      expect(crc32OfView(inner, seed, 0, end - start)).toBe(expected)
    }),
    { numRuns: 500 },
  )
})

test('an empty range leaves the seed as it is', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const bytes = new Uint8Array(600)
      for (const at of [0, 5, 600])
        expect([crc32(bytes, seed, at, at), crc32ByTable(bytes, seed, at, at), crc32OfView(new DataView(bytes.buffer), seed, at, at)]).toEqual([
          seed,
          seed,
          seed,
        ])
    }),
  )
})

test('a range may be taken in parts, cut anywhere', () => {
  fc.assert(
    fc.property(ranges, fc.double({ min: 0, max: 1, noNaN: true }), ({ bytes, start, end }, share) => {
      const middle = start + Math.floor((end - start) * share)
      expect(crc32(bytes, crc32(bytes, 0, start, middle), middle, end)).toBe(crc32(bytes, 0, start, end))
    }),
  )
})

test('a word counts as its four big-endian bytes', () => {
  fc.assert(
    fc.property(seeds, seeds, (word, seed) => {
      expect(crc32OfWord(word, seed)).toBe(reference(Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word), seed))
    }),
  )
})
