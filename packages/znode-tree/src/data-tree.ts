import type { Millis, Zxid } from '@antiphon/ports'
import { type AclNumber, type DataTree, EPHEMERAL, type NewNode, NO_NODE, type NodeIndex, type NodeKind, type Quota, TTL } from './data-tree-types.ts'
import { Quotas, STATS_NAME } from './quota.ts'
import { TreeView } from './snapshot/view.ts'
import { ROOT } from './store/node-store.ts'
import {
  ACL,
  AVERSION,
  CHILDREN,
  CREATED,
  CTIME,
  CZXID,
  chunkOf,
  DATA_LENGTH,
  FIRST_CHILD,
  FLAGS,
  IN_QUOTA,
  KIND_MASK,
  MTIME,
  MZXID,
  NEXT,
  OWNER_HIGH,
  OWNER_LOW,
  PARENT,
  PZXID,
  VERSION,
  wordsAt,
} from './store/records.ts'
import { diverged, PLAIN, sessionOf, TreeState, ttlOf } from './store/tree-state.ts'
import { type Acl, READ, type SessionId, type Stat } from './types.ts'

const CONFIG_ACL: readonly Acl[] = [{ perms: READ, scheme: 'world', id: 'anyone' }]

/**
 * The applied state, in typed arrays: `new NodeTree()` is the empty tree with its built-in nodes. The README tells how it lies in memory.
 * Snapshots: `view()`, and `snapshotChunks` or `zooKeeperSnapshotChunks` of it; `TreeDecoder` makes a tree of the chunks, `replaceWith` puts it in this one's place.
 */
export class NodeTree implements DataTree {
  #state: TreeState
  #quotas: Quotas
  removals = 0

  constructor(state: TreeState = emptyState()) {
    this.#state = state
    this.#quotas = new Quotas(state)
  }

  get size(): number {
    return this.#state.size
  }

  /** Ephemeral nodes of all sessions. */
  get ephemeralCount(): number {
    return this.#state.owners.ephemerals
  }

  find(path: string, crc?: number): NodeIndex {
    const { store } = this.#state
    return crc === undefined ? store.find(path, path.length) : store.findHashed(path, path.length, crc)
  }

  path(node: NodeIndex): string {
    return this.#state.store.path(node)
  }

  /** The last part of the path; of `/`: nothing. */
  name(node: NodeIndex): string {
    return this.#state.store.name(node)
  }

  parent(node: NodeIndex): NodeIndex {
    return this.#state.store.word(node, PARENT)
  }

  kind(node: NodeIndex): NodeKind {
    return this.#state.kind(node)
  }

  owner(node: NodeIndex): SessionId {
    return this.#state.owner(node)
  }

  ttlMs(node: NodeIndex): Millis {
    const { store } = this.#state
    return this.kind(node) === TTL ? ttlOf(store.word(node, OWNER_HIGH), store.word(node, OWNER_LOW)) : 0
  }

  version(node: NodeIndex): number {
    return this.#state.store.word(node, VERSION)
  }

  aversion(node: NodeIndex): number {
    return this.#state.store.word(node, AVERSION)
  }

  childrenCreated(node: NodeIndex): number {
    return this.#state.store.word(node, CREATED)
  }

  childCount(node: NodeIndex): number {
    return this.#state.store.word(node, CHILDREN)
  }

  firstChild(node: NodeIndex): NodeIndex {
    return this.#state.store.word(node, FIRST_CHILD)
  }

  nextSibling(node: NodeIndex): NodeIndex {
    return this.#state.store.word(node, NEXT)
  }

  /** The next node of the subtree of `root` in pre-order, or NO_NODE. */
  following(node: NodeIndex, root: NodeIndex): NodeIndex {
    return this.#state.following(node, root)
  }

  czxid(node: NodeIndex): Zxid {
    return this.#state.store.zxid(node, CZXID)
  }

  mzxid(node: NodeIndex): Zxid {
    return this.#state.store.zxid(node, MZXID)
  }

  pzxid(node: NodeIndex): Zxid {
    return this.#state.store.zxid(node, PZXID)
  }

  mtime(node: NodeIndex): Millis {
    return this.#state.store.double(node, MTIME)
  }

  dataLength(node: NodeIndex): number {
    return this.#state.dataLength(node)
  }

  data(node: NodeIndex): Uint8Array | null {
    return this.#state.store.data(node)
  }

