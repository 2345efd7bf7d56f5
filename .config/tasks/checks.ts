/** The checks of `npm run verify`: everything that can be said of the sources without running them. They read only; what they build stands in ignored folders. */
import { lockFaults } from './check-lock.ts'
import { type Check, check, type Ran, tool, turbo } from './run.ts'

const STEPS: readonly (readonly [name: string, run: () => Promise<Ran>])[] = [
  ['lint and format (biome)', () => tool('biome', ['check', '--config-path=.config/lint.json', '--error-on-warnings', '.'])],
  // First, because entry points import what is built, and isolatedDeclarations are checked by it.
  ['build (tsc -b under turbo)', () => turbo('build')],
  ['types (tsc)', () => tool('tsc', ['-p', '.config/tsconfig.check.json'])],
  ['import rules (dependency-cruiser)', () => tool('depcruise', ['--config', '.config/imports.mjs', 'packages', 'examples', 'bench', 'test'])],
  ['unused files, exports and dependencies (knip)', () => tool('knip', ['--config', '.config/knip.json', '--no-progress', '--no-config-hints'])],
  ['lock file', lockFile],
  ['packages (publint, attw)', () => turbo('check')],
]

async function lockFile(): Promise<Ran> {
  const begun = performance.now()
  const faults = await lockFaults()
  return { ok: faults.length === 0, output: faults.join('\n'), seconds: (performance.now() - begun) / 1000 }
}

/** One after the other: the type check and turbo use all cores by themselves. */
export async function verify(): Promise<readonly Check[]> {
  const checks: Check[] = []
  for (const [name, start] of STEPS) checks.push(await check(name, start()))
  return checks
}
