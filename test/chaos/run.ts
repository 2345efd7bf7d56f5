import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { SeededRandom } from '@antiphon/simulator'
import { Clients } from './clients.ts'
import { Ensemble, type EnsembleOptions, IDS } from './ensemble.ts'
import { makeFaults } from './faults.ts'
import { Janitor } from './janitor.ts'
import type { LinkEffects, Links } from './links.ts'
import type { ChaosState } from './machine.ts'
import type { StoreName } from './stores.ts'
import { judge } from './verdict.ts'

const READY_MS = 60_000
/** How long clients may wait for their last answers when all has healed. */
const ANSWERS_MS = 60_000
const AGREE_MS = 90_000
const FINDINGS_MAX = 20
const LINE_MAX = 1000

export interface ChaosOptions extends Pick<EnsembleOptions, 'store' | 'links' | 'say' | 'afterKill' | 'snapshotEveryEntries'> {
  readonly seed: number
  /** How long faults are made, and until each kind has come. */
  readonly ms: number
  /** By name; all unless told. */
  readonly kinds?: readonly string[]
}

export interface ChaosReport {
  readonly operations: number
  readonly faults: number
  /** Epochs in which somebody led. */
  readonly elections: number
  readonly lost: number
  readonly doubled: number
  readonly linearizable: boolean
  /** The longest time in which no member led, from the first leader on. */
  readonly leaderlessMsMax: number
  readonly phantoms: number
  readonly wrongLooks: number
  readonly store: StoreName
  readonly links: Links['name']
  readonly seed: number
  /** Of the operations, changes that may have happened or not. */
  readonly unknown: number
  readonly rejected: number
  /** By role of the member that answered. */
  readonly answers: Clients['answers']
  /** Faults by kind. */
  readonly kinds: Readonly<Record<string, number>>
  /** What they have done. */
  readonly felt: Ensemble['felt'] & LinkEffects
}

export interface ChaosOutcome {
  readonly report: ChaosReport
  /** Nothing lost, doubled or made up, linearizable, all members agree at the end, none ended by itself, every client was answered. */
  readonly ok: boolean
}

/** Five processes under faults and load, judged when all has healed. */
export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-chaos-'))
  options.say(`folder: ${folder}`)
  const janitor = new Janitor(folder)
  try {
    const ensemble = await Ensemble.start({ ...options, folder, janitor })
    try {
      return await runOn(ensemble, options)
    } finally {
      await ensemble.close()
    }
  } finally {
    await janitor.close()
  }
}

async function runOn(ensemble: Ensemble, { seed, store, ms, kinds, say }: ChaosOptions): Promise<ChaosOutcome> {
  const random = new SeededRandom(seed)
  const ready = await agreed(ensemble, READY_MS)
  if (ready.disagreement !== null) throw new Error(`the ensemble is not ready: ${[ready.disagreement, ...ensemble.failures].join('; ')}`)
  const clients = new Clients(ensemble, random.fork(1))
  const load = clients.run()
  const made = await makeFaults(ensemble, random.fork(2), performance.now() + ms, kinds ?? null, say).finally(() => clients.stop())
  const answered = await Promise.race([load.then(() => true), wait(ANSWERS_MS, false, { ref: false })])
  const unanswered = answered ? [] : [`clients were not answered within ${ANSWERS_MS} ms`]
  const { states, disagreement } = await agreed(ensemble, AGREE_MS)
  const { operations } = clients
  const ended = performance.now()
  // Of members that differ, the worst counts.
  const verdicts = states.map((state) => judge(clients, state, ended))
  const worst = (field: 'lost' | 'doubled' | 'phantoms' | 'wrongLooks'): number => Math.max(...verdicts.map((verdict) => verdict[field]))
  const findings = [...(disagreement === null ? [] : [disagreement]), ...verdicts.flatMap((verdict) => verdict.findings)]
  for (const line of [...findings.slice(0, FINDINGS_MAX), ...unanswered, ...ensemble.failures]) say(line.slice(0, LINE_MAX))
  const { elections, leaderlessMsMax } = ensemble.leadership
  const report: ChaosReport = {
    operations: operations.length,
    faults: Object.values(made).reduce((sum, each) => sum + each, 0),
    elections,
    lost: worst('lost'),
    doubled: worst('doubled'),
    linearizable: disagreement === null && verdicts.every((verdict) => verdict.linearizable),
    leaderlessMsMax,
    phantoms: worst('phantoms'),
    wrongLooks: worst('wrongLooks'),
    store,
    links: ensemble.links.name,
    seed,
    unknown: operations.filter(({ returned }) => returned === Number.POSITIVE_INFINITY).length,
    rejected: clients.rejected.size,
    answers: clients.answers,
    kinds: made,
    felt: { ...ensemble.felt, ...(await ensemble.links.effects()) },
  }
  return { report, ok: findings.length === 0 && unanswered.length === 0 && ensemble.failures.length === 0 }
}

interface Agreement {
  /** Those that members hold: one, when they agree. One that does not answer holds nothing. */
  readonly states: readonly ChaosState[]
  readonly disagreement: string | null
}

/** Waits until all members hold the same state, so long at most. */
async function agreed(ensemble: Ensemble, ms: number): Promise<Agreement> {
  const deadline = performance.now() + ms
  for (;;) {
    const timeoutMs = Math.max(1000, Math.ceil(deadline - performance.now()))
    const answers = await Promise.all(IDS.map((id) => ensemble.call(id, { command: 'state', argument: { timeoutMs } })))
    const states = answers.map((answer) => ('value' in answer ? (answer.value as { digest: string; state: string }) : null))
    const [first] = states
    if (first && states.every((each) => each?.digest === first.digest && each.state === first.state))
      return { states: [JSON.parse(first.state)], disagreement: null }
    if (performance.now() > deadline) {
      const told = answers.map((answer, i) => `member ${IDS[i]} ${'value' in answer ? states[i]!.digest : `${answer.code} ${answer.message}`}`)
      const distinct = new Set(states.map((each) => each?.state ?? '{}'))
      return { states: [...distinct].map((each) => JSON.parse(each)), disagreement: `the members do not agree after ${ms} ms: ${told.join(', ')}` }
    }
    await wait(50)
  }
}
