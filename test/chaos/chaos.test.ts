import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from 'vitest'
import { buildWorker as buildFileWorker } from '../../packages/storage-file/src/build.test-support.ts'
import { buildWorker as buildLmdbWorker } from '../../packages/storage-lmdb/src/build.test-support.ts'
import { buildPackage } from '../support/build-worker.ts'
import { type ChaosOptions, type ChaosOutcome, runChaos } from './run.ts'
import { STORES } from './stores.ts'

/** A minute for all stores together. */
const FAULTS_MS = 60_000 / STORES.length
/** More than all clients can have under way. */
const TAIL_BYTES = 4096
/** The segment itself stays what it is. */
const HEAD_BYTES = 1024
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

beforeAll(async () => {
  await buildFileWorker()
  await buildLmdbWorker()
  await buildPackage('replica', 'consensus-core', 'ports', 'wire')
  await buildPackage('transport-tcp', 'transport-kit', 'ports', 'wire')
}, 120_000)

async function run(options: Pick<ChaosOptions, 'store' | 'ms'> & Partial<ChaosOptions>): Promise<ChaosOutcome & { readonly told: string }> {
  const seed = Date.now() % 1_000_000_007
  const told: string[] = [`seed ${seed}`]
  const outcome = await runChaos({ seed, links: 'auto', say: (line) => told.push(line), ...options })
  return { ...outcome, told: [...told, JSON.stringify(outcome.report)].join('\n') }
}

test.each(STORES)('five processes on %s under faults lose nothing, double nothing, and are linearizable', { timeout: 300_000 }, async (store) => {
  const { report, ok, told } = await run({ store, ms: FAULTS_MS })
  expect({ report, ok }, told).toMatchObject({ report: { lost: 0, doubled: 0, linearizable: true, phantoms: 0, wrongLooks: 0 }, ok: true })
  expect(report.elections, told).toBeGreaterThan(1)
  for (const role of ['leading', 'following']) for (const count of Object.values(report.answers[role]!)) expect(count, told).toBeGreaterThan(0)
  for (const count of Object.values(report.kinds)) expect(count, told).toBeGreaterThan(0)
  const { killed, stopped, connectionsEnded, held, slowed } = report.felt
  for (const count of [killed, stopped, connectionsEnded, held, slowed]) expect(count, told).toBeGreaterThan(0)
})

/** As if what was written last had been acknowledged before it was on the disk, and the machine had lost its power. */
async function forgetTail(folder: string): Promise<void> {
  const newest = (await readdir(folder))
    .filter((name) => name.startsWith('log-'))
    .sort()
    .at(-1)
  if (newest === undefined) throw new Error(`no log in ${folder}`)
  const path = join(folder, newest)
  const bytes = await readFile(path)
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1
  const from = Math.max(HEAD_BYTES, end - TAIL_BYTES)
  const file = await open(path, 'r+')
  try {
    await file.write(new Uint8Array(end - from), 0, end - from, from)
  } finally {
    await file.close()
  }
}

test('stores that forget what they acknowledged are found', { timeout: 300_000 }, async () => {
  const { report, ok, told } = await run({
    store: 'file',
    ms: 1,
    kinds: ['kill -9 of all'],
    links: 'proxy',
    snapshotEveryEntries: 1_000_000,
    afterKill: forgetTail,
  })
  expect(report.lost, told).toBeGreaterThan(0)
  expect(ok).toBe(false)
})

test('a run that is killed leaves nothing behind', { timeout: 120_000 }, async () => {
  const child = spawn(process.execPath, ['--conditions=@antiphon/source', '--import', 'tsx', MAIN, '--minutes', '10'], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const told: string[] = []
    let folder: string | null = null
    // A stopped process cannot end by itself.
    for await (const line of createInterface({ input: child.stdout })) {
      told.push(line)
      if (line.startsWith('folder: ')) folder = line.slice('folder: '.length)
      if (line.includes('SIGSTOP')) break
    }
    expect(folder, told.join('\n')).not.toBeNull()
    expect(existsSync(folder!)).toBe(true)
    const members = await processesWith(folder!)
    expect(members.length).toBeGreaterThan(0)
    child.kill('SIGKILL')
    await expect
      .poll(async () => ({ left: await processesWith(folder!), folder: existsSync(folder!) }), { timeout: 30_000 })
      .toEqual({ left: [], folder: false })
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
})

async function processesWith(folder: string): Promise<string[]> {
  const ps = spawn('ps', ['-ww', '-eo', 'args='], { stdio: ['ignore', 'pipe', 'inherit'] })
  const found: string[] = []
  for await (const line of createInterface({ input: ps.stdout })) if (line.includes(folder)) found.push(line)
  return found
}
