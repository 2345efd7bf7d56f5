import type { Acl } from '@antiphon/znode-tree'
import type { Data } from '../program.ts'

export interface Node {
  readonly data: Data
  readonly acl: readonly Acl[]
  readonly czxid: number
  readonly mzxid: number
  readonly pzxid: number
  readonly ctime: number
  readonly mtime: number
  readonly version: number
  readonly aversion: number
  /** Children ever made: the number of the next sequential one. */
  readonly created: number
  readonly owner: bigint
  /** What ZooKeeper keeps in the owner's place: containers and TTL nodes. */
  readonly marked: bigint
}

/** By path; the root's is empty. */
export type Nodes = ReadonlyMap<string, Node>
