/** A package as npm would publish it: packed into a folder of its own outside the tree, then read by publint and attw. Run by turbo in each package's folder. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, tool } from './run.ts'

const folder = process.cwd()
const aside = await mkdtemp(join(tmpdir(), 'antiphon-pack-'))
const faults: string[] = []
try {
  const manifest: { name: string; license?: string; exports?: unknown; engines?: unknown } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  for (const field of ['license', 'exports', 'engines', 'description', 'repository'] as const)
    if (!(field in manifest)) faults.push(`package.json has no \`${field}\``)

  const packed = await run('npm', ['pack', folder, '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', aside])
  if (!packed.ok) throw new Error(packed.output)
  const report: unknown = JSON.parse(packed.output.slice(packed.output.search(/^[[{]/m)))
  const [{ filename, files }] = Object.values(report as Record<string, { filename: string; files: { path: string }[] }>) as [
    { filename: string; files: { path: string }[] },
  ]
  const paths = files.map((file) => file.path)
  for (const needed of ['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'])
    if (!paths.includes(needed)) faults.push(`the package lacks ${needed}`)
  for (const path of paths) if (/\.test(-support)?\.|\.tsbuildinfo$|\.tgz$/.test(path)) faults.push(`the package carries ${path}`)

  const tarball = join(aside, filename.replace('@', '').replace('/', '-'))
  const lint = await tool('publint', ['run', tarball, '--strict'])
  if (!lint.ok) faults.push(lint.output)
  const types = await tool('attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'])
  if (!types.ok) faults.push(types.output)
} finally {
  await rm(aside, { recursive: true, force: true })
}
for (const fault of faults) process.stderr.write(`${fault}\n`)
process.exitCode = faults.length === 0 ? 0 : 1
