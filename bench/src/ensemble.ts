import { BarePipeline } from './bare/pipeline.ts'
import { inFolder } from './folder.ts'
import type { Figures, Load } from './load.ts'
import type { Options } from './options.ts'
import { Ensemble } from './ours/ensemble.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const LEADER_LOADS = [1, 100, 1000]

/**
 * Three processes, TCP, files with fdatasync, 100-byte payload, beside the bare pipeline on the same disk. Both stand all the time and are measured in turn, so that what
 * else the machine does falls on both.
 */
export function ensemble(options: Options): Promise<Result[]> {
  return inFolder(async (folder) => {
    const bare = await BarePipeline.start(folder)
    try {
      const ours = await Ensemble.start(folder)
      try {
        return await measure(options, bare, ours)
      } finally {
        await ours.close()
      }
    } finally {
      await bare.close()
    }
  })
}

async function measure(options: Options, bare: BarePipeline, ours: Ensemble): Promise<Result[]> {
  const taken = new Map<string, Figures[]>()
  const take = async (name: string, figures: Promise<Figures>): Promise<void> => void taken.set(name, [...(taken.get(name) ?? []), await figures])
  const load = (inFlight: number, starved = false): Load => ({ inFlight, warmUpMs: options.warmUpMs, measureMs: options.measureMs, starved })
  // Not taken: the first seconds of a process are its compiler's.
  await bare.measure(load(1000))
  await ours.measure('leader', load(1000))
  await ours.measure('follower', load(1000))
  for (let round = 0; round < options.rounds; round++) {
    for (const inFlight of LEADER_LOADS) {
      await take(`bare.c${inFlight}`, bare.measure(load(inFlight)))
      await take(`leader.c${inFlight}`, ours.measure('leader', load(inFlight)))
    }
    await take('follower.c1000', ours.measure('follower', load(1000)))
    await take('starved.c1', ours.measure('leader', load(1, true)))
  }
  const perSecond = (name: string): number => median(taken.get(name)!.map((figures) => figures.perSecond))
  const p50Ms = (name: string): number => median(taken.get(name)!.map((figures) => figures.p50Ms))
  const [bareC1, bareC100, bareC1000] = [p50Ms('bare.c1'), perSecond('bare.c100'), perSecond('bare.c1000')]
  return [
    result('ensemble.leader.c1', p50Ms('leader.c1'), 'ms (p50)', 'lower', { value: bareC1, against: 'the bare pipeline, 1 in flight' }),
    result('ensemble.leader.c100', perSecond('leader.c100'), 'commits/s', 'higher', { value: bareC100, against: 'the bare pipeline, 100 in flight' }),
    result('ensemble.leader.c1000', perSecond('leader.c1000'), 'commits/s', 'higher', { value: bareC1000, against: 'the bare pipeline, 1,000 in flight' }),
    result('ensemble.follower.c1000', perSecond('follower.c1000'), 'commits/s', 'higher', {
      value: perSecond('leader.c1000'),
      against: 'ensemble.leader.c1000',
    }),
    result('ensemble.starved.c1', p50Ms('starved.c1'), 'ms (p50)', 'lower', { value: p50Ms('leader.c1'), against: 'ensemble.leader.c1' }),
  ]
}
