import type { Millis, Zxid } from '@antiphon/ports'

/** 64 bits, unsigned here; the highest byte is the member that the session was made at. 0 is nobody. */
export type SessionId = bigint

/** An authenticated identity: `digest` with `user:hash`, `ip` with an address, `x509` with a subject, `super` with anything. */
export interface Identity {
  readonly scheme: string
  readonly id: string
}

/** Bits of `Acl.perms`. */
export const READ = 1
export const WRITE = 2
export const CREATE = 4
export const DELETE = 8
export const ADMIN = 16
export const ALL = 31

export interface Acl {
  /** READ, WRITE, CREATE, DELETE, ADMIN, or'ed. */
  readonly perms: number
  readonly scheme: string
  readonly id: string
}

/** Everybody may do everything. */
export const OPEN_ACL: readonly Acl[] = [{ perms: ALL, scheme: 'world', id: 'anyone' }]

/** What ZooKeeper's clients see of a node. */
export interface Stat {
  /** The change that made it; that set its data last; that made or deleted a child last, or made it. */
  readonly czxid: Zxid
  readonly mzxid: Zxid
  readonly pzxid: Zxid
  /** Unix milliseconds, as the leader stamped them. */
  readonly ctime: Millis
  readonly mtime: Millis
  /** Changes of the data, of the children, of the ACL. 32 bits, signed: they wrap. */
  readonly version: number
  readonly cversion: number
  readonly aversion: number
  /** The session of an ephemeral node, else 0. */
  readonly ephemeralOwner: SessionId
  /** Bytes. */
  readonly dataLength: number
  readonly numChildren: number
}

/** ZooKeeper's create modes, in the order of their flags 0 to 6. */
export const CREATE_MODES = [
  'persistent',
  'ephemeral',
  'persistent-sequential',
  'ephemeral-sequential',
  'container',
  'persistent-with-ttl',
  'persistent-sequential-with-ttl',
] as const
export type CreateMode = (typeof CREATE_MODES)[number]

export interface CreateOperation {
  readonly type: 'create'
  readonly path: string
  /** `null` and empty are different data. */
  readonly data: Uint8Array | null
  readonly acl: readonly Acl[]
  readonly mode: CreateMode
  /** Of the modes with TTL: 1 to 2^40 - 1 milliseconds; 0 otherwise. */
  readonly ttlMs: number
}

export interface DeleteOperation {
  readonly type: 'delete'
  readonly path: string
  /** -1: any. */
  readonly version: number
}

export interface SetDataOperation {
  readonly type: 'setData'
  readonly path: string
  readonly data: Uint8Array | null
  readonly version: number
}

export interface SetAclOperation {
  readonly type: 'setAcl'
  readonly path: string
  readonly acl: readonly Acl[]
  /** Of the ACL; -1: any. */
  readonly version: number
}

export interface CheckOperation {
  readonly type: 'check'
  readonly path: string
  readonly version: number
}

/** What a multi may hold. */
export type MultiPart = CreateOperation | DeleteOperation | SetDataOperation | CheckOperation

export interface MultiOperation {
  readonly type: 'multi'
  readonly operations: readonly MultiPart[]
}

export type WriteOperation = CreateOperation | DeleteOperation | SetDataOperation | SetAclOperation | MultiOperation

/** A write in the name of a session. `attachment` tells its present holder from an earlier one (SESSION_MOVED). */
export interface WriteRequest {
  readonly kind: 'write'
  readonly session: SessionId
  readonly attachment: Zxid
  /** A session that only its own replica knows: not in the tree, and without ephemerals. */
  readonly local: boolean
  /** Who the requester has shown to be. */
  readonly identities: readonly Identity[]
  readonly operation: WriteOperation
}

export interface CreateSessionRequest {
  readonly kind: 'createSession'
  /** The member where it is made: the highest byte of its id. */
  readonly peer: number
  readonly timeoutMs: Millis
  /** A local session becomes a global one under the id that it has; null: a new id. */
  readonly id: SessionId | null
}

/** Takes a session over, from the same member or another: whoever held it before is told SESSION_MOVED. */
export interface AttachSessionRequest {
  readonly kind: 'attachSession'
  readonly session: SessionId
  /** 16 bytes. */
  readonly password: Uint8Array
  readonly peer: number
  readonly timeoutMs: Millis
}

export interface CloseSessionRequest {
  readonly kind: 'closeSession'
  readonly session: SessionId
  /** `null`: the leader itself, because it has expired. */
  readonly attachment: Zxid | null
}

/** The leader's own: a container or a TTL node that may go. Looked at again when it is prepared. */
export interface ReapRequest {
  readonly kind: 'reap'
  readonly path: string
}

