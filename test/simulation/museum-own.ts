import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseScript, type Script } from '@antiphon/simulator'
import { RULE_MUTANTS } from './museum-rules.ts'
import type { Mutant } from './mutants.ts'

/** Where scripts stand. */
export const SCRIPTS: string = fileURLToPath(new URL('scripts', import.meta.url))

const CORE = 'packages/consensus-core/src'
const SHELL = 'packages/replica/src'
const ENGINE = 'packages/storage-file/src/engine'
const KIT = 'packages/storage-kit/src'

/** A bug of our own: its patches take the fix back, and its script shows it then. */
export interface OwnBug extends Mutant {
  /** The seed that found it; its script may be of another, where the bug shows in a shorter run. */
  readonly bug: `seed-${number}`
  /** In `SCRIPTS`. */
  readonly script: string
}

export interface OwnRow {
  readonly own: OwnBug
  readonly script: Script
}

/** Bugs of our own that the simulator found. */
export const OWN_BUGS: readonly OwnBug[] = [
  { ...RULE_MUTANTS.find(({ bug }) => bug === '2a')!, bug: 'seed-34', script: 'misread-end' },
  {
    bug: 'seed-91',
    rule: 2,
    name: 'a segment whose first batch was torn is judged before the scan, as if no batch stood before it: what was never reported is called corrupt',
    script: 'torn-first-batch',
    patches: [
      {
        file: `${ENGINE}/recovery.ts`,
        text: '    const live: LiveFile[] = []\n',
        replacement: '    for (const file of files.slice(lastAt + 1)) this.#assertDead(file)\n    const live: LiveFile[] = []\n',
      },
    ],
  },
  {
    bug: 'seed-275',
    rule: 2,
    name: 'rot in the head of the last segment makes it a leftover when one reading of what it holds goes astray',
    script: 'rot-in-a-head-and-a-misread',
    patches: [
      { file: `${ENGINE}/recovery.ts`, text: 'readings < 2; readings++) {\n      const later', replacement: 'readings < 1; readings++) {\n      const later' },
    ],
  },
  {
    bug: 'seed-302081',
    rule: 4,
    name: 'a store that a full disk has stopped is taken for a snapshot for which there was no room: its replica goes on without it',
    script: 'store-stopped-by-a-full-disk',
    patches: [
      {
        file: `${SHELL}/shell.ts`,
        text: "(error.code === 'DISK_FAILED' || error.details['storeFailed'] === true)",
        replacement: "error.code === 'DISK_FAILED'",
      },
    ],
  },
  {
    bug: 'seed-2001604',
    rule: 2,
    name: 'rot in front of what was flushed last is taken for the end of the log when one reading of it goes astray',
    script: 'rot-and-a-misread',
    patches: [
      { file: `${ENGINE}/recovery.ts`, text: '    this.#assertLast(name, reader, again, salt, head.staged)\n', replacement: '' },
      {
        file: `${ENGINE}/recovery.ts`,
        text: '    const finds = (): boolean => {\n      reader.release()\n',
        replacement: '    const finds = (): boolean => {\n',
      },
      { file: `${ENGINE}/recovery.ts`, text: '    if (finds() || finds() || main', replacement: '    if (finds() || main' },
    ],
  },
  {
    bug: 'seed-3019661',
    rule: 28,
    name: 'a verdict on what an earlier process has told quarantines a sound one',
    script: 'verdict-on-an-earlier-process',
    patches: [
      {
        file: `${CORE}/digests.ts`,
        text: '  if (own !== null && own !== digest) quarantine(step, zxid, own, digest)\n',
        replacement: "  if (own !== digest) quarantine(step, zxid, own ?? '', digest)\n",
      },
    ],
  },
  {
    bug: 'seed-4000288',
    rule: 28,
    name: 'a sound snapshot finds the name of its file taken by a void one of the same ZXID that is still under way',
    script: 'snapshot-beside-a-void-one',
    patches: [{ file: `${KIT}/snapshots/files.ts`, text: 'this.#aside = freeAside(disk.list(), name)', replacement: "this.#aside = name + '.new'" }],
  },
  {
    bug: 'seed-5018541',
    rule: 10,
    name: 'a store in a place where it does not count forgets a later epoch that it promised in its own',
    script: 'promise-of-a-swapped-disk',
    patches: [
      {
        file: `${CORE}/follower/synchronization.ts`,
        text: '  return accepted >= epoch ? { accepted, acceptedFrom } : { accepted: epoch, acceptedFrom: null }\n',
        replacement: '  return accepted === epoch ? { accepted, acceptedFrom } : { accepted: epoch, acceptedFrom: null }\n',
      },
    ],
  },
]

/** The text of a bug's script. */
export function scriptOf({ script }: OwnBug): Promise<string> {
  return readFile(`${SCRIPTS}/${script}.txt`, 'utf8')
}

/** For the page. */
export function ownRows(): Promise<readonly OwnRow[]> {
  return Promise.all(OWN_BUGS.map(async (own) => ({ own, script: parseScript(await scriptOf(own)) })))
}
