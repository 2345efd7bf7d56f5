import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** One place where a bug is put back: `text` stands in `file` exactly once. */
export interface Patch {
  /** From the workspace's folder. */
  readonly file: string
  readonly text: string
  readonly replacement: string
}

export interface Mutant {
  /** Its row in the museum; for the proof of a rule the rule's number and a letter, as in `12a`. */
  readonly bug: number | string
  /** What goes wrong. */
  readonly name: string
  /** Of the protocol: the rule that prevents it. */
  readonly rule: number
  /** Why this very bug cannot exist here: the patches put back the nearest one that can. */
  readonly explained?: string
  /** Not found within the budget so far: looked for only when it is named. A hole in the simulator's faults or checks. */
  readonly open?: true
  readonly patches: readonly Patch[]
}

export interface Finding {
  readonly seeds: number
  readonly violations: number
  /** Of the first violation that was printed. */
  readonly seed: number | null
  readonly invariant: string | null
  /** Over all traces. */
  readonly hash: string
  readonly exitCode: number | null
  readonly output: string
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMPILER: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
}

/** A copy of the packages outside of the workspace, translated from the sources as they stand, where bugs can be put back. The product itself holds no switch. */
export class MutantTree {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async build(): Promise<MutantTree> {
    const folder = await mkdtemp(join(tmpdir(), 'antiphon-museum-'))
    const needed = new Set<string>()
    const names = await readdir(join(ROOT, 'packages'))
    for (const name of names) {
      const manifest = await readFile(join(ROOT, 'packages', name, 'package.json'), 'utf8')
      const { dependencies = {} } = JSON.parse(manifest) as { dependencies?: Record<string, string> }
      for (const dependency of Object.keys(dependencies)) needed.add(dependency)
      await write(join(folder, 'packages', name, 'package.json'), manifest)
      for (const file of await sources(join(ROOT, 'packages', name, 'src'))) await translate(folder, relative(ROOT, file), await readFile(file, 'utf8'))
    }
    for (const dependency of needed) {
      const own = names.find((name) => dependency === `@antiphon/${name}` || dependency === name)
      const link = join(folder, 'node_modules', dependency)
      await mkdir(dirname(link), { recursive: true })
      await symlink(own === undefined ? join(ROOT, 'node_modules', dependency) : join(folder, 'packages', own), link, 'junction')
    }
    return new MutantTree(folder)
  }

  /** Runs the simulator over `seeds` seeds from 1 with the mutant's bugs, or without any. @throws Error when a patch's text is not found exactly once. */
  async simulate(mutant: Mutant | null, seeds: number, args: readonly string[] = []): Promise<Finding> {
    const originals = new Map<string, string>()
    const patched = new Map<string, string>()
    for (const { file, text, replacement } of mutant?.patches ?? []) {
      const before = patched.get(file) ?? (await readFile(join(ROOT, file), 'utf8'))
      if (!originals.has(file)) originals.set(file, before)
      patched.set(file, replaced(file, before, text, replacement))
    }
    for (const [file, text] of patched) await translate(this.#folder, file, text)
    try {
      return read(await run(join(this.#folder, 'packages/simulator/dist/cli.js'), ['--seeds', String(seeds), '--json', ...args]))
    } finally {
      for (const [file, text] of originals) await translate(this.#folder, file, text)
    }
  }

  dispose(): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true })
  }
}

/** @throws Error unless `text` stands in `before` exactly once. */
export function replaced(file: string, before: string, text: string, replacement: string): string {
  const pieces = before.split(text)
  if (text === '' || pieces.length !== 2) throw new Error(`${file} holds the text of a patch ${pieces.length - 1} times, not once:\n${text}`)
  return pieces.join(replacement)
}

async function sources(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return found
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
}

async function translate(folder: string, file: string, text: string): Promise<void> {
  const { outputText } = ts.transpileModule(text, { compilerOptions: COMPILER, fileName: file })
  await write(join(folder, file.replace(/^(packages\/[^/]+)\/src\//, '$1/dist/').replace(/\.ts$/, '.js')), outputText)
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

function run(script: string, args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const pieces: Buffer[] = []
    child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
    child.stderr.on('data', (piece: Buffer) => pieces.push(piece))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output: Buffer.concat(pieces).toString() }))
  })
}

function read({ code, output }: { readonly code: number | null; readonly output: string }): Finding {
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  if (!last.startsWith('{')) throw new Error(`the simulator ended with ${code} and told no result:\n${output.slice(-4000)}`)
  const { seeds, violations, hash } = JSON.parse(last) as { seeds: number; violations: number; hash: string }
  const [, seed, invariant] = /^seed (\d+): VIOLATION of ([a-z-]+)/m.exec(output) ?? []
  return { seeds, violations, seed: seed === undefined ? null : Number(seed), invariant: invariant ?? null, hash, exitCode: code, output }
}
