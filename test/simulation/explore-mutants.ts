import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { ExploreOptions } from '@antiphon/simulator'
import ts from 'typescript'
import { replaced } from './mutants.ts'

export interface CoreMutant {
  /** Its row in the museum, or the nearest one. */
  readonly bug: number
  readonly rule: number
  readonly name: string
  /** Files below the core's sources; each text stands there exactly once. */
  readonly patches: readonly { readonly file: string; readonly text: string; readonly replacement: string }[]
  /** Small bounds within which it shows. */
  readonly bounds: ExploreOptions
  /** Millions of states: told apart so that a quick run leaves it out. */
  readonly patient?: boolean
  /** What breaks. */
  readonly breach: RegExp
}

const CALM: ExploreOptions = { elections: 1, proposals: 1, crashes: 0, unsynced: 0, losses: 0, partitions: 0, ticks: 0 }
const RETURN: ExploreOptions = { ...CALM, start: 'divided', elections: 3, proposals: 2, crashes: 1, losses: 2 }
const RESTART: ExploreOptions = { ...CALM, elections: 2, crashes: 1 }

export const CORE_MUTANTS: readonly CoreMutant[] = [
  {
    bug: 17,
    rule: 5,
    name: 'the leader counts its own copy before its disk has it',
    patches: [
      {
        file: 'leader/broadcast.ts',
        text: '  step.write({ append: [run], afterwards:',
        replacement: '  role.acked = run.last\n  step.write({ append: [run], afterwards:',
      },
    ],
    bounds: CALM,
    breach: /^1\.1 is committed, and durable at 1 of 3$/,
  },
  {
    bug: 2,
    rule: 5,
    name: 'ACK-LD leaves before what it states is durable',
    patches: [
      {
        file: 'follower/synchronization.ts',
        text: "  const afterwards = [step.outgoing(role.leader, { kind: 'ACK-LD', epoch: role.epoch, last: message.last } as const)]\n",
        replacement: "  step.send(role.leader, { kind: 'ACK-LD', epoch: role.epoch, last: message.last })\n  const afterwards: never[] = []\n",
      },
    ],
    bounds: { ...CALM, start: 'founded', proposals: 0 },
    breach: /ACK-LD leaves without the write that makes it true/,
  },
  {
    bug: 50,
    rule: 14,
    name: 'what comes in a synchronisation is kept in memory alone',
    patches: [{ file: 'follower/broadcast.ts', text: '    else step.write({ append: [run] })\n', replacement: '' }],
    bounds: RESTART,
    breach: /its history ends at 1\.1, what it handed to its store at 0\.0$/,
  },
  {
    bug: 15,
    rule: 15,
    name: 'the adopted history is committed by the ACK-Es that tell of it, before any ACK-LD',
    patches: [
      {
        file: 'leader/discovery.ts',
        text: '  role.initialLast = state.history.last\n',
        replacement: '  role.initialLast = state.history.last\n  step.commit(state.history.last)\n',
      },
    ],
    bounds: RESTART,
    breach: /^1\.1 is committed, and durable at 1 of 3$/,
  },
  {
    bug: 4,
    rule: 16,
    name: 'a COMMIT is believed beyond what is held',
    patches: [
      { file: 'follower/broadcast.ts', text: 'step.commit(minZxid(role.commitHeard, step.state.history.last))', replacement: 'step.commit(role.commitHeard)' },
    ],
    bounds: CALM,
    breach: /committed 1\.1 > last 0\.0|commits up to 1\.1, which it does not hold/,
  },
  {
    bug: 4,
    rule: 1,
    name: 'a commit point counts before COMMIT-LD',
    patches: [{ file: 'follower/broadcast.ts', text: "  if (role.phase === 'active') step.commit", replacement: '  step.commit' }],
    bounds: { ...RETURN, ticks: 1 },
    breach: /where 2\.1 was committed/,
  },
  {
    bug: 8,
    rule: 13,
    name: 'TRUNC changes memory and not the disk',
    patches: [{ file: 'follower/synchronization.ts', text: '  step.write({ truncateTo: { zxid: to, checksum } })\n', replacement: '' }],
    bounds: RETURN,
    breach: /its history ends at 0\.0, what it handed to its store at 1\.1$/,
  },
  {
    bug: 15,
    rule: 16,
    name: 'what was sent counts as acknowledged',
    patches: [
      {
        file: 'leader/broadcast.ts',
        text: "learner.stage === 'active' && learner.acked >= zxid",
        replacement: "learner.stage === 'active' && learner.sent >= zxid",
      },
    ],
    bounds: CALM,
    breach: /^1\.1 is committed, and durable at 1 of 3$/,
  },
  {
    bug: 5,
    rule: 7,
    name: 'the queue to the log outlives the role: what was forgotten still reaches the disk',
    patches: [
      {
        file: 'roles.ts',
        text: '  state.failures = active ? 0 : state.failures + 1\n',
        replacement:
          '  state.failures = active ? 0 : state.failures + 1\n  const kept = checksumAt(state.history, state.durable)\n  if (kept !== null && state.durable >= state.committed && state.durable < state.history.last) truncate(state.history, state.durable, kept)\n',
      },
      {
        file: 'roles.ts',
        text: "import { looking } from './state.ts'\n",
        replacement: "import { checksumAt, truncate } from './history.ts'\nimport { looking } from './state.ts'\n",
      },
    ],
    bounds: { ...CALM, elections: 2, losses: 1 },
    breach: /its history ends at 0\.0, what it handed to its store at 1\.1$/,
  },
  {
    bug: 1,
    rule: 14,
    name: 'the new epoch is durable before the history that it claims',
    patches: [{ file: 'follower/discovery.ts', text: 'current: epochs.current }, afterwards:', replacement: 'current: epoch }, afterwards:' }],
    bounds: { ...CALM, start: 'orphaned', elections: 3, crashes: 2 },
    patient: true,
    breach: /^1\.1 is committed, and durable at 1 of 3$/,
  },
  {
    bug: 35,
    rule: 12,
    name: "in place the leader's current epoch is written behind the ACK-Es of the epoch before",
    patches: [
      {
        file: 'leader/follower-progress.ts',
        text: 'epoch: learner.epoch, heardAt: learner.heardAt })',
        replacement: 'epoch: learner.epoch, heardAt: learner.heardAt, ackEpoch: learner.ackEpoch })',
      },
    ],
    bounds: { ...CALM, counterMax: 1 },
    breach: /leads epoch 2, which no quorum that knows no more has acknowledged$/,
  },
]

