import { corrupt, type Millis, type Zxid } from '@antiphon/ports'
import type { NodeTree } from '../data-tree.ts'
import { CONTAINER, EPHEMERAL, NO_NODE, type NodeIndex, type NodeKind, PERSISTENT, TTL } from '../data-tree-types.ts'
import { Quotas } from '../quota.ts'
import { OPEN } from '../store/acl-table.ts'
import { ROOT } from '../store/node-store.ts'
import { ACL, CZXID, FIRST_CHILD, NEXT } from '../store/records.ts'
import { type Making, PLAIN, QUOTA_NODE, SYSTEM_NODE, type TreeState, ttlOf } from '../store/tree-state.ts'
import { type Acl, READ, type SessionId } from '../types.ts'
import { adler32 } from './adler32.ts'
import { ByteFeed } from './byte-feed.ts'
import { TreeLoader } from './loader.ts'
import { DIGEST_VERSION, END_PATH, FILE_VERSION, OPEN_ACL_ID, SNAPSHOT_MAGIC } from './zookeeper-export.ts'

const COUNT_MAX = 2 ** 31 - 1
const TEXT_BYTES_MAX = 2 ** 24
const DATA_BYTES_MAX = 2 ** 30
export const CONTAINER_OWNER = 0x8000_0000_0000_0000n
export const TTL_OWNER = 0xff00_0000_0000_0000n
const ZERO_STAT = { czxid: 0, mzxid: 0, pzxid: 0, ctime: 0, mtime: 0, version: 0, created: 0, aversion: 0 } as never

export interface TreeDigestAt {
  readonly zxid: Zxid
  readonly digest: bigint
}

export interface ZooKeeperSnapshot {
  readonly state: TreeState
  readonly tree: NodeTree
  readonly sessions: Map<SessionId, Millis>
  /** What the server said that the digest of its tree was, at a ZXID that may lie above the snapshot's: it writes while changes go on. */
  readonly digest: TreeDigestAt | null
}

export interface Owner {
  readonly kind: NodeKind
  readonly owner: SessionId
  readonly ttlMs: Millis
}

/** What ZooKeeper's persisted `ephemeralOwner` says. */
export function ownerOf(persisted: bigint): Owner {
  const bits = BigInt.asUintN(64, persisted)
  if (bits === 0n) return { kind: PERSISTENT, owner: 0n, ttlMs: 0 }
  if (bits === CONTAINER_OWNER) return { kind: CONTAINER, owner: 0n, ttlMs: 0 }
  if (bits >> 56n !== 0xffn) return { kind: EPHEMERAL, owner: bits, ttlMs: 0 }
  if (((bits >> 40n) & 0xffffn) !== 0n) throw corrupt('a node is of a kind that is not known')
  return { kind: TTL, owner: 0n, ttlMs: ttlOf(Number(bits >> 32n), Number(bits & 0xffff_ffffn)) }
}

/** Reads a snapshot file of ZooKeeper, cut anywhere: its checksums are compared, quotas are counted anew, and siblings are put in the order in which they were made. Errors: CORRUPT. */
export class ZooKeeperSnapshotDecoder {
  readonly #feed = new ByteFeed()
  readonly #loader = new TreeLoader()
  readonly #sessions = new Map<SessionId, Millis>()
  readonly #acls = new Map<bigint, number>([[OPEN_ACL_ID, OPEN]])
  readonly #met = new Set<NodeIndex>()
  #digest: TreeDigestAt | null = null
  #sum = 1
  #remaining = 0
  /** Sections behind the nodes that are whole: a file may end after any of them but the first. */
  #sealed = false
  #token: () => void = () => this.#head()

  constructor() {
    this.#loader.add(NO_NODE, '', PLAIN, ZERO_STAT)
    this.#loader.add(ROOT, 'zookeeper', PLAIN, ZERO_STAT)
    this.#loader.add(SYSTEM_NODE, 'quota', PLAIN, ZERO_STAT)
  }

  push(chunk: Uint8Array): void {
    const feed = this.#feed
    feed.push(chunk, () => {
      const start = feed.at
      const sum = this.#sum
      this.#token()
      this.#sum = adler32(feed.bytes, sum, start, feed.at)
      return true
    })
  }

