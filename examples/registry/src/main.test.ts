import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const main = fileURLToPath(new URL('../main.js', import.meta.url))

interface Run {
  readonly status: number | null
  readonly output: string
  readonly summary: Record<string, unknown>
  /** What is left in the folder for temporary files. */
  readonly left: readonly string[]
}

async function run(
  args: readonly string[],
  input: string | null,
  onOutput: (output: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<Run> {
  if (!existsSync(new URL('../dist/main.js', import.meta.url))) throw new Error('the example runs as built: `npm run build` first')
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-example-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const child = spawn(process.execPath, [main, ...args], {
    stdio: [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder },
  })
  let output = ''
  const take = (chunk: Buffer): void => {
    output += chunk.toString()
    onOutput(output, (signal) => child.kill(signal))
  }
  child.stdout?.on('data', take)
  child.stderr?.on('data', take)
  child.stdin?.end(input)
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve))
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  return { status, output, summary: last.startsWith('{') ? JSON.parse(last) : {}, left: readdirSync(folder) }
}

test('three processes replicate the lock file through the death of their leader, and nothing is lost or doubled', { timeout: 60_000 }, async () => {
  const { status, output, summary, left } = await run(['--seconds', '1', '--rate', '200', '--json'], null)
  expect(output).toMatch(/killed replica \d, the leader/)
  expect(summary, output).toMatchObject({ lost: 0, doubled: 0, digestsEqual: true, rejected: 0, unknown: 0 })
  expect(Object.keys(summary)).toEqual(expect.arrayContaining(['acknowledged', 'leaderlessMs', 'failoverMs']))
  expect(summary['acknowledged']).toBeGreaterThan(0)
  expect(status).toBe(0)
  expect(left).toEqual([])
})

test('piped records are taken once, all of them; a line that is none is named, skipped, and shows in the exit status', { timeout: 60_000 }, async () => {
  const records = Array.from({ length: 60 }, (_, i) => JSON.stringify({ name: `package-${i % 7}`, version: `1.0.${i}` }))
  const { status, output, summary, left } = await run(
    ['--rate', '300', '--json'],
    [...records.slice(0, 40), '{"name": "broken"', '', ...records.slice(40)].join('\n'),
  )
  expect(output).toContain('line 41 of the input is no record and was skipped')
  expect(summary, output).toMatchObject({ acknowledged: 60, lost: 0, doubled: 0, digestsEqual: true, rejected: 1, unknown: 0 })
  expect(status).toBe(1)
  expect(left).toEqual([])
})

test('stopped by a signal it leaves nothing behind', { timeout: 60_000 }, async () => {
  let stopped = false
  const { status, output, left } = await run([], null, (text, kill) => {
    if (stopped || !text.includes('feeding replica')) return
    stopped = true
    kill('SIGINT')
  })
  expect(output).not.toContain('acknowledged')
  expect(status).toBe(130)
  expect(left).toEqual([])
})

test('an option that makes no sense is refused with the usage', { timeout: 60_000 }, async () => {
  for (const args of [['--rate', 'many'], ['--rate', '0'], ['--what'], ['--seconds', '1e9']]) {
    const { status, output, left } = await run(args, null)
    expect(output).toContain('npm start -- [--rate N]')
    expect(status).toBe(2)
    expect(left).toEqual([])
  }
})
