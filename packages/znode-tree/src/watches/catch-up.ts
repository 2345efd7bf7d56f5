import type { Zxid } from '@antiphon/ports'
import { type AclNumber, type DataTree, NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { parentPath } from '../path.ts'
import type { WatchEvent, WatchEventType, Watcher, WatchKind } from '../types.ts'

/** What catching up looks at. */
export type WatchedTree = Pick<DataTree, 'find' | 'path' | 'parent' | 'firstChild' | 'nextSibling' | 'mzxid' | 'pzxid' | 'stat' | 'acl' | 'aclOf'>

export interface WatchedState {
  readonly tree: WatchedTree
  /** The last change that is in it. */
  readonly zxid: Zxid
}

/** What happened to a node, for those who may read it. */
interface Missed {
  readonly event: WatchEvent
  readonly acl: AclNumber
}

/** By path, what happened at it and below it: looked at once for all who catch up from the same ZXID in the same state, however many watch it. */
export type MissedBelow = Map<string, readonly Missed[]>

/**
 * What a watcher missed since a ZXID, as far as the state shows it. Of a node that is gone nothing is left, and so the ZXID of `deleted` is the state's own, at or above the true one; whoever
 * heard of the node by a watch that fires once knew that it was there, and is told. One who watches for good may have watched a node that never was: told when children came or went since at
 * the nearest node above, by which any deletion in between shows, or when that node may not be looked at.
 */
export class CatchUp {
  readonly #state: WatchedState
  readonly #watcher: Watcher
  readonly #since: Zxid
  /** By type and path: each at most once. */
  readonly #events = new Map<string, WatchEvent>()
  readonly #readable = new Map<AclNumber, boolean>()
  readonly #missedBelow: MissedBelow

  constructor(state: WatchedState, watcher: Watcher, since: Zxid, missedBelow: MissedBelow = new Map()) {
    this.#state = state
    this.#watcher = watcher
    this.#since = since
    this.#missedBelow = missedBelow
  }

  /** Looks what happened to one watch. False: it fires once, and has fired. */
  look(path: string, kind: WatchKind | 'exists'): boolean {
    const { tree } = this.#state
    const node = tree.find(path)
    switch (kind) {
      case 'data':
        return node === NO_NODE ? this.#gone(path) : this.#once('dataChanged', path, node, tree.mzxid(node))
      case 'children':
        return node === NO_NODE ? this.#gone(path) : this.#once('childrenChanged', path, node, tree.pzxid(node))
      case 'exists':
        if (node === NO_NODE) return true
        this.#event('created', path, node, tree.stat(node).czxid)
        return false
      case 'persistent':
        if (node === NO_NODE) this.#perhapsGone(path)
        else this.#noteAll(this.#at(node, []))
        return true
      case 'recursive':
        if (node === NO_NODE) this.#perhapsGone(path)
        else this.#noteAll(this.#below(node, path))
        return true
    }
  }

  /** Tells what was found, in the order of the changes. */
  tell(): void {
    for (const event of [...this.#events.values()].sort((one, other) => one.zxid - other.zxid)) this.#watcher.notify(event)
  }

  #once(type: WatchEventType, path: string, node: NodeIndex, zxid: Zxid): boolean {
    if (zxid <= this.#since) return true
    this.#event(type, path, node, zxid)
    return false
  }

  #gone(path: string): false {
    this.#note({ type: 'deleted', path, zxid: this.#state.zxid })
    return false
  }

  #perhapsGone(path: string): void {
    const { tree } = this.#state
    let above = path
    let node: NodeIndex
    do {
      above = parentPath(above)
      node = tree.find(above)
    } while (node === NO_NODE && above !== '/')
    if (node === NO_NODE || !this.#mayRead(node) || tree.pzxid(node) > this.#since) this.#gone(path)
  }

  /** All that can have happened to a node that is there. Nothing of it is newer than `since` if its data and children are not, for both begin with its creation. */
  #at(node: NodeIndex, missed: Missed[]): Missed[] {
    const { tree } = this.#state
    const mzxid = tree.mzxid(node)
    const pzxid = tree.pzxid(node)
    if (mzxid <= this.#since && pzxid <= this.#since) return missed
    const path = tree.path(node)
    const acl = tree.acl(node)
    const { czxid } = tree.stat(node)
    if (czxid > this.#since) missed.push({ event: { type: 'created', path, zxid: czxid }, acl })
    if (mzxid > this.#since && mzxid > czxid) missed.push({ event: { type: 'dataChanged', path, zxid: mzxid }, acl })
    if (pzxid > this.#since && pzxid > czxid) missed.push({ event: { type: 'childrenChanged', path, zxid: pzxid }, acl })
    return missed
  }

  /** At `top` and everything below it. */
  #below(top: NodeIndex, path: string): readonly Missed[] {
    const known = this.#missedBelow.get(path)
    if (known !== undefined) return known
    const { tree } = this.#state
    const missed: Missed[] = []
    this.#missedBelow.set(path, missed)
    let node = top
    for (;;) {
      this.#at(node, missed)
      let next = tree.firstChild(node)
      while (next === NO_NODE) {
        if (node === top) return missed
        next = tree.nextSibling(node)
        if (next === NO_NODE) node = tree.parent(node)
      }
      node = next
    }
  }

  #noteAll(missed: readonly Missed[]): void {
    for (const { event, acl } of missed) if (this.#mayReadBy(acl)) this.#note(event)
  }

  #event(type: WatchEventType, path: string, node: NodeIndex, zxid: Zxid): void {
    if (this.#mayRead(node)) this.#note({ type, path, zxid })
  }

  #note(event: WatchEvent): void {
    const key = `${event.type} ${event.path}`
    if (!this.#events.has(key)) this.#events.set(key, event)
  }

  #mayRead(node: NodeIndex): boolean {
    return this.#mayReadBy(this.#state.tree.acl(node))
  }

  #mayReadBy(acl: AclNumber): boolean {
    let readable = this.#readable.get(acl)
    if (readable === undefined) {
      readable = this.#watcher.mayRead(this.#state.tree.aclOf(acl))
      this.#readable.set(acl, readable)
    }
    return readable
  }
}
