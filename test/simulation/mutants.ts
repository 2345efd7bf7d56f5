import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
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
  /** The folder of a program of the tests' own that finds it, in the simulator's place; it cuts nothing short. */
  readonly program?: string
  readonly patches: readonly Patch[]
}

/** A failing run cut short. */
export interface Length {
  /** Happenings until the promise breaks. */
  readonly steps: number
  /** That are made on purpose. */
  readonly faults: number
  readonly members: number
  /** The run as text: `sim --script` runs it again. */
  readonly script: string
}

export interface Finding {
  readonly seeds: number
  readonly violations: number
  /** The first one that fails; null: none does. */
  readonly seed: number | null
  readonly invariant: string | null
  /** Of the failing seeds, in their order; null where none was asked for, or none was found. */
  readonly shrunk: readonly (Length | null)[]
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

  /** `base`: bugs that stay, whatever else is put back. */
  static async build(base: readonly Patch[] = []): Promise<MutantTree> {
    const folder = await mkdtemp(join(tmpdir(), 'antiphon-museum-'))
    const needed = new Set<string>()
    const names = await readdir(join(ROOT, 'packages'))
    await write(join(folder, 'package.json'), '{ "type": "module" }')
    for (const name of names) {
      needed.add(`@antiphon/${name}`)
      const manifest = await readFile(join(ROOT, 'packages', name, 'package.json'), 'utf8')
      const { dependencies = {} } = JSON.parse(manifest) as { dependencies?: Record<string, string> }
      for (const dependency of Object.keys(dependencies)) needed.add(dependency)
      // Whoever loads the copy with the condition under which the workspace loads its sources gets what was translated all the same.
      await write(join(folder, 'packages', name, 'package.json'), manifest.replaceAll('"@antiphon/source"', '"@antiphon/nothing"'))
      for (const file of await sources(join(ROOT, 'packages', name, 'src'))) await translate(folder, relative(ROOT, file), await readFile(file, 'utf8'))
    }
    for (const [file, { after }] of await applied(base)) await translate(folder, file, after)
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
    return this.#with(mutant, () => run(join(this.#folder, 'packages/simulator/dist/cli.js'), ['--seeds', String(seeds), '--json', ...args]))
  }

  async #with(mutant: Mutant | null, ask: () => ReturnType<typeof run>): Promise<Finding> {
    const files = await applied(mutant?.patches ?? [])
    for (const [file, { after }] of files) await translate(this.#folder, file, after)
    try {
      return read(await ask())
    } finally {
      for (const [file, { before }] of files) await translate(this.#folder, file, before)
    }
  }

  /** Runs a program of the tests' own, beside its files, on the copy. It tells what the simulator tells. */
  async run(folder: string, mutant: Mutant | null, args: readonly string[]): Promise<Finding> {
    for (const file of await sources(join(ROOT, folder))) await translate(this.#folder, relative(ROOT, file), await readFile(file, 'utf8'))
    return this.#with(mutant, () => run(join(this.#folder, folder, 'main.js'), args))
  }

  /** The simulator of the copy as it stands, in this process. To be loaded once, while no bug is put back. */
  load(): Promise<typeof import('@antiphon/simulator')> {
    return import(/* @vite-ignore */ pathToFileURL(join(this.#folder, 'packages/simulator/dist/index.js')).href) as Promise<
      typeof import('@antiphon/simulator')
    >
  }

  dispose(): Promise<void> {
    return rm(this.#folder, { recursive: true, force: true })
  }
}

/** Each file that the patches touch, as it is and as they make it. @throws Error when a patch's text is not found exactly once. */
export async function applied(patches: readonly Patch[]): Promise<ReadonlyMap<string, { readonly before: string; readonly after: string }>> {
  const files = new Map<string, { readonly before: string; readonly after: string }>()
  for (const { file, text, replacement } of patches) {
    const held = files.get(file)
    const before = held?.before ?? (await readFile(join(ROOT, file), 'utf8'))
    files.set(file, { before, after: replaced(file, held?.after ?? before, text, replacement) })
  }
  return files
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
  const { seeds, violations, hash, failures } = JSON.parse(last) as {
    seeds: number
    violations: number
    hash: string
    failures: readonly { readonly seed: number; readonly invariant: string; readonly shrunk: Length | null }[]
  }
  const first = failures[0]
  const shrunk = failures.map((failure) => failure.shrunk)
  return { seeds, violations, seed: first?.seed ?? null, invariant: first?.invariant ?? null, shrunk, hash, exitCode: code, output }
}
