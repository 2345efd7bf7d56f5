import { AntiphonError, type Millis, type Zxid } from '@antiphon/ports'
import { CONTAINER, EPHEMERAL, type NewNode, NO_NODE, type NodeIndex, type NodeKind, PERSISTENT, TTL } from '../data-tree-types.ts'
import { TreeDigest } from '../digest.ts'
import type { SessionId } from '../types.ts'
import { OPEN } from './acl-table.ts'
import { NodeStore } from './node-store.ts'
import { Owners } from './owners.ts'
import {
  ACL,
  AVERSION,
  BELOW_SYSTEM,
  CHILDREN,
  CREATED,
  CTIME,
  CZXID,
  chunkOf,
  DATA_LENGTH,
  DIGEST,
  FIRST_CHILD,
  FLAGS,
  HAS_LIMITS,
  IN_QUOTA,
  KIND_MASK,
  LAST_CHILD,
  MTIME,
  MZXID,
  NEXT,
  OWNER_HIGH,
  OWNER_LOW,
  PARENT,
  PREVIOUS,
  PZXID,
  VERSION,
  wordsAt,
} from './records.ts'

/** Highest words of ZooKeeper's `ephemeralOwner` of a container and of a TTL node, whose lower 40 bits are milliseconds. */
export const CONTAINER_HIGH = -0x80000000
export const TTL_HIGH = -0x1000000
const TWO_32 = 2 ** 32
const NO_BYTES = new Uint8Array(0)

/** `/zookeeper` and `/zookeeper/quota`: the second and third node that a tree gets, always. */
export const SYSTEM_NODE: NodeIndex = 1
export const QUOTA_NODE: NodeIndex = 2
export const LIMITS_NAME = 'zookeeper_limits'

/** What a node is made of; the name is `path` from `nameStart` on. */
export type Making = Omit<NewNode, 'path'>
export const PLAIN: Making = { kind: PERSISTENT, owner: 0n, ttlMs: 0, acl: OPEN, bytes: NO_BYTES, start: 0, end: 0 }

/** Nodes as they hang together: structure, owners, ACLs in use, what the digest has to look at. Whether a change means anything, and what, is the tree's above. */
export class TreeState {
  readonly store: NodeStore = new NodeStore()
  readonly owners: Owners = new Owners()
  readonly digest: TreeDigest = new TreeDigest(this.store)
  size = 0
  /** Paths that have limits. Without any, quotas cost nothing. */
  limits = 0

  kind(node: NodeIndex): NodeKind {
    return (this.store.word(node, FLAGS) & KIND_MASK) as NodeKind
  }

  owner(node: NodeIndex): SessionId {
    return this.kind(node) === EPHEMERAL ? sessionOf(this.store.word(node, OWNER_HIGH), this.store.word(node, OWNER_LOW)) : 0n
  }

  dataLength(node: NodeIndex): number {
    return Math.max(0, this.store.word(node, DATA_LENGTH))
  }

  /** The next node of the subtree of `root` in pre-order, or NO_NODE. */
  following(node: NodeIndex, root: NodeIndex): NodeIndex {
    const { store } = this
    const down = store.word(node, FIRST_CHILD)
    if (down !== NO_NODE) return down
    for (let at = node; at !== root; at = store.word(at, PARENT)) {
      const next = store.word(at, NEXT)
      if (next !== NO_NODE) return next
    }
    return NO_NODE
  }

  /** The root, when `parent` is NO_NODE; otherwise the last child of `parent`, which the caller has touched. It is no created child yet. */
  insert(parent: NodeIndex, path: string, nameStart: number, node: Making, zxid: number, time: Millis): NodeIndex {
    const { store } = this
    if (!store.acls.has(node.acl)) throw diverged(`no ACL has the number ${node.acl}`)
    const inherited = parent === NO_NODE ? 0 : store.word(parent, FLAGS) & (BELOW_SYSTEM | IN_QUOTA)
    const flags = node.kind | inherited | (parent === SYSTEM_NODE ? BELOW_SYSTEM : 0)
    const index = store.add(parent, path, nameStart, path.length, flags, node.bytes, node.start, node.end)
    const at = wordsAt(index)
    const words = store.words[chunkOf(index)]!
    const doubles = store.doubles[chunkOf(index)]!
    const first = at >>> 1
    doubles[first + CZXID] = zxid
    doubles[first + MZXID] = zxid
    doubles[first + PZXID] = zxid
    doubles[first + CTIME] = time
    doubles[first + MTIME] = time
    words[at + FIRST_CHILD] = NO_NODE
    words[at + LAST_CHILD] = NO_NODE
    words[at + NEXT] = NO_NODE
    words[at + PREVIOUS] = NO_NODE
    words[at + DIGEST] = 0
    words[at + VERSION] = 0
    words[at + CREATED] = 0
    words[at + AVERSION] = 0
    words[at + CHILDREN] = 0
    words[at + ACL] = node.acl
    words[at + OWNER_HIGH] = ownerHigh(node)
    words[at + OWNER_LOW] = node.kind === EPHEMERAL ? lowOf(node.owner) : node.kind === TTL ? node.ttlMs | 0 : 0
    store.acls.use(node.acl)
    if (node.kind === EPHEMERAL) this.owners.addEphemeral(index, node.owner)
    else if (node.kind !== PERSISTENT) this.owners.addReapable(index)
    this.size++
    if (parent !== NO_NODE) this.#append(parent, index)
    if ((inherited & IN_QUOTA) !== 0 && parent !== QUOTA_NODE && path.length - nameStart === LIMITS_NAME.length && path.endsWith(LIMITS_NAME)) {
      store.setWord(parent, FLAGS, store.word(parent, FLAGS) | HAS_LIMITS)
      this.limits++
    }
    this.digest.mark(index)
    return index
  }

