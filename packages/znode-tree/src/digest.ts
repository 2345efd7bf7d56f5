import { crc32 } from '@antiphon/ports'
import type { NodeIndex } from './data-tree-types.ts'
import { offsetOf, pageOf } from './store/arena.ts'
import { type NodeStore, nameBytesOf } from './store/node-store.ts'
import {
  AVERSION,
  BELOW_SYSTEM,
  BLOCK,
  CREATED,
  CTIME,
  CZXID,
  chunkOf,
  DATA_LENGTH,
  DIGEST,
  DIRTY,
  FLAGS,
  LIVE,
  MTIME,
  MZXID,
  OWNER_HIGH,
  OWNER_LOW,
  PATH_CRC,
  PZXID,
  VERSION,
  wordsAt,
} from './store/records.ts'

/** `StatPersisted` in ZooKeeper's snapshots; in the digest its fields have another order. */
const STAT_BYTES = 60
/** Stale nodes that may wait, so that a parent of many new children is hashed once; few enough that they are in the caches still, and none of our slices is long when they are hashed. */
const STALE_MAX = 512
const TWO_32 = 2 ** 32

/** Of CRCs, in 64 bits. It is never negative: it is that of the nodes that are there. */
class Sum {
  #high = 0
  #low = 0

  add(crc: number): void {
    this.#low += crc
    if (this.#low >= TWO_32) {
      this.#low -= TWO_32
      this.#high++
    }
  }

  subtract(crc: number): void {
    this.#low -= crc
    if (this.#low < 0) {
      this.#low += TWO_32
      this.#high--
    }
  }

  value(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low)
  }
}

/**
 * ZooKeeper's tree digest, version 2: the sum of a CRC-32 for each node, of its path, its data and its Stat. What lies below `/zookeeper/` is not in it, and has a sum of its own. Nodes are hashed
 * lazily: a change marks them stale.
 */
export class TreeDigest {
  readonly #store: NodeStore
  readonly #stat = new Uint8Array(STAT_BYTES)
  readonly #view = new DataView(this.#stat.buffer)
  readonly #stale: NodeIndex[] = []
  readonly #counted = new Sum()
  readonly #system = new Sum()

  constructor(store: NodeStore) {
    this.#store = store
  }

  /** The node was made or changed. */
  mark(node: NodeIndex): void {
    const words = this.#store.words[chunkOf(node)]!
    const at = wordsAt(node) + FLAGS
    const flags = words[at]!
    if ((flags & DIRTY) !== 0) return
    words[at] = flags | DIRTY
    this.#stale.push(node)
    if (this.#stale.length === STALE_MAX) this.#flush()
  }

  /** The node is about to go. */
  remove(node: NodeIndex): void {
    const words = this.#store.words[chunkOf(node)]!
    const at = wordsAt(node)
    this.#sumOf(words[at + FLAGS]!).subtract(words[at + DIGEST]! >>> 0)
    words[at + DIGEST] = 0
  }

  /** ZooKeeper's. */
  value(): bigint {
    this.#flush()
    return this.#counted.value()
  }

  /** Of what ZooKeeper's leaves out. */
  systemValue(): bigint {
    this.#flush()
    return this.#system.value()
  }

  #flush(): void {
    const stale = this.#stale
    for (const node of stale) {
      const words = this.#store.words[chunkOf(node)]!
      const at = wordsAt(node)
      const flags = words[at + FLAGS]!
      // It is gone since, or another is there that has been looked at already.
      if ((flags & (DIRTY | LIVE)) !== (DIRTY | LIVE)) continue
      words[at + FLAGS] = flags & ~DIRTY
      const sum = this.#sumOf(flags)
      sum.subtract(words[at + DIGEST]! >>> 0)
      const crc = this.#hash(node)
      words[at + DIGEST] = crc
      sum.add(crc)
    }
    stale.length = 0
  }

  #sumOf(flags: number): Sum {
    return (flags & BELOW_SYSTEM) === 0 ? this.#counted : this.#system
  }

  #hash(node: NodeIndex): number {
    const store = this.#store
    const words = store.words[chunkOf(node)]!
    const at = wordsAt(node)
    const doubles = store.doubles[chunkOf(node)]!
    const first = at >>> 1
    const view = this.#view
    setInteger(view, 0, doubles[first + CZXID]!)
    setInteger(view, 8, doubles[first + MZXID]!)
    setInteger(view, 16, doubles[first + PZXID]!)
    setInteger(view, 24, doubles[first + CTIME]!)
    setInteger(view, 32, doubles[first + MTIME]!)
    view.setInt32(40, words[at + VERSION]!)
    view.setInt32(44, words[at + CREATED]!)
    view.setInt32(48, words[at + AVERSION]!)
    view.setInt32(52, words[at + OWNER_HIGH]!)
    view.setInt32(56, words[at + OWNER_LOW]!)
    let crc = words[at + PATH_CRC]! >>> 0
    const length = words[at + DATA_LENGTH]!
    if (length > 0) {
      const block = words[at + BLOCK]!
      const from = offsetOf(block) + nameBytesOf(words[at + FLAGS]!)
      crc = crc32(store.arena.bytes[pageOf(block)]!, crc, from, from + length)
    }
    return crc32(this.#stat, crc, 0, STAT_BYTES)
  }
}

/** 64 bits of a safe integer. */
export function setInteger(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / TWO_32))
  view.setUint32(at + 4, value >>> 0)
}