  stat(node: NodeIndex): Stat {
    const { store } = this.#state
    const chunk = chunkOf(node)
    const at = wordsAt(node)
    const words = store.words[chunk]!
    const doubles = store.doubles[chunk]!
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
      ephemeralOwner: (words[at + FLAGS]! & KIND_MASK) === EPHEMERAL ? sessionOf(words[at + OWNER_HIGH]!, words[at + OWNER_LOW]!) : 0n,
      dataLength: dataLength < 0 ? 0 : dataLength,
      numChildren: children,
    }
  }

  acl(node: NodeIndex): AclNumber {
    return this.#state.store.word(node, ACL)
  }

  intern(acl: readonly Acl[]): AclNumber {
    return this.#state.store.acls.intern(acl)
  }

  aclOf(number: AclNumber): readonly Acl[] {
    return this.#state.store.acls.get(number)
  }

  /** Forgets ACLs that no node has; nobody may hold a number that `intern` gave and no node has got. Nothing happens while a view stands. */
  dropUnusedAcls(): void {
    if (this.#state.store.versions.views === 0) this.#state.store.acls.dropUnused()
  }

  ephemerals(session: SessionId): string[] {
    const { owners, store } = this.#state
    const paths: string[] = []
    for (let node = owners.firstEphemeral(session); node !== NO_NODE; node = owners.next(node)) paths.push(store.path(node))
    return paths.sort()
  }

  owners(): Iterable<SessionId> {
    return this.#state.owners.sessions()
  }

  nextReapable(): NodeIndex {
    return this.#state.owners.nextReapable()
  }

  rewindReapable(): void {
    this.#state.owners.rewindReapable()
  }

  create(node: NewNode, zxid: Zxid, time: Millis): NodeIndex {
    const state = this.#state
    const { store } = state
    const { path } = node
    const slash = path.lastIndexOf('/')
    const parent = slash < 0 || slash === path.length - 1 ? NO_NODE : store.find(path, Math.max(1, slash))
    if (parent === NO_NODE) throw diverged(`there is no place for ${path}`)
    if (store.findChild(parent, path, slash + 1, path.length) !== NO_NODE) throw diverged(`${path} is there already`)
    store.touchForInsert(parent)
    const index = state.insert(parent, path, slash + 1, node, zxid, time)
    state.countCreated(parent, zxid)
    if ((store.word(parent, FLAGS) & IN_QUOTA) !== 0 && path.endsWith(STATS_NAME) && slash === path.length - STATS_NAME.length - 1) this.#quotas.recount(parent)
    if (state.limits > 0) this.#quotas.charge(path, node.start < 0 ? 0 : node.end - node.start, 1)
    return index
  }

  delete(node: NodeIndex, zxid: Zxid): void {
    const state = this.#state
    const { store } = state
    const parent = store.word(node, PARENT)
    if (parent === NO_NODE || store.word(node, FIRST_CHILD) !== NO_NODE) throw diverged(`${this.path(node)} can not be deleted`)
    const path = state.limits > 0 ? this.path(node) : ''
    const dataLength = this.dataLength(node)
    this.removals++
    store.touchForRemove(node)
    store.setDouble(parent, PZXID, zxid)
    state.remove(node)
    if (state.limits > 0) this.#quotas.charge(path, -dataLength, -1)
  }

  setData(node: NodeIndex, bytes: Uint8Array, start: number, end: number, version: number, zxid: Zxid, time: Millis): void {
    const state = this.#state
    const { store } = state
    if (store.versions.busy) store.versions.touch(node)
    const before = this.dataLength(node)
    store.setData(node, bytes, start, end)
    store.setWord(node, VERSION, version)
    store.setDouble(node, MZXID, zxid)
    store.setDouble(node, MTIME, time)
    state.digest.mark(node)
    if (state.limits > 0) this.#quotas.charge(this.path(node), (start < 0 ? 0 : end - start) - before, 0)
  }

  setAcl(node: NodeIndex, acl: AclNumber, aversion: number): void {
    const { store, digest } = this.#state
    if (!store.acls.has(acl)) throw diverged(`no ACL has the number ${acl}`)
    if (store.versions.busy) store.versions.touch(node)
    store.acls.use(acl)
    store.acls.unuse(store.word(node, ACL))
    store.setWord(node, ACL, acl)
    store.setWord(node, AVERSION, aversion)
    digest.mark(node)
  }

  digest(): bigint {
    return this.#state.digest.value()
  }

  /** Of what lies below `/zookeeper`, which is not in ZooKeeper's. */
  systemDigest(): bigint {
    return this.#state.digest.systemValue()
  }

  quotaOf(path: string): Quota | null {
    return this.#state.limits === 0 ? null : this.#quotas.of(path)
  }

  /** Records and blocks of bytes in use, and how many things are kept for views. */
  usage(): { readonly records: number; readonly blocks: number; readonly kept: number } {
    const { records, arena, versions } = this.#state.store
    return { records: records.count, blocks: arena.blocks, kept: versions.kept }
  }

  /** The tree as it is: it stands while changes go on, until it is closed, read to its end, or forgotten. */
  view(): TreeView {
    return new TreeView(this.#state)
  }

  /** Takes the place of everything here; `other` is not to be used any more. Node and ACL numbers of before mean nothing afterwards; views of before stand. */
  replaceWith(other: NodeTree): void {
    this.removals++
    this.#state = other.#state
    this.#quotas = other.#quotas
  }
}

function emptyState(): TreeState {
  const state = new TreeState()
  const { store } = state
  state.insert(NO_NODE, '', 0, PLAIN, 0, 0)
  const system = state.insert(ROOT, 'zookeeper', 0, PLAIN, 0, 0)
  const quota = state.insert(system, 'quota', 0, PLAIN, 0, 0)
  store.setWord(quota, FLAGS, store.word(quota, FLAGS) | IN_QUOTA)
  const config = state.insert(system, 'config', 0, { ...PLAIN, acl: store.acls.intern(CONFIG_ACL) }, 0, 0)
  store.setWord(config, AVERSION, -1)
  return state
}
