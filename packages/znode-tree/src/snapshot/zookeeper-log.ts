import { corrupt, type Millis, type Zxid } from '@antiphon/ports'
import type { NodeTree } from '../data-tree.ts'
import { EPHEMERAL, NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { CREATED, PZXID } from '../store/records.ts'
import type { TreeState } from '../store/tree-state.ts'
import type { Acl, SessionId } from '../types.ts'
import { adler32 } from './adler32.ts'
import { ByteFeed } from './byte-feed.ts'
import { DIGEST_VERSION, FILE_VERSION } from './zookeeper-export.ts'
import { CONTAINER_OWNER, type Owner, ownerOf, TTL_OWNER, type ZooKeeperSnapshot } from './zookeeper-import.ts'

/** `ZKLG`. */
const LOG_MAGIC = 0x5a4b4c47
const END_OF_RECORD = 0x42
/** Above `jute.maxbuffer` in whatever setting. */
const RECORD_BYTES_MAX = 2 ** 28
const TEXT_BYTES_MAX = 2 ** 24
const NO_BYTES = new Uint8Array(0)

const CREATE_SESSION = -10
const CLOSE_SESSION = -11
const ERROR = -1
const CREATE = 1
const DELETE = 2
const SET_DATA = 5
const SET_ACL = 7
const CHECK = 13
const MULTI = 14
const CREATE2 = 15
const RECONFIG = 16
const CREATE_CONTAINER = 19
const DELETE_CONTAINER = 20
const CREATE_TTL = 21

/** Where a transaction of a log is applied. Its effects on a tree in which it, and some that follow it, may be already are ZooKeeper's own. */
export class LogReplay {
  readonly tree: NodeTree
  readonly sessions: Map<SessionId, Millis>
  zxid: Zxid
  /** Transactions whose digest was told; those after which the tree had another. While a tree catches up with changes that its snapshot has in part, digests may differ. */
  compared = 0
  differing = 0
  /** The last digest that was told was that of the tree; null: none was told. */
  agrees: boolean | null = null
  /** The log that was read last ends in the midst of an entry: the server died as it wrote it. Or it is damaged there. */
  torn = false
  readonly #state: TreeState
  readonly #snapshotDigest: ZooKeeperSnapshot['digest']

  /** `snapshot` becomes the replay's. `zxid`: of the file's name. */
  constructor(snapshot: ZooKeeperSnapshot, zxid: Zxid) {
    this.tree = snapshot.tree
    this.sessions = snapshot.sessions
    this.zxid = zxid
    this.#state = snapshot.state
    this.#snapshotDigest = snapshot.digest
    this.#compareSnapshot()
  }

  /** One log file after the other, in the order of their names. What the tree has in it already is passed over. Errors: CORRUPT. */
  async readLog(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const feed = new ByteFeed()
    let ended = false
    this.torn = false
    let token = (): void => {
      if (feed.int32() !== LOG_MAGIC) throw corrupt('this is no log of ZooKeeper')
      const version = feed.int32()
      if (version !== FILE_VERSION) throw corrupt(`a log of ZooKeeper has the version ${version}`)
      feed.int64()
      token = entry
    }
    const entry = (): void => {
      if (ended) {
        feed.skip(1)
        return
      }
      const sum = feed.integer()
      const length = feed.int32()
      if (length < 0 || length > RECORD_BYTES_MAX) throw feed.error(`a log entry claims ${length} bytes`)
      // Files are filled with zeros ahead of time.
      if (length === 0) ended = true
      else {
        const start = feed.skip(length)
        // An entry without its last byte was torn when the server died: nobody was told of it.
        if (feed.byte() !== END_OF_RECORD) this.torn = ended = true
        else if (adler32(feed.bytes, 1, start, start + length) !== sum) throw feed.error('a checksum in a log does not fit')
        else this.#transaction(feed.bytes.slice(start, start + length))
      }
    }
    for await (const chunk of chunks) {
      feed.push(chunk, () => {
        token()
        return true
      })
      if (ended) return
    }
    this.torn = feed.isInside
  }

  /** Ephemeral nodes of sessions that are not there go, as when a server of ZooKeeper starts. */
  endDeadSessions(): void {
    for (const session of [...this.tree.owners()]) if (!this.sessions.has(session)) this.#closeSession(session, [], this.zxid)
  }

  #transaction(bytes: Uint8Array): void {
    const reader = new RecordReader(bytes)
    const session = BigInt.asUintN(64, reader.int64())
    reader.int32()
    const zxid = reader.integer() as Zxid
    const time = reader.integer()
    const type = reader.int32()
    if (zxid <= this.zxid) return
    this.#apply(type, reader, session, zxid, time)
    this.zxid = zxid
    if (reader.isAtEnd) return this.#compareSnapshot()
    const version = reader.int32()
    const digest = BigInt.asUintN(64, reader.int64())
    if (version === DIGEST_VERSION) this.#compare(digest)
  }

  #compareSnapshot(): void {
    // Of a server that has done nothing yet there is none.
    if (this.zxid > 0 && this.#snapshotDigest?.zxid === this.zxid) this.#compare(this.#snapshotDigest.digest)
  }

  #compare(digest: bigint): void {
    this.compared++
    this.agrees = this.tree.digest() === digest
    if (!this.agrees) this.differing++
  }

  #apply(type: number, reader: RecordReader, session: SessionId, zxid: Zxid, time: Millis): void {
    switch (type) {
      case CREATE_SESSION:
        this.sessions.set(session, reader.int32())
        return
      case CLOSE_SESSION:
        return this.#closeSession(session, reader.isAtEnd ? [] : reader.strings(), zxid)
      case CREATE:
      case CREATE2:
      case CREATE_CONTAINER:
      case CREATE_TTL:
        return this.#create(type, reader, session, zxid, time)
      case DELETE:
      case DELETE_CONTAINER:
        return this.#delete(reader.string(), zxid)
      case SET_DATA:
      case RECONFIG:
        return this.#setData(reader, zxid, time)
      case SET_ACL: {
        const node = this.tree.find(reader.string())
        const acl = reader.acl()
        const version = reader.int32()
        if (node !== NO_NODE) this.tree.setAcl(node, this.tree.intern(acl), version)
        return
      }
      case CHECK:
        reader.string()
        reader.int32()
        return
      case ERROR:
        reader.int32()
        return
      case MULTI: {
        const parts: { readonly type: number; readonly record: Uint8Array }[] = []
        for (let count = reader.count(RECORD_BYTES_MAX); count > 0; count--) parts.push({ type: reader.int32(), record: reader.buffer() ?? NO_BYTES })
        // It failed, and nothing of it was done.
        if (parts.some((part) => part.type === ERROR)) return
        for (const part of parts) this.#apply(part.type, new RecordReader(part.record), session, zxid, time)
        return
      }
      default:
        throw corrupt(`a log has a transaction of the unknown type ${type}`, { zxid })
    }
  }

  #create(type: number, reader: RecordReader, session: SessionId, zxid: Zxid, time: Millis): void {
    const path = reader.string()
    const data = reader.buffer()
    const acl = reader.acl()
    const isEphemeral = type === CREATE || type === CREATE2 ? reader.byte() !== 0 : false
    // Logs of before 3.4 have none.
    const parentCreated = reader.isAtEnd ? -1 : reader.int32()
    const persisted = type === CREATE_CONTAINER ? CONTAINER_OWNER : type === CREATE_TTL ? TTL_OWNER | reader.int64() : isEphemeral ? session : 0n
    const { tree } = this
    const slash = path.lastIndexOf('/')
    const parent = slash < 0 ? NO_NODE : tree.find(slash === 0 ? '/' : path.slice(0, slash))
    if (parent === NO_NODE) return
    const before = { created: tree.childrenCreated(parent), pzxid: tree.pzxid(parent) }
    const isThere = tree.find(path) !== NO_NODE
    if (!isThere) {
      const [start, end] = data === null ? [-1, -1] : [0, data.length]
      const owner = ownerOf(persisted)
      // An ephemeral's owner is its session, whatever that number looks like.
      const kind: Owner = isEphemeral ? { kind: EPHEMERAL, owner: session, ttlMs: 0 } : owner
      tree.create({ path, ...kind, acl: tree.intern(acl), bytes: data ?? NO_BYTES, start, end }, zxid, time)
    }
    const created = parentCreated === -1 ? before.created + 1 : parentCreated
    if (isThere && parentCreated === -1) return
    // The parent may have been written to the snapshot later than this child was made: it never goes back.
    this.#setParent(parent, created > before.created ? { created, pzxid: zxid } : before)
  }

  #setParent(parent: NodeIndex, { created, pzxid }: { readonly created: number; readonly pzxid: Zxid }): void {
    this.#state.store.setWord(parent, CREATED, created)
    this.#state.store.setDouble(parent, PZXID, pzxid)
    this.#state.digest.mark(parent)
  }

  #delete(path: string, zxid: Zxid): void {
    const { tree } = this
    const slash = path.lastIndexOf('/')
    const parent = slash < 0 ? NO_NODE : tree.find(slash === 0 ? '/' : path.slice(0, slash))
    if (parent === NO_NODE) return
    const pzxid = Math.max(zxid, tree.pzxid(parent)) as Zxid
    const node = tree.find(path)
    // It may be a later node of that name already, with children: they all come again.
    const all: NodeIndex[] = []
    if (node !== NO_NODE) for (let below = node; below !== NO_NODE; below = this.#state.following(below, node)) all.push(below)
    for (const one of all.reverse()) tree.delete(one, zxid)
    this.#setParent(parent, { created: tree.childrenCreated(parent), pzxid })
  }

  #setData(reader: RecordReader, zxid: Zxid, time: Millis): void {
    const node = this.tree.find(reader.string())
    const data = reader.buffer()
    const version = reader.int32()
    if (node === NO_NODE) return
    const [start, end] = data === null ? [-1, -1] : [0, data.length]
    this.tree.setData(node, data ?? NO_BYTES, start, end, version, zxid, time)
  }

  #closeSession(session: SessionId, paths: readonly string[], zxid: Zxid): void {
    this.sessions.delete(session)
    for (const path of paths) this.#delete(path, zxid)
    for (const path of this.tree.ephemerals(session)) this.#delete(path, zxid)
  }
}

