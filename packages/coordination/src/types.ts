import type { AntiphonError, Millis, ReadLevel } from '@antiphon/ports'
import type { Acl, CreateMode, Identity, SessionId, Stat, WatchEvent, WatchKind } from '@antiphon/znode-tree'

/** A text is stored as UTF-8. `null` and empty are different data. */
export type Data = Uint8Array | string | null

export interface CallOptions {
  /** Given up before it was numbered: rejected; afterwards: outcome `unknown`. */
  readonly signal?: AbortSignal
  readonly timeoutMs?: Millis
}

export interface ReadOptions extends CallOptions {
  /**
   * `local` (the default): what is applied on this replica, and at least everything that this session has written and heard before. `linearizable`: at least everything that was
   * acknowledged anywhere before the call.
   */
  readonly level?: ReadLevel
}

export interface WatchingReadOptions extends ReadOptions {
  /** Called once, at the next change of what was read; before any later read or write of this session tells of that change. */
  readonly watch?: (event: WatchEvent) => void
}

export interface CreateOptions extends CallOptions {
  /** `persistent` unless told. */
  readonly mode?: CreateMode
  /** Of the modes with TTL, in milliseconds. */
  readonly ttlMs?: Millis
  /** OPEN_ACL unless told. */
  readonly acl?: readonly Acl[]
}

export interface VersionOptions extends CallOptions {
  /** What it must be (of the data, or of the ACL); any unless told. */
  readonly version?: number
}

export interface Created {
  /** With its number, if it is sequential. */
  readonly path: string
  readonly stat: Stat
}

export interface NodeData {
  /** Yours to keep. */
  readonly data: Uint8Array | null
  readonly stat: Stat
}

/** What one read of a `multiRead` came to. */
export type ReadResult =
  | { readonly ok: true; readonly data: Uint8Array | null; readonly stat: Stat }
  | { readonly ok: true; readonly children: readonly string[] }
  | { readonly ok: false; readonly error: AntiphonError }

export type ReadRequest = { readonly getData: string } | { readonly getChildren: string }

export interface WatchOptions {
  /** `persistent` unless told: every change of the node and of its list of children. `recursive`: of the node and of everything below it. `data`, `children`: once. */
  readonly kind?: WatchKind
  /** Ends the watch. */
  readonly signal?: AbortSignal
}

/**
 * What happens to a node, in the order in which it happened, nothing left out and nothing twice while the session lasts. Iterate it (`break` ends it), or give `watch` a listener.
 * An iteration ends when the watch or the session is closed, and throws SESSION_EXPIRED when the session has expired.
 */
export interface Watch extends AsyncIterable<WatchEvent>, Disposable {
  readonly path: string
  readonly kind: WatchKind
  close(): void
}

/**
 * `connected`: this replica has a leader. `suspended`: it has none, reads may be stale and writes wait. `jeopardy`: it has had none for so long that the others may have
 * declared the session expired; act as if it were. `expired`, `closed`: for good.
 */
export type SessionState = 'connected' | 'suspended' | 'jeopardy' | 'expired' | 'closed'

export interface SessionEvents {
  connected(): void
  suspended(): void
  /** Locks and leaderships that this session holds may be somebody else's by now. */
  jeopardy(): void
  /** After `jeopardy`: the session has lived on, with everything that it holds. `connected` follows. */
  safe(): void
  /** Its ephemeral nodes are gone. Open a new one. */
  expired(): void
  closed(): void
  /** A listener of yours threw; the session goes on. */
  trouble(error: AntiphonError): void
}

/** Reads at once, without a promise and without a copy, of what is applied on this replica: possibly ahead of events that are about to be delivered. Errors: REFUSED with NO_NODE, NO_AUTH; NOT_READY while the replica is quarantined. */
export interface LocalReads {
  exists(path: string): Stat | null
  /** `data` is a view of the tree's own memory, valid until this turn of the event loop ends. */
  getData(path: string): NodeData
  /** As `getData(path).data`. */
  data(path: string): Uint8Array | null
  getChildren(path: string): string[]
}

/** Turns values into data and back. */
export interface Codec<T> {
  encode(value: T): Data
  /** What it throws rejects the read with CORRUPT_VALUE. */
  decode(data: Uint8Array | null): T
}

export interface NodeValue<T> {
  readonly value: T
  readonly stat: Stat
}

/** One node whose data are values of one type. */
export interface TypedNode<T> {
  readonly path: string
  /** Null: there is no such node. */
  get(options?: ReadOptions): Promise<NodeValue<T> | null>
  create(value: T, options?: CreateOptions): Promise<Created>
  set(value: T, options?: VersionOptions): Promise<Stat>
  /** Sets it, or creates it when it is not there. */
  put(value: T, options?: CreateOptions): Promise<Stat>
  /**
   * Reads, lets `change` make another value, and sets that if nobody was faster; else again. `undefined` leaves it as it is. The node is created when it is not there and `change` makes a value of null.
   */
  update(change: (value: T | null) => T | undefined, options?: ReadOptions): Promise<NodeValue<T> | null>
  delete(options?: VersionOptions): Promise<void>
  /** The value as it is, then each later one: the newest, not each in between; null while there is no node. `break` ends it. */
  values(options?: { readonly signal?: AbortSignal }): AsyncIterable<NodeValue<T> | null>
}

