/** `npm run fuzz:znode -- [--programs N] [--seed S] [--workers N] [--json]`: our machine against the model, over all cores. */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { proveSeed } from './prove.ts'

interface Share {
  readonly first: number
  readonly end: number
  readonly step: number
}

interface Report {
  readonly programs: number
  readonly operations: number
  readonly failure: string | null
}

/** A weak spot found is one to mend, not to find a thousand times. */
const FAILURES_MAX = 3
const PROGRAMS_PER_REPORT = 50

/** A worker's part: reports to its parent. */
async function work({ first, end, step }: Share): Promise<void> {
  const orphaned = (): never => process.exit(1)
  process.on('disconnect', orphaned)
  let [programs, operations] = [0, 0]
  const report = (failure: string | null): void => {
    process.send!({ programs, operations, failure } satisfies Report)
    programs = 0
    operations = 0
  }
  for (let seed = first; seed < end; seed += step) {
    const proof = await proveSeed(seed)
    programs++
    operations += proof.operations
    if (proof.failure === null && programs < PROGRAMS_PER_REPORT) continue
    report(proof.failure)
    // A program awaits nothing from outside: the channel has its turn here.
    await new Promise((resolve) => setImmediate(resolve))
  }
  report(null)
  process.off('disconnect', orphaned)
  process.disconnect()
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1 || value > 2 ** 31 - 1) throw new Error(`--${name} takes a positive integer below 2^31, not ${text}`)
  return value
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      programs: { type: 'string', default: '2000' },
      seed: { type: 'string', default: '1' },
      workers: { type: 'string', default: String(availableParallelism()) },
      json: { type: 'boolean', default: false },
    },
  })
  const [programs, seed, workers] = [number('programs', values.programs), number('seed', values.seed), number('workers', values.workers)]
  const total = { programs: 0, operations: 0, failures: 0 }
  const started = Date.now()
  const children: ChildProcess[] = []
  const take = ({ programs: more, operations, failure }: Report): void => {
    const before = total.programs
    total.programs += more
    total.operations += operations
    if (Math.floor(before / 5000) < Math.floor(total.programs / 5000)) console.log(`${total.programs} programs, ${total.failures} failures`)
    if (failure === null) return
    total.failures++
    console.log(failure)
    if (total.failures >= FAILURES_MAX) for (const child of children) child.kill()
  }
  const ended = Array.from({ length: workers }, (_, index) => {
    const child = fork(fileURLToPath(import.meta.url), [JSON.stringify({ first: seed + index, end: seed + programs, step: workers } satisfies Share)])
    children.push(child)
    child.on('message', (report) => take(report as Report))
    return new Promise<boolean>((resolve) => child.once('exit', (code) => resolve(code === 0)))
  })
  const all = (await Promise.all(ended)).every((ok) => ok)
  const seconds = Math.round((Date.now() - started) / 100) / 10
  console.log(values.json ? JSON.stringify({ ...total, seconds }) : { ...total, seconds })
  process.exitCode = all && total.failures === 0 && total.programs === programs ? 0 : 1
}

if (process.send === undefined) await main()
else await work(JSON.parse(process.argv[2]!))
