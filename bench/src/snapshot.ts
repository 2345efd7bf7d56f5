import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { type MutableState, mutableState, Table } from '@antiphon/immer-state'
import { Replica } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { inFolder } from './folder.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'
import { SliceTimer, type Timers, timed, Watch } from './slices.ts'
import { WatchedStore } from './watched.ts'

const KEYS = 1_000_000
const VALUE = 'v'.repeat(100)
const KEYS_AT_ONCE = 1000
const FILLS_UNDER_WAY = 20
const WRITES_A_SECOND = 10_000
const TURN_MS = 10
/** A snapshot begins within the second half of so many seconds of writes. */
const EVERY_SECONDS = 6

type Words = Table<string>
const actions = {
  fill: (table: Words, from: number) => {
    for (let i = from; i < from + KEYS_AT_ONCE; i++) table.set(`key-${i}`, VALUE)
  },
  set: (table: Words, { key, value }: { key: string; value: string }) => {
    table.set(key, value)
  },
}
type Machine = MutableState<Words, typeof actions>

interface Started {
  readonly replica: Replica<{ wide: Machine }>
  readonly machine: Machine
  readonly watched: WatchedStore
  readonly timers: Timers
  readonly restored: { ms: number }
}

/** A machine of 1,000,000 keys, with values of 100 bytes, in an ensemble of one on files: its snapshot while 10,000 writes a second go on, and its restoration. */
export function snapshot(options: Options): Promise<Result[]> {
  return inFolder(async (folder) => {
    const rows = new Map<string, number[]>()
    const add = (name: string, value: number): void => void rows.set(name, [...(rows.get(name) ?? []), value])
    for (let round = 0; round < options.rounds; round++) {
      const own = join(folder, `member-${round}`)
      const { bytes } = await write(own, add)
      add('plain', await plain(join(folder, 'plain'), bytes))
      await restore(own, add)
    }
    const of = (name: string): number => median(rows.get(name)!)
    const row = (name: string, unit: string, better: Result['better'] = 'lower'): Result => result(`snapshot.${name}`, of(name), unit, better, null)
    return [
      result('snapshot.write', of('write'), 's', 'lower', { value: of('plain'), against: 'writing as many bytes to one file, and flushing it' }),
      row('write.slice', 'ms'),
      row('write.slice.own', 'ms'),
      row('write.apply', 'ms'),
      row('write.apply.own', 'ms'),
      row('write.loop', 'ms'),
      row('write.gc', 'ms'),
      row('write.memory', 'MiB'),
      row('write.writes', 'writes/s', 'higher'),
      row('restore', 's'),
      row('restore.slice', 'ms'),
      row('restore.slice.own', 'ms'),
      row('restore.loop', 'ms'),
      row('restore.gc', 'ms'),
    ]
  })
}

async function write(folder: string, add: (name: string, value: number) => void): Promise<{ bytes: number }> {
  const { replica, machine, watched, timers } = await start(folder)
  for (let from = 0; from < KEYS; from += KEYS_AT_ONCE * FILLS_UNDER_WAY)
    await Promise.all(Array.from({ length: FILLS_UNDER_WAY }, (_, i) => machine.dispatch.fill(from + i * KEYS_AT_ONCE)))
  if (machine.model.size !== KEYS) throw new Error(`${machine.model.size} of ${KEYS} keys are there`)
  let watch: Watch | null = null
  let begun = 0
  let writesBefore = 0
  const writes = new Writes(machine)
  watched.onBegin = () => {
    // On a slow machine another one is due as soon as this one is saved.
    watched.onBegin = () => {}
    watch = new Watch()
    begun = performance.now()
    writesBefore = writes.done
  }
  const { ms, bytes } = await watched.saved()
  add('write.writes', (writes.done - writesBefore) / ((performance.now() - begun) / 1000))
  const { loopMs, pauses, pauseMs, grownMib } = await watch!.end()
  await writes.end()
  await replica.close()
  add('write', ms / 1000)
  const [slice, applied] = [timers.writing.longest(pauses), timers.applying.longest(pauses, begun)]
  add('write.slice', slice.ms)
  add('write.slice.own', slice.ownMs)
  add('write.apply', applied.ms)
  add('write.apply.own', applied.ownMs)
  add('write.loop', loopMs)
  add('write.gc', pauseMs)
  add('write.memory', grownMib)
  return { bytes }
}

async function restore(folder: string, add: (name: string, value: number) => void): Promise<void> {
  const watch = new Watch()
  const { replica, machine, timers, restored } = await start(folder)
  const { loopMs, pauses, pauseMs } = await watch.end()
  const { size } = machine.model
  await replica.close()
  if (size !== KEYS || restored.ms === 0) throw new Error(`${size} of ${KEYS} keys were restored`)
  add('restore', restored.ms / 1000)
  const slice = timers.reading.longest(pauses)
  add('restore.slice', slice.ms)
  add('restore.slice.own', slice.ownMs)
  add('restore.loop', loopMs)
  add('restore.gc', pauseMs)
}

async function start(folder: string): Promise<Started> {
  const machine: Machine = mutableState({ create: () => new Table<string>(), actions })
  const timers: Timers = { writing: new SliceTimer(), reading: new SliceTimer(), applying: new SliceTimer() }
  timed(machine, timers)
  const restored = { ms: 0 }
  const own = machine.restore.bind(machine)
  machine.restore = async (zxid, chunks) => {
    const begun = performance.now()
    await own(zxid, chunks)
    restored.ms = performance.now() - begun
  }
  const watched = new WatchedStore(fileStorage({ folder }))
  const replica = await Replica.start({
    id: 1,
    members: { 1: 'a' },
    machines: { wide: machine },
    storage: watched.store,
    transport: new MemoryNetwork().transport('a'),
    snapshotEveryEntries: KEYS / KEYS_AT_ONCE + EVERY_SECONDS * WRITES_A_SECOND,
  })
  await replica.ready({ timeoutMs: 120_000 })
  return { replica, machine, watched, timers, restored }
}

/** So many a second, spread over all keys, however long each takes. */
class Writes {
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #timer: NodeJS.Timeout
  #asked = 0
  #failure: unknown = null
  done = 0

  constructor(machine: Machine) {
    const begun = performance.now()
    const one = async (): Promise<void> => {
      try {
        // A prime step meets every key, in no order of the table's own.
        await machine.dispatch.set({ key: `key-${(this.#asked++ * 7919) % KEYS}`, value: VALUE })
        this.done++
      } catch (error) {
        this.#failure ??= error
      }
    }
    this.#timer = setInterval(() => {
      const due = ((performance.now() - begun) / 1000) * WRITES_A_SECOND
      while (this.#asked < due) {
        const write = one().finally(() => this.#underWay.delete(write))
        this.#underWay.add(write)
      }
    }, TURN_MS)
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#underWay)
    if (this.#failure !== null) throw this.#failure
  }
}

/** Seconds. */
async function plain(path: string, bytes: number): Promise<number> {
  const begun = performance.now()
  const file = await open(path, 'w')
  const piece = new Uint8Array(256 * 1024).fill(1)
  for (let at = 0; at < bytes; at += piece.length) await file.write(piece, 0, Math.min(piece.length, bytes - at), at)
  await file.datasync()
  await file.close()
  return (performance.now() - begun) / 1000
}
