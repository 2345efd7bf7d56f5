import type { Millis } from '@antiphon/ports'

/** How long writes took from their hand-over to the store until they were durable; those that were flushed together count each. */
export interface FlushFigures {
  readonly count: number
  /** Percentiles are at most a twentieth above the true ones; 0 while nothing was written. */
  readonly p50Ms: Millis
  readonly p99Ms: Millis
  readonly worstMs: Millis
  /** Longer than `fsyncWarnMs`. */
  readonly slow: number
}

export interface SlowFlush {
  readonly ms: Millis
  /** The setting `fsyncWarnMs`. */
  readonly limitMs: Millis
}

const LEAST_MS = 0.01
const LOG_STEP = Math.log(1.05)
/** The last one holds everything beyond two hours or so. */
const BUCKETS = 420

/** Counts by logarithmic buckets, in constant memory, since the replica's start. */
export class FlushWatch {
  readonly #limitMs: Millis
  readonly #counts: Float64Array = new Float64Array(BUCKETS)
  #count = 0
  #worstMs = 0
  #slow = 0
  #toldAt: Millis = Number.NEGATIVE_INFINITY

  constructor(limitMs: Millis) {
    this.#limitMs = limitMs
  }

  /** Monotonic times. What is to be told of it: null for a write in time, and for one that waited while another was found to be slow. */
  durable(handedOverAt: Millis, now: Millis): SlowFlush | null {
    const ms = Math.max(0, now - handedOverAt)
    this.#counts[bucketOf(ms)]!++
    this.#count++
    this.#worstMs = Math.max(this.#worstMs, ms)
    if (ms <= this.#limitMs) return null
    this.#slow++
    if (handedOverAt < this.#toldAt) return null
    this.#toldAt = now
    return { ms, limitMs: this.#limitMs }
  }

  get worstMs(): Millis {
    return this.#worstMs
  }

  get slow(): number {
    return this.#slow
  }

  figures(): FlushFigures {
    return { count: this.#count, p50Ms: this.#percentileMs(0.5), p99Ms: this.#percentileMs(0.99), worstMs: this.#worstMs, slow: this.#slow }
  }

  #percentileMs(share: number): Millis {
    if (this.#count === 0) return 0
    let left = Math.ceil(this.#count * share)
    let bucket = 0
    while (bucket < BUCKETS - 1 && (left -= this.#counts[bucket]!) > 0) bucket++
    return Math.min(this.#worstMs, LEAST_MS * Math.exp(LOG_STEP * bucket))
  }
}

/** Bucket i holds what is at most `LEAST_MS` * 1.05^i, and above that of i - 1. */
function bucketOf(ms: Millis): number {
  return ms <= LEAST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / LEAST_MS) / LOG_STEP))
}
