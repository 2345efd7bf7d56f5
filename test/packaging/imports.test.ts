import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** Which rules a tree of sources breaks, each as `rule: file`. */
async function broken(sources: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-imports-'))
  folders.push(folder)
  for (const [file, text] of Object.entries(sources)) {
    await mkdir(join(folder, dirname(file)), { recursive: true })
    await writeFile(join(folder, file), text)
  }
  const args = [
    join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs'),
    '--config',
    join(root, '.config/imports.mjs'),
    '--output-type',
    'json',
    'packages',
  ]
  const output = await new Promise<string>((resolve) => execFile(process.execPath, args, { cwd: folder, maxBuffer: 1 << 24 }, (_, stdout) => resolve(stdout)))
  const { summary }: { summary: { violations: { rule: { name: string }; from: string }[] } } = JSON.parse(output)
  return [...new Set(summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`))].sort()
}

/** One tree with everything that is allowed and everything that is not. */
const SOURCES = {
  'packages/ports/src/index.ts': "import '../../consensus-core/src/index.ts'\n",
  'packages/ports/src/inner.ts': 'export {}\n',
  'packages/consensus-core/src/index.ts': 'export const core = 1\n',
  'packages/wire/src/index.ts': "import './reaches-into-node.ts'\nimport './a.test-support.ts'\nexport const wire = 1\n",
  'packages/wire/src/reaches-into-node.ts': "import 'node:fs'\n",
  'packages/wire/src/a.test-support.ts': "import 'node:fs'\n",
  'packages/wire/src/one.ts': "import type { Other } from './other.ts'\nexport type One = Other | 1\n",
  'packages/wire/src/other.ts': "import type { One } from './one.ts'\nexport type Other = One | 2\n",
  'packages/storage-file/src/index.ts': "import '../../ports/src/index.ts'\nimport '../../wire/src/index.ts'\nimport 'node:fs'\nimport './engine/index.ts'\n",
  'packages/storage-file/src/engine/index.ts': "import 'node:fs'\nimport '../host.ts'\n",
  'packages/storage-file/src/host.ts': "import 'node:fs'\n",
  'packages/simulator/src/index.ts': "import '../../storage-file/src/engine/index.ts'\n",
  'packages/simulator/src/wrong.ts': "import '../../storage-file/src/index.ts'\n",
  'packages/transport-tcp/src/index.ts': "import type { wire } from '../../wire/src/index.ts'\nexport type W = typeof wire\n",
  'packages/transport-memory/src/index.ts': "import '../../ports/src/inner.ts'\n",
  'packages/new-one/src/index.ts': "import '../../ports/src/index.ts'\n",
  'packages/antiphon/src/index.ts': "import '../../ports/src/index.ts'\nimport '../../storage-file/src/index.ts'\n",
  'packages/antiphon/src/lost.ts': "import './nowhere.ts'\n",
}

test('the rules refuse what the table does not allow, types and cycles included, and nothing else', async () => {
  expect(await broken(SOURCES)).toEqual([
    'by-the-front-door: packages/transport-memory/src/index.ts',
    'engine-knows-no-host: packages/storage-file/src/engine/index.ts',
    'found: packages/antiphon/src/lost.ts',
    'no-cycle: packages/wire/src/one.ts',
    'no-test-in-a-product: packages/wire/src/index.ts',
    'node-in-hosts-alone: packages/storage-file/src/engine/index.ts',
    'node-in-hosts-alone: packages/wire/src/reaches-into-node.ts',
    'row-in-the-table: packages/new-one/src/index.ts',
    'table-simulator: packages/simulator/src/wrong.ts',
    'table-transport-tcp: packages/transport-tcp/src/index.ts',
  ])
})