  /** `parent` has had one child more, in its Stat. */
  countCreated(parent: NodeIndex, zxid: Zxid): void {
    const { store } = this
    store.setWord(parent, CREATED, store.word(parent, CREATED) + 1)
    store.setDouble(parent, PZXID, zxid)
    this.digest.mark(parent)
  }

  /** A node without children. It, its parent and its previous sibling are touched. */
  remove(node: NodeIndex): void {
    const { store } = this
    const parent = store.word(node, PARENT)
    if ((store.word(parent, FLAGS) & HAS_LIMITS) !== 0 && store.findChild(parent, LIMITS_NAME, 0, LIMITS_NAME.length) === node) {
      store.setWord(parent, FLAGS, store.word(parent, FLAGS) & ~HAS_LIMITS)
      this.limits--
    }
    const previous = store.word(node, PREVIOUS)
    const next = store.word(node, NEXT)
    if (previous === NO_NODE) store.setWord(parent, FIRST_CHILD, next)
    else store.setWord(previous, NEXT, next)
    if (next === NO_NODE) store.setWord(parent, LAST_CHILD, previous)
    else store.setWord(next, PREVIOUS, previous)
    store.setWord(parent, CHILDREN, store.word(parent, CHILDREN) - 1)
    this.digest.mark(parent)
    this.digest.remove(node)
    const kind = this.kind(node)
    if (kind === EPHEMERAL) this.owners.removeEphemeral(node, this.owner(node))
    else if (kind !== PERSISTENT) this.owners.removeReapable(node)
    store.acls.unuse(store.word(node, ACL))
    store.remove(node)
    this.size--
  }

  /** The children of `parent`, all of them, in another order. No view stands. */
  reorder(parent: NodeIndex, children: readonly NodeIndex[]): void {
    const { store } = this
    store.setWord(parent, FIRST_CHILD, children[0] ?? NO_NODE)
    store.setWord(parent, LAST_CHILD, children.at(-1) ?? NO_NODE)
    for (const [index, child] of children.entries()) {
      store.setWord(child, PREVIOUS, children[index - 1] ?? NO_NODE)
      store.setWord(child, NEXT, children[index + 1] ?? NO_NODE)
    }
  }

  #append(parent: NodeIndex, child: NodeIndex): void {
    const { store } = this
    const last = store.word(parent, LAST_CHILD)
    if (last === NO_NODE) store.setWord(parent, FIRST_CHILD, child)
    else store.setWord(last, NEXT, child)
    store.setWord(child, PREVIOUS, last)
    store.setWord(parent, LAST_CHILD, child)
    store.setWord(parent, CHILDREN, store.word(parent, CHILDREN) + 1)
  }
}

export function sessionOf(high: number, low: number): SessionId {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

export function ttlOf(high: number, low: number): Millis {
  return (high & 0xff) * TWO_32 + (low >>> 0)
}

function ownerHigh(node: Making): number {
  if (node.kind === EPHEMERAL) return Number(BigInt.asIntN(32, node.owner >> 32n))
  if (node.kind === TTL) return TTL_HIGH | Math.floor(node.ttlMs / TWO_32)
  return node.kind === CONTAINER ? CONTAINER_HIGH : 0
}

function lowOf(session: SessionId): number {
  return Number(BigInt.asIntN(32, session))
}

export function diverged(message: string): AntiphonError {
  return new AntiphonError('DIVERGED', message, {
    remedy: 'This replica differs from the primary that computed the change: wipe it and let it be readmitted.',
  })
}
