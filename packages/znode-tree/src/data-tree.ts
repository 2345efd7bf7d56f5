import { AntiphonError, type Millis, type Zxid } from '@antiphon/ports'
import {
  type AclNumber,
  CONTAINER,
  type DataTree,
  EPHEMERAL,
  type NewNode,
  NO_NODE,
  type NodeIndex,
  type NodeKind,
  PERSISTENT,
  type Quota,
  TTL,
} from './data-tree-types.ts'
import { TreeDigest } from './digest.ts'
import { LIMITS_NAME, QUOTA_PATH, quotaFrom, STATS_NAME, StatsTrack } from './quota.ts'
import { OPEN } from './store/acl-table.ts'
import { NodeStore, ROOT } from './store/node-store.ts'
import { Owners } from './store/owners.ts'
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
} from './store/records.ts'
import { type Acl, READ, type SessionId, type Stat } from './types.ts'

const SYSTEM_PATH = '/zookeeper'
const CONFIG_PATH = '/zookeeper/config'
const CONFIG_ACL: readonly Acl[] = [{ perms: READ, scheme: 'world', id: 'anyone' }]
const NO_BYTES = new Uint8Array(0)
const NOBODY: SessionId = 0n
/** Highest words of ZooKeeper's `ephemeralOwner` of a container and of a TTL node, whose lower 40 bits are milliseconds. */
const CONTAINER_HIGH = -0x80000000
const TTL_HIGH = -0x1000000
const TWO_32 = 2 ** 32

/** The applied state, in typed arrays: `new NodeTree()` is the empty tree with its built-in nodes. The README tells how it lies in memory. */
export class NodeTree implements DataTree {
  #store: NodeStore = new NodeStore()
  #owners: Owners = new Owners()
  #digest: TreeDigest = new TreeDigest(this.#store)
  #size = 0
  #quotaRoot: NodeIndex = NO_NODE
  /** Paths that have limits. Without any, quotas cost nothing. */
  #limits = 0

  constructor() {
    this.#insert(NO_NODE, '', 0, 0, NOTHING_SET, 0, 0, 0)
    this.#builtIn(ROOT, SYSTEM_PATH, 0)
    const system = this.find(SYSTEM_PATH)
    const config = this.#builtIn(system, CONFIG_PATH, BELOW_SYSTEM)
    this.setAcl(config, this.intern(CONFIG_ACL), -1)
    this.#quotaRoot = this.#builtIn(system, QUOTA_PATH, BELOW_SYSTEM | IN_QUOTA)
  }

  get size(): number {
    return this.#size
  }

  /** Ephemeral nodes of all sessions. */
  get ephemeralCount(): number {
    return this.#owners.ephemerals
  }

  find(path: string): NodeIndex {
    return this.#store.find(path, path.length)
  }

  path(node: NodeIndex): string {
    return this.#store.path(node)
  }

  /** The last part of the path; of `/`: nothing. */
  name(node: NodeIndex): string {
    return this.#store.name(node)
  }

  parent(node: NodeIndex): NodeIndex {
    return this.#store.word(node, PARENT)
  }

