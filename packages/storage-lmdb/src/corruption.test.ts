import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LogStore } from '@antiphon/ports'
import { expect, onTestFinished, test } from 'vitest'
import { lmdbStorage } from './index.ts'
import { chunksOf, STORE_ID, Workload } from './workload.test-support.ts'

const WRITES = 36
const PAGE = 4096
const OFFSETS = 160

/** A closed store that has carried out the workload. */
async function filled(): Promise<{ folder: string; workload: Workload }> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-lmdb-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const store = lmdbStorage({ folder, mainThread: true, segmentBytes: 16 * 1024, aheadBytes: 0 })
  await store.open(STORE_ID)
  const workload = new Workload()
  while (workload.number < WRITES) await carryOut(store, workload)
  await store.close()
  return { folder, workload }
}

async function carryOut(store: LogStore, workload: Workload): Promise<void> {
  const { write, staged, meta } = workload.next()
  let install: number | null = null
  if (staged !== null) {
    install = await store.stage(meta, asyncly(chunksOf(meta)))
    store.stageAppend(install, [staged], () => undefined)
  }
  await new Promise<void>((resolve, reject) => store.write({ ...write, install }, (error) => (error === null ? resolve() : reject(error))))
}

async function* asyncly<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

async function opened(folder: string, workload: Workload): Promise<string> {
  const store = lmdbStorage({ folder, mainThread: true, aheadBytes: 0 })
  try {
    return (await workload.differs(store, await store.open(STORE_ID))) ?? 'same'
  } catch (error) {
    return (error as { code: string }).code
  } finally {
    await store.close()
  }
}

test('a byte that has changed in an entry is found when it is read', { timeout: 60_000 }, async () => {
  const { folder, workload } = await filled()
  const file = join(folder, 'data.mdb')
  const whole = await readFile(file)
  expect(await opened(folder, workload)).toBe('same')
  let found = 0
  // Behind the installed snapshot, so that every one of them is read.
  for (const run of workload.runs.slice(-8)) {
    const at = whole.indexOf(run.bytes)
    expect(at).toBeGreaterThan(0)
    for (const offset of [0, Math.floor(run.bytes.length / 2), run.bytes.length - 1]) {
      const bytes = Buffer.from(whole)
      // An earlier state of the page may hold the same entries.
      for (let copy = at; copy >= 0; copy = whole.indexOf(run.bytes, copy + 1)) bytes[copy + offset]! ^= 1
      await writeFile(file, bytes)
      expect(await opened(folder, workload)).toBe('CORRUPT')
      found++
    }
  }
  expect(found).toBe(24)
  await writeFile(file, whole)
  expect(await opened(folder, workload)).toBe('same')
})

test('a byte that has changed anywhere is refused, or changes nothing, or ends the process: never is there another history', { timeout: 120_000 }, async () => {
  const { folder, workload } = await filled()
  const whole = await readFile(join(folder, 'data.mdb'))
  const { length } = whole
  const undamaged = `${folder}.undamaged`
  onTestFinished(() => rm(undamaged))
  await writeFile(undamaged, whole)
  // The heads of pages, where LMDB's own structure stands, more closely than the rest; not all of either: a process that ends costs a second.
  const within = [12, 18, 21, 26, 100, 1001, 2500, 4090]
  const offsets = Array.from({ length: OFFSETS }, (_, i) => PAGE * Math.floor((i * length) / OFFSETS / PAGE) + within[i % within.length]! + (i % 3))
  const outcomes = new Map<string, number>()
  for (let next = 0; next < offsets.length; ) {
    const child = start(folder, undamaged, workload.number)
    const ended = once(child, 'exit')
    const last = Math.min(offsets.length, next + 400)
    child.stdin!.end(`${offsets.slice(next, last).join('\n')}\n`)
    let silence = setTimeout(() => child.kill('SIGKILL'), 4_000)
    for await (const line of createInterface({ input: child.stdout! })) {
      silence.refresh()
      const [at, ...outcome] = line.split(' ')
      expect(Number(at)).toBe(offsets[next++])
      count(outcomes, outcome.join(' '))
      if (next === last) break
    }
    clearTimeout(silence)
    silence = setTimeout(() => child.kill('SIGKILL'), 4_000)
    await ended
    clearTimeout(silence)
    if (next < last) {
      count(outcomes, 'ended')
      next++
    }
  }
  expect([...outcomes.keys()].filter((outcome) => !['same', 'CORRUPT', 'VERSION_MISMATCH', 'DISK_FAILED', 'ended'].includes(outcome))).toEqual([])
  expect(outcomes.get('CORRUPT')).toBeGreaterThan(0)
})

function count(outcomes: Map<string, number>, outcome: string): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
}

function start(folder: string, undamaged: string, number: number): ChildProcess {
  const script = fileURLToPath(new URL('corruption-child.test-support.ts', import.meta.url))
  return spawn(process.execPath, ['--conditions=@antiphon/source', '--import', 'tsx', script, folder, undamaged, String(number)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
}
