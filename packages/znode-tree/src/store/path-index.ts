import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { CHAIN, chunkOf, PATH_CRC, type Records, wordsAt } from './records.ts'

const CHUNK_SHIFT = 12
const CHUNK = 2 ** CHUNK_SHIFT
const FIRST_CHUNK_MIN = 64

/**
 * Records by the CRC of their paths: linear hashing with chains through the records. It grows by one bucket whenever there are more records than buckets, and so never stands still to be
 * rebuilt, as a Map does for 49 ms at its millionth entry. Who looks for a path compares names along the chain.
 */
export class PathIndex {
  readonly #words: readonly Int32Array[]
  /** First record of each bucket. */
  readonly #heads: Int32Array[] = [new Int32Array(FIRST_CHUNK_MIN).fill(NO_NODE)]
  /** There are `#mask + 1 + #split` buckets: those below `#split` are divided already by one more bit of the hash. */
  #mask: number = FIRST_CHUNK_MIN - 1
  #split = 0
  #count = 0

  constructor(records: Records) {
    this.#words = records.words
  }

  /** The first record of the chain that one with this CRC would be in. */
  first(crc: number): NodeIndex {
    const bucket = this.#bucketOf(crc)
    return this.#heads[bucket >>> CHUNK_SHIFT]![bucket & (CHUNK - 1)]!
  }

  /** PATH_CRC of the record is set. */
  add(record: NodeIndex): void {
    const words = this.#words[chunkOf(record)]!
    const at = wordsAt(record)
    const bucket = this.#bucketOf(words[at + PATH_CRC]!)
    const heads = this.#heads[bucket >>> CHUNK_SHIFT]!
    words[at + CHAIN] = heads[bucket & (CHUNK - 1)]!
    heads[bucket & (CHUNK - 1)] = record
    if (++this.#count > this.#mask + 1 + this.#split) this.#divide()
  }

  remove(record: NodeIndex): void {
    const own = this.#words[chunkOf(record)]!
    const next = own[wordsAt(record) + CHAIN]!
    const bucket = this.#bucketOf(own[wordsAt(record) + PATH_CRC]!)
    const heads = this.#heads[bucket >>> CHUNK_SHIFT]!
    let other = heads[bucket & (CHUNK - 1)]!
    this.#count--
    if (other === record) {
      heads[bucket & (CHUNK - 1)] = next
      return
    }
    for (;;) {
      const words = this.#words[chunkOf(other)]!
      const at = wordsAt(other)
      other = words[at + CHAIN]!
      if (other !== record) continue
      words[at + CHAIN] = next
      return
    }
  }

  #bucketOf(crc: number): number {
    const bucket = crc & this.#mask
    return bucket < this.#split ? crc & (2 * this.#mask + 1) : bucket
  }

  /** One bucket becomes two. */
  #divide(): void {
    const lower = this.#split
    const bit = this.#mask + 1
    const upper = lower + bit
    this.#makeRoom(upper)
    let keep = NO_NODE
    let move = NO_NODE
    const lowerHeads = this.#heads[lower >>> CHUNK_SHIFT]!
    for (let record = lowerHeads[lower & (CHUNK - 1)]!; record !== NO_NODE; ) {
      const words = this.#words[chunkOf(record)]!
      const at = wordsAt(record)
      const next = words[at + CHAIN]!
      if ((words[at + PATH_CRC]! & bit) !== 0) {
        words[at + CHAIN] = move
        move = record
      } else {
        words[at + CHAIN] = keep
        keep = record
      }
      record = next
    }
    lowerHeads[lower & (CHUNK - 1)] = keep
    this.#heads[upper >>> CHUNK_SHIFT]![upper & (CHUNK - 1)] = move
    this.#split++
    if (this.#split === bit) {
      this.#mask = 2 * this.#mask + 1
      this.#split = 0
    }
  }

  #makeRoom(bucket: number): void {
    const chunk = this.#heads[bucket >>> CHUNK_SHIFT]
    if (chunk === undefined) this.#heads.push(new Int32Array(CHUNK).fill(NO_NODE))
    else if ((bucket & (CHUNK - 1)) >= chunk.length) {
      const larger = new Int32Array(chunk.length * 2).fill(NO_NODE)
      larger.set(chunk)
      this.#heads[bucket >>> CHUNK_SHIFT] = larger
    }
  }
}
