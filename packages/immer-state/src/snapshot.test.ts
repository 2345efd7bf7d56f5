import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { asChunks, collect, show } from '../testing/harness.ts'
import { anyValue } from '../testing/values.ts'
import { CHUNK_BYTES, chunksOf, ValueStream } from './snapshot.ts'

function read(bytes: Uint8Array, cut: number): unknown {
  const values: unknown[] = []
  const stream = new ValueStream((value) => values.push(value))
  for (let at = 0; at < bytes.length; at += cut) {
    const chunk = new Uint8Array(bytes.subarray(at, at + cut))
    stream.push(chunk)
    // The chunk's memory is only lent.
    chunk.fill(0xdd)
  }
  stream.finish()
  return values.length === 1 ? values[0] : values
}

describe('a snapshot', () => {
  test('gives every value back, wherever its bytes are cut', () => {
    fc.assert(
      fc.property(anyValue, fc.integer({ min: 1, max: 40 }), (value, cut) => {
        expect(show(read(collect(chunksOf([value])), cut))).toBe(show(value))
      }),
      { numRuns: 500, seed: 11 },
    )
  })

  test('of a large state comes in chunks of one size, and strings longer than a chunk are cut', () => {
    const state = {
      list: Array.from({ length: 20_000 }, (_, i) => ({ i, text: `item ${i}` })),
      long: 'é'.repeat(CHUNK_BYTES * 2),
      bytes: new Uint8Array(CHUNK_BYTES * 3 + 1),
    }
    const chunks = [...chunksOf([state])]
    expect(chunks.length).toBeGreaterThan(10)
    expect(chunks.slice(0, -1).every((chunk) => chunk.length === CHUNK_BYTES)).toBe(true)
    expect(chunks.at(-1)!.length).toBeLessThanOrEqual(CHUNK_BYTES)
    expect(show(read(collect(chunks), CHUNK_BYTES))).toBe(show(state))
  })

  test('is immutable when it is back', () => {
    const state = read(collect(chunksOf([{ map: new Map([[1, [1]]]) }])), 5) as { map: Map<number, number[]> }
    expect(() => state.map.set(1, [])).toThrow()
    expect(() => state.map.get(1)!.push(2)).toThrow()
  })

  test('that ends early, nests too deep or claims too much is CORRUPT', async () => {
    const whole = collect(chunksOf([{ a: [1, 2, { b: 'text' }] }]))
    for (let length = 1; length < whole.length; length++) expect(() => read(whole.slice(0, length), 3)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    expect(() =>
      read(
        new Uint8Array(10_000).fill(13).map((byte, i) => (i % 2 === 0 ? byte : 1)),
        100,
      ),
    ).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    expect(() => read(Uint8Array.of(7, 0xff, 0xff, 0xff, 0xff, 1), 6)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    expect(() => read(Uint8Array.of(14, 1, 0x49, ...new TextEncoder().encode('__proto__'), 1), 4)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
    for await (const chunk of asChunks(whole, 4)) expect(chunk.length).toBeGreaterThan(0)
  })
})