/** The data of `/zookeeper/config`, as the ensemble's configuration is. */
export interface SetConfigRequest {
  readonly kind: 'setConfig'
  readonly data: Uint8Array
}

export type ZnodeRequest = WriteRequest | CreateSessionRequest | AttachSessionRequest | CloseSessionRequest | ReapRequest | SetConfigRequest

/** What became of one operation, alone or in a multi. */
export type OperationResult =
  | { readonly type: 'create'; readonly path: string; readonly stat: Stat }
  | { readonly type: 'setData' | 'setAcl'; readonly stat: Stat }
  | { readonly type: 'delete' | 'check' }
  | { readonly type: 'error'; readonly error: ZnodeErrorCode }

/** What a request comes to. A write that failed is an entry too, and has its ZXID. */
export type ZnodeResult = { readonly zxid: Zxid } & (
  | OperationResult
  /** When one of them is an error, nothing was done: those before it have `error: 'OK'`, those behind it `RUNTIME_INCONSISTENCY`. */
  | { readonly type: 'multi'; readonly results: readonly OperationResult[] }
  | { readonly type: 'session'; readonly session: SessionId; readonly password: Uint8Array; readonly timeoutMs: Millis }
  | { readonly type: 'done' }
)

/** ZooKeeper's codes, spelled as this project spells codes. */
export type ZnodeErrorCode =
  | 'OK'
  | 'RUNTIME_INCONSISTENCY'
  | 'MARSHALLING_ERROR'
  | 'UNIMPLEMENTED'
  | 'BAD_ARGUMENTS'
  | 'UNKNOWN_SESSION'
  | 'NEW_CONFIG_NO_QUORUM'
  | 'RECONFIG_IN_PROGRESS'
  | 'NO_NODE'
  | 'NO_AUTH'
  | 'BAD_VERSION'
  | 'NO_CHILDREN_FOR_EPHEMERALS'
  | 'NODE_EXISTS'
  | 'NOT_EMPTY'
  | 'SESSION_EXPIRED'
  | 'INVALID_ACL'
  | 'AUTH_FAILED'
  | 'SESSION_MOVED'
  | 'NOT_READ_ONLY'
  | 'EPHEMERAL_ON_LOCAL_SESSION'
  | 'NO_WATCHER'
  | 'RECONFIG_DISABLED'
  | 'SESSION_CLOSED_REQUIRE_SASL_AUTH'
  | 'QUOTA_EXCEEDED'
  | 'THROTTLED_OP'

export const ZNODE_ERRORS: Readonly<Record<ZnodeErrorCode, number>> = {
  OK: 0,
  RUNTIME_INCONSISTENCY: -2,
  MARSHALLING_ERROR: -5,
  UNIMPLEMENTED: -6,
  BAD_ARGUMENTS: -8,
  UNKNOWN_SESSION: -12,
  NEW_CONFIG_NO_QUORUM: -13,
  RECONFIG_IN_PROGRESS: -14,
  NO_NODE: -101,
  NO_AUTH: -102,
  BAD_VERSION: -103,
  NO_CHILDREN_FOR_EPHEMERALS: -108,
  NODE_EXISTS: -110,
  NOT_EMPTY: -111,
  SESSION_EXPIRED: -112,
  INVALID_ACL: -114,
  AUTH_FAILED: -115,
  SESSION_MOVED: -118,
  NOT_READ_ONLY: -119,
  EPHEMERAL_ON_LOCAL_SESSION: -120,
  NO_WATCHER: -121,
  RECONFIG_DISABLED: -123,
  SESSION_CLOSED_REQUIRE_SASL_AUTH: -124,
  QUOTA_EXCEEDED: -125,
  THROTTLED_OP: -127,
}

export type WatchEventType = 'created' | 'deleted' | 'dataChanged' | 'childrenChanged'

export interface WatchEvent {
  readonly type: WatchEventType
  readonly path: string
  /** The change that fired it. */
  readonly zxid: Zxid
}

/** `data` (by exists and getData) and `children` fire once; `persistent` and `recursive` until they are removed. */
export type WatchKind = 'data' | 'children' | 'persistent' | 'recursive'

/**
 * Who watches: a session's front, or a connection. Called in the midst of `apply`, in the order of the changes, before any result at or above the event's ZXID is told:
 * takes note, calls nobody, and must not throw.
 */
export interface Watcher {
  notify(event: WatchEvent): void
  /** Several at once, in order: what a watcher hears who was away, or whose replica was. The list is everybody's: not to be changed, and good to be kept. `notify` for each unless it is there. */
  notifyAll?(events: readonly WatchEvent[]): void
  /** May it hear of a node with this ACL? (READ; ZooKeeper's filter of CVE-2024-23944.) A watch that fires once is used up all the same. */
  mayRead(acl: readonly Acl[]): boolean
}
