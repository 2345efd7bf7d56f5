import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'

/**
 * One node is one record of 128 bytes in typed arrays: no object, nothing for the garbage collector to follow. A record's number never changes; freed ones are used again.
 * The first five fields are doubles (ZXIDs and times are safe integers), the rest 32-bit words. What a look-up needs lies together, and so does what a Stat needs besides: with memory as the
 * allocator gives it (16 bytes behind a cache line), words 12 to 27 are one line, and those up to 11 lie in another.
 */
export const RECORD_WORDS = 32

/** Doubles. */
export const CZXID = 0
export const MZXID = 1
export const PZXID = 2
export const CTIME = 3
export const MTIME = 4

/** Words. */
export const VERSION = 10
export const CREATED = 11
export const PARENT = 12
/** Bits, and from NAME_SHIFT on the length of the name in characters. */
export const FLAGS = 13
/** In the arena: the name, and behind it the data. */
export const BLOCK = 14
/** Bytes; NULL_DATA: null. */
export const DATA_LENGTH = 15
/** CRC-32 of the path in UTF-8 (of `/`: of nothing): the hash of the path index, and the seed of the node's part in the digest. */
export const PATH_CRC = 16
/** The next record in the same bucket of the path index. */
export const CHAIN = 17
/** The beginning of the name once more, four characters a word, the first the lowest, zeros behind the last: a look-up of a short name need not go to the arena. Means nothing of a wide name. */
export const NAME = 18
export const NAME_WORDS = 4
export const AVERSION = 22
export const CHILDREN = 23
export const ACL = 24
/** ZooKeeper's persisted `ephemeralOwner`, high and low half: a session, or what makes a container or a TTL node. */
export const OWNER_HIGH = 25
export const OWNER_LOW = 26
/** The node's part in the digest, as it was added last. */
export const DIGEST = 27
export const NEXT = 28
export const FIRST_CHILD = 29
export const LAST_CHILD = 30
export const PREVIOUS = 31

export const NULL_DATA = -1

export const KIND_MASK = 3
/** A character of the name takes two bytes. */
export const WIDE_NAME = 4
/** In the list of nodes whose DIGEST is stale. */
export const DIRTY = 8
export const LIVE = 16
/** Below `/zookeeper`: not in the digest. */
export const BELOW_SYSTEM = 32
/** Below `/zookeeper/quota`, with a child `zookeeper_limits`. */
export const HAS_LIMITS = 64
/** Itself below `/zookeeper/quota`, or that node. */
export const IN_QUOTA = 128
export const NAME_SHIFT = 8
export const NAME_LENGTH_MAX: number = 2 ** (31 - NAME_SHIFT) - 1

/** Records come in chunks of 4,096, so that growing copies nothing; the first one starts small, for the many small trees of tests. */
const CHUNK_SHIFT = 12
const CHUNK = 2 ** CHUNK_SHIFT
const FIRST_CHUNK_MIN = 64

export class Records {
  /** Chunk `record >>> chunkShift`, from word `(record & chunkMask) * RECORD_WORDS` on. Look them up anew after `allocate`. */
  readonly words: Int32Array[] = []
  /** The same memory. */
  readonly doubles: Float64Array[] = []
  /** In use. */
  count = 0
  /** Freed records, linked by CHAIN. */
  #free: NodeIndex = NO_NODE
  #unused = 0
  #capacity = 0

  /** A record of any content. */
  allocate(): NodeIndex {
    this.count++
    const record = this.#free
    if (record !== NO_NODE) {
      this.#free = this.words[record >>> CHUNK_SHIFT]![(record & (CHUNK - 1)) * RECORD_WORDS + CHAIN]!
      return record
    }
    if (this.#unused === this.#capacity) this.#grow()
    return this.#unused++
  }

  release(record: NodeIndex): void {
    const words = this.words[record >>> CHUNK_SHIFT]!
    const at = (record & (CHUNK - 1)) * RECORD_WORDS
    this.count--
    words[at + FLAGS] = 0
    words[at + CHAIN] = this.#free
    this.#free = record
  }

  copy(from: NodeIndex, to: NodeIndex): void {
    const at = wordsAt(from)
    this.words[to >>> CHUNK_SHIFT]!.set(this.words[from >>> CHUNK_SHIFT]!.subarray(at, at + RECORD_WORDS), wordsAt(to))
  }

  #grow(): void {
    const first = this.words[0]
    if (first !== undefined && this.#capacity < CHUNK) {
      this.#capacity *= 2
      const words = new Int32Array(this.#capacity * RECORD_WORDS)
      words.set(first)
      this.words[0] = words
      this.doubles[0] = new Float64Array(words.buffer)
      return
    }
    const records = first === undefined ? FIRST_CHUNK_MIN : CHUNK
    const words = new Int32Array(records * RECORD_WORDS)
    this.words.push(words)
    this.doubles.push(new Float64Array(words.buffer))
    this.#capacity += records
  }
}

export function chunkOf(record: NodeIndex): number {
  return record >>> CHUNK_SHIFT
}

/** Where a record's words begin in its chunk; its doubles begin at half of it. */
export function wordsAt(record: NodeIndex): number {
  return (record & (CHUNK - 1)) * RECORD_WORDS
}
