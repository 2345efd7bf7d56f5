import { execFile } from 'node:child_process'
import { mkdir, readdir, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const DIST = join(ROOT, 'packages/storage-file/dist')

/** The worker runs what was built: it is built when a source is newer. Several test processes may ask at once. */
export async function buildWorker(): Promise<void> {
  const lock = join(ROOT, 'node_modules/.cache/storage-file-build')
  await mkdir(join(ROOT, 'node_modules/.cache'), { recursive: true })
  const deadline = Date.now() + 60_000
  while (!(await tryLock(lock, deadline))) await new Promise((resolve) => setTimeout(resolve, 50))
  try {
    if (await isFresh()) return
    const output = await build()
    if (!(await isFresh())) throw new Error(`the worker could not be built:\n${output}`)
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

async function isFresh(): Promise<boolean> {
  for (const name of ['storage-file', 'storage-kit', 'ports', 'wire', 'consensus-core']) {
    const folder = join(ROOT, 'packages', name)
    const built = await stat(join(folder, 'dist/.tsbuildinfo')).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    )
    if ((await newestSource(join(folder, 'src'))) > built) return false
  }
  return stat(join(DIST, 'worker.js')).then(
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
function build(): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(ROOT, 'node_modules/@typescript/native/bin/tsc'), '-b', 'packages/storage-file'], { cwd: ROOT }, (_, stdout, stderr) =>
      resolve(stdout + stderr),
    )
  })
}