  finish(): ZooKeeperSnapshot {
    if (!this.#sealed || this.#feed.isInside) throw corrupt('a snapshot of ZooKeeper ends too early')
    const loader = this.#loader
    const { state } = loader
    for (const node of [ROOT, SYSTEM_NODE, QUOTA_NODE]) if (!this.#met.has(node)) throw corrupt('a snapshot of ZooKeeper lacks the nodes that each has')
    // Before 3.5 there was none.
    if (loader.find('/zookeeper/config') === NO_NODE) {
      const acl = loader.intern([{ perms: READ, scheme: 'world', id: 'anyone' }])
      loader.add(SYSTEM_NODE, 'config', { ...PLAIN, acl }, { ...(ZERO_STAT as object), aversion: -1 } as never)
    }
    sortSiblings(state)
    new Quotas(state).recountAll()
    return { state, tree: loader.finish(), sessions: this.#sessions, digest: this.#digest }
  }

  #head(): void {
    const feed = this.#feed
    if (feed.int32() !== SNAPSHOT_MAGIC) throw corrupt('this is no snapshot of ZooKeeper')
    const version = feed.int32()
    if (version !== FILE_VERSION) throw corrupt(`a snapshot of ZooKeeper has the version ${version}`)
    feed.int64()
    this.#token = () => this.#sessionCount()
  }

  #sessionCount(): void {
    this.#remaining = this.#count(COUNT_MAX)
    this.#token = this.#remaining > 0 ? () => this.#session() : () => this.#aclCount()
  }

  #session(): void {
    const id = BigInt.asUintN(64, this.#feed.int64())
    this.#sessions.set(id, this.#feed.int32())
    if (--this.#remaining === 0) this.#token = () => this.#aclCount()
  }

  #aclCount(): void {
    this.#remaining = this.#count(COUNT_MAX)
    this.#token = this.#remaining > 0 ? () => this.#acl() : () => this.#node()
  }

  #acl(): void {
    const feed = this.#feed
    const number = feed.int64()
    const acl: Acl[] = []
    for (let count = this.#count(TEXT_BYTES_MAX); count > 0; count--) {
      acl.push({ perms: feed.int32(), scheme: feed.text(this.#count(TEXT_BYTES_MAX)), id: feed.text(this.#count(TEXT_BYTES_MAX)) })
    }
    this.#acls.set(number, this.#loader.intern(acl))
    if (--this.#remaining === 0) this.#token = () => this.#node()
  }

  #node(): void {
    const feed = this.#feed
    const path = feed.text(this.#count(TEXT_BYTES_MAX))
    if (path === END_PATH) {
      this.#token = () => this.#seal(() => this.#digestSection())
      return
    }
    const length = feed.int32()
    if (length < -1 || length > DATA_BYTES_MAX) throw feed.error(`a node claims ${length} bytes`)
    const start = length < 0 ? -1 : feed.skip(length)
    const acl = this.#acls.get(feed.int64())
    const [czxid, mzxid, ctime, mtime] = [feed.integer() as Zxid, feed.integer() as Zxid, feed.integer(), feed.integer()]
    const [version, created, aversion] = [feed.int32(), feed.int32(), feed.int32()]
    const owner = ownerOf(feed.int64())
    const stat = { czxid, mzxid, ctime, mtime, version, created, aversion, pzxid: feed.integer() as Zxid }
    if (acl === undefined) throw feed.error(`${path} has an ACL that is not there`)
    this.#place(path, { ...owner, acl, bytes: feed.bytes, start, end: start + length }, stat)
  }

  #place(path: string, node: Making, stat: Parameters<TreeLoader['add']>[3]): void {
    const loader = this.#loader
    const builtIn = path === '' ? ROOT : path === '/zookeeper' ? SYSTEM_NODE : path === '/zookeeper/quota' ? QUOTA_NODE : NO_NODE
    if (builtIn !== NO_NODE) {
      if (this.#met.has(builtIn) || node.kind !== PERSISTENT) throw this.#feed.error(`${path} is not as it has to be`)
      this.#met.add(builtIn)
      const { store } = loader.state
      store.setData(builtIn, node.bytes, node.start, node.end)
      store.acls.use(node.acl)
      store.acls.unuse(store.word(builtIn, ACL))
      store.setWord(builtIn, ACL, node.acl)
      loader.setStat(builtIn, stat)
      return
    }
    const slash = path.lastIndexOf('/')
    const parent = slash === 0 ? ROOT : slash < 0 ? NO_NODE : loader.find(path.slice(0, slash))
    if (parent === NO_NODE || !this.#met.has(ROOT)) throw this.#feed.error(`${path} has no parent`)
    loader.add(parent, path.slice(slash + 1), node, stat)
  }

  #seal(next: () => void): void {
    const feed = this.#feed
    const sum = feed.integer()
    const length = feed.int32()
    if (length !== END_PATH.length || feed.byte() !== END_PATH.charCodeAt(0)) throw feed.error('a checksum is not sealed')
    if (sum !== this.#sum) throw feed.error('a checksum does not fit')
    this.#sealed = true
    this.#token = next
  }

  #digestSection(): void {
    const feed = this.#feed
    const zxid = feed.integer() as Zxid
    const version = feed.int32()
    const digest = BigInt.asUintN(64, feed.int64())
    if (version === DIGEST_VERSION) this.#digest = { zxid, digest }
    this.#sealed = false
    this.#token = () => this.#seal(() => this.#lastZxid())
  }

  /** Since 3.9. */
  #lastZxid(): void {
    this.#feed.integer()
    this.#sealed = false
    this.#token = () => this.#seal(() => this.#beyond())
  }

  #beyond(): void {
    throw this.#feed.error('something follows the end of a snapshot of ZooKeeper')
  }

  #count(max: number): number {
    const count = this.#feed.int32()
    // Null is -1, and means empty here.
    if (count < -1 || count > max) throw this.#feed.error(`a length of ${count}`)
    return Math.max(0, count)
  }
}

/** ZooKeeper keeps children in the order of a hash table. */
function sortSiblings(state: TreeState): void {
  const { store } = state
  for (let node = ROOT; node !== NO_NODE; node = state.following(node, ROOT)) {
    const children: { readonly node: NodeIndex; readonly czxid: number; readonly name: string }[] = []
    for (let child = store.word(node, FIRST_CHILD); child !== NO_NODE; child = store.word(child, NEXT)) {
      // The built-in ones come first.
      children.push({ node: child, czxid: child <= QUOTA_NODE ? -1 : store.double(child, CZXID), name: store.name(child) })
    }
    if (children.length < 2) continue
    children.sort((a, b) => a.czxid - b.czxid || (a.name < b.name ? -1 : 1))
    state.reorder(
      node,
      children.map((child) => child.node),
    )
  }
}
