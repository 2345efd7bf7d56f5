import { AntiphonError } from '@antiphon/ports'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { show } from '../testing/harness.ts'
import { anyValue } from '../testing/values.ts'
import { ByteReader } from './reader.ts'
import { ByteWriter } from './writer.ts'

function roundTrip(value: unknown, frozen = false): unknown {
  const writer = new ByteWriter(8)
  writer.value(value)
  const reader = new ByteReader()
  reader.frozen = frozen
  const bytes = writer.finish()
  reader.open(bytes)
  const back = reader.value()
  expect(reader.at).toBe(bytes.length)
  return back
}

describe('the value codec', () => {
  test('everything that a state may hold comes back as it was, order included', () => {
    fc.assert(
      fc.property(anyValue, fc.boolean(), (value, frozen) => {
        expect(show(roundTrip(value, frozen))).toBe(show(value))
      }),
      { numRuns: 500, seed: 11 },
    )
  })

  test('long strings, wide bytes and huge numbers come back', () => {
    for (const value of [
      'x'.repeat(63),
      'x'.repeat(64),
      'é'.repeat(100_000),
      '\ud800',
      `${'a'.repeat(70)}\udfff`,
      new Uint8Array(70_000).fill(7),
      -(2n ** 4096n),
      2n ** 64n,
    ]) {
      expect(show(roundTrip(value))).toBe(show(value))
    }
  })

  test('a Buffer comes back as plain bytes of its own', () => {
    const back = roundTrip(Buffer.from('héllo')) as Uint8Array
    expect(back.constructor).toBe(Uint8Array)
    expect(Buffer.from(back).toString()).toBe('héllo')
  })

  test('what would not survive is refused', () => {
    class Point {
      x = 1
    }
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    const sparse: unknown[] = []
    sparse[2] = 1
    const values = [
      () => 1,
      Symbol('s'),
      new Point(),
      cycle,
      sparse,
      { [Symbol('k')]: 1 },
      new Map([[{}, 1]]),
      new Map([[undefined, 1]]),
      /x/,
      new Error('e'),
      new Float64Array(1),
      Promise.resolve(1),
      new (class extends Map {})(),
      JSON.parse('{"__proto__":1}'),
    ]
    for (const value of values)
      for (const nested of [value, [value], { value }, new Map([[1, value]]), new Set([value])])
        expect(() => roundTrip(nested), show(typeof value)).toThrow(expect.objectContaining({ name: 'Unserialisable' }))
  })

  test('a hundred thousand mutated encodings give a value or CORRUPT', () => {
    const reader = new ByteReader()
    const samples = fc.sample(anyValue, { numRuns: 200, seed: 7 }).map((value) => {
      const writer = new ByteWriter()
      writer.value(value)
      return writer.finish()
    })
    let random = 1
    const draw = (below: number): number => {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0
      return random % below
    }
    let corruptions = 0
    for (let i = 0; i < 100_000; i++) {
      const bytes = samples[i % samples.length]!.slice()
      for (let flips = draw(3); flips >= 0 && bytes.length > 0; flips--) bytes[draw(bytes.length)] = draw(256)
      reader.open(bytes, 0, bytes.length - (draw(4) === 0 ? draw(bytes.length + 1) : 0))
      try {
        reader.value()
      } catch (error) {
        if (!(error instanceof AntiphonError) || error.code !== 'CORRUPT') throw error
        corruptions++
      }
    }
    expect(corruptions).toBeGreaterThan(10_000)
  })

  test('a count is bounded by what is there before anything is allocated', () => {
    for (const bytes of [
      [13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07],
      [12, 0xff, 0xff, 0xff, 0xff],
      [7, 0x7f, 0xff, 0xff, 0xff],
      [9, 0xff, 0xff, 0xff, 0x0f],
    ]) {
      const reader = new ByteReader()
      reader.open(Uint8Array.from(bytes))
      expect(() => reader.value()).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    }
  })

  test('what becomes part of a state cannot be written to', () => {
    const state = roundTrip({ map: new Map([[1, 2]]), set: new Set([1]), date: new Date(5), list: [1], nested: { x: 1 } }, true) as Record<string, never>
    const { map, set, date, list, nested } = state as unknown as {
      map: Map<number, number>
      set: Set<number>
      date: Date
      list: number[]
      nested: { x: number }
    }
    for (const write of [
      () => map.set(1, 3),
      () => map.clear(),
      () => map.delete(1),
      () => set.add(2),
      () => set.delete(1),
      () => date.setTime(1),
      () => date.setFullYear(1),
      () => list.push(2),
      () => (nested.x = 2),
    ])
      expect(write).toThrow()
    expect(show(state)).toBe('{"map":Map{1=>2},"set":Set{1},"date":Date(5),"list":[1],"nested":{"x":1}}')
    expect(map instanceof Map && set instanceof Set && date instanceof Date).toBe(true)
    expect(date.toISOString()).toBe('1970-01-01T00:00:00.005Z')
  })
})