const SOURCES = fileURLToPath(new URL('../../packages/consensus-core/src', import.meta.url))
const COMPILER: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
}

/** Translated once. */
let translated: Promise<Map<string, string>> | null = null

async function sources(): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const entry of await readdir(SOURCES, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts') || entry.name.includes('.test')) continue
    const path = join(entry.parentPath, entry.name)
    files.set(relative(SOURCES, path).replaceAll('\\', '/'), await readFile(path, 'utf8'))
  }
  return files
}

function translate(file: string, text: string): string {
  return ts.transpileModule(text, { compilerOptions: COMPILER, fileName: file }).outputText
}

async function translateAll(): Promise<Map<string, string>> {
  return new Map([...(await sources())].map(([file, text]) => [file, translate(file, text)]))
}

/** The core with the mutant's bugs, from the sources as they stand. @throws Error when a patch's text is not found exactly once. */
export async function mutatedCore({ patches }: Pick<CoreMutant, 'patches'>): Promise<NonNullable<ExploreOptions['core']>> {
  translated ??= translateAll()
  const files = new Map(await translated)
  const patched = new Map<string, string>()
  for (const { file, text, replacement } of patches)
    patched.set(file, replaced(file, patched.get(file) ?? (await readFile(join(SOURCES, file), 'utf8')), text, replacement))
  for (const [file, text] of patched) files.set(file, translate(file, text))
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-explore-'))
  try {
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
    for (const [file, text] of files) {
      const target = join(folder, file.replace(/\.ts$/, '.js'))
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, text)
    }
    const { Core } = (await import(/* @vite-ignore */ pathToFileURL(join(folder, 'index.js')).href)) as { Core: NonNullable<ExploreOptions['core']> }
    return Core
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
