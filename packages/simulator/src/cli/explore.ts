import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { BOUNDS, type Bounds, type Exploration, explore, STARTS, type Start } from '../explore/index.ts'
import { PLAN } from '../explore/plan.ts'
import { Visited } from '../explore/visited.ts'

const USAGE = `Explores the interleavings of three real cores, breadth first.

  explore                   every scope of the plan, each with its share of the bounds
          --seconds N       altogether (default 120)
          --states N        distinct states, altogether (default 2000000)
          --depth N         events behind the start
          --memory N        MiB, altogether (default 2048)
          --violations N    stop a scope behind so many (default 1)
          --workers N       worker threads; 0: none (default 2)
          --start NAME      one scope alone: ${STARTS.join(', ')}; with its bounds:
          --proposals N --elections N --crashes N --unsynced N --losses N --partitions N --ticks N --counterMax N
          --json            end with one line of JSON
`
const MIB = 2 ** 20
/** What a process needs besides what it explores, and how much more than it counts a scope takes. */
const PROCESS_BYTES = 200 * MIB
const UNCOUNTED = 1.6

const NUMBERS = [
  'seconds',
  'states',
  'depth',
  'memory',
  'violations',
  'workers',
  'proposals',
  'elections',
  'crashes',
  'unsynced',
  'losses',
  'partitions',
  'ticks',
  'counterMax',
] as const
type NumberName = (typeof NUMBERS)[number]
type Arguments = Partial<Record<NumberName, number>> & { start?: Start; json?: boolean }

/** One scope's exploration, as it is asked of a worker. */
interface Task {
  readonly bounds: Bounds
  readonly depth: number
  readonly states: number
  readonly seconds: number
  readonly memory: number
  readonly violations: number
}

function parse(args: readonly string[]): Arguments | string {
  const read: Arguments = {}
  for (let i = 0; i < args.length; i++) {
    const [option, inline] = args[i]!.split('=', 2) as [string, string | undefined]
    if (option === '--json') {
      if (inline !== undefined) return '--json takes no value'
      read.json = true
      continue
    }
    const name = NUMBERS.find((known) => option === `--${known}`)
    if (name === undefined && option !== '--start') return `${option} is unknown`
    const text = inline ?? args[++i] ?? ''
    if (name === undefined) {
      const start = STARTS.find((known) => known === text)
      if (start === undefined) return `--start is one of ${STARTS.join(', ')}, not "${text}"`
      read.start = start
    } else {
      if (text === '' || !Number.isSafeInteger(Number(text)) || Number(text) < 0) return `${option} takes an integer, 0 or more, not "${text}"`
      read[name] = Number(text)
    }
  }
  return read
}

function scopes({ start, proposals, elections, crashes, unsynced, losses, partitions, ticks, counterMax }: Arguments): readonly Bounds[] {
  const told = { start, proposals, elections, crashes, unsynced, losses, partitions, ticks, counterMax }
  const given = Object.fromEntries(Object.entries(told).filter(([, value]) => value !== undefined)) as Partial<Bounds>
  return Object.keys(given).length === 0 ? PLAN : [{ ...BOUNDS, ...given }]
}

function carryOut({ bounds, seconds, ...limits }: Task): Exploration {
  const end = performance.now() + seconds * 1000
  return explore({ ...bounds, ...limits, goOn: () => performance.now() < end })
}

function work(): void {
  const port = parentPort!
  port.on('message', (task: Task) => {
    const result = carryOut(task)
    port.postMessage(result, [result.hashes.high.buffer, result.hashes.low.buffer])
  })
}

