import type { WatcherType, WatchLists } from '../program.ts'
import type { Nodes } from './nodes.ts'

export type Kind = 'data' | 'children' | 'persistent' | 'recursive'

function isAbove(ancestor: string, path: string): boolean {
  return ancestor === '/' ? path !== '/' : path.startsWith(`${ancestor}/`)
}

export interface ModelWatches {
  add(client: number, path: string, kind: Kind): void
  remove(client: number, path: string, type: WatcherType): boolean
  has(client: number, path: string, type: WatcherType): boolean
  /** 3.8.0's checkWatches: does anybody watch that path? */
  answers(client: number, path: string, type: WatcherType): boolean
  drop(client: number): void
  /** What a client has, to be registered anew; `nodes`: as of now. */
  lists(client: number, nodes: Nodes): WatchLists
  /** Who hears of a created or deleted node, of its data; one-shot watches are used up. */
  node(path: string, deleted: boolean): number[]
  /** Who hears that its children have changed. */
  children(path: string): number[]
}

/** The newest releases: each kind stands by itself. */
export class NewestWatches implements ModelWatches {
  #all: { readonly client: number; readonly path: string; readonly kind: Kind }[] = []

  add(client: number, path: string, kind: Kind): void {
    if (!this.#has(client, path, kind)) this.#all.push({ client, path, kind })
  }

  has(client: number, path: string, type: WatcherType): boolean {
    return type === 'any' ? this.#all.some((watch) => watch.client === client && watch.path === path) : this.#has(client, path, type)
  }

  answers(_client: number, path: string, type: WatcherType): boolean {
    return this.#all.some((watch) => watch.path === path && (type === 'any' || watch.kind === type || (watch.kind !== 'data' && watch.kind !== 'children')))
  }

  remove(client: number, path: string, type: WatcherType): boolean {
    const before = this.#all.length
    this.#all = this.#all.filter((watch) => watch.client !== client || watch.path !== path || (type !== 'any' && watch.kind !== type))
    return this.#all.length < before
  }

  drop(client: number): void {
    this.#all = this.#all.filter((watch) => watch.client !== client)
  }

  lists(client: number, nodes: Nodes): WatchLists {
    const of = (kind: Kind): string[] => this.#all.filter((watch) => watch.client === client && watch.kind === kind).map(({ path }) => path)
    // Set while there was no node, it would have fired when one was made.
    const isThere = (path: string): boolean => nodes.has(path)
    return {
      data: of('data').filter(isThere),
      exists: of('data').filter((path) => !isThere(path)),
      children: of('children'),
      persistent: of('persistent'),
      recursive: of('recursive'),
    }
  }

  node(path: string, deleted: boolean): number[] {
    const once = (kind: Kind): boolean => kind === 'data' || (deleted && kind === 'children')
    const hears = (watch: { path: string; kind: Kind }): boolean =>
      (watch.path === path && (once(watch.kind) || watch.kind === 'persistent')) ||
      (watch.kind === 'recursive' && (watch.path === path || isAbove(watch.path, path)))
    const clients = this.#all.filter(hears).map(({ client }) => client)
    this.#all = this.#all.filter((watch) => watch.path !== path || !once(watch.kind))
    return [...new Set(clients)]
  }

  children(path: string): number[] {
    const clients = this.#all.filter((watch) => watch.path === path && (watch.kind === 'children' || watch.kind === 'persistent')).map(({ client }) => client)
    this.#all = this.#all.filter((watch) => watch.path !== path || watch.kind !== 'children')
    return [...new Set(clients)]
  }

  #has(client: number, path: string, kind: Kind): boolean {
    return this.#all.some((watch) => watch.client === client && watch.path === path && watch.kind === kind)
  }
}

type Mode = 'once' | 'persistent' | 'recursive'

/** One of 3.8.0's two tables: who watches which path; and one mode for each of them, which the next registration overwrites. */
class Table {
  readonly #watchers = new Map<string, Set<number>>()
  readonly #modes = new Map<string, Mode>()

  add(client: number, path: string, mode: Mode): void {
    this.#watchers.set(path, (this.#watchers.get(path) ?? new Set()).add(client))
    this.#modes.set(`${client} ${path}`, mode)
  }

  has(client: number, path: string): boolean {
    return this.#watchers.get(path)?.has(client) ?? false
  }

  /** A `checkWatches` that says yes when anybody watches the path, and when a recursive watch of the client's own is left. */
  answers(client: number, path: string): boolean {
    return this.#watchers.has(path) || this.#modes.get(`${client} ${path}`) === 'recursive'
  }

  remove(client: number, path: string): boolean {
    const watchers = this.#watchers.get(path)
    if (watchers === undefined || !watchers.delete(client)) return false
    if (watchers.size === 0) this.#watchers.delete(path)
    this.#modes.delete(`${client} ${path}`)
    return true
  }

  drop(client: number): void {
    for (const path of [...this.#watchers.keys()]) this.remove(client, path)
  }

  trigger(path: string, childrenChanged: boolean): number[] {
    const heard = new Set<number>()
    for (const [watched, watchers] of [...this.#watchers]) {
      if (watched !== path && !isAbove(watched, path)) continue
      for (const client of [...watchers]) {
        const mode = this.#modes.get(`${client} ${watched}`)
        if (mode === 'recursive' ? !childrenChanged : watched === path) heard.add(client)
        if (mode === 'once' && watched === path) this.remove(client, watched)
      }
    }
    return [...heard]
  }
}

/** 3.8.0: one mode for each client and path, in each of two tables. */
export class WatchesOf38 implements ModelWatches {
  readonly #data = new Table()
  readonly #children = new Table()

  add(client: number, path: string, kind: Kind): void {
    if (kind !== 'children') this.#data.add(client, path, kind === 'data' ? 'once' : kind)
    if (kind !== 'data') this.#children.add(client, path, kind === 'children' ? 'once' : kind)
  }

  has(client: number, path: string, type: WatcherType): boolean {
    return this.#tables(type).some((table) => table.has(client, path))
  }

  answers(client: number, path: string, type: WatcherType): boolean {
    return this.#tables(type).some((table) => table.answers(client, path))
  }

  remove(client: number, path: string, type: WatcherType): boolean {
    return this.#tables(type).filter((table) => table.remove(client, path)).length > 0
  }

  drop(client: number): void {
    this.#data.drop(client)
    this.#children.drop(client)
  }

  /** A server's connections are closed then: nobody asks. */
  lists(): WatchLists {
    throw new Error('there is no jump on 3.8.0')
  }

  node(path: string, deleted: boolean): number[] {
    const heard = this.#data.trigger(path, false)
    return [...new Set([...heard, ...(deleted ? this.#children.trigger(path, false) : [])])]
  }

  children(path: string): number[] {
    return this.#children.trigger(path, true)
  }

  #tables(type: WatcherType): Table[] {
    return [...(type === 'data' || type === 'any' ? [this.#data] : []), ...(type === 'children' || type === 'any' ? [this.#children] : [])]
  }
}
