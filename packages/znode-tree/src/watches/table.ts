import type { Watcher } from '../types.ts'

/** Goes when it fires. */
export const ONCE = 1
/** Stays until it is removed. */
export const LASTING = 2
/** Of one that goes when it fires: there was no node when it was registered, and so there is none until it fires. */
export const ABSENT = 4

export const DATA = 0
export const CHILDREN = 1
export const RECURSIVE = 2
export type TableNumber = typeof DATA | typeof CHILDREN | typeof RECURSIVE

type Own = Registration | Map<string, Registration> | null

/** A watcher, and by table and path what it has registered: one registration as it is, more of them in a Map. */
export class Owner {
  readonly watcher: Watcher
  readonly own: [Own, Own, Own] = [null, null, null]
  /** How many registrations it has in all tables. */
  registrations = 0
  /** The last pass in which it was reached: at most one event in each. */
  pass = 0

  constructor(watcher: Watcher) {
    this.watcher = watcher
  }

  find(table: TableNumber, path: string): Registration | undefined {
    const own = this.own[table]
    if (own instanceof Map) return own.get(path)
    return own !== null && own.path === path ? own : undefined
  }

  all(table: TableNumber): Registration[] {
    const own = this.own[table]
    if (own === null) return []
    return own instanceof Map ? [...own.values()] : [own]
  }

  attach(table: TableNumber, registration: Registration): void {
    const own = this.own[table]
    if (own === null) this.own[table] = registration
    else if (own instanceof Map) own.set(registration.path, registration)
    else this.own[table] = new Map([own, registration].map((one) => [one.path, one]))
    this.registrations += 1
  }

  detach(table: TableNumber, registration: Registration): void {
    const own = this.own[table]
    if (own instanceof Map && own.size > 1) own.delete(registration.path)
    else this.own[table] = null
    this.registrations -= 1
  }
}

/** One watcher's registration on one path of a table, in the list of those on that path. */
export class Registration {
  readonly owner: Owner
  readonly path: string
  /** Never 0 while it is in a list. */
  bits = 0
  next: Registration | null = null
  /** Of the first: the last. */
  previous: Registration = this

  constructor(owner: Owner, path: string) {
    this.owner = owner
    this.path = path
  }
}

/** Registrations by path, each path's in the order in which they were made. */
export class WatchTable {
  readonly number: TableNumber
  /** How many registrations have ONCE; LASTING. */
  once = 0
  lasting = 0
  readonly #firsts = new Map<string, Registration>()

  constructor(number: TableNumber) {
    this.number = number
  }

  get isEmpty(): boolean {
    return this.#firsts.size === 0
  }

  first(path: string): Registration | undefined {
    return this.#firsts.size === 0 ? undefined : this.#firsts.get(path)
  }

  add(owner: Owner, path: string, bits: number): void {
    let registration = owner.find(this.number, path)
    if (registration === undefined) {
      registration = new Registration(owner, path)
      owner.attach(this.number, registration)
      this.#link(registration)
    }
    const added = bits & ~registration.bits
    registration.bits |= bits
    if ((added & ONCE) !== 0) this.once += 1
    if ((added & LASTING) !== 0) this.lasting += 1
  }

  /** Takes `bits` from it, and it from the list when none is left. False: it had none of them. */
  clear(registration: Registration, bits: number): boolean {
    const taken = registration.bits & bits
    if (taken === 0) return false
    registration.bits &= ~taken
    if ((taken & ONCE) !== 0) this.once -= 1
    if ((taken & LASTING) !== 0) this.lasting -= 1
    if ((registration.bits & (ONCE | LASTING)) === 0) {
      this.#unlink(registration)
      registration.owner.detach(this.number, registration)
    }
    return true
  }

  #link(registration: Registration): void {
    const { path } = registration
    const first = this.#firsts.get(path)
    if (first === undefined) {
      this.#firsts.set(path, registration)
      this.pathAdded(path)
      return
    }
    const last = first.previous
    last.next = registration
    registration.previous = last
    first.previous = registration
  }

  #unlink(registration: Registration): void {
    const { path, previous, next } = registration
    const first = this.#firsts.get(path)!
    if (first !== registration) {
      previous.next = next
      if (next === null) first.previous = previous
      else next.previous = previous
    } else if (next !== null) {
      next.previous = previous
      this.#firsts.set(path, next)
    } else {
      this.#firsts.delete(path)
      this.pathRemoved(path)
    }
  }

  /** The first registration on a path was made; the last one is gone. */
  protected pathAdded(_path: string): void {}
  protected pathRemoved(_path: string): void {}
}
