import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { readScript, shrinkSeed, tellShrunk } from './cli/scripts.ts'
import { untaken } from './paths.ts'
import type { ProfileName } from './profile.ts'
import { formatScript } from './shrink/script.ts'
import type { Shrunk } from './shrink/shrink.ts'
import { varied } from './shrink/vary.ts'
import { type RunOptions, type RunResult, type RunScript, retrace, runSeed } from './simulation.ts'
import { hashText } from './trace.ts'

const USAGE = `Runs whole ensembles under faults on virtual time, one run for each seed.

  sim --seeds N        how many (default 100)
      --seed S         the first one (default 1)
      --profile NAME   small: three voters, 200 requests; swarm: the seed draws the ensemble too (default)
      --violations N   stop behind so many failing seeds (default 10)
      --workers N      worker threads; 0: none (default: one for each core)
      --shrink         cut failing seeds short and print what is left as a script
      --runs N         runs for each of them (default 400)
      --within S       and so many seconds (default 60)
      --write FILE     and write the shortest there
      --script FILE    run a script instead: from its own seed on, one seed unless told
      --vary MS        each seed moves the script's faults by up to so much, and draws anew what they decide
      --trace          print every line of the first seed's trace, and stop behind it
      --json           end with one line of JSON
`
/** Lines of a failing seed's trace that are printed. */
const TRACE_LINES = 400
/** So many seeds of the swarm must together have taken every path that is expected. */
const COVERING_SEEDS = 10_000
/** A seed that takes longer hangs. */
const HANG_MS = 120_000

interface Arguments {
  readonly seeds: number
  readonly first: number
  readonly profile: ProfileName
  readonly workers: number
  /** Failing seeds after which nothing new is learnt. */
  readonly violationsMax: number
  readonly trace: boolean
  readonly json: boolean
  readonly shrink: boolean
  readonly runs: number
  readonly within: number
  readonly write: string | null
  readonly script: RunScript | null
  readonly vary: number
  /** As a command line names it: what the seeds run. */
  readonly what: string
}

/** What is asked of a worker: one seed, and how long to shrink it when it fails. */
interface Task {
  readonly options: RunOptions
  readonly shrinkRuns: number
  readonly shrinkMs: number
}

/** What a worker tells of one seed. */
interface Report {
  readonly seed: number
  readonly violation: { readonly invariant: string; readonly message: string } | null
  readonly steps: number
  readonly commits: number
  readonly elections: number
  readonly undecided: number
  readonly hash: string
  readonly paths: readonly (readonly [string, number])[]
  /** Only of a failing seed. */
  readonly lines: readonly string[]
  readonly shrunk: Shrunk | null
}

function parse(args: readonly string[]): Arguments | string {
  const read = {
    seeds: 0,
    first: 0,
    profile: 'swarm' as ProfileName,
    workers: availableParallelism(),
    violationsMax: 10,
    trace: false,
    json: false,
    shrink: false,
    runs: 400,
    within: 60,
    write: null as string | null,
    script: null as RunScript | null,
    vary: 0,
    what: '',
  }
  let script: { readonly file: string; readonly seed: number } | null = null
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i]!.split('=', 2) as [string, string | undefined]
    if (name === '--trace' || name === '--json' || name === '--shrink') {
      if (inline !== undefined) return `${name} takes no value`
      read[name.slice(2) as 'trace' | 'json' | 'shrink'] = true
    } else if (name === '--write' || name === '--script') {
      const file = inline ?? args[++i]
      if (file === undefined) return `${name} takes a file`
      if (name === '--write') read.write = file
      else {
        try {
          const told = readScript(file)
          script = { file, seed: told.seed }
          read.script = told
        } catch (error) {
          return `${file}: ${(error as Error).message}`
        }
      }
    } else if (name === '--profile') {
      const profile = inline ?? args[++i]
      if (profile !== 'small' && profile !== 'swarm') return `--profile is small or swarm, not ${profile}`
      read.profile = profile
    } else {
      const field = {
        '--seeds': 'seeds',
        '--seed': 'first',
        '--workers': 'workers',
        '--violations': 'violationsMax',
        '--runs': 'runs',
        '--within': 'within',
        '--vary': 'vary',
      }[name] as 'seeds' | 'first' | 'workers' | 'violationsMax' | 'runs' | 'within' | 'vary' | undefined
      if (field === undefined) return `${name} is unknown`
      const text = inline ?? args[++i] ?? ''
      const value = Number(text)
      if (text === '' || !Number.isSafeInteger(value) || value < (field === 'workers' ? 0 : 1)) return `${name} takes a positive integer, not "${text}"`
      read[field] = value
    }
  }
  if (read.write !== null && !read.shrink) return '--write needs --shrink'
  if (read.vary > 0 && read.script === null) return '--vary needs --script'
  const what = script === null ? `--profile ${read.profile}` : `--script ${script.file}${read.vary === 0 ? '' : ` --vary ${read.vary}`}`
  return { ...read, what, first: read.first || (script?.seed ?? 1), seeds: read.seeds || (script === null ? 100 : 1) }
}

