import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The folder of the workspace, wherever a task was started from. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url))

export interface Ran {
  readonly ok: boolean
  /** Both streams, in the order in which they came. */
  readonly output: string
  readonly seconds: number
}

/** Runs one of the workspace's tools to its end, with nothing on its standard input. `live` shows its output while it comes. */
export function run(command: string, args: readonly string[], options: { live?: boolean; env?: Readonly<Record<string, string>> } = {}): Promise<Ran> {
  const begun = performance.now()
  return new Promise((resolve) => {
    const windows = process.platform === 'win32'
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], shell: windows, env: { ...process.env, ...QUIET, ...options.env } })
    const pieces: Buffer[] = []
    const take = (piece: Buffer): void => {
      pieces.push(piece)
      if (options.live) process.stderr.write(piece)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    const end = (ok: boolean): void => resolve({ ok, output: Buffer.concat(pieces).toString(), seconds: (performance.now() - begun) / 1000 })
    child.on('error', (error) => {
      take(Buffer.from(`${command}: ${error.message}\n`))
      end(false)
    })
    child.on('close', (code) => end(code === 0))
  })
}

/** A tool that npm has installed, run without npm between. */
export function tool(name: string, args: readonly string[], options: Parameters<typeof run>[2] = {}): Promise<Ran> {
  return run(`${root}node_modules/.bin/${name}${process.platform === 'win32' ? '.cmd' : ''}`, args, options)
}

/** No telemetry and no news of releases: neither belongs into a build. */
const QUIET = { TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1', DO_NOT_TRACK: '1', NO_UPDATE_NOTIFIER: '1', NO_COLOR: '1' }

/** Tasks of the packages, in the order of their dependencies; results that nothing has touched come from turbo's cache. */
export function turbo(task: string): Promise<Ran> {
  return tool('turbo', ['run', task, '--output-logs=errors-only', '--log-order=grouped', '--no-color', '--continue'])
}

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly seconds: number
}

/** One line per check, what it said only if it failed. */
export async function check(name: string, ran: Promise<Ran>): Promise<Check> {
  const { ok, output, seconds } = await ran
  process.stderr.write(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)\n`)
  if (!ok) process.stderr.write(`${output.trimEnd()}\n`)
  return { name, ok, seconds: Math.round(seconds * 10) / 10 }
}
