import type { Millis, Zxid } from '@antiphon/ports'
import type { Acl, SessionId, Stat } from './types.ts'

/** A node's place in the columns of the tree; NO_NODE: none. Valid until that node is deleted. */
export type NodeIndex = number
export const NO_NODE = -1

/** Equal ACLs have one number. 0 is OPEN_ACL. */
export type AclNumber = number

export const PERSISTENT = 0
export const EPHEMERAL = 1
export const CONTAINER = 2
export const TTL = 3
export type NodeKind = typeof PERSISTENT | typeof EPHEMERAL | typeof CONTAINER | typeof TTL

/** What each node of a change is made of; the data lies in `bytes` from `start` to `end`, or is null when `start` is -1. */
export interface NewNode {
  readonly path: string
  readonly kind: NodeKind
  /** Of an ephemeral node, else 0. */
  readonly owner: SessionId
  readonly ttlMs: Millis
  readonly acl: AclNumber
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
}

/**
 * The applied state: nodes and ACLs. Its changes are final and can not fail: what they ask for was validated by the primary. One that does not fit (no such node, a parent that is
 * missing) is a divergence, and throws.
 */
export interface DataTree {
  /** `/` and the built-in nodes included. */
  readonly size: number
  /** `crc`: that of the path, for whoever has computed it already. */
  find(path: string, crc?: number): NodeIndex
  /** Another number with each node that goes: what was found before may be another's place. */
  readonly removals: number
  path(node: NodeIndex): string
  /** Of `/`: NO_NODE. */
  parent(node: NodeIndex): NodeIndex
  kind(node: NodeIndex): NodeKind
  owner(node: NodeIndex): SessionId
  ttlMs(node: NodeIndex): Millis
  version(node: NodeIndex): number
  aversion(node: NodeIndex): number
  /** Children ever created, 32 bits signed: ZooKeeper's internal cversion, the number of the next sequential child. The wire's cversion is twice this less the children. */
  childrenCreated(node: NodeIndex): number
  childCount(node: NodeIndex): number
  /** First in the order of creation; `next` of its siblings. For walks without an array. */
  firstChild(node: NodeIndex): NodeIndex
  nextSibling(node: NodeIndex): NodeIndex
  mzxid(node: NodeIndex): Zxid
  pzxid(node: NodeIndex): Zxid
  mtime(node: NodeIndex): Millis
  dataLength(node: NodeIndex): number
  /** A view, valid until the next change. */
  data(node: NodeIndex): Uint8Array | null
  stat(node: NodeIndex): Stat
  acl(node: NodeIndex): AclNumber
  /** The number of an ACL, given one if it is new; `release` is not needed: those that no node has are dropped with the next snapshot. */
  intern(acl: readonly Acl[]): AclNumber
  aclOf(number: AclNumber): readonly Acl[]
  /** Paths of a session's ephemeral nodes, sorted: the same on every replica. */
  ephemerals(session: SessionId): string[]
  /** Sessions that have ephemeral nodes. */
  owners(): Iterable<SessionId>
  /** The next of the nodes that may be reaped one day, containers and TTL, or NO_NODE. Each that stands from a `rewindReapable` on comes once, whatever comes and goes between two calls. */
  nextReapable(): NodeIndex
  rewindReapable(): void

  create(node: NewNode, zxid: Zxid, time: Millis): NodeIndex
  /** Moves the parent's pzxid. */
  delete(node: NodeIndex, zxid: Zxid): void
  setData(node: NodeIndex, bytes: Uint8Array, start: number, end: number, version: number, zxid: Zxid, time: Millis): void
  setAcl(node: NodeIndex, acl: AclNumber, aversion: number): void

  /** ZooKeeper's version-2 digest as of all changes. */
  digest(): bigint
  /** The longest prefix of `path` that has a quota, or null; its usage and limits. Usage is counted as the changes are made. */
  quotaOf(path: string): Quota | null
}

export interface Quota {
  readonly path: string
  readonly count: number
  readonly bytes: number
  /** -1: none. */
  readonly countLimit: number
  readonly bytesLimit: number
  readonly countHardLimit: number
  readonly bytesHardLimit: number
}