  kind(node: NodeIndex): NodeKind {
    return (this.#store.word(node, FLAGS) & KIND_MASK) as NodeKind
  }

  owner(node: NodeIndex): SessionId {
    return this.kind(node) === EPHEMERAL ? sessionOf(this.#store.word(node, OWNER_HIGH), this.#store.word(node, OWNER_LOW)) : NOBODY
  }

  ttlMs(node: NodeIndex): Millis {
    return this.kind(node) === TTL ? (this.#store.word(node, OWNER_HIGH) & 0xff) * TWO_32 + (this.#store.word(node, OWNER_LOW) >>> 0) : 0
  }

  version(node: NodeIndex): number {
    return this.#store.word(node, VERSION)
  }

  aversion(node: NodeIndex): number {
    return this.#store.word(node, AVERSION)
  }

  childrenCreated(node: NodeIndex): number {
    return this.#store.word(node, CREATED)
  }

  childCount(node: NodeIndex): number {
    return this.#store.word(node, CHILDREN)
  }

  firstChild(node: NodeIndex): NodeIndex {
    return this.#store.word(node, FIRST_CHILD)
  }

  nextSibling(node: NodeIndex): NodeIndex {
    return this.#store.word(node, NEXT)
  }

  czxid(node: NodeIndex): Zxid {
    return this.#store.zxid(node, CZXID)
  }

  mzxid(node: NodeIndex): Zxid {
    return this.#store.zxid(node, MZXID)
  }

  pzxid(node: NodeIndex): Zxid {
    return this.#store.zxid(node, PZXID)
  }

  mtime(node: NodeIndex): Millis {
    return this.#store.double(node, MTIME)
  }

  dataLength(node: NodeIndex): number {
    return Math.max(0, this.#store.word(node, DATA_LENGTH))
  }

  data(node: NodeIndex): Uint8Array | null {
    return this.#store.data(node)
  }

  stat(node: NodeIndex): Stat {
    const chunk = chunkOf(node)
    const at = wordsAt(node)
    const words = this.#store.words[chunk]!
    const doubles = this.#store.doubles[chunk]!
    const first = at >>> 1
    const children = words[at + CHILDREN]!
    const dataLength = words[at + DATA_LENGTH]!
    return {
      czxid: doubles[first + CZXID] as Zxid,
      mzxid: doubles[first + MZXID] as Zxid,
      pzxid: doubles[first + PZXID] as Zxid,
      ctime: doubles[first + CTIME]!,
      mtime: doubles[first + MTIME]!,
      version: words[at + VERSION]!,
      cversion: (2 * words[at + CREATED]! - children) | 0,
      aversion: words[at + AVERSION]!,
      ephemeralOwner: (words[at + FLAGS]! & KIND_MASK) === EPHEMERAL ? sessionOf(words[at + OWNER_HIGH]!, words[at + OWNER_LOW]!) : NOBODY,
      dataLength: dataLength < 0 ? 0 : dataLength,
      numChildren: children,
    }
  }

  acl(node: NodeIndex): AclNumber {
    return this.#store.word(node, ACL)
  }

  intern(acl: readonly Acl[]): AclNumber {
    return this.#store.acls.intern(acl)
  }

  aclOf(number: AclNumber): readonly Acl[] {
    return this.#store.acls.get(number)
  }

  /** Forgets ACLs that no node has; nobody may hold a number that `intern` gave and no node has got. Nothing happens while a view stands. */
  dropUnusedAcls(): void {
    if (this.#store.versions.views === 0) this.#store.acls.dropUnused()
  }

  ephemerals(session: SessionId): string[] {
    const paths: string[] = []
    for (let node = this.#owners.firstEphemeral(session); node !== NO_NODE; node = this.#owners.next(node)) paths.push(this.path(node))
    return paths.sort()
  }

  owners(): Iterable<SessionId> {
    return this.#owners.sessions()
  }

  *reapable(): Generator<NodeIndex, void, undefined> {
    for (let node = this.#owners.firstReapable(); node !== NO_NODE; node = this.#owners.next(node)) yield node
  }

  create(node: NewNode, zxid: Zxid, time: Millis): NodeIndex {
    const { path } = node
    const slash = path.lastIndexOf('/')
    const parent = slash < 0 || slash === path.length - 1 ? NO_NODE : this.#store.find(path, Math.max(1, slash))
    if (parent === NO_NODE) throw diverged(`there is no place for ${path}`)
    if (this.#store.findChild(parent, path, slash + 1, path.length) !== NO_NODE) throw diverged(`${path} is there already`)
    const flags = this.#store.word(parent, FLAGS) & (BELOW_SYSTEM | IN_QUOTA)
    const index = this.#insert(parent, path, slash + 1, flags | (parent === SYSTEM_NODE ? BELOW_SYSTEM : 0), node, zxid, time, zxid)
    this.#adopt(parent, index, zxid)
    if ((flags & IN_QUOTA) !== 0) this.#quotaNodeMade(parent, path.slice(slash + 1))
    if (this.#limits > 0) this.#charge(path, node.start < 0 ? 0 : node.end - node.start, 1)
    return index
  }

  delete(node: NodeIndex, zxid: Zxid): void {
    const store = this.#store
    const parent = store.word(node, PARENT)
    if (parent === NO_NODE || store.word(node, FIRST_CHILD) !== NO_NODE) throw diverged(`${this.path(node)} can not be deleted`)
    const path = this.#limits > 0 ? this.path(node) : ''
    const { versions } = store
    if (versions.busy) {
      versions.touch(node)
      versions.touch(parent)
      if (store.word(node, PREVIOUS) !== NO_NODE) versions.touch(store.word(node, PREVIOUS))
    }
    this.#quotaNodeGoes(parent, node)
    const dataLength = this.dataLength(node)
    this.#unlink(parent, node)
    store.setDouble(parent, PZXID, zxid)
    store.setWord(parent, CHILDREN, store.word(parent, CHILDREN) - 1)
    this.#digest.mark(parent)
    this.#digest.remove(node)
    const kind = this.kind(node)
    if (kind === EPHEMERAL) this.#owners.removeEphemeral(node, this.owner(node))
    else if (kind !== PERSISTENT) this.#owners.removeReapable(node)
    store.acls.unuse(store.word(node, ACL))
    store.remove(node)
    this.#size--
    if (this.#limits > 0) this.#charge(path, -dataLength, -1)
  }

  setData(node: NodeIndex, bytes: Uint8Array, start: number, end: number, version: number, zxid: Zxid, time: Millis): void {
    const store = this.#store
    if (store.versions.busy) store.versions.touch(node)
    const before = this.dataLength(node)
    store.setData(node, bytes, start, end)
    store.setWord(node, VERSION, version)
    store.setDouble(node, MZXID, zxid)
    store.setDouble(node, MTIME, time)
    this.#digest.mark(node)
    if (this.#limits > 0) this.#charge(this.path(node), (start < 0 ? 0 : end - start) - before, 0)
  }

  setAcl(node: NodeIndex, acl: AclNumber, aversion: number): void {
    const store = this.#store
    if (!store.acls.has(acl)) throw diverged(`no ACL has the number ${acl}`)
    if (store.versions.busy) store.versions.touch(node)
    store.acls.use(acl)
    store.acls.unuse(store.word(node, ACL))
    store.setWord(node, ACL, acl)
    store.setWord(node, AVERSION, aversion)
    this.#digest.mark(node)
  }

  digest(): bigint {
    return this.#digest.value()
  }

  quotaOf(path: string): Quota | null {
    const quota = this.#limits > 0 ? this.#deepestQuota(path) : NO_NODE
    if (quota === NO_NODE) return null
    const stats = this.#store.findChild(quota, STATS_NAME, 0, STATS_NAME.length)
    // As in ZooKeeper: without a stats node nothing is counted, and nothing can be exceeded.
    if (stats === NO_NODE) return null
    const limits = this.#store.findChild(quota, LIMITS_NAME, 0, LIMITS_NAME.length)
    return quotaFrom(this.path(quota).slice(QUOTA_PATH.length), this.data(limits), this.data(stats))
  }

  #builtIn(parent: NodeIndex, path: string, flags: number): NodeIndex {
    const index = this.#insert(parent, path, path.lastIndexOf('/') + 1, flags, NOTHING_SET, 0, 0, 0)
    this.#append(parent, index)
    this.#store.setWord(parent, CHILDREN, this.#store.word(parent, CHILDREN) + 1)
    return index
  }

  #insert(
    parent: NodeIndex,
    path: string,
    nameStart: number,
    flags: number,
    node: NewNode | typeof NOTHING_SET,
    zxid: number,
    time: number,
    pzxid: number,
  ): NodeIndex {
    const store = this.#store
    if (!store.acls.has(node.acl)) throw diverged(`no ACL has the number ${node.acl}`)
    const index = store.add(parent, path, nameStart, path.length, flags | node.kind, node.bytes, node.start, node.end)
    const at = wordsAt(index)
    const words = store.words[chunkOf(index)]!
    const doubles = store.doubles[chunkOf(index)]!
    const first = at >>> 1
    doubles[first + CZXID] = zxid
    doubles[first + MZXID] = zxid
    doubles[first + PZXID] = pzxid
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
    words[at + OWNER_HIGH] =
      node.kind === PERSISTENT
        ? 0
        : node.kind === CONTAINER
          ? CONTAINER_HIGH
          : node.kind === TTL
            ? TTL_HIGH | Math.floor(node.ttlMs / TWO_32)
            : highOf(node.owner)
    words[at + OWNER_LOW] = node.kind === EPHEMERAL ? lowOf(node.owner) : node.kind === TTL ? node.ttlMs | 0 : 0
    store.acls.use(node.acl)
    if (node.kind === EPHEMERAL) this.#owners.addEphemeral(index, node.owner)
    else if (node.kind !== PERSISTENT) this.#owners.addReapable(index)
    this.#size++
    this.#digest.mark(index)
    return index
  }

  /** A new child, and what it means to its parent. */
  #adopt(parent: NodeIndex, child: NodeIndex, zxid: Zxid): void {
    const store = this.#store
    if (store.versions.busy) {
      store.versions.touch(parent)
      if (store.word(parent, LAST_CHILD) !== NO_NODE) store.versions.touch(store.word(parent, LAST_CHILD))
    }
    this.#append(parent, child)
    const words = store.words[chunkOf(parent)]!
    const at = wordsAt(parent)
    words[at + CREATED] = words[at + CREATED]! + 1
    words[at + CHILDREN] = words[at + CHILDREN]! + 1
    store.setDouble(parent, PZXID, zxid)
    this.#digest.mark(parent)
  }

  #append(parent: NodeIndex, child: NodeIndex): void {
    const store = this.#store
    const last = store.word(parent, LAST_CHILD)
    if (last === NO_NODE) store.setWord(parent, FIRST_CHILD, child)
    else store.setWord(last, NEXT, child)
    store.setWord(child, PREVIOUS, last)
    store.setWord(parent, LAST_CHILD, child)
  }

  #unlink(parent: NodeIndex, child: NodeIndex): void {
    const store = this.#store
    const previous = store.word(child, PREVIOUS)
    const next = store.word(child, NEXT)
    if (previous === NO_NODE) store.setWord(parent, FIRST_CHILD, next)
    else store.setWord(previous, NEXT, next)
    if (next === NO_NODE) store.setWord(parent, LAST_CHILD, previous)
    else store.setWord(next, PREVIOUS, previous)
  }

  /** A node was made below `/zookeeper/quota`, under `parent`; the parent was touched. */
  #quotaNodeMade(parent: NodeIndex, name: string): void {
    if (parent === this.#quotaRoot) return
    if (name === LIMITS_NAME) {
      this.#store.setWord(parent, FLAGS, this.#store.word(parent, FLAGS) | HAS_LIMITS)
      this.#limits++
    } else if (name === STATS_NAME) this.#recount(parent)
  }

  #quotaNodeGoes(parent: NodeIndex, node: NodeIndex): void {
    const store = this.#store
    if ((store.word(parent, FLAGS) & HAS_LIMITS) === 0 || store.findChild(parent, LIMITS_NAME, 0, LIMITS_NAME.length) !== node) return
    store.setWord(parent, FLAGS, store.word(parent, FLAGS) & ~HAS_LIMITS)
    this.#limits--
  }

  /** Writes what there is into the stats node of a quota, if it has one. */
  #recount(quota: NodeIndex): void {
    const stats = this.#store.findChild(quota, STATS_NAME, 0, STATS_NAME.length)
    if (stats === NO_NODE) return
    const root = this.find(this.path(quota).slice(QUOTA_PATH.length))
    const track = new StatsTrack()
    let count = 0
    let bytes = 0
    for (let node = root; node !== NO_NODE; node = this.following(node, root)) {
      count++
      bytes += this.dataLength(node)
    }
    track.set('count', count)
    track.set('bytes', bytes)
    this.#writeStats(stats, track)
  }

  /** The next node of the subtree of `root` in pre-order, or NO_NODE. */
  following(node: NodeIndex, root: NodeIndex): NodeIndex {
    const down = this.firstChild(node)
    if (down !== NO_NODE) return down
    for (let at = node; at !== root; at = this.parent(at)) {
      const next = this.nextSibling(at)
      if (next !== NO_NODE) return next
    }
    return NO_NODE
  }

  #charge(path: string, bytes: number, count: number): void {
    const quota = this.#deepestQuota(path)
    const stats = quota === NO_NODE ? NO_NODE : this.#store.findChild(quota, STATS_NAME, 0, STATS_NAME.length)
    if (stats === NO_NODE) return
    const track = StatsTrack.parse(this.data(stats))
    track.set('count', track.get('count') + count)
    track.set('bytes', track.get('bytes') + bytes)
    this.#writeStats(stats, track)
  }

  /** Neither its Stat nor a watch tells of it. */
  #writeStats(stats: NodeIndex, track: StatsTrack): void {
    if (this.#store.versions.busy) this.#store.versions.touch(stats)
    const text = track.encode()
    this.#store.setData(stats, text, 0, text.length)
  }

  /** The node below `/zookeeper/quota` that stands for the longest prefix of `path` that has limits. */
  #deepestQuota(path: string): NodeIndex {
    let deepest = NO_NODE
    let quota = this.#quotaRoot
    for (let start = 1; start < path.length; ) {
      const slash = path.indexOf('/', start)
      const end = slash < 0 ? path.length : slash
      quota = this.#store.findChild(quota, path, start, end)
      if (quota === NO_NODE) break
      if ((this.#store.word(quota, FLAGS) & HAS_LIMITS) !== 0) deepest = quota
      start = end + 1
    }
    return deepest
  }
}

/** `/zookeeper`: the second node that a tree gets, always. */
const SYSTEM_NODE: NodeIndex = 1
const NOTHING_SET = { path: '', kind: PERSISTENT, owner: NOBODY, ttlMs: 0, acl: OPEN, bytes: NO_BYTES, start: 0, end: 0 } as const

export function sessionOf(high: number, low: number): SessionId {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}

function highOf(session: SessionId): number {
  return Number(BigInt.asIntN(32, session >> 32n))
}

function lowOf(session: SessionId): number {
  return Number(BigInt.asIntN(32, session))
}

function diverged(message: string): AntiphonError {
  return new AntiphonError('DIVERGED', message, {
    remedy: 'This replica differs from the primary that computed the change: wipe it and let it be readmitted.',
  })
}