async function runOne({ options, shrinkRuns, shrinkMs }: Task): Promise<Report> {
  // A sound run meets dozens of errors that nobody prints: their stacks are left to the run that repeats a failing one.
  const frames = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const result = await runSeed(options)
  Error.stackTraceLimit = frames
  const failed = result.violation === null ? null : await again(options, result)
  const shrunk = failed === null || failed.violation?.invariant === 'determinism' || shrinkRuns === 0 ? null : await shrinkSeed(result, shrinkRuns, shrinkMs)
  return {
    seed: result.seed,
    violation: failed?.violation ?? null,
    steps: result.steps,
    commits: result.commits,
    elections: result.elections,
    undecided: result.undecided,
    hash: result.hash,
    paths: [...result.paths],
    lines: failed?.lines ?? [],
    shrunk,
  }
}

/** A failing seed runs again for its trace; it must go the same way. */
async function again(options: RunOptions, first: RunResult): Promise<Pick<Report, 'violation' | 'lines'>> {
  const { result, lines } = await retrace(options, TRACE_LINES)
  const { invariant, message } = first.violation!
  if (result.hash === first.hash && result.violation !== null) return { violation: { invariant, message: result.violation.message }, lines }
  return {
    violation: { invariant: 'determinism', message: `a second run went another way; the first one ended in a violation of ${invariant}: ${message}` },
    lines,
  }
}

async function work(): Promise<void> {
  const port = parentPort!
  port.on('message', (task: Task) => {
    runOne(task).then(
      (report) => port.postMessage(report),
      (error: unknown) => {
        throw error
      },
    )
  })
}

/** Deals seeds out one by one; resolves when all are back or too many have failed. */
function deal(args: Arguments, take: (report: Report) => void): Promise<void> {
  const { seeds, first, workers, violationsMax } = args
  return new Promise((resolve) => {
    let next = first
    let violations = 0
    let live = 0
    const start = (): void => {
      const worker = new Worker(new URL(import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 64 } })
      let seed = 0
      let hang: NodeJS.Timeout | null = null
      live++
      const end = (): void => {
        if (hang !== null) clearTimeout(hang)
        hang = null
        worker.removeAllListeners()
        void worker.terminate()
        if (--live === 0) resolve()
      }
      const give = (): void => {
        if (hang !== null) clearTimeout(hang)
        if (next >= first + seeds || violations >= violationsMax) return end()
        seed = next++
        hang = setTimeout(() => fail('liveness', `the run hangs: no end after ${HANG_MS / 1000} s`), HANG_MS + (args.shrink ? args.within * 1000 : 0))
        worker.postMessage(taskOf(args, seed))
      }
      // What a promise that nobody waits for rejects with ends the worker: its seed has failed, a new worker takes the next one.
      const fail = (invariant: string, message: string): void => {
        violations++
        take({ seed, violation: { invariant, message }, steps: 0, commits: 0, elections: 0, undecided: 0, hash: '', paths: [], lines: [], shrunk: null })
        if (next < first + seeds && violations < violationsMax) start()
        end()
      }
      worker.on('message', (report: Report) => {
        if (report.violation !== null) violations++
        take(report)
        give()
      })
      worker.on('error', (error) => fail('crash', String((error as Error).stack ?? error)))
      give()
    }
    for (let i = 0; i < Math.min(workers, seeds); i++) start()
  })
}

