import { expect, test } from 'vitest'
import { retrace, runSeed } from './simulation.ts'

test('a seed runs the same way every time, with and without somebody who reads the trace', async () => {
  const first = await runSeed({ seed: 3 })
  expect(first.violation).toBeNull()
  expect(first.commits).toBeGreaterThan(10)
  expect(first.elections).toBeGreaterThan(0)
  const { result, lines } = await retrace({ seed: 3 }, 50)
  expect(result).toEqual(first)
  expect(lines).toHaveLength(50)
  expect(lines.at(-1)).toMatch(/^ +\d+\.\d{3} {2}\d {2}CRASHES$/)
})

test('seeds differ', async () => {
  const hashes = new Set<string>()
  for (const seed of [1, 2, 3]) hashes.add((await runSeed({ seed, profile: 'small' })).hash)
  expect(hashes.size).toBe(3)
})
