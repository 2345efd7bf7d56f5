import type { Millis, StateMachine, Zxid } from '@antiphon/ports'
import type { Acl, Identity, SessionId, Stat, Watcher, WatchKind, ZnodeRequest, ZnodeResult } from './types.ts'

export interface ZnodeTreeOptions {
  /** Agreed by the ensemble. `znodes` unless told. */
  readonly name?: string
  /** Bytes of one node's data; 1 MiB - 1 unless told (`jute.maxbuffer`). */
  readonly dataBytesMax?: number
  /** What a session may ask for, in milliseconds: 4,000 and 40,000 unless told. */
  readonly sessionTimeoutMsMin?: Millis
  readonly sessionTimeoutMsMax?: Millis
  /** Do hard quotas refuse? `false` unless told, as in ZooKeeper (`enforceQuota`): they warn then, as soft ones do, by the event `trouble` of the leader's replica. */
  readonly enforceQuota?: boolean
  /** TTL nodes; `true` unless told (`extendedTypesEnabled`). Without them, sessions can be made at member 255 too. */
  readonly ttlNodes?: boolean
  /** Reaping of containers and TTL nodes: how often the leader looks, and how many it deletes a minute, 1,024 a tick at most. 60,000 and 10,000 unless told. */
  readonly reapEveryMs?: Millis
  readonly reapsPerMinuteMax?: number
  /** A container that never had a child goes after this; 0 (never) unless told. */
  readonly containerUnusedMsMax?: Millis
  /** Access control: nobody is checked when `false`. `true` unless told (`skipACL`). */
  readonly checkAcls?: boolean
  /** Ways to show who one is, besides the built-in `world`, `auth`, `digest`, `ip`, `x509`, `super`. Agreed: the same everywhere. */
  readonly schemes?: readonly AuthScheme[]
  /** `user:hash` of the digest user who may do everything. */
  readonly superDigest?: string
  /** Hash of the `digest` scheme: `SHA-1` unless told. */
  readonly digestAlgorithm?: 'SHA-1' | 'SHA-256'
  /** What `/zookeeper/config` is to hold: the leader sets it when it holds something else. The ensemble's members as the leader knows them unless told, in ZooKeeper's format. */
  readonly config?: string | null
}

/** A way to show who one is, and to name in ACLs who may. */
export interface AuthScheme {
  readonly name: string
  /** The identities that a credential shows; null: it shows nothing, AUTH_FAILED. */
  authenticate(credential: Uint8Array): readonly Identity[] | null
  /** Can `id` stand in an ACL? */
  isValid(id: string): boolean
  /** Is the requester's `identity` (of this scheme) who the ACL's `id` means? */
  matches(identity: string, aclId: string): boolean
  /** For `whoAmI`: what of an identity may be told. The whole of it unless given. */
  userName?(identity: string): string
}

export interface NodeView {
  /** A view of the tree's own memory: valid until the next change is applied. Copy what you keep. */
  readonly data: Uint8Array | null
  readonly stat: Stat
}

/**
 * What is applied here, read at once and without a copy. Paths are plain, and nobody's permission is asked, unless `identities` are given.
 * Errors: REFUSED with NO_NODE, NO_AUTH.
 */
export interface TreeReader {
  /** The last change that is in it; 0 before the first. */
  readonly zxid: Zxid
  /** Nodes, `/` and the built-in ones included. */
  readonly size: number
  exists(path: string, identities?: readonly Identity[]): Stat | null
  get(path: string, identities?: readonly Identity[]): NodeView
  /** As `get(path).data`, without the Stat. */
  data(path: string, identities?: readonly Identity[]): Uint8Array | null
  /** In the order in which they were made. */
  children(path: string, identities?: readonly Identity[]): string[]
  /** How many there are below `path`, at any depth. */
  countDescendants(path: string, identities?: readonly Identity[]): number
  acl(path: string, identities?: readonly Identity[]): { readonly acl: readonly Acl[]; readonly stat: Stat }
  /** Paths of a session's ephemeral nodes that begin with `prefix`; all of them when it is blank, or `/`. */
  ephemerals(session: SessionId, prefix?: string): string[]
}

