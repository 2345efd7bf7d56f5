import { corrupt, type Millis, type Zxid } from '@antiphon/ports'
import { NodeTree } from '../data-tree.ts'
import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { ROOT } from '../store/node-store.ts'
import { AVERSION, CREATED, CTIME, CZXID, FLAGS, IN_QUOTA, MTIME, MZXID, NAME_LENGTH_MAX, PZXID, VERSION } from '../store/records.ts'
import { type Making, QUOTA_NODE, SYSTEM_NODE, TreeState } from '../store/tree-state.ts'
import type { Acl } from '../types.ts'

export interface LoadedStat {
  readonly czxid: Zxid
  readonly mzxid: Zxid
  readonly pzxid: Zxid
  readonly ctime: Millis
  readonly mtime: Millis
  readonly version: number
  readonly created: number
  readonly aversion: number
}

/** A tree in the making: nodes come with their Stat, parents first, siblings in their order. Errors: CORRUPT. */
export class TreeLoader {
  readonly state: TreeState = new TreeState()

  intern(acl: readonly Acl[]): number {
    return this.state.store.acls.intern(acl)
  }

  find(path: string): NodeIndex {
    return this.state.store.find(path, path.length)
  }

  /** The first is the root, which has no name. */
  add(parent: NodeIndex, name: string, node: Making, stat: LoadedStat): NodeIndex {
    const { store } = this.state
    if (parent === NO_NODE ? name !== '' : name === '' || name.length > NAME_LENGTH_MAX || name.includes('/')) throw corrupt('a node has no proper name')
    if (parent !== NO_NODE && store.findChild(parent, name, 0, name.length) !== NO_NODE) throw corrupt('two nodes have the same path')
    const index = this.state.insert(parent, name, 0, node, stat.czxid, stat.ctime)
    if (index === QUOTA_NODE) store.setWord(index, FLAGS, store.word(index, FLAGS) | IN_QUOTA)
    this.setStat(index, stat)
    return index
  }

  setStat(index: NodeIndex, stat: LoadedStat): void {
    if (Math.min(stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime) < 0) throw corrupt('a node has a ZXID or a time below zero')
    const { store, digest } = this.state
    store.setDouble(index, CZXID, stat.czxid)
    store.setDouble(index, MZXID, stat.mzxid)
    store.setDouble(index, PZXID, stat.pzxid)
    store.setDouble(index, CTIME, stat.ctime)
    store.setDouble(index, MTIME, stat.mtime)
    store.setWord(index, VERSION, stat.version)
    store.setWord(index, CREATED, stat.created)
    store.setWord(index, AVERSION, stat.aversion)
    // Again: it may have been hashed while its Stat was not complete.
    digest.mark(index)
  }

  finish(): NodeTree {
    const { store, size } = this.state
    const isNamed = (node: NodeIndex, path: string): boolean => size > node && store.path(node) === path
    const hasBuiltIn = isNamed(ROOT, '/') && isNamed(SYSTEM_NODE, '/zookeeper') && isNamed(QUOTA_NODE, '/zookeeper/quota')
    if (!hasBuiltIn || this.find('/zookeeper/config') === NO_NODE) throw corrupt('a tree lacks the nodes that each tree has')
    return new NodeTree(this.state)
  }
}
