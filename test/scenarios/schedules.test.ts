import { expect, test } from 'vitest'
import { Schedule } from './schedule.ts'

/** `SCHEDULES=5000 SEED=1000 COUNTS=1`: more of them, others, and how often each thing came. */
const SEEDS = Number(process.env['SCHEDULES'] ?? 300)
const FIRST = Number(process.env['SEED'] ?? 1)
const REACHED = [
  'committed',
  'established',
  'TRUNC',
  'DIFF',
  'SNAP',
  'CHUNK',
  'RECEIVED',
  'NEWLEADER',
  'ACK-LD',
  'COMMIT-LD',
  'PROPOSE',
  'ACK',
  'COMMIT',
  'READ',
  'READ-POINT',
  'FOUNDING',
  'read granted',
  'read refused',
  'rejoin mid-stream',
  'epoch change in place',
]

test(`in ${SEEDS} random schedules the invariants hold, and every quorum that is left comes to rest`, () => {
  const total = new Map<string, number>()
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const schedule = new Schedule(seed, null)
    try {
      schedule.run()
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}\n${lastLines(seed)}`, { cause: error })
    }
    for (const [what, count] of schedule.cluster.counts) total.set(what, (total.get(what) ?? 0) + count)
  }
  if (process.env['COUNTS'] !== undefined)
    console.log(
      [...total]
        .sort()
        .map(([what, count]) => `${what}: ${count}`)
        .join('\n'),
    )
  // A schedule that reaches nothing proves nothing.
  for (const what of REACHED) expect(total.get(what) ?? 0, what).toBeGreaterThan(SEEDS / 40)
}, 600_000)

function lastLines(seed: number): string {
  const log: string[] = []
  try {
    new Schedule(seed, log).run()
  } catch {
    // The same seed fails the same way; its log is what was wanted.
  }
  return log.slice(-60).join('\n')
}
