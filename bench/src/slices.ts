import { monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import type { CommittedBatch, StateMachine } from '@antiphon/ports'

interface Piece {
  readonly since: number
  readonly until: number
}

interface Slice {
  readonly pieces: Piece[]
  ms: number
}

/** How long pieces of work hold the event loop: what follows without giving the loop back counts as one slice. Monotonic times, of `performance.now()`. */
export class SliceTimer {
  readonly #slices: Slice[] = []
  #underWay: Slice | null = null

  /** A piece that began at `since` has ended. */
  ended(since: number, until: number = performance.now()): void {
    if (this.#underWay === null) {
      this.#slices.push((this.#underWay = { pieces: [], ms: 0 }))
      // Whoever gives the loop back by an immediate of their own asks for it later than this one.
      setImmediate(() => (this.#underWay = null))
    }
    this.#underWay.pieces.push({ since, until })
    this.#underWay.ms += until - since
  }

  /** Of those since `from`: the longest as it was, and the longest without the pauses that lie in it, which may be another one. */
  longest(pauses: readonly Piece[], from = 0): { readonly ms: number; readonly ownMs: number } {
    const slices = this.#slices.filter(({ pieces }) => pieces[0]!.since >= from)
    const own = slices.map(({ pieces, ms }) => ms - pieces.reduce((sum, piece) => sum + within(piece, pauses), 0))
    return { ms: Math.max(0, ...slices.map(({ ms }) => ms)), ownMs: Math.max(0, ...own) }
  }
}

function within({ since, until }: Piece, pauses: readonly Piece[]): number {
  return pauses.reduce((sum, pause) => sum + Math.max(0, Math.min(until, pause.until) - Math.max(since, pause.since)), 0)
}

/** Of a machine: writing its snapshots, reading them, and bringing in entries. */
export interface Timers {
  readonly writing: SliceTimer
  readonly reading: SliceTimer
  readonly applying: SliceTimer
}

/** Times every piece of a machine's snapshots and restores, and every batch that it applies, by methods in front of its own. */
export function timed(machine: StateMachine, { writing, reading, applying }: Timers): void {
  const snapshot = machine.snapshot.bind(machine)
  const restore = machine.restore.bind(machine)
  const apply = machine.apply.bind(machine)
  machine.snapshot = () => {
    const begun = performance.now()
    const chunks = snapshot()
    writing.ended(begun)
    return timedChunks(chunks, writing)
  }
  machine.restore = (zxid, chunks) => restore(zxid, timedUse(chunks, reading))
  machine.apply = (batch: CommittedBatch) => {
    const begun = performance.now()
    const results = apply(batch)
    applying.ended(begun)
    return results
  }
}

function* timedChunks(chunks: Iterable<Uint8Array>, timer: SliceTimer): Generator<Uint8Array, void, undefined> {
  const iterator = chunks[Symbol.iterator]()
  for (;;) {
    const begun = performance.now()
    const next = iterator.next()
    timer.ended(begun)
    if (next.done === true) return
    yield next.value
  }
}

/** From a chunk's hand-over until the next one is asked for. */
async function* timedUse(chunks: AsyncIterable<Uint8Array>, timer: SliceTimer): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    const begun = performance.now()
    yield chunk
    timer.ended(begun)
  }
}

/** What the process itself shows meanwhile: the longest delay of its loop, its pauses for garbage, and how much its memory grew at most. */
export class Watch {
  readonly begun: number = performance.now()
  readonly #delay = monitorEventLoopDelay({ resolution: 1 })
  readonly #before = process.memoryUsage.rss()
  readonly #observer: PerformanceObserver
  readonly #sampler: NodeJS.Timeout
  readonly #pauses: Piece[] = []
  #most = this.#before

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#take(list.getEntries()))
    this.#observer.observe({ entryTypes: ['gc'] })
    this.#delay.enable()
    this.#sampler = setInterval(() => (this.#most = Math.max(this.#most, process.memoryUsage.rss())), 10)
  }

  async end(): Promise<{ readonly loopMs: number; readonly pauses: readonly Piece[]; readonly pauseMs: number; readonly grownMib: number }> {
    clearInterval(this.#sampler)
    this.#delay.disable()
    // The last pauses are told in a later turn.
    await new Promise((resolve) => setTimeout(resolve, 20))
    this.#take(this.#observer.takeRecords())
    this.#observer.disconnect()
    const pauseMs = Math.max(0, ...this.#pauses.map(({ since, until }) => until - since))
    return { loopMs: this.#delay.max / 1e6, pauses: this.#pauses, pauseMs, grownMib: (this.#most - this.#before) / (1024 * 1024) }
  }

  #take(entries: readonly PerformanceEntry[]): void {
    for (const { startTime, duration } of entries) this.#pauses.push({ since: startTime, until: startTime + duration })
  }
}
