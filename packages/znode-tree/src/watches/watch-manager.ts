import { invalidArgument, type Zxid } from '@antiphon/ports'
import { NO_NODE } from '../data-tree-types.ts'
import type { Watches } from '../machine-types.ts'
import { parentPath } from '../path.ts'
import type { Acl, WatchEvent, WatchEventType, Watcher, WatchKind } from '../types.ts'
import { CatchUp, type MissedBelow, type WatchedState } from './catch-up.ts'
import { RecursiveTable } from './recursive-table.ts'
import { ABSENT, CHILDREN, DATA, LASTING, ONCE, Owner, RECURSIVE, type Registration, WatchTable } from './table.ts'

const KINDS: readonly WatchKind[] = ['data', 'children', 'persistent', 'recursive']

type MissedWatch = Parameters<Watches['resume']>[2][number]

/**
 * ZooKeeper's two tables, of data and of children: watches that fire once stand in one of them, persistent ones in both, recursive ones in a third that is asked together with that of data.
 * `apply` calls the triggers after each change, in order; each costs by the watches that match.
 */
export class WatchManager implements Watches {
  readonly #state: WatchedState
  readonly #owners = new Map<Watcher, Owner>()
  readonly #data = new WatchTable(DATA)
  readonly #children = new WatchTable(CHILDREN)
  readonly #recursive = new RecursiveTable()
  #pass = 0

  constructor(state: WatchedState) {
    this.#state = state
  }

  get size(): number {
    return this.#data.once + this.#data.lasting + this.#children.once + this.#recursive.lasting
  }

  add(watcher: Watcher, path: string, kind: WatchKind): void {
    if (!KINDS.includes(kind)) throw invalidArgument(`there is no watch of kind ${String(kind)}`, `Use one of ${KINDS.join(', ')}.`)
    let owner = this.#owners.get(watcher)
    if (owner === undefined) {
      owner = new Owner(watcher)
      this.#owners.set(watcher, owner)
    }
    switch (kind) {
      case 'data':
        return this.#data.add(owner, path, this.#state.tree.find(path) === NO_NODE ? ONCE | ABSENT : ONCE)
      case 'children':
        return this.#children.add(owner, path, ONCE)
      case 'persistent':
        this.#data.add(owner, path, LASTING)
        return this.#children.add(owner, path, LASTING)
      case 'recursive':
        return this.#recursive.add(owner, path, LASTING)
    }
  }

