import type { Zxid } from '@antiphon/ports'
import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { parentPath } from '../path.ts'
import { type Acl, OPEN_ACL, type Stat, type WatchEvent, type Watcher } from '../types.ts'
import type { WatchedState, WatchedTree } from './catch-up.ts'

/** Nobody but who has the key may read. */
export function lockedBy(key: string): readonly Acl[] {
  return [{ perms: 31, scheme: 'key', id: key }]
}

/** Notes what it hears, and reads what its keys open. */
export class Listener implements Watcher {
  readonly heard: WatchEvent[] = []
  readonly asked: (readonly Acl[])[] = []
  readonly keys: Set<string>

  constructor(...keys: string[]) {
    this.keys = new Set(keys)
  }

  notify(event: WatchEvent): void {
    this.heard.push(event)
  }

  mayRead(acl: readonly Acl[]): boolean {
    this.asked.push(acl)
    return acl.some(({ scheme, id }) => scheme === 'world' || this.keys.has(id))
  }

  /** What it heard since it was asked last, as `type path`. */
  take(): string[] {
    return this.heard.splice(0).map(({ type, path }) => `${type} ${path}`)
  }
}

interface PlainNode {
  readonly index: NodeIndex
  readonly path: string
  readonly czxid: Zxid
  mzxid: Zxid
  pzxid: Zxid
  acl: readonly Acl[]
}

export interface Triggers {
  created(path: string, acl: readonly Acl[], parentAcl: readonly Acl[], zxid: Zxid): void
  deleted(path: string, acl: readonly Acl[], parentAcl: readonly Acl[], zxid: Zxid): void
  dataChanged(path: string, acl: readonly Acl[], zxid: Zxid): void
}

/** A tree of plain objects, each change of which is a ZXID and pulls the triggers that belong to it. */
export class World implements WatchedState, WatchedTree {
  zxid: Zxid = 0 as Zxid
  readonly tree: WatchedTree = this
  readonly triggers: Triggers[] = []
  readonly #nodes = new Map<string, PlainNode>()
  readonly #byIndex: PlainNode[] = []
  readonly #acls: (readonly Acl[])[] = []
  #isOneChange = false

  constructor() {
    this.#put('/', OPEN_ACL)
  }

  create(path: string, acl: readonly Acl[] = OPEN_ACL): void {
    const parent = this.#at(parentPath(path))
    this.#next()
    this.#put(path, acl)
    parent.pzxid = this.zxid
    for (const one of this.triggers) one.created(path, acl, parent.acl, this.zxid)
  }

  delete(path: string): void {
    const node = this.#at(path)
    const parent = this.#at(parentPath(path))
    this.#next()
    this.#nodes.delete(path)
    parent.pzxid = this.zxid
    for (const one of this.triggers) one.deleted(path, node.acl, parent.acl, this.zxid)
  }

  set(path: string): void {
    const node = this.#at(path)
    this.#next()
    node.mzxid = this.zxid
    for (const one of this.triggers) one.dataChanged(path, node.acl, this.zxid)
  }

  /** Fires nothing. */
  setAcl(path: string, acl: readonly Acl[]): void {
    this.#at(path).acl = acl
    this.#next()
  }

  /** What `act` does is one change, as a multi is. */
  multi(act: () => void): void {
    this.#next()
    this.#isOneChange = true
    act()
    this.#isOneChange = false
  }

  has(path: string): boolean {
    return this.#nodes.has(path)
  }

  paths(): string[] {
    return [...this.#nodes.keys()]
  }

  children(path: string): string[] {
    return this.paths().filter((one) => one !== '/' && parentPath(one) === path)
  }

  find(path: string): NodeIndex {
    return this.#nodes.get(path)?.index ?? NO_NODE
  }

  path(node: NodeIndex): string {
    return this.#byIndex[node]!.path
  }

  parent(node: NodeIndex): NodeIndex {
    return node === 0 ? NO_NODE : this.find(parentPath(this.path(node)))
  }

  firstChild(node: NodeIndex): NodeIndex {
    const [first] = this.children(this.path(node))
    return first === undefined ? NO_NODE : this.find(first)
  }

  nextSibling(node: NodeIndex): NodeIndex {
    if (node === 0) return NO_NODE
    const siblings = this.children(parentPath(this.path(node)))
    const next = siblings[siblings.indexOf(this.path(node)) + 1]
    return next === undefined ? NO_NODE : this.find(next)
  }

  mzxid(node: NodeIndex): Zxid {
    return this.#byIndex[node]!.mzxid
  }

  pzxid(node: NodeIndex): Zxid {
    return this.#byIndex[node]!.pzxid
  }

  stat(node: NodeIndex): Stat {
    const { czxid, mzxid, pzxid, path } = this.#byIndex[node]!
    const unused = { ctime: 0, mtime: 0, version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n, dataLength: 0 }
    return { ...unused, czxid, mzxid, pzxid, numChildren: this.children(path).length }
  }

  acl(node: NodeIndex): number {
    const { acl } = this.#byIndex[node]!
    const known = this.#acls.indexOf(acl)
    return known >= 0 ? known : this.#acls.push(acl) - 1
  }

  aclOf(number: number): readonly Acl[] {
    return this.#acls[number]!
  }

  #next(): void {
    if (!this.#isOneChange) this.zxid = (this.zxid + 1) as Zxid
  }

  #put(path: string, acl: readonly Acl[]): void {
    const node: PlainNode = { index: this.#byIndex.length, path, czxid: this.zxid, mzxid: this.zxid, pzxid: this.zxid, acl }
    this.#byIndex.push(node)
    this.#nodes.set(path, node)
  }

  #at(path: string): PlainNode {
    const node = this.#nodes.get(path)
    if (node === undefined) throw new Error(`the test asks for ${path}, which is not there`)
    return node
  }
}

/** Everything that can be done to `root` and the nodes below it, from its creation to its end. */
export function lifeOf(world: World, acls: Readonly<Record<string, readonly Acl[]>>): void {
  const paths = Object.keys(acls)
  for (const path of paths) {
    world.create(path, acls[path])
    world.set(path)
  }
  for (const path of paths.toReversed()) world.delete(path)
}
