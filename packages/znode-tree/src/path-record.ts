import type { Millis } from '@antiphon/ports'
import { NO_NODE, type NodeIndex, type NodeKind, PERSISTENT } from './data-tree-types.ts'
import { type Acl, OPEN_ACL, type SessionId } from './types.ts'

/** What is at a path as of everything prepared. */
export class PathRecord {
  path = ''
  /** Of the path. */
  crc = 0
  exists = false
  kind: NodeKind = PERSISTENT
  owner: SessionId = 0n
  ttlMs: Millis = 0
  version = 0
  aversion = 0
  childrenCreated = 0
  childCount = 0
  dataLength = 0
  mtime: Millis = 0
  acl: readonly Acl[] = OPEN_ACL
  /** Where it is among what is applied, as of `removals` of the tree; NO_NODE: it was not there. */
  node: NodeIndex = NO_NODE
  removals = 0
  /** Changes that are prepared, not applied, and touch it. With 0 it is what is applied, and is not kept. */
  pending = 0
  /** The next one in its bucket of the table. */
  chain: PathRecord | null = null

  /** All but where it is, and `pending`. */
  assign(other: PathRecord): void {
    this.path = other.path
    this.exists = other.exists
    this.kind = other.kind
    this.owner = other.owner
    this.ttlMs = other.ttlMs
    this.version = other.version
    this.aversion = other.aversion
    this.childrenCreated = other.childrenCreated
    this.childCount = other.childCount
    this.dataLength = other.dataLength
    this.mtime = other.mtime
    this.acl = other.acl
  }
}
