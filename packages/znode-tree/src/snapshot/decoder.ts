import { corrupt, type Millis, type Zxid } from '@antiphon/ports'
import type { NodeTree } from '../data-tree.ts'
import { type AclNumber, EPHEMERAL, NO_NODE, type NodeIndex, type NodeKind, TTL } from '../data-tree-types.ts'
import { OPEN } from '../store/acl-table.ts'
import { KIND_MASK } from '../store/records.ts'
import { sessionOf, ttlOf } from '../store/tree-state.ts'
import type { Acl } from '../types.ts'
import { ByteFeed } from './byte-feed.ts'
import { FORMAT, HAS_DATA, MAGIC } from './encoder.ts'
import { TreeLoader } from './loader.ts'

const BYTES_MAX = 2 ** 30
const NODES_MAX = 2 ** 31 - 1
const TEXT_BYTES_MAX = 2 ** 24

/** Makes a new tree of what `snapshotChunks` wrote, wherever it was cut; nothing is seen of it before `finish`. Errors: CORRUPT. */
export class TreeDecoder {
  readonly #feed = new ByteFeed()
  readonly #loader = new TreeLoader()
  readonly #onExtra: (piece: Uint8Array) => void
  /** ACLs by their numbers in the snapshot. */
  readonly #acls: AclNumber[] = [OPEN]
  /** The node that was read last, and its ancestors. */
  readonly #way: NodeIndex[] = []
  #depth = -1
  #remaining = 0
  #ended = false
  #token: () => boolean = () => this.#head()

  /** `onExtra` may keep the pieces. */
  constructor(onExtra: (piece: Uint8Array) => void = () => {}) {
    this.#onExtra = onExtra
  }

  push(chunk: Uint8Array): void {
    if (this.#ended && chunk.length > 0) throw corrupt('something follows the end of a snapshot')
    this.#ended = !this.#feed.push(chunk, () => this.#token())
  }

  finish(): NodeTree {
    if (!this.#ended) throw corrupt('a snapshot ends too early')
    return this.#loader.finish()
  }

  #head(): boolean {
    if (this.#feed.int32() !== MAGIC) throw corrupt('this is no snapshot of a znode tree')
    const format = this.#feed.byte()
    if (format !== FORMAT) throw corrupt(`a snapshot has the format ${format}`, { known: FORMAT })
    this.#token = () => this.#extra()
    return true
  }

  #extra(): boolean {
    const feed = this.#feed
    const length = feed.varint(BYTES_MAX)
    const start = feed.skip(length)
    if (length > 0) this.#onExtra(feed.bytes.slice(start, start + length))
    else this.#token = () => this.#count()
    return true
  }

  #count(): boolean {
    this.#remaining = this.#feed.varint(NODES_MAX)
    if (this.#remaining === 0) throw corrupt('a snapshot has no nodes')
    this.#token = () => this.#node()
    return true
  }

  #node(): boolean {
    const feed = this.#feed
    const up = feed.varint(NODES_MAX)
    const depth = this.#depth + 1 - up
    if (depth < 0 || (depth === 0) !== this.#depth < 0) throw feed.error('a node has no parent')
    const name = feed.text(feed.varint(TEXT_BYTES_MAX))
    const flags = feed.byte()
    if (flags > (HAS_DATA | KIND_MASK)) throw feed.error(`unknown flags ${flags}`)
    const kind = (flags & KIND_MASK) as NodeKind
    const stat = {
      czxid: feed.integer() as Zxid,
      mzxid: feed.integer() as Zxid,
      pzxid: feed.integer() as Zxid,
      ctime: feed.integer() as Millis,
      mtime: feed.integer() as Millis,
      version: feed.int32(),
      created: feed.int32(),
      aversion: feed.int32(),
    }
    const hasOwner = kind === EPHEMERAL || kind === TTL
    const high = hasOwner ? feed.int32() : 0
    const low = hasOwner ? feed.int32() : 0
    const aclNumber = feed.varint(this.#acls.length)
    const acl = aclNumber === this.#acls.length ? this.#entries() : null
    const length = (flags & HAS_DATA) === 0 ? -1 : feed.varint(BYTES_MAX)
    const start = length < 0 ? -1 : feed.skip(length)
    // All of it has arrived.
    if (acl !== null) this.#acls.push(this.#loader.intern(acl))
    const parent = depth === 0 ? NO_NODE : this.#way[depth - 1]!
    const owner = kind === EPHEMERAL ? sessionOf(high, low) : 0n
    const ttlMs = kind === TTL ? ttlOf(high, low) : 0
    this.#way[depth] = this.#loader.add(parent, name, { kind, owner, ttlMs, acl: this.#acls[aclNumber]!, bytes: feed.bytes, start, end: start + length }, stat)
    this.#depth = depth
    if (--this.#remaining === 0) this.#token = () => this.#tail()
    return true
  }

  #entries(): Acl[] {
    const feed = this.#feed
    const acl: Acl[] = []
    for (let count = feed.varint(TEXT_BYTES_MAX); count > 0; count--) {
      acl.push({ perms: feed.int32(), scheme: feed.text(feed.varint(TEXT_BYTES_MAX)), id: feed.text(feed.varint(TEXT_BYTES_MAX)) })
    }
    return acl
  }

  #tail(): boolean {
    const claimed = BigInt.asUintN(64, this.#feed.int64())
    if (this.#loader.state.digest.value() !== claimed) throw corrupt('a snapshot and its digest do not belong together')
    return false
  }
}
