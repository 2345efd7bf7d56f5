import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import type { StateMachine } from '@antiphon/ports'

/** How long pieces of work hold the event loop: what follows without giving the loop back counts as one slice. */
export class SliceTimer {
  longestMs = 0
  #underWay = 0

  /** A piece that began at `since` has ended. */
  ended(since: number): void {
    // Whoever gives the loop back by an immediate of their own asks for it later than this one.
    if (this.#underWay === 0) setImmediate(() => (this.#underWay = 0))
    this.#underWay += performance.now() - since
    this.longestMs = Math.max(this.longestMs, this.#underWay)
  }
}

/** Times every piece of a machine's snapshots and restores, by methods in front of its own. */
export function timed(machine: StateMachine, writing: SliceTimer, reading: SliceTimer): void {
  const snapshot = machine.snapshot.bind(machine)
  const restore = machine.restore.bind(machine)
  machine.snapshot = () => {
    const begun = performance.now()
    const chunks = snapshot()
    writing.ended(begun)
    return timedChunks(chunks, writing)
  }
  machine.restore = (zxid, chunks) => restore(zxid, timedUse(chunks, reading))
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

/** What the process itself shows meanwhile: the longest delay of its loop, the longest pause for garbage, and how much its memory grew at most. */
export class Watch {
  readonly #delay = monitorEventLoopDelay({ resolution: 1 })
  readonly #before = process.memoryUsage.rss()
  readonly #observer: PerformanceObserver
  readonly #sampler: NodeJS.Timeout
  #most = this.#before
  #pauseMs = 0

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#take(list.getEntries()))
    this.#observer.observe({ entryTypes: ['gc'] })
    this.#delay.enable()
    this.#sampler = setInterval(() => (this.#most = Math.max(this.#most, process.memoryUsage.rss())), 10)
  }

  end(): { readonly loopMs: number; readonly pauseMs: number; readonly grownMib: number } {
    clearInterval(this.#sampler)
    this.#delay.disable()
    this.#take(this.#observer.takeRecords())
    this.#observer.disconnect()
    return { loopMs: this.#delay.max / 1e6, pauseMs: this.#pauseMs, grownMib: (this.#most - this.#before) / (1024 * 1024) }
  }

  #take(pauses: readonly { readonly duration: number }[]): void {
    for (const { duration } of pauses) this.#pauseMs = Math.max(this.#pauseMs, duration)
  }
}