export interface SessionInfo {
  readonly id: SessionId
  readonly timeoutMs: Millis
  readonly peer: number
  /** ZXID of the change by which its holder has it. */
  readonly attachment: Zxid
}

/** Who holds sessions on this replica: told in the midst of `apply`, in order; takes note, calls nobody, must not throw. */
export interface SessionListener {
  /** `expired`: by the leader, for nobody had touched it. */
  closed(session: SessionId, reason: 'closed' | 'expired', zxid: Zxid): void
  /** Another holds it from now on. */
  moved(session: SessionId, zxid: Zxid): void
  /** The whole tree was replaced by a snapshot: look again at everything that you hold. */
  restored(zxid: Zxid): void
  /** The end of a batch: what was noted can be delivered, before any result of the batch is. */
  applied(zxid: Zxid): void
  /** A note to the leader was made, and leaves with this turn. `whole`: with it, every session that is held was named since the last time that it was. */
  noted?(whole: boolean): void
}

/** Watches of this replica: not replicated. */
export interface Watches {
  readonly size: number
  add(watcher: Watcher, path: string, kind: WatchKind): void
  /** False: there was none. `any`: all of this watcher on this path. */
  remove(watcher: Watcher, path: string, kind: WatchKind | 'any'): boolean
  has(watcher: Watcher, path: string, kind: WatchKind | 'any'): boolean
  /** All of them. */
  drop(watcher: Watcher): void
  /**
   * Registers anew what a watcher had before it was away, as of `since`: what has changed since is notified at once instead (ZooKeeper's setWatches2). Persistent and recursive ones are
   * registered, and what has happened to their nodes since is notified as far as the tree shows it.
   */
  resume(watcher: Watcher, since: Zxid, watches: readonly { readonly path: string; readonly kind: WatchKind | 'exists' }[]): void
}

/** ZooKeeper's data model as a state machine: list it among a replica's `machines`. `coordination` makes sessions on it. */
export interface ZnodeTree extends StateMachine<ZnodeRequest, ZnodeResult> {
  readonly options: Required<ZnodeTreeOptions>
  readonly reader: TreeReader
  readonly watches: Watches
  session(id: SessionId): SessionInfo | null
  /** Something was heard of a session that is held here: rides to the leader with the next heartbeat. */
  touch(session: SessionId): void
  /** Until the function that it returns is called, the session is touched with every heartbeat: its holder is this process. */
  hold(session: SessionId): () => void
  listen(listener: SessionListener): () => void
  /** @throws AntiphonError REFUSED (AUTH_FAILED): there is no such scheme, or the credential shows nothing to it */
  authenticate(scheme: string, credential: Uint8Array): readonly Identity[]
  /** What of these identities may be told: ZooKeeper's whoAmI. */
  whoAmI(identities: readonly Identity[]): readonly Identity[]
  /** Has one of these identities one of these permissions? */
  permits(acl: readonly Acl[], perms: number, identities: readonly Identity[]): boolean
  /** Of the tree and of the sessions: what replicas compare. */
  digest(): bigint
  /** ZooKeeper's own digest of a tree, version 2: as a real server has it for the same tree. */
  treeDigest(): bigint
  /** The state as of now, tree and sessions, as ZooKeeper keeps it: a server that finds the file starts from it. Changes may go on while the chunks are read. */
  zooKeeperSnapshot(): ZooKeeperFile
}

/** A file in ZooKeeper's `version-2`. */
export interface ZooKeeperFile {
  /** `snapshot.` and the ZXID in hexadecimal. */
  readonly name: string
  readonly zxid: Zxid
  readonly chunks: Iterable<Uint8Array>
}
