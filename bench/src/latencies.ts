const BUCKETS_PER_MS = 1000
const MS_MAX = 1000

/** Counts by microsecond, up to a second: exact, and nothing is allocated while it counts. */
export class Latencies {
  readonly #counts: Uint32Array = new Uint32Array(MS_MAX * BUCKETS_PER_MS + 1)
  #total = 0

  get total(): number {
    return this.#total
  }

  record(ms: number): void {
    const bucket = ms >= MS_MAX ? MS_MAX * BUCKETS_PER_MS : ms <= 0 ? 0 : Math.floor(ms * BUCKETS_PER_MS)
    this.#counts[bucket]!++
    this.#total++
  }

  clear(): void {
    this.#counts.fill(0)
    this.#total = 0
  }

  /** The least latency that a share of `share` does not exceed, in milliseconds; 0 when nothing was counted. */
  percentileMs(share: number): number {
    let left = Math.ceil(this.#total * share)
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      left -= this.#counts[bucket]!
      if (left <= 0) return this.#total === 0 ? 0 : (bucket + 1) / BUCKETS_PER_MS
    }
    return MS_MAX
  }
}
