import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PathRecord } from './path-record.ts'
import { PathTable } from './path-table.ts'

test('a path table finds what a Map would, however many paths have one CRC, as it grows, shrinks and is cleared', () => {
  // Few CRCs, which say nothing of the path: long chains. Many: more records than buckets.
  const step = fc.tuple(fc.integer({ min: 0, max: 19 }), fc.integer({ min: 0, max: 900 }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: 'max' }), fc.constantFrom(3, 1 << 20, 1 << 30), (steps, crcs) => {
      const table = new PathTable()
      const expected = new Map<string, PathRecord>()
      const crcOf = (key: number): number => Math.imul(key % crcs, 0x9e3779b1) | 0
      for (const [kind, key] of steps) {
        const path = `/${key}`
        const held = expected.get(path)
        expect(table.get(path, crcOf(key))).toBe(held)
        if (kind === 0 && key < 10) {
          table.clear()
          expected.clear()
        } else if (held === undefined) {
          const record = new PathRecord()
          record.path = path
          record.crc = crcOf(key)
          table.add(record)
          expected.set(path, record)
        } else if (kind < 6) {
          table.delete(held)
          expected.delete(path)
        }
      }
      for (let key = 0; key <= 900; key++) expect(table.get(`/${key}`, crcOf(key))).toBe(expected.get(`/${key}`))
    }),
    { numRuns: 60 },
  )
})
