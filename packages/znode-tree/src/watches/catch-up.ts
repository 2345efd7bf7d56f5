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

interface Told {
  readonly event: WatchEvent
  /** Among events of one ZXID. */
  readonly order: number
}

/** What happened to a node, for those who may read it. */
interface Missed extends Told {
  readonly acl: AclNumber
}

/** What happened to some nodes, in the order of the changes. */
interface MissedThere {
  readonly missed: readonly Missed[]
  /** The ACLs of those nodes. */
  readonly acls: ReadonlySet<AclNumber>
  readonly events: readonly WatchEvent[]
}

/** By path, what happened at it and below it: looked at once for all who catch up from the same ZXID in the same state, however many watch it. */
export type MissedBelow = Map<string, MissedThere>

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
  readonly #events = new Map<string, Told>()
  /** All that was found, while it was found in one place. */
  #only: MissedThere | null = null
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
        else this.#noteThere(this.#below(node, path))
        return true
    }
  }

  /** Tells what was found, in the order of the changes. */
  tell(): void {
    const events = this.#found()
    if (events.length > 1 && this.#watcher.notifyAll !== undefined) this.#watcher.notifyAll(events)
    else for (const event of events) this.#watcher.notify(event)
  }

  #found(): readonly WatchEvent[] {
    if (this.#only === null) return [...this.#events.values()].sort(inOrder).map(({ event }) => event)
    const { missed, acls, events } = this.#only
    if ([...acls].every((acl) => this.#mayReadBy(acl))) return events
    return missed.filter(({ acl }) => this.#mayReadBy(acl)).map(({ event }) => event)
  }

  #once(type: WatchEventType, path: string, node: NodeIndex, zxid: Zxid): boolean {
    if (zxid <= this.#since) return true
    this.#event(type, path, node, zxid)
    return false
  }

  #gone(path: string): false {
    this.#note(told('deleted', path, this.#state.zxid))
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
    const note = (type: WatchEventType, zxid: Zxid): number => missed.push({ ...told(type, path, zxid), acl })
    if (czxid > this.#since) note('created', czxid)
    if (mzxid > this.#since && mzxid > czxid) note('dataChanged', mzxid)
    if (pzxid > this.#since && pzxid > czxid) note('childrenChanged', pzxid)
    return missed
  }

  /** At `top` and everything below it. */
  #below(top: NodeIndex, path: string): MissedThere {
    const known = this.#missedBelow.get(path)
    if (known !== undefined) return known
    const missed = this.#walk(top).sort(inOrder)
    const there = { missed, acls: new Set(missed.map(({ acl }) => acl)), events: missed.map(({ event }) => event) }
    this.#missedBelow.set(path, there)
    return there
  }

  #walk(top: NodeIndex): Missed[] {
    const { tree } = this.#state
    const missed: Missed[] = []
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

  #noteThere(there: MissedThere): void {
    if (there.missed.length === 0) return
    if (this.#only === null && this.#events.size === 0) this.#only = there
    else this.#noteAll(there.missed)
  }

  #noteAll(missed: readonly Missed[]): void {
    for (const one of missed) if (this.#mayReadBy(one.acl)) this.#note(one)
  }

  #event(type: WatchEventType, path: string, node: NodeIndex, zxid: Zxid): void {
    if (this.#mayRead(node)) this.#note(told(type, path, zxid))
  }

  #note(told: Told): void {
    if (this.#only !== null) {
      const { missed } = this.#only
      this.#only = null
      this.#noteAll(missed)
    }
    const key = `${told.event.type} ${told.event.path}`
    if (!this.#events.has(key)) this.#events.set(key, told)
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

function inOrder(one: Told, other: Told): number {
  const order = one.event.zxid - other.event.zxid || one.order - other.order
  return order !== 0 || one.order >= 0 ? order : one.event.path < other.event.path ? -1 : 1
}

function told(type: WatchEventType, path: string, zxid: Zxid): Told {
  return { event: { type, path, zxid }, order: orderOf(type, path) }
}

/** More than a path has names. */
const DEPTH_MAX = 2 ** 30

/**
 * As changes tell it while one listens: a node goes before those above it and comes behind them, and lists of children have changed behind that. What is gone comes first, and below 0, for in truth
 * it went earlier or in that change.
 */
function orderOf(type: WatchEventType, path: string): number {
  let depth = path === '/' ? 0 : 1
  for (let at = path.indexOf('/', 1); at >= 0; at = path.indexOf('/', at + 1)) depth++
  if (type === 'deleted') return -depth
  return type === 'childrenChanged' ? DEPTH_MAX + depth : depth
}
