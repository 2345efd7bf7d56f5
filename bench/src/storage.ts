import { closeSync, fdatasyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type LogStore, type Run, ZERO } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { RunBuilder } from '@antiphon/wire'
import { inFolder } from './folder.ts'
import { Latencies } from './latencies.ts'
import { RECORD_BYTES } from './load.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const BATCHES = [1, 100, 1000]
const STORES: Readonly<Record<string, (folder: string) => LogStore>> = {
  file: (folder) => fileStorage({ folder }),
  lmdb: (folder) => lmdbStorage({ folder }),
}
const STORE_ID = '0'.repeat(32)

interface Figures {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Takes one run, and returns when a crash would leave it. */
type Write = (run: Run) => Promise<void>

/** One batch after the other, each durable before the next: our stores beside an append and fdatasync of the same bytes. */
export function storage(options: Options): Promise<Result[]> {
  return inFolder(async (folder) => {
    const results: Result[] = []
    for (const batch of BATCHES) {
      const figures = new Map<string, Figures[]>()
      for (let round = 0; round < options.rounds; round++) {
        for (const name of ['raw', ...Object.keys(STORES)]) {
          const own = join(folder, `${name}-${batch}-${round}`)
          const measured = await (name === 'raw' ? raw(own, batch, options) : ours(STORES[name]!(own), batch, options))
          figures.set(name, [...(figures.get(name) ?? []), measured])
          await rm(own, { recursive: true, force: true })
        }
      }
      const of = (name: string, figure: keyof Figures): number => median(figures.get(name)!.map((one) => one[figure]))
      for (const name of Object.keys(STORES)) {
        const [yardstick, told] = name === 'file' ? ['raw', 'one append and fdatasync of the same bytes'] : ['file', `storage.file.${batch}`]
        const against = (figure: keyof Figures): { value: number; against: string } => ({ value: of(yardstick!, figure), against: told! })
        const row = `storage.${name}.${batch}`
        results.push(result(row, of(name, 'perSecond'), 'entries/s', 'higher', against('perSecond')))
        results.push(result(`${row}.p50`, of(name, 'p50Ms'), 'ms (p50)', 'lower', against('p50Ms')))
        results.push(result(`${row}.p99`, of(name, 'p99Ms'), 'ms (p99)', 'lower', against('p99Ms')))
      }
    }
    return results
  })
}

async function raw(folder: string, batch: number, options: Options): Promise<Figures> {
  mkdirSync(folder)
  const file = openSync(join(folder, 'log'), 'ax')
  try {
    return await measure(batch, options, async ({ bytes }) => {
      if (writeSync(file, bytes) !== bytes.length) throw new Error('the file took a part of a batch')
      fdatasyncSync(file)
    })
  } finally {
    closeSync(file)
  }
}

async function ours(store: LogStore, batch: number, options: Options): Promise<Figures> {
  await store.open(STORE_ID)
  let ticket = 0
  try {
    return await measure(batch, options, (run) => {
      const write = { ticket: ++ticket, founding: null, install: null, truncateTo: null, append: [run], epochs: null, afterwards: [] }
      return new Promise((resolve, reject) => store.write(write, (error) => (error === null ? resolve() : reject(error))))
    })
  } finally {
    await store.close()
  }
}

/** Only the writes are timed: framing a run is the same work for both. */
async function measure(batch: number, { warmUpMs, measureMs }: Options, write: Write): Promise<Figures> {
  const payload = new Uint8Array(RECORD_BYTES).fill(7)
  const latencies = new Latencies()
  const begun = performance.now()
  let tail: Run | null = null
  let sumMs = 0
  let entries = 0
  for (;;) {
    const builder = new RunBuilder()
    builder.begin(tail?.last ?? ZERO, tail?.checksum ?? 0, 1, 1)
    for (let i = 0; i < batch; i++) builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, payload)
    tail = builder.finish()!
    const before = performance.now()
    if (before - begun >= warmUpMs + measureMs) break
    await write(tail)
    const ms = performance.now() - before
    if (before - begun < warmUpMs) continue
    latencies.record(ms)
    sumMs += ms
    entries += batch
  }
  return { perSecond: entries / (sumMs / 1000), p50Ms: latencies.percentileMs(0.5), p99Ms: latencies.percentileMs(0.99) }
}
