import { Digester } from './digest.ts'
import { freezeContainer } from './frozen.ts'
import type { MutableModel } from './mutable-types.ts'
import { offender } from './offender.ts'
import { refusal } from './refusals.ts'
import { DEPTH_MAX, Unserialisable } from './values.ts'
import { containerOf } from './writer.ts'

/** With 1,000,000 keys a write that a view makes copy its shard copies some hundred entries. */
const SHARDS = 8192

interface Shard<Value> {
  entries: Map<string, Value>
  /** The newest view that shares `entries`. */
  view: number
}

/**
 * A map from strings to values for `mutableState`: a write costs the same however many keys there are. A view is fixed when it is taken; what changes afterwards is copied first,
 * in small pieces. Values are immutable: put in another instead of changing one.
 *
 * The order of iteration is the same on every replica, and not the order of insertion.
 */
export class Table<Value> implements MutableModel {
  readonly #shards: (Shard<Value> | undefined)[] = new Array(SHARDS).fill(undefined)
  readonly #digester = new Digester()
  #size = 0
  #views = 0
  /** The sum of all entries' digests: a write costs what one entry costs, and asking for it nothing. */
  #digest = 0n

  get size(): number {
    return this.#size
  }

  get(key: string): Value | undefined {
    return this.#shards[shardOf(key)]?.entries.get(key)
  }

  has(key: string): boolean {
    return this.#shards[shardOf(key)]?.entries.has(key) ?? false
  }

  set(key: string, value: Value): this {
    const frozen = frozenDeep(value)
    const { entries } = this.#writable(shardOf(key))
    if (entries.has(key)) this.#add(-this.#digestOf(key, entries.get(key)!))
    else this.#size++
    entries.set(key, frozen)
    this.#add(this.#digestOf(key, frozen))
    return this
  }

  delete(key: string): boolean {
    if (!this.has(key)) return false
    const { entries } = this.#writable(shardOf(key))
    this.#add(-this.#digestOf(key, entries.get(key)!))
    entries.delete(key)
    this.#size--
    return true
  }

  clear(): void {
    this.#shards.fill(undefined)
    this.#size = 0
    this.#digest = 0n
  }

  *[Symbol.iterator](): Generator<[string, Value], void, undefined> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.entries
  }

  *keys(): Generator<string, void, undefined> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.entries.keys()
  }

  *values(): Generator<Value, void, undefined> {
    for (const shard of this.#shards) if (shard !== undefined) yield* shard.entries.values()
  }

  view(): Iterable<unknown> {
    this.#views++
    const shared: Map<string, Value>[] = []
    for (const shard of this.#shards) {
      if (shard === undefined || shard.entries.size === 0) continue
      shard.view = this.#views
      shared.push(shard.entries)
    }
    return entriesOf(shared)
  }

  load(item: unknown): void {
    const [key, value] = item as [string, Value]
    this.set(key, value)
  }

  /** Of the entries, whatever their order: as they were put in, and taken away as they were then found. */
  digest(): bigint {
    return this.#digest
  }

  #digestOf(key: string, value: Value): bigint {
    return this.#digester.digest([key, value])
  }

  #add(difference: bigint): void {
    this.#digest = BigInt.asUintN(64, this.#digest + difference)
  }

  #writable(index: number): Shard<Value> {
    const shard = this.#shards[index]
    if (shard === undefined) return (this.#shards[index] = { entries: new Map(), view: 0 })
    if (shard.view > 0) {
      shard.entries = new Map(shard.entries)
      shard.view = 0
    }
    return shard
  }
}

function* entriesOf<Value>(shards: readonly Map<string, Value>[]): Generator<[string, Value], void, undefined> {
  for (const shard of shards) yield* shard
}

/** FNV-1a over UTF-16 units. */
function shardOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return ((hash ^ (hash >>> 15)) >>> 0) % SHARDS
}

/** @throws AntiphonError REFUSED for a value that no snapshot could hold */
function frozenDeep<Value>(value: Value): Value {
  try {
    freeze(value, 0)
  } catch (thrown) {
    throw thrown instanceof Unserialisable ? refusal('UNSERIALISABLE', offender(value, 'value', thrown.message)) : thrown
  }
  return value
}

function freeze(value: unknown, depth: number): void {
  if (typeof value === 'function' || typeof value === 'symbol') throw new Unserialisable(`a ${typeof value}`)
  if (typeof value !== 'object' || value === null) return
  if (depth > DEPTH_MAX) throw new Unserialisable('a cycle')
  const container = containerOf(value)
  if (container === null) return
  if (container === 'map')
    for (const key of (value as ReadonlyMap<unknown, unknown>).keys())
      if (typeof key === 'object' || key === undefined) throw new Unserialisable('an object as a key')
  for (const item of container === 'map' || container === 'set' ? (value as ReadonlyMap<unknown, unknown>).values() : Object.values(value))
    freeze(item, depth + 1)
  freezeContainer(value)
}
