import type { Medium } from './bare/log.ts'
import { BarePipeline } from './bare/pipeline.ts'
import { inFolder } from './folder.ts'
import type { Figures, Load } from './load.ts'
import type { Options } from './options.ts'
import { Ensemble } from './ours/ensemble.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const LEADER_LOADS = [1, 100, 1000]

/** Files with fdatasync: at the leader, at a follower, and while the thread pool is starved. */
export function ensemble(options: Options): Promise<Result[]> {
  return beside('file', (bare, ours) => onFiles(options, bare, ours))
}

/** The stores in LMDB, at the leader. */
export function ensembleLmdb(options: Options): Promise<Result[]> {
  return beside('lmdb', async (bare, ours) => {
    const taken = new Taken()
    await warmUp(options, bare, ours)
    for (let round = 0; round < options.rounds; round++) await atLeader(options, taken, bare, ours)
    return leaderResults('ensemble.lmdb', 'the bare pipeline with LMDB', taken)
  })
}

/**
 * Three processes, TCP, 100-byte payload, beside the bare pipeline on the same disk. Both stand all the time and are measured in turn, so that what else the machine does
 * falls on both.
 */
function beside(medium: Medium, measure: (bare: BarePipeline, ours: Ensemble) => Promise<Result[]>): Promise<Result[]> {
  return inFolder(async (folder) => {
    const bare = await BarePipeline.start(medium, folder)
    try {
      const ours = await Ensemble.start(medium, folder)
      try {
        return await measure(bare, ours)
      } finally {
        await ours.close()
      }
    } finally {
      await bare.close()
    }
  })
}

/** What was measured, by name: a figure for each round. */
class Taken {
  readonly #figures = new Map<string, Figures[]>()

  async take(name: string, figures: Promise<Figures>): Promise<void> {
    this.#figures.set(name, [...(this.#figures.get(name) ?? []), await figures])
  }

  median(name: string, figure: 'perSecond' | 'p50Ms'): number {
    return median(this.#figures.get(name)!.map((figures) => figures[figure]))
  }
}

function loadOf({ warmUpMs, measureMs }: Options, inFlight: number, starved = false): Load {
  return { inFlight, warmUpMs, measureMs, starved }
}

/** Not taken: the first seconds of a process are its compiler's. */
async function warmUp(options: Options, bare: BarePipeline, ours: Ensemble): Promise<void> {
  await bare.measure(loadOf(options, 1000))
  await ours.measure('leader', loadOf(options, 1000))
}

async function atLeader(options: Options, taken: Taken, bare: BarePipeline, ours: Ensemble): Promise<void> {
  for (const inFlight of LEADER_LOADS) {
    await taken.take(`bare.c${inFlight}`, bare.measure(loadOf(options, inFlight)))
    await taken.take(`leader.c${inFlight}`, ours.measure('leader', loadOf(options, inFlight)))
  }
}

function leaderResults(name: string, yardstick: string, taken: Taken): Result[] {
  return LEADER_LOADS.map((inFlight) => {
    const [figure, unit, better] = inFlight === 1 ? (['p50Ms', 'ms (p50)', 'lower'] as const) : (['perSecond', 'commits/s', 'higher'] as const)
    const bare = { value: taken.median(`bare.c${inFlight}`, figure), against: `${yardstick}, ${inFlight.toLocaleString('en')} in flight` }
    return result(`${name}.c${inFlight}`, taken.median(`leader.c${inFlight}`, figure), unit, better, bare)
  })
}

async function onFiles(options: Options, bare: BarePipeline, ours: Ensemble): Promise<Result[]> {
  const taken = new Taken()
  await warmUp(options, bare, ours)
  await ours.measure('follower', loadOf(options, 1000))
  for (let round = 0; round < options.rounds; round++) {
    await atLeader(options, taken, bare, ours)
    await taken.take('follower.c1000', ours.measure('follower', loadOf(options, 1000)))
    await taken.take('starved.c1', ours.measure('leader', loadOf(options, 1, true)))
  }
  const leader = { value: taken.median('leader.c1000', 'perSecond'), against: 'ensemble.leader.c1000' }
  const alone = { value: taken.median('leader.c1', 'p50Ms'), against: 'ensemble.leader.c1' }
  return [
    ...leaderResults('ensemble.leader', 'the bare pipeline', taken),
    result('ensemble.follower.c1000', taken.median('follower.c1000', 'perSecond'), 'commits/s', 'higher', leader),
    result('ensemble.starved.c1', taken.median('starved.c1', 'p50Ms'), 'ms (p50)', 'lower', alone),
  ]
}
