import { execFile } from 'node:child_process'
import { mkdir, readdir, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A worker runs what was built: it is built when a source is newer. `names`: the package with the worker, then those that it stands on. Several test processes may ask at once. */
export function buildWorker(...names: readonly [string, ...string[]]): Promise<void> {
  return buildFor('worker.js', names)
}

/** The same for processes that run a whole package. */
export function buildPackage(...names: readonly [string, ...string[]]): Promise<void> {
  return buildFor('index.js', names)
}

async function buildFor(entry: string, names: readonly [string, ...string[]]): Promise<void> {
  const lock = join(ROOT, 'node_modules/.cache/worker-build')
  await mkdir(join(ROOT, 'node_modules/.cache'), { recursive: true })
  const deadline = Date.now() + 60_000
  // Other processes hold the lock: a folder on the disk, of which nobody tells when it goes.
  while (!(await tryLock(lock, deadline))) await new Promise((resolve) => setTimeout(resolve, 50))
  try {
    if (await isFresh(entry, names)) return
    const output = await build(names[0])
    if (!(await isFresh(entry, names))) throw new Error(`${names[0]} could not be built:\n${output}`)
  } finally {
    await rmdir(lock).catch(() => undefined)
  }
}

/** A lock that outlives its holder is taken over in the end. */
async function tryLock(lock: string, deadline: number): Promise<boolean> {
  return mkdir(lock).then(
    () => true,
    () => Date.now() > deadline,
  )
}

async function isFresh(entry: string, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    const folder = join(ROOT, 'packages', name)
    const built = await stat(join(folder, 'dist/.tsbuildinfo')).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    )
    if ((await newestSource(join(folder, 'src'))) > built) return false
  }
  return stat(join(ROOT, 'packages', names[0]!, 'dist', entry)).then(
    () => true,
    () => false,
  )
}

async function newestSource(folder: string): Promise<number> {
  let newest = 0
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile() || /\.test(-support)?\.ts$/.test(file.name)) continue
    newest = Math.max(newest, (await stat(join(file.parentPath, file.name))).mtimeMs)
  }
  return newest
}

/** Errors elsewhere in the tree do not keep it from writing what it can. */
function build(name: string): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(ROOT, 'node_modules/@typescript/native/bin/tsc'), '-b', `packages/${name}`], { cwd: ROOT }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
}
