import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { SeededRandom } from '@antiphon/simulator'
import { Clients } from './clients.ts'
import { Ensemble, IDS } from './ensemble.ts'
import { makeFaults } from './faults.ts'
import type { ChaosState } from './machine.ts'
import type { StoreName } from './stores.ts'
import { judge } from './verdict.ts'

const READY_MS = 60_000
const AGREE_MS = 90_000
const FINDINGS_MAX = 20
const LINE_MAX = 1000

export interface ChaosOptions {
  readonly seed: number
  readonly store: StoreName
  /** How long faults are made. */
  readonly ms: number
  say(line: string): void
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
}

export interface ChaosOutcome {
  readonly report: ChaosReport
  /** Nothing lost, nothing doubled, linearizable, all members agree at the end, and none ended by itself. */
  readonly ok: boolean
}

/** Five processes under faults and load, judged when all has healed. */
export async function runChaos({ seed, store, ms, say }: ChaosOptions): Promise<ChaosOutcome> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-chaos-'))
  const random = new SeededRandom(seed)
  try {
    const ensemble = await Ensemble.start(folder, store, say)
    try {
      const ready = await agreed(ensemble, READY_MS)
      if (ready.disagreement !== null) throw new Error(`the ensemble is not ready: ${[ready.disagreement, ...ensemble.failures].join('; ')}`)
      const clients = new Clients(ensemble, random.fork(1))
      const load = clients.run()
      const faults = await makeFaults(ensemble, random.fork(2), performance.now() + ms, say)
      clients.stop()
      await load
      const { states, disagreement } = await agreed(ensemble, AGREE_MS)
      const { operations } = clients
      const ended = performance.now()
      // Of members that differ, the worst counts.
      const verdicts = states.map((state) => judge(operations, state, ended))
      const findings = [...(disagreement === null ? [] : [disagreement]), ...verdicts.flatMap((verdict) => verdict.findings)]
      const lost = Math.max(...verdicts.map((verdict) => verdict.lost))
      const doubled = Math.max(...verdicts.map((verdict) => verdict.doubled))
      const linearizable = disagreement === null && verdicts.every((verdict) => verdict.linearizable)
      for (const line of [...findings.slice(0, FINDINGS_MAX), ...ensemble.failures]) say(line.slice(0, LINE_MAX))
      const { elections, leaderlessMsMax } = ensemble.leadership
      const report = { operations: operations.length, faults, elections, lost, doubled, linearizable, leaderlessMsMax }
      return { report, ok: report.lost === 0 && report.doubled === 0 && report.linearizable && ensemble.failures.length === 0 }
    } finally {
      await ensemble.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
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
