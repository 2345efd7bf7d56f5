import { RECURSIVE, type Registration, WatchTable } from './table.ts'

const SLASH = 0x2f
/** FNV-1a, in 30 bits: a small integer on every engine. */
const SEED = 0x11c9dc5
const PRIME = 0x01000193
const MASK = 0x3fffffff
const NONE: readonly Registration[] = []

/**
 * Recursive watches. An event asks each prefix of its path: a rolling hash over the characters tells, without a string being made, that nobody watches a prefix; where the hash is known the
 * table is looked at.
 */
export class RecursiveTable extends WatchTable {
  /** By hash, how many paths that have it are watched. */
  readonly #hashes = new Map<number, number>()
  readonly #found: Registration[] = []

  constructor() {
    super(RECURSIVE)
  }

  /** The first registrations on `path` and on each path above it, from the root down. Valid until the next call. */
  matching(path: string): readonly Registration[] {
    const hashes = this.#hashes
    if (hashes.size === 0) return NONE
    this.#found.length = 0
    if (hashes.has(SEED)) this.#look('/')
    const { length } = path
    if (length > 1) {
      let hash = step(SEED, SLASH)
      for (let at = 1; at < length; at += 1) {
        const unit = path.charCodeAt(at)
        if (unit === SLASH && hashes.has(hash)) this.#look(path.slice(0, at))
        hash = step(hash, unit)
      }
      if (hashes.has(hash)) this.#look(path)
    }
    return this.#found
  }

  #look(path: string): void {
    const first = this.first(path)
    if (first !== undefined) this.#found.push(first)
  }

  protected override pathAdded(path: string): void {
    const hash = hashOf(path)
    this.#hashes.set(hash, (this.#hashes.get(hash) ?? 0) + 1)
  }

  protected override pathRemoved(path: string): void {
    const hash = hashOf(path)
    const left = this.#hashes.get(hash)! - 1
    if (left === 0) this.#hashes.delete(hash)
    else this.#hashes.set(hash, left)
  }
}

/** The root's is that of no character: its slash is that of its children too. */
export function hashOf(path: string): number {
  let hash = SEED
  if (path.length > 1) for (let at = 0; at < path.length; at += 1) hash = step(hash, path.charCodeAt(at))
  return hash
}

function step(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, PRIME) & MASK
}
