/** `npm test [-- --json]`: verify, build, unit tests and scenarios, simulation. Every stage runs, whatever the ones before it found; the totals at the end are over all of them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { verify } from './checks.ts'
import { check, root, run, tool, turbo } from './run.ts'

interface Stage {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
}

/** Fewer would be a weaker proof than the one that is promised. */
const SEEDS = 1000

async function build(): Promise<Stage> {
  const { ok, seconds } = await check('build (tsc -b under turbo)', turbo('build'))
  return { name: 'build', passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, seconds }
}

async function verifyAll(): Promise<Stage> {
  const checks = await verify()
  const failed = checks.filter(({ ok }) => !ok).length
  return { name: 'verify', passed: checks.length - failed, failed, skipped: 0, seconds: checks.reduce((sum, { seconds }) => sum + seconds, 0) }
}

/** vitest's report, as far as it is used here. */
interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

/** Unit tests stand beside the sources, what crosses packages under test/. One run of vitest for both; the report tells them apart. */
async function tests(): Promise<Stage[]> {
  const aside = await mkdtemp(join(tmpdir(), 'antiphon-test-'))
  try {
    const file = join(aside, 'report.json')
    const ran = await tool('vitest', ['run', '--config', '.config/vitest.config.ts', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`], {
      live: true,
    })
    const report: Report = JSON.parse(await readFile(file, 'utf8').catch(() => '{"testResults":[]}'))
    const stages = [count('unit', report, ran.seconds, false), count('scenarios', report, ran.seconds, true)]
    const told = stages.reduce((sum, { failed }) => sum + failed, 0)
    if (ran.ok || told > 0) return stages
    process.stderr.write('vitest failed outside of any test\n')
    return [...stages, { name: 'vitest', passed: 0, failed: 1, skipped: 0, seconds: 0 }]
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

function count(name: string, report: Report, seconds: number, crossing: boolean): Stage {
  let passed = 0
  let failed = 0
  let skipped = 0
  for (const file of report.testResults) {
    const path = relative(root, file.name)
    if (/^test[\\/]/.test(path) !== crossing) continue
    const before = failed
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') passed++
      else if (status === 'failed') failed++
      else {
        skipped++
        process.stderr.write(`skipped: ${path}: ${fullName}\n`)
      }
    }
    // A file that could not even be loaded has no test to blame.
    if (file.status === 'failed' && failed === before) failed++
  }
  return { name, passed, failed, skipped, seconds: Math.round(seconds * 10) / 10 }
}

async function simulation(): Promise<Stage> {
  const ran = await run(process.execPath, [join(root, 'packages/simulator/dist/cli.js'), '--seeds', String(SEEDS), '--json'])
  const last = ran.output.trimEnd().split('\n').at(-1) ?? ''
  const { seeds, violations } = parse(last)
  const ok = ran.ok && violations === 0 && typeof seeds === 'number' && seeds >= SEEDS
  await check(`simulation of ${SEEDS} seeds`, Promise.resolve({ ...ran, ok }))
  if (ok) process.stderr.write(`${last}\n`)
  return { name: 'simulation', passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, seconds: Math.round(ran.seconds * 10) / 10 }
}

function parse(line: string): { seeds?: unknown; violations?: unknown } {
  try {
    return Object(JSON.parse(line))
  } catch {
    return {}
  }
}

const stages: Stage[] = [await build(), await verifyAll(), ...(await tests()), await simulation()]
const total = (field: 'passed' | 'failed' | 'skipped'): number => stages.reduce((sum, stage) => sum + stage[field], 0)
const [passed, failed, skipped] = [total('passed'), total('failed'), total('skipped')]
for (const stage of stages) console.log(`${stage.name}: ${stage.passed} passed, ${stage.failed} failed${stage.skipped > 0 ? `, ${stage.skipped} skipped` : ''}`)
console.log(`${passed} passed, ${failed} failed`)
if (process.argv.includes('--json')) console.log(JSON.stringify({ passed, failed, skipped, stages }))
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