/** One record of ZooKeeper's, whole. Errors: CORRUPT. */
class RecordReader {
  readonly #feed = new ByteFeed()
  readonly #length: number

  constructor(bytes: Uint8Array) {
    this.#length = bytes.length
    this.#feed.hold(bytes)
  }

  get isAtEnd(): boolean {
    return this.#feed.at === this.#length
  }

  byte(): number {
    return this.#feed.byte()
  }

  int32(): number {
    return this.#feed.int32()
  }

  int64(): bigint {
    return this.#feed.int64()
  }

  integer(): number {
    return this.#feed.integer()
  }

  count(max: number): number {
    const count = this.int32()
    if (count < -1 || count > max) throw this.#feed.error(`a length of ${count}`)
    return Math.max(0, count)
  }

  string(): string {
    return this.#feed.text(this.count(TEXT_BYTES_MAX))
  }

  strings(): string[] {
    const strings: string[] = []
    for (let count = this.count(TEXT_BYTES_MAX); count > 0; count--) strings.push(this.string())
    return strings
  }

  buffer(): Uint8Array | null {
    const length = this.int32()
    if (length === -1) return null
    if (length < -1) throw this.#feed.error(`a length of ${length}`)
    const start = this.#feed.skip(length)
    return this.#feed.bytes.subarray(start, start + length)
  }

  acl(): Acl[] {
    const acl: Acl[] = []
    for (let count = this.count(TEXT_BYTES_MAX); count > 0; count--) acl.push({ perms: this.int32(), scheme: this.string(), id: this.string() })
    return acl
  }
}
