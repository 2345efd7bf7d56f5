import { closeSync, fdatasyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type LogStore, type Run, ZERO } from '@antiphon/ports'
import { fileStorage } from '@antiphon/storage-file'
import { lmdbStorage } from '@antiphon/storage-lmdb'
import { RunBuilder } from '@antiphon/wire'
import { BareLmdb } from './bare/lmdb.ts'
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
/** Appends durably, in the calling thread, and does nothing else. */
interface Raw {
  append(bytes: Uint8Array): void
  close(): Promise<void>
}

const RAW: Readonly<Record<string, (folder: string) => Raw>> = {
  rawFile,
  rawLmdb: (folder) => new BareLmdb(join(folder, 'log.mdb')),
}
const ROWS = [
  ['perSecond', '', 'entries/s', 'higher'],
  ['p50Ms', '.p50', 'ms (p50)', 'lower'],
  ['p99Ms', '.p99', 'ms (p99)', 'lower'],
] as const
const STORE_ID = '0'.repeat(32)

interface Figures {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Takes one run, and returns when a crash would leave it. */
type Write = (run: Run) => Promise<void>

/** One batch after the other, each durable before the next: our stores beside an append and fdatasync of the same bytes, and beside a put and commit of LMDB alone. */
export function storage(options: Options): Promise<Result[]> {
  return inFolder(async (folder) => {
    const results: Result[] = []
    for (const batch of BATCHES) {
      const figures = new Map<string, Figures[]>()
      for (let round = 0; round < options.rounds; round++) {
        for (const name of [...Object.keys(RAW), ...Object.keys(STORES)]) {
          const own = join(folder, `${name}-${batch}-${round}`)
          mkdirSync(own)
          const measured = await (name in RAW ? raw(RAW[name]!(own), batch, options) : ours(STORES[name]!(own), batch, options))
          figures.set(name, [...(figures.get(name) ?? []), measured])
          await rm(own, { recursive: true, force: true })
        }
      }
      const row = (name: string, of: string, against: string, told: string): void => {
        const value = (taken: string, figure: keyof Figures): number => median(figures.get(taken)!.map((one) => one[figure]))
        for (const [figure, suffix, unit, better] of ROWS)
          results.push(result(`storage.${name}${suffix}`, value(of, figure), unit, better, { value: value(against, figure), against: told }))
      }
      row(`file.${batch}`, 'file', 'rawFile', 'one append and fdatasync of the same bytes')
      row(`lmdb.${batch}`, 'lmdb', 'file', `storage.file.${batch}`)
      row(`lmdb.${batch}.raw`, 'rawLmdb', 'file', `storage.file.${batch}`)
    }
    return results
  })
}

async function raw(medium: Raw, batch: number, options: Options): Promise<Figures> {
  try {
    return await measure(batch, options, async ({ bytes }) => medium.append(bytes))
  } finally {
    await medium.close()
  }
}

function rawFile(folder: string): Raw {
  const file = openSync(join(folder, 'log'), 'ax')
  return {
    append(bytes) {
      if (writeSync(file, bytes) !== bytes.length) throw new Error('the file took a part of a batch')
      fdatasyncSync(file)
    },
    close: async () => closeSync(file),
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