  remove(watcher: Watcher, path: string, kind: WatchKind | 'any'): boolean {
    const owner = this.#owners.get(watcher)
    if (owner === undefined) return false
    let removed = false
    if (kind === 'data' || kind === 'any') removed = clear(this.#data, owner, path, ONCE | ABSENT) || removed
    if (kind === 'children' || kind === 'any') removed = clear(this.#children, owner, path, ONCE) || removed
    if (kind === 'persistent' || kind === 'any') {
      removed = clear(this.#data, owner, path, LASTING) || removed
      clear(this.#children, owner, path, LASTING)
    }
    if (kind === 'recursive' || kind === 'any') removed = clear(this.#recursive, owner, path, LASTING) || removed
    this.#forgetIdle(owner)
    return removed
  }

  has(watcher: Watcher, path: string, kind: WatchKind | 'any'): boolean {
    const owner = this.#owners.get(watcher)
    if (owner === undefined) return false
    const data = owner.find(DATA, path)?.bits ?? 0
    switch (kind) {
      case 'data':
        return (data & ONCE) !== 0
      case 'children':
        return ((owner.find(CHILDREN, path)?.bits ?? 0) & ONCE) !== 0
      case 'persistent':
        return (data & LASTING) !== 0
      case 'recursive':
        return owner.find(RECURSIVE, path) !== undefined
      case 'any':
        return data !== 0 || owner.find(CHILDREN, path) !== undefined || owner.find(RECURSIVE, path) !== undefined
    }
  }

  drop(watcher: Watcher): void {
    const owner = this.#owners.get(watcher)
    if (owner === undefined) return
    for (const table of [this.#data, this.#children, this.#recursive]) {
      for (const registration of owner.all(table.number)) table.clear(registration, ONCE | LASTING | ABSENT)
    }
    this.#owners.delete(watcher)
  }

  resume(watcher: Watcher, since: Zxid, watches: readonly MissedWatch[]): void {
    this.#resume(watcher, since, watches, new Map())
  }

  #resume(watcher: Watcher, since: Zxid, watches: readonly MissedWatch[], missedBelow: MissedBelow): void {
    const catchUp = new CatchUp(this.#state, watcher, since, missedBelow)
    for (const { path, kind } of watches) if (catchUp.look(path, kind)) this.add(watcher, path, kind === 'exists' ? 'data' : kind)
    catchUp.tell()
  }

  created(path: string, acl: readonly Acl[], parentAcl: readonly Acl[], zxid: Zxid): void {
    if (this.#owners.size === 0) return
    this.#pass += 1
    this.#onData('created', path, acl, zxid)
    this.#onChildren(path, parentAcl, zxid)
  }

  /** The table of children at the node itself is told too, unless the same watcher was told by that of data. */
  deleted(path: string, acl: readonly Acl[], parentAcl: readonly Acl[], zxid: Zxid): void {
    if (this.#owners.size === 0) return
    this.#pass += 1
    this.#onData('deleted', path, acl, zxid)
    const first = this.#children.first(path)
    if (first !== undefined) this.#tell(this.#children, first, { type: 'deleted', path, zxid }, acl)
    this.#onChildren(path, parentAcl, zxid)
  }

  dataChanged(path: string, acl: readonly Acl[], zxid: Zxid): void {
    if (this.#owners.size === 0) return
    this.#pass += 1
    this.#onData('dataChanged', path, acl, zxid)
  }

  /** The whole state was replaced by a later one, and showed that of `since` before: all watchers catch up. */
  restored(since: Zxid): void {
    const missedBelow: MissedBelow = new Map()
    for (const owner of [...this.#owners.values()]) {
      const watches: MissedWatch[] = []
      for (const { path, bits } of owner.all(DATA)) {
        if ((bits & ONCE) !== 0) watches.push({ path, kind: (bits & ABSENT) !== 0 ? 'exists' : 'data' })
        if ((bits & LASTING) !== 0) watches.push({ path, kind: 'persistent' })
      }
      for (const { path, bits } of owner.all(CHILDREN)) if ((bits & ONCE) !== 0) watches.push({ path, kind: 'children' })
      for (const { path } of owner.all(RECURSIVE)) watches.push({ path, kind: 'recursive' })
      this.drop(owner.watcher)
      this.#resume(owner.watcher, since, watches, missedBelow)
    }
  }

  #onData(type: WatchEventType, path: string, acl: readonly Acl[], zxid: Zxid): void {
    const first = this.#data.first(path)
    const above = this.#recursive.matching(path)
    if (first === undefined && above.length === 0) return
    const event: WatchEvent = { type, path, zxid }
    if (first !== undefined) this.#tell(this.#data, first, event, acl)
    for (let at = above.length - 1; at >= 0; at -= 1) this.#tell(this.#recursive, above[at]!, event, acl)
  }

  /** At the parent of `path`: another event, and so another pass. */
  #onChildren(path: string, parentAcl: readonly Acl[], zxid: Zxid): void {
    if (this.#children.isEmpty) return
    const parent = parentPath(path)
    const first = this.#children.first(parent)
    if (first === undefined) return
    this.#pass += 1
    this.#tell(this.#children, first, { type: 'childrenChanged', path: parent, zxid }, parentAcl)
  }

  #tell(table: WatchTable, first: Registration, event: WatchEvent, acl: readonly Acl[]): void {
    let registration: Registration | null = first
    while (registration !== null) {
      const { owner, next }: Registration = registration
      if (table.clear(registration, ONCE | ABSENT)) this.#forgetIdle(owner)
      if (owner.pass !== this.#pass) {
        owner.pass = this.#pass
        if (owner.watcher.mayRead(acl)) owner.watcher.notify(event)
      }
      registration = next
    }
  }

  #forgetIdle(owner: Owner): void {
    if (owner.registrations === 0) this.#owners.delete(owner.watcher)
  }
}

function clear(table: WatchTable, owner: Owner, path: string, bits: number): boolean {
  const registration = owner.find(table.number, path)
  return registration !== undefined && table.clear(registration, bits)
}
