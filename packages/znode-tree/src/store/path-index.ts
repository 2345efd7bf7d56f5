import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { CHAIN, chunkOf, PATH_CRC, type Records, wordsAt } from './records.ts'

const CHUNK_SHIFT = 12
const CHUNK = 2 ** CHUNK_SHIFT
const FIRST_CHUNK_MIN = 64
/** Of a bucket: the CRC and number of one record, and of another, from which more follow by CHAIN. */
const BUCKET_WORDS = 4
/** As many are in one bucket only if somebody means it: with two a bucket on average, one bucket in 10^26 is full by chance. */
const RECORDS_PER_BUCKET_MAX = 32

/**
 * Records by the CRC of their paths: linear hashing. A bucket names two records with their CRCs, so that a path is found without a look at any other record; further ones are chained. It grows by one
 * bucket whenever there are more records than buckets, and so never stands still to be rebuilt, as a Map does for 49 ms at its millionth entry.
 *
 * Anybody can think up paths that have one CRC: a bucket that is full takes no more, and whoever keeps the index has another place for what is refused.
 */
export class PathIndex {
  readonly #words: readonly Int32Array[]
  readonly #buckets: Int32Array[] = [new Int32Array(FIRST_CHUNK_MIN * BUCKET_WORDS).fill(NO_NODE)]
  readonly #divided: NodeIndex[] = []
  /** There are `#mask + 1 + #split` buckets: those below `#split` are divided already by one more bit of the hash. */
  #mask: number = FIRST_CHUNK_MIN - 1
  #split = 0
  #count = 0

  constructor(records: Records) {
    this.#words = records.words
  }

  /** How many there are: as many as there were records at a time, at least 64. */
  get size(): number {
    return this.#mask + 1 + this.#split
  }

  /** A record with this CRC: the one that follows `after`, or the first after NO_NODE. NO_NODE: there is none. */
  candidate(crc: number, after: NodeIndex): NodeIndex {
    const bucket = this.#bucketOf(crc)
    const buckets = this.#buckets[bucket >>> CHUNK_SHIFT]!
    const at = (bucket & (CHUNK - 1)) * BUCKET_WORDS
    const first = buckets[at + 1]!
    if (after === NO_NODE && buckets[at] === crc && first !== NO_NODE) return first
    let record = buckets[at + 3]!
    if (after === NO_NODE || after === first) {
      if (buckets[at + 2] === crc && record !== NO_NODE) return record
    } else record = after
    while (record !== NO_NODE) {
      const words = this.#words[chunkOf(record)]!
      record = words[wordsAt(record) + CHAIN]!
      if (record !== NO_NODE && this.#words[chunkOf(record)]![wordsAt(record) + PATH_CRC] === crc) return record
    }
    return NO_NODE
  }

  /** PATH_CRC of the record is set. False: its bucket is full, and it is not in the index. */
  add(record: NodeIndex): boolean {
    const bucket = this.#bucketOf(this.#words[chunkOf(record)]![wordsAt(record) + PATH_CRC]!)
    if (this.#isFull(bucket)) return false
    this.#place(record, bucket)
    if (++this.#count > this.#mask + 1 + this.#split) this.#divide()
    return true
  }

  /** False: it is not in the index. */
  remove(record: NodeIndex): boolean {
    const bucket = this.#bucketOf(this.#words[chunkOf(record)]![wordsAt(record) + PATH_CRC]!)
    const buckets = this.#buckets[bucket >>> CHUNK_SHIFT]!
    const at = (bucket & (CHUNK - 1)) * BUCKET_WORDS
    const second = buckets[at + 3]!
    if (buckets[at + 1] === record) {
      buckets[at] = buckets[at + 2]!
      buckets[at + 1] = second
      if (second !== NO_NODE) this.#setSecond(buckets, at, this.#next(second))
    } else if (second === record) this.#setSecond(buckets, at, this.#next(record))
    else {
      let other = second
      while (other !== NO_NODE && this.#next(other) !== record) other = this.#next(other)
      if (other === NO_NODE) return false
      this.#words[chunkOf(other)]![wordsAt(other) + CHAIN] = this.#next(record)
    }
    this.#count--
    return true
  }

  #isFull(bucket: number): boolean {
    let record = this.#buckets[bucket >>> CHUNK_SHIFT]![(bucket & (CHUNK - 1)) * BUCKET_WORDS + 3]!
    for (let records = 1; record !== NO_NODE; record = this.#next(record)) if (++records === RECORDS_PER_BUCKET_MAX) return true
    return false
  }

  #next(record: NodeIndex): NodeIndex {
    return this.#words[chunkOf(record)]![wordsAt(record) + CHAIN]!
  }

  #setSecond(buckets: Int32Array, at: number, record: NodeIndex): void {
    buckets[at + 3] = record
    buckets[at + 2] = record === NO_NODE ? 0 : this.#words[chunkOf(record)]![wordsAt(record) + PATH_CRC]!
  }

  #place(record: NodeIndex, bucket: number): void {
    const buckets = this.#buckets[bucket >>> CHUNK_SHIFT]!
    const at = (bucket & (CHUNK - 1)) * BUCKET_WORDS
    const words = this.#words[chunkOf(record)]!
    const own = wordsAt(record)
    const slot = buckets[at + 1] === NO_NODE ? at : at + 2
    words[own + CHAIN] = slot === at ? NO_NODE : buckets[at + 3]!
    buckets[slot] = words[own + PATH_CRC]!
    buckets[slot + 1] = record
  }

  #bucketOf(crc: number): number {
    const bucket = crc & this.#mask
    return bucket < this.#split ? crc & (2 * this.#mask + 1) : bucket
  }

  /** One bucket becomes two. */
  #divide(): void {
    const lower = this.#split
    this.#makeRoom(lower + this.#mask + 1)
    const buckets = this.#buckets[lower >>> CHUNK_SHIFT]!
    const at = (lower & (CHUNK - 1)) * BUCKET_WORDS
    const divided = this.#divided
    divided.length = 0
    if (buckets[at + 1] !== NO_NODE) divided.push(buckets[at + 1]!)
    for (let record = buckets[at + 3]!; record !== NO_NODE; record = this.#next(record)) divided.push(record)
    buckets[at + 1] = buckets[at + 3] = NO_NODE
    this.#split++
    for (const record of divided) this.#place(record, this.#bucketOf(this.#words[chunkOf(record)]![wordsAt(record) + PATH_CRC]!))
    if (this.#split === this.#mask + 1) {
      this.#mask = 2 * this.#mask + 1
      this.#split = 0
    }
  }

  #makeRoom(bucket: number): void {
    const chunk = this.#buckets[bucket >>> CHUNK_SHIFT]
    if (chunk === undefined) this.#buckets.push(new Int32Array(CHUNK * BUCKET_WORDS).fill(NO_NODE))
    else if ((bucket & (CHUNK - 1)) * BUCKET_WORDS >= chunk.length) {
      const larger = new Int32Array(chunk.length * 2).fill(NO_NODE)
      larger.set(chunk)
      this.#buckets[bucket >>> CHUNK_SHIFT] = larger
    }
  }
}
