import type { PathRecord } from './path-record.ts'

const BUCKETS_MIN = 256

/** Path records by the CRC of their paths. Unlike a `Map` it makes nothing when one is put in or taken out, which happens with every change. */
export class PathTable {
  #buckets: (PathRecord | null)[] = empty(BUCKETS_MIN)
  #count = 0

  get(path: string, crc: number): PathRecord | undefined {
    if (this.#count === 0) return undefined
    let record: PathRecord | null = this.#buckets[crc & (this.#buckets.length - 1)]!
    while (record !== null && (record.crc !== crc || record.path !== path)) record = record.chain
    return record ?? undefined
  }

  /** One that is not in it, nor another of its path. */
  add(record: PathRecord): void {
    if (this.#count++ === this.#buckets.length) this.#grow()
    this.#link(record)
  }

  /** One that is in it. */
  delete(record: PathRecord): void {
    const bucket = record.crc & (this.#buckets.length - 1)
    const first = this.#buckets[bucket]
    if (first === record) this.#buckets[bucket] = record.chain
    else {
      let before = first!
      while (before.chain !== record) before = before.chain!
      before.chain = record.chain
    }
    record.chain = null
    this.#count--
  }

  clear(): void {
    if (this.#count === 0) return
    this.#buckets = empty(BUCKETS_MIN)
    this.#count = 0
  }

  #link(record: PathRecord): void {
    const bucket = record.crc & (this.#buckets.length - 1)
    record.chain = this.#buckets[bucket]!
    this.#buckets[bucket] = record
  }

  #grow(): void {
    const before = this.#buckets
    this.#buckets = empty(2 * before.length)
    for (const first of before) {
      for (let record = first; record !== null; ) {
        const next: PathRecord | null = record.chain
        this.#link(record)
        record = next
      }
    }
  }
}

function empty(buckets: number): (PathRecord | null)[] {
  return new Array<PathRecord | null>(buckets).fill(null)
}
