import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MUSEUM } from './museum.ts'
import { MutantTree } from './mutants.ts'

const COMMAND = fileURLToPath(new URL('../../packages/simulator/src/cli.ts', import.meta.url))
const SCRIPT = fileURLToPath(new URL('scripts/museum-17.txt', import.meta.url))
const PATIENCE_MS = 120_000

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'antiphon-command-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function run(...args: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['--import', 'tsx', '--conditions=@antiphon/source', COMMAND, ...args], (_, stdout, stderr) =>
      resolve({ code: child.exitCode, output: stdout + stderr }),
    )
  })
}

test(
  'a script is run from its own seed on, and what is no script is refused',
  async () => {
    const broken = join(folder, 'broken.txt')
    await writeFile(broken, 'seed 1\nmembers 1 voters, 0 observers\nexpected core: \nwith luck 7\n')
    const [sound, refused, missing, alone, valued, nothing] = await Promise.all([
      run('--json', '--workers', '0', '--script', SCRIPT),
      run('--script', broken),
      run('--script', join(folder, 'nothing.txt')),
      run('--write', 'short.txt'),
      run('--json=no'),
      run('--vary', '100'),
    ])
    expect(sound.code, sound.output).toBe(0)
    expect(JSON.parse(sound.output.trimEnd().split('\n').at(-1)!)).toMatchObject({ seeds: 1, violations: 0, failures: [] })
    expect(refused).toMatchObject({ code: 2, output: expect.stringContaining('line 4: a profile has no luck') })
    expect(missing).toMatchObject({ code: 2, output: expect.stringContaining('ENOENT') })
    expect(alone).toMatchObject({ code: 2, output: expect.stringContaining('--write needs --shrink') })
    expect(valued).toMatchObject({ code: 2, output: expect.stringContaining('--json takes no value') })
    expect(nothing).toMatchObject({ code: 2, output: expect.stringContaining('--vary needs --script') })
  },
  PATIENCE_MS,
)

test(
  'a failing seed is cut short, and the shortest script is written',
  async () => {
    const tree = await MutantTree.build()
    const file = join(folder, 'short.txt')
    try {
      const args = ['--violations', '2', '--shrink', '--runs', '60', '--write', file]
      const { shrunk, output } = await tree.simulate(MUSEUM.find(({ bug }) => bug === 17)!, 20, args)
      const steps = Math.min(...shrunk.map((length) => length!.steps))
      expect(await readFile(file, 'utf8')).toBe(shrunk.find((length) => length!.steps === steps)!.script)
      expect(output).toMatch(/^cut from \d+ to \d+ steps and from \d+ to 0 faults, 1 members, \d+ requests; \d+ runs$/m)
    } finally {
      await tree.dispose()
    }
  },
  PATIENCE_MS,
)