/** What one operation of a transaction came to. */
export type TransactionResult =
  | { readonly type: 'create'; readonly path: string; readonly stat: Stat }
  | { readonly type: 'setData'; readonly stat: Stat }
  | { readonly type: 'delete' | 'check' }

/** All of it happens, or nothing. */
export interface Transaction {
  create(path: string, data?: Data, options?: Omit<CreateOptions, keyof CallOptions>): this
  delete(path: string, options?: { readonly version?: number }): this
  setData(path: string, data: Data, options?: { readonly version?: number }): this
  /** Fails the transaction unless the node is there, in this version if one is given. */
  check(path: string, options?: { readonly version?: number }): this
  /** @throws AntiphonError REFUSED: nothing happened; `refusal` is the code of the operation that failed, `details.index` its place, `details.path` its path */
  commit(options?: CallOptions): Promise<readonly TransactionResult[]>
}

/**
 * What an application holds: its identity towards the tree. Ephemeral nodes live as long as it does. Writes take their order from the order of the calls; a read sees every
 * earlier write of its session. Operations wait for a leader as long as it takes, unless they are given a timeout, and each happens once.
 *
 * Errors: REFUSED with ZooKeeper's code in `refusal` and its number in `details.zookeeperCode`; INVALID_ARGUMENT; and those of `Replica.propose` and `Replica.read`.
 */
export interface Session extends AsyncDisposable {
  readonly id: SessionId
  /** 16 bytes: with the id, it lets another process take the session over. */
  readonly password: Uint8Array
  readonly timeoutMs: Millis
  readonly state: SessionState
  readonly local: LocalReads

  create(path: string, data?: Data, options?: CreateOptions): Promise<Created>
  delete(path: string, options?: VersionOptions): Promise<void>
  /** Null: there is no such node; a watch tells when it is made. */
  exists(path: string, options?: WatchingReadOptions): Promise<Stat | null>
  getData(path: string, options?: WatchingReadOptions): Promise<NodeData>
  setData(path: string, data: Data, options?: VersionOptions): Promise<Stat>
  /** Names, in the order in which they were made. */
  getChildren(path: string, options?: WatchingReadOptions): Promise<{ readonly children: readonly string[]; readonly stat: Stat }>
  /** How many nodes there are below it, at any depth. */
  getAllChildrenNumber(path: string, options?: ReadOptions): Promise<number>
  /** Paths of this session's ephemeral nodes that begin with `prefix`. */
  getEphemerals(prefix?: string, options?: ReadOptions): Promise<readonly string[]>
  getAcl(path: string, options?: ReadOptions): Promise<{ readonly acl: readonly Acl[]; readonly stat: Stat }>
  setAcl(path: string, acl: readonly Acl[], options?: VersionOptions): Promise<Stat>
  multiRead(reads: readonly ReadRequest[], options?: ReadOptions): Promise<readonly ReadResult[]>
  transaction(): Transaction
  /** Resolves when this replica holds everything that was acknowledged anywhere before the call. */
  sync(options?: CallOptions): Promise<void>

  watch(path: string, options?: WatchOptions): Watch
  watch(path: string, listener: (event: WatchEvent) => void, options?: WatchOptions): Watch
  node<T>(path: string, codec: Codec<T>): TypedNode<T>
  /** The same session with `path` in front of every path, and taken off again. The node need not be there. */
  chroot(path: string): Session

  /** @throws AntiphonError REFUSED (AUTH_FAILED) */
  addAuth(scheme: string, credential: Uint8Array | string): Promise<void>
  whoAmI(): Promise<readonly Identity[]>

  on<E extends keyof SessionEvents>(event: E, listener: SessionEvents[E]): this
  once<E extends keyof SessionEvents>(event: E, listener: SessionEvents[E]): this
  off<E extends keyof SessionEvents>(event: E, listener: SessionEvents[E]): this

  /** Deletes its ephemeral nodes and ends it. Idempotent. */
  close(options?: CallOptions): Promise<void>
}

export interface SessionOptions extends CallOptions {
  /** Milliseconds without a word from this process after which the session expires; within the tree's bounds. 10,000 unless told. */
  readonly timeoutMs?: Millis
  /** In front of every path. */
  readonly chroot?: string
  /** Takes over a session that exists, of this member or another; whoever held it loses it. */
  readonly resume?: { readonly id: SessionId; readonly password: Uint8Array }
  /** Known on this replica alone until its first ephemeral node: opening and closing it costs the ensemble nothing. `false` unless told. */
  readonly local?: boolean
  /** Which of the replica's machines; its only tree unless told. */
  readonly machine?: string
  /** Who the session is from the start: this process vouches for it. */
  readonly identities?: readonly Identity[]
}
