import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { main } from '@antiphon/cli'
import { onTestFinished } from 'vitest'

export interface Ran {
  readonly status: number
  readonly out: string
  readonly err: string
  /** The last line of `out`. */
  readonly json: Record<string, unknown>
}

export async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function ran(status: number, out: string, err: string): Ran {
  const last = out.trimEnd().split('\n').at(-1) ?? ''
  return { status, out, err, json: last.startsWith('{') ? JSON.parse(last) : {} }
}

/** In this process. */
export async function run(...args: string[]): Promise<Ran> {
  let [out, err] = ['', '']
  const status = await main(args, { out: (text) => (out += text), err: (text) => (err += text) })
  return ran(status, out, err)
}

const CLI = fileURLToPath(new URL('../../packages/cli/src/cli.ts', import.meta.url))

/** In a process of its own. */
export function spawned(...args: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(process.execPath, ['--conditions=@antiphon/source', '--import', 'tsx', CLI, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [out, err] = ['', '']
    child.stdout?.on('data', (chunk) => (out += chunk))
    child.stderr?.on('data', (chunk) => (err += chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve(ran(code ?? -1, out, err)))
  })
}
