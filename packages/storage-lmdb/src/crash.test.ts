import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { lmdbStorage } from './index.ts'
import { STORE_ID, Workload } from './workload.test-support.ts'

beforeAll(buildWorker)

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'antiphon-lmdb-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function start(folder: string): ChildProcess {
  const script = fileURLToPath(new URL('crash-child.test-support.ts', import.meta.url))
  return spawn(process.execPath, ['--conditions=@antiphon/source', '--import', 'tsx', script, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
}

for (const [what, rounds] of [
  ['durable', 3],
  ['about truncate', 3],
  ['about snapshot', 2],
  ['about compact', 3],
  ['about install', 2],
] as const) {
  test(`a process that is killed ${rounds} times at "${what}" loses nothing that was durable, and every write is there whole or not at all`, {
    timeout: 120_000,
  }, async () => {
    const folder = await temporary()
    let durable = 0
    for (let round = 1; round <= rounds; round++) {
      const child = start(folder)
      const ended = once(child, 'exit')
      let seen = 0
      for await (const line of createInterface({ input: child.stdout! })) {
        const [word, number] = line.split(' ')
        expect(line).not.toContain('failed')
        if (word === 'open') expect(Number(number)).toBeGreaterThanOrEqual(durable)
        if (word === 'durable') durable = Number(number)
        if (line.startsWith(what)) seen++
        if (seen >= round * 2 && durable > 12 * round) child.kill('SIGKILL')
      }
      expect((await ended)[1]).toBe('SIGKILL')
    }
    const store = lmdbStorage({ folder, segmentBytes: 16 * 1024 })
    onTestFinished(() => store.close())
    const state = await store.open(STORE_ID)
    expect(state.epochs.accepted).toBeGreaterThanOrEqual(durable)
    expect(await Workload.at(state.epochs.accepted).differs(store, state)).toBeNull()
  })
}
