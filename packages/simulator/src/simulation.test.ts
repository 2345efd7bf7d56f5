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

test('the faults of a run, told one by one, make the same run again', async () => {
  let faults = 0
  for (let seed = 1; seed <= 6; seed++) {
    const [drawn, told]: string[][] = [[], []]
    const first = await runSeed({ seed, say: (line) => drawn!.push(line) })
    const profile = { ...first.profile, faults: [] }
    const again = await runSeed({ seed, script: { profile, faults: first.faults }, say: (line) => told!.push(line) })
    // Behind the line that tells the profile.
    expect(told!.slice(1), `seed ${seed}`).toEqual(drawn!.slice(1))
    expect(again.faults).toEqual(first.faults)
    faults += first.faults.length
    if (first.faults.length > 0) expect((await runSeed({ seed, script: { profile, faults: first.faults.slice(1) } })).hash).not.toBe(again.hash)
  }
  expect(faults).toBeGreaterThan(10)
}, 120_000)