function taskOf({ profile, script, vary, shrink, runs, within }: Arguments, seed: number): Task {
  const options = { seed, profile, ...(script === null ? {} : { script: vary === 0 ? script : varied(script, vary, seed) }) }
  return { options, shrinkRuns: shrink ? runs : 0, shrinkMs: within * 1000 }
}

async function main(args: Arguments): Promise<boolean> {
  const began = performance.now()
  const total = { seeds: 0, steps: 0, commits: 0, elections: 0, violations: 0, seconds: 0, hash: '' }
  const hashes = new Map<number, string>()
  const paths = new Map<string, number>()
  let undecided = 0
  const failures: Report[] = []
  const take = (report: Report): void => {
    total.seeds++
    hashes.set(report.seed, report.hash)
    total.steps += report.steps
    total.commits += report.commits
    total.elections += report.elections
    undecided += report.undecided
    for (const [path, times] of report.paths) paths.set(path, (paths.get(path) ?? 0) + times)
    if (report.violation === null) return
    total.violations++
    for (const line of report.lines) console.log(line)
    console.log(`seed ${report.seed}: VIOLATION of ${report.violation.invariant}: ${report.violation.message}`)
    console.log(`again: npm run sim -- --seeds 1 --seed ${report.seed} ${args.what} --trace`)
    const { shrunk } = report
    if (shrunk !== null) console.log(`${tellShrunk(shrunk)}\n\n${formatScript(shrunk.script)}`)
    else if (args.shrink) console.log('it could not be cut short')
    failures.push(report)
  }
  if (args.trace) {
    const { options } = taskOf(args, args.first)
    take(await runOne({ options: { ...options, say: console.log }, shrinkRuns: 0, shrinkMs: 0 }))
  } else if (args.workers === 0) {
    for (let seed = args.first; seed < args.first + args.seeds && total.violations < args.violationsMax; seed++) take(await runOne(taskOf(args, seed)))
  } else await deal(args, take)
  total.seconds = Math.round(performance.now() - began) / 1000
  // Whoever ran which seed: one hash over all of them, in their order.
  total.hash = hashText([...hashes].sort(([a], [b]) => a - b).join(' '))
    .toString(16)
    .padStart(8, '0')
  const asked = args.trace ? 1 : args.seeds
  console.log(
    `${[...paths]
      .sort()
      .map(([path, times]) => `${path} ${times}`)
      .join(', ')}`,
  )
  const missing = untaken(paths)
  const covers = args.profile === 'swarm' && args.script === null && total.seeds >= COVERING_SEEDS
  if (missing.length > 0) console.log(`never taken${covers ? ', which fails a run of so many seeds' : ''}: ${missing.join(', ')}`)
  if (undecided > 0) console.log(`${undecided} keys were too tangled to be judged`)
  console.log(
    `${total.seeds} of ${asked} seeds, ${total.steps} steps, ${total.commits} commits, ${total.elections} elections, ${total.violations} violations in ${total.seconds} s`,
  )
  // Every seed below one that failed was run, whoever was faster: the first is the same every time.
  failures.sort((a, b) => a.seed - b.seed)
  const shortest = failures.flatMap(({ shrunk }) => shrunk ?? []).sort((a, b) => a.steps - b.steps)[0]
  if (shortest !== undefined && args.write !== null) writeFileSync(args.write, formatScript(shortest.script))
  if (args.json) console.log(JSON.stringify({ ...total, untaken: missing, failures: failures.map(tellFailure) }))
  return total.violations === 0 && total.seeds >= asked && !(covers && missing.length > 0)
}

function tellFailure({ seed, violation, shrunk }: Report): object {
  if (shrunk === null) return { seed, invariant: violation!.invariant, shrunk: null }
  const { script, steps, runs, complete } = shrunk
  const members = script.profile.voters.length + script.profile.observers
  const length = { steps, faults: script.faults.length, members, runs, complete }
  return { seed, invariant: violation!.invariant, shrunk: { ...length, script: formatScript(script) } }
}

if (isMainThread) {
  const args = parse(process.argv.slice(2))
  if (typeof args === 'string') {
    console.error(`${args}\n\n${USAGE}`)
    process.exitCode = 2
  } else process.exitCode = (await main(args)) ? 0 : 1
} else await work()