/** Deals the scopes out, narrow ones first: what they leave over of time and states goes to those that follow. */
async function deal(args: Arguments, take: (bounds: Bounds, result: Exploration) => void): Promise<void> {
  const queue = [...scopes(args)]
  const workers = Math.min(args.workers ?? 2, queue.length)
  const lanes = Math.max(workers, 1)
  const end = performance.now() + (args.seconds ?? 120) * 1000
  let statesLeft = args.states ?? 2_000_000
  const next = (): Task | null => {
    const share = queue.length
    const bounds = queue.shift()
    if (bounds === undefined) return null
    const states = Math.ceil(statesLeft / share)
    statesLeft -= states
    return {
      bounds,
      depth: args.depth ?? Number.MAX_SAFE_INTEGER,
      states,
      seconds: Math.max(0, (end - performance.now()) / 1000 / Math.ceil(share / lanes)),
      memory: Math.max(0, (args.memory ?? 2048) * MIB - PROCESS_BYTES) / UNCOUNTED / lanes,
      violations: args.violations ?? 1,
    }
  }
  const done = (task: Task, result: Exploration): void => {
    statesLeft += Math.max(0, task.states - result.states)
    take(task.bounds, result)
  }
  if (workers === 0) {
    for (let task = next(); task !== null; task = next()) done(task, carryOut(task))
    return
  }
  await Promise.all(Array.from({ length: workers }, () => serve(next, done)))
}

/** One worker for each scope after the other: what a scope has learnt is of no use to the next one, and goes with its thread. */
async function serve(next: () => Task | null, done: (task: Task, result: Exploration) => void): Promise<void> {
  for (let task = next(); task !== null; task = next()) {
    const given = task
    const worker = new Worker(new URL(import.meta.url))
    const result = await new Promise<Exploration>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
      worker.postMessage(given)
    })
    await worker.terminate()
    done(given, result)
  }
}

function describe(bounds: Bounds): string {
  const { start, ...counts } = bounds
  return `${start}: ${Object.entries(counts)
    .filter(([name, count]) => name !== 'counterMax' || count < BOUNDS.counterMax)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')}`
}

async function main(args: Arguments): Promise<boolean> {
  const began = performance.now()
  const all: { readonly bounds: Bounds; readonly result: Omit<Exploration, 'hashes'> }[] = []
  // Scopes overlap: what several of them have reached counts once.
  const distinct = new Visited()
  await deal(args, (bounds, { hashes, ...result }) => {
    distinct.addAll(hashes)
    all.push({ bounds, result })
    for (const { message, trace } of result.violations) {
      for (const line of trace) console.log(line)
      console.log(`VIOLATION, ${describe(bounds)}: ${message}`)
    }
    console.log(
      `${describe(bounds)}: ${result.states} states, ${result.exhausted ? `exhausted at depth ${result.depth}` : `every path of ${result.depth} events`}`,
    )
  })
  const open = all.filter(({ result }) => !result.exhausted)
  const total = {
    states: distinct.size,
    depth: open.length > 0 ? Math.min(...open.map(({ result }) => result.depth)) : Math.max(...all.map(({ result }) => result.depth)),
    exhausted: open.length === 0,
    violations: all.reduce((sum, { result }) => sum + result.violations.length, 0),
    seconds: Math.round((performance.now() - began) / 100) / 10,
    scopes: all.map(({ bounds, result: { states, depth, exhausted } }) => ({ ...bounds, states, depth, exhausted })),
  }
  if (args.json === true) console.log(JSON.stringify(total))
  else
    console.log(
      `${total.states} states in ${total.seconds} s; ${total.exhausted ? 'exhausted' : `${open.length} of ${all.length} scopes not exhausted, every path of ${total.depth} events`}; ${total.violations} violations`,
    )
  return total.violations === 0 && total.states > 0
}

if (!isMainThread) work()
else {
  const args = parse(process.argv.slice(2))
  if (typeof args === 'string') {
    console.error(`${args}\n\n${USAGE}`)
    process.exitCode = 2
  } else {
    main(args).then(
      (passed) => {
        process.exitCode = passed ? 0 : 1
      },
      (error: unknown) => {
        console.error(error)
        process.exitCode = 1
      },
    )
  }
}
