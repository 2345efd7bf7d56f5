import { setTimeout as pause } from 'node:timers/promises'
import { Latencies } from './latencies.ts'
import { type Figures, type Load, RECORD_BYTES } from './load.ts'
import { starve } from './starve.ts'

const RING = 1 << 14
/** Of so many proposals one is timed: looking at the clock for each would be measured as well. */
const TIMED_EACH = 16

/** Keeps `inFlight` proposals under way, one promise each: whoever is answered asks again. */
export class ClosedLoop {
  readonly #propose: (request: Uint8Array) => Promise<unknown>
  readonly #payload: Uint8Array = new Uint8Array(RECORD_BYTES).fill(7)
  readonly #latencies = new Latencies()
  readonly #startedAt: Float64Array = new Float64Array(RING)
  #asked = 0
  #answered = 0
  #each = 1
  #running = false
  #over: { resolve(): void; reject(error: unknown): void } | null = null

  constructor(propose: (request: Uint8Array) => Promise<unknown>) {
    this.#propose = propose
  }

  async measure(load: Load): Promise<Figures> {
    this.#running = true
    this.#each = load.inFlight >= TIMED_EACH ? TIMED_EACH : 1
    const over = new Promise<void>((resolve, reject) => (this.#over = { resolve, reject }))
    const relieve = load.starved ? starve() : null
    for (let i = 0; i < load.inFlight; i++) this.#ask()
    const measured = this.#measured(load).finally(() => (this.#running = false))
    try {
      await Promise.race([over, measured])
      const figures = await measured
      await over
      return figures
    } finally {
      await relieve?.()
    }
  }

  async #measured(load: Load): Promise<Figures> {
    await pause(load.warmUpMs)
    this.#latencies.clear()
    const before = this.#answered
    const begun = performance.now()
    await pause(load.measureMs)
    const commits = this.#answered - before
    const seconds = (performance.now() - begun) / 1000
    return { commits, perSecond: commits / seconds, p50Ms: this.#latencies.percentileMs(0.5), p99Ms: this.#latencies.percentileMs(0.99) }
  }

  #ask(): void {
    const number = this.#asked++
    if (number % this.#each === 0) this.#startedAt[number & (RING - 1)] = performance.now()
    this.#propose(this.#payload).then(this.#onAnswer, this.#onError)
  }

  /** Answers come in the order of the questions. */
  readonly #onAnswer = (): void => {
    const number = this.#answered++
    if (number % this.#each === 0) this.#latencies.record(performance.now() - this.#startedAt[number & (RING - 1)]!)
    if (this.#running) this.#ask()
    else if (this.#answered === this.#asked) this.#over?.resolve()
  }

  readonly #onError = (error: unknown): void => {
    this.#over?.reject(error)
  }
}
