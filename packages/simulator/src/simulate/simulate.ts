import { checkLinearizable, type Model, type Operation } from '../linearizability.ts'
import type { RunResult, RunScript } from '../simulation.ts'
import { runWithGuest } from '../simulation.ts'
import { decodeEntries } from './entries.ts'
import { judge } from './judge.ts'
import { type ResolvedOptions, resolveOptions } from './options.ts'
import type { Finding, Flaw, SimulateOptions, SimulateResult } from './types.ts'
import { Visitors } from './visitors.ts'

/** Runs that make a finding shorter. */
const SHORTER_RUNS = 16

/** What one run showed. */
interface Outcome<Request, Result> {
  readonly visitors: Visitors<Request, Result>
  readonly run: RunResult
  readonly flaw: Flaw | null
}

let queue: Promise<unknown> = Promise.resolve()

/**
 * Runs a user's machine and workload in simulated ensembles, under every fault that the simulation knows, and takes apart what it did. Calls wait for each other: while a machine is called, `Date`,
 * `Math.random` and `performance.now` are the simulation's.
 * @throws AntiphonError INVALID_ARGUMENT: an option is wrong, the workload threw, or its requests cannot be encoded.
 */
export function simulate<Request, Result>(options: SimulateOptions<Request, Result>): Promise<SimulateResult<Request>> {
  const mine = queue.then(() => new Search(resolveOptions(options)).run())
  queue = mine.catch(() => undefined)
  return mine
}

class Search<Request, Result> {
  readonly #options: ResolvedOptions<Request, Result>
  readonly #findings: Finding<Request>[] = []
  #seeds = 0
  #entries = 0
  #leaders = 0
  #starts = 0
  #restores = 0

  constructor(options: ResolvedOptions<Request, Result>) {
    this.#options = options
  }

  async run(): Promise<SimulateResult<Request>> {
    const { seeds, requests, findingsMax } = this.#options
    for (const seed of seeds) {
      const outcome = await this.#try(seed, requests, null)
      const { recorder } = outcome.visitors
      this.#seeds++
      this.#entries += recorder.entries.length
      this.#leaders += outcome.run.elections
      this.#starts += recorder.witnesses.length
      for (const { restores } of recorder.witnesses) this.#restores += restores
      if (outcome.flaw === null) continue
      this.#findings.push(this.#findingOf(seed, await this.#shorten(seed, outcome)))
      if (this.#findings.length >= findingsMax) break
    }
    const told = {
      ok: this.#findings.length === 0,
      seeds: this.#seeds,
      entries: this.#entries,
      leaders: this.#leaders,
      starts: this.#starts,
      restores: this.#restores,
    }
    return { ...told, findings: this.#findings, report: reportOf(told, this.#findings) }
  }

  async #try(seed: number, requests: number, script: RunScript | null): Promise<Outcome<Request, Result>> {
    const { machine } = this.#options
    const visitors = new Visitors(this.#options, seed, requests)
    const run = await runWithGuest({ seed, ...(script === null ? {} : { script }) }, visitors)
    if (visitors.broken !== null) throw visitors.broken
    const flaw = (await judge(machine, visitors.recorder, seed)) ?? this.#judgeCalls(visitors.operations) ?? violationIn(run)
    return { visitors, run, flaw }
  }

  #judgeCalls(operations: readonly Operation<Request, Result>[]): Flaw | null {
    const { model, partition } = this.#options
    if (model === undefined) return null
    const parts = new Map<string, Operation<Request, Result>[]>()
    for (const operation of operations) {
      const key = partition?.(operation.input) ?? ''
      parts.set(key, [...(parts.get(key) ?? []), operation])
    }
    for (const [key, part] of parts) {
      const flaw = judgePart(model, key, part)
      if (flaw !== null) return flaw
    }
    return null
  }

  /** The same kind of flaw with fewer faults, then with fewer requests. */
  async #shorten(seed: number, found: Outcome<Request, Result>): Promise<Outcome<Request, Result>> {
    let best = found
    let left = SHORTER_RUNS
    const better = async (faults: RunScript['faults'], requests: number): Promise<boolean> => {
      if (left-- <= 0) return false
      const outcome = await this.#try(seed, requests, { profile: found.run.profile, faults })
      if (outcome.flaw?.kind !== found.flaw!.kind) return false
      best = outcome
      return true
    }
    const faults = found.run.faults
    if (faults.length > 0 && !(await better([], this.#options.requests))) {
      for (let part = faults.length >> 1, from = 0; part > 0 && left > SHORTER_RUNS / 2; ) {
        const kept = best.run.faults
        if (from >= kept.length) {
          part >>= 1
          from = 0
        } else if (!(await better([...kept.slice(0, from), ...kept.slice(from + part)], this.#options.requests))) from += part
      }
    }
    for (let requests = best.visitors.made >> 1; requests > 0; requests >>= 1) if (!(await better(best.run.faults, requests))) break
    return best
  }

  #findingOf(seed: number, { visitors, run, flaw }: Outcome<Request, Result>): Finding<Request> {
    const { kind, zxid, explanation } = flaw!
    const { entries } = visitors.recorder
    const upTo = zxid === null ? entries : entries.filter((entry) => entry.zxid <= zxid)
    return {
      kind,
      seed,
      explanation,
      zxid,
      requests: visitors.made,
      entries: upTo.length,
      faults: run.faults.length,
      history: decodeEntries(this.#options.machine(), upTo),
    }
  }
}

function judgePart<Request, Result>(
  model: Model<string | number | object, Request, Result>,
  key: string,
  part: readonly Operation<Request, Result>[],
): Flaw | null {
  const verdict = checkLinearizable(model, part)
  if (verdict.kind !== 'violation') return null
  const calls = verdict.stuck.map((i) => {
    const { client, invoked, returned, input, output } = part[i]!
    return `client ${client}, ${invoked.toFixed(1)} to ${returned.toFixed(1)} ms: ${JSON.stringify(input)} -> ${JSON.stringify(output)}`
  })
  return {
    kind: 'not-linearizable',
    zxid: null,
    explanation: `no order of the calls${key === '' ? '' : ` on ${key}`} explains what clients were told; behind the first ${verdict.longest.length} none of these fits: ${calls.join('; ')}.`,
  }
}

function violationIn({ violation }: RunResult): Flaw | null {
  if (violation === null) return null
  return { kind: 'violation', zxid: null, explanation: `the ensemble broke its promise of ${violation.invariant}: ${violation.message}` }
}

function reportOf({ seeds, entries, leaders, starts, restores }: Omit<SimulateResult, 'findings' | 'report'>, findings: readonly Finding[]): string {
  const run = `${seeds} seeds: ${entries} entries, ${leaders} leaders, ${starts} starts, ${restores} restored snapshots`
  if (findings.length === 0) return `${run}: nothing was found`
  return [
    run,
    ...findings.map(
      ({ kind, seed, explanation, requests, entries: shown, faults }) =>
        `seed ${seed}: ${kind} (shortest: ${requests} requests, ${shown} entries, ${faults} faults)\n  ${explanation}`,
    ),
  ].join('\n')
}
