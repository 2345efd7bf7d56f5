import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { buildWorker } from './build.test-support.ts'
import { buildGate } from './flush-gate.test-support.ts'
import { lmdbStorage } from './index.ts'
import { STORE_ID, Workload } from './workload.test-support.ts'

const work = await mkdtemp(join(tmpdir(), 'antiphon-gate-'))
const library = await buildGate(work)
const lacking = library === null ? ' (not here: no gcc on Linux to make a library that stands in front of the flush)' : ''

beforeAll(buildWorker)
afterAll(() => rm(work, { recursive: true, force: true }))

/** The process, its lines, and the gate in front of its flushes. */
class Gated {
  readonly folder: string
  readonly gate: string
  readonly child: ChildProcess
  readonly lines: string[] = []
  readonly #waiting: (() => void)[] = []

  private constructor(folder: string, gate: string) {
    this.folder = folder
    this.gate = gate
    const script = fileURLToPath(new URL('flush-child.test-support.ts', import.meta.url))
    this.child = spawn(process.execPath, ['--conditions=@antiphon/source', '--import', 'tsx', script, folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, LD_PRELOAD: library!, GATE: gate },
    })
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      this.lines.push(line)
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  static async start(): Promise<Gated> {
    const folder = await mkdtemp(join(work, 'store-'))
    await mkdir(join(folder, 'gate'))
    const gated = new Gated(join(folder, 'store'), join(folder, 'gate'))
    onTestFinished(() => void gated.child.kill('SIGKILL'))
    await gated.comes('open 0')
    return gated
  }

  say(line: string): void {
    this.child.stdin!.write(`${line}\n`)
  }

  async comes(line: string): Promise<void> {
    while (!this.lines.includes(line)) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** So many round trips through the process: what it had to tell before has arrived. */
  async pings(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.lines.length = 0
      this.say('ping')
      await this.comes('pong')
      expect(this.lines).toEqual(['pong'])
    }
  }

  put(name: string): Promise<void> {
    return writeFile(join(this.gate, name), '')
  }

  take(name: string): Promise<void> {
    return rm(join(this.gate, name))
  }

  /** Resolves when somebody waits at the gate. */
  async waitsAt(name: string): Promise<void> {
    for (;;) {
      const seen = await readFile(join(this.gate, 'seen'), 'utf8').catch(() => '')
      if (seen.includes(name)) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

for (const [gate, what] of [
  ['hold-flush', 'the flush of the pages'],
  ['hold-meta', 'the flushed write of the page that names them'],
] as const) {
  test.skipIf(library === null)(`nothing is called durable before ${what} has ended${lacking}`, async () => {
    const gated = await Gated.start()
    await gated.put(gate)
    gated.say('write')
    await gated.waitsAt(gate)
    gated.say('write')
    await gated.pings(50)
    gated.lines.length = 0
    await gated.take(gate)
    await gated.comes('durable 2')
    expect(gated.lines).toEqual(['durable 1', 'durable 2'])
  })
}

for (const [gate, code] of [
  ['fail-flush', 'DISK_FAILED'],
  ['fail-write', 'DISK_FULL'],
] as const) {
  test.skipIf(library === null)(
    `after ${gate} every later write fails with ${code} although the disk would take it, and what was durable stays${lacking}`,
    async () => {
      const gated = await Gated.start()
      for (const _ of [1, 2]) gated.say('write')
      await gated.comes('durable 2')
      await gated.put(gate)
      gated.lines.length = 0
      gated.say('write')
      await gated.comes(`failed ${code}`)
      await gated.take(gate)
      gated.lines.length = 0
      gated.say('write')
      await gated.comes(`failed ${code}`)
      gated.say('close')
      await gated.comes('closed')
      const store = lmdbStorage({ folder: gated.folder, mainThread: true })
      onTestFinished(() => store.close())
      const state = await store.open(STORE_ID)
      expect(state.epochs.accepted).toBe(2)
      expect(await Workload.at(2).differs(store, state)).toBeNull()
    },
  )
}
