import { corrupt } from '@antiphon/ports'
import { EDIT, KINDS } from './edits.ts'
import { freezeContainer } from './frozen.ts'
import type { ByteReader } from './reader.ts'
import { DEPTH_MAX } from './values.ts'
import { containerOf } from './writer.ts'

/**
 * Applies edit scripts to immutable states. Containers are copied once for each delivered batch, however many of its changes touch them, and frozen at its end.
 * What is read is checked: a script that does not fit the state is CORRUPT, never half applied (the state before is whole).
 */
export class Patcher {
  readonly #reader: ByteReader
  /** Copies made since `begin`: still mutable, seen by nobody. */
  readonly #own = new Set<object>()

  constructor(reader: ByteReader) {
    this.#reader = reader
  }

  /** The state behind the script that the reader stands at. */
  apply(base: unknown): unknown {
    const reader = this.#reader
    switch (reader.u8()) {
      case EDIT.keep:
        return base
      case EDIT.replace:
        return reader.value()
      case EDIT.open:
        return this.#edit(base, 0)
      default:
        throw corrupt('a change begins with no script')
    }
  }

  /** The batch's end: what was copied is immutable from here on. */
  seal(): void {
    for (const container of this.#own) freezeContainer(container)
    this.#own.clear()
  }

  /** After a failure: the copies are nobody's. */
  drop(): void {
    this.#own.clear()
  }

  #edit(base: unknown, depth: number): object {
    const kind = KINDS[this.#reader.u8()]
    if (depth >= DEPTH_MAX) throw corrupt(`an edit is nested deeper than ${DEPTH_MAX} levels`)
    if (typeof base !== 'object' || base === null || kind === undefined || containerOf(base) !== (kind === 'members' ? 'set' : kind))
      throw corrupt('an edit does not fit the state')
    switch (kind) {
      case 'array':
        return this.#editList(this.#owned(base, copyArray) as unknown[], depth)
      case 'map':
        return this.#editMap(this.#owned(base, copyMap) as Map<unknown, unknown>, depth)
      case 'set':
        return this.#editSet(this.#owned(base, copySet) as Set<unknown>)
      case 'members': {
        const set = new Set(this.#editList([...(base as ReadonlySet<unknown>)], depth))
        this.#own.add(set)
        return set
      }
      case 'object':
        return this.#editObject(this.#owned(base, copyObject) as Record<string, unknown>, depth)
      case 'dictionary':
        return this.#editObject(this.#owned(base, copyDictionary) as Record<string, unknown>, depth)
    }
  }

  #owned(base: object, copy: (base: never) => object): object {
    if (this.#own.has(base)) return base
    const container = copy(base as never)
    this.#own.add(container)
    return container
  }

  #editObject(object: Record<string, unknown>, depth: number): object {
    const reader = this.#reader
    for (;;) {
      const op = reader.u8()
      if (op === EDIT.end) return object
      const key = reader.key()
      if (op === EDIT.set) {
        object[key] = reader.value(depth)
        continue
      }
      if (!Object.hasOwn(object, key)) throw corrupt('an edit names a key that is not there')
      if (op === EDIT.open) object[key] = this.#edit(object[key], depth + 1)
      else if (op === EDIT.remove) delete object[key]
      else if (op === EDIT.move) {
        const value = object[key]
        delete object[key]
        object[key] = value
      } else throw corrupt(`unknown edit ${op}`)
    }
  }

  #editMap(map: Map<unknown, unknown>, depth: number): object {
    const reader = this.#reader
    for (;;) {
      const op = reader.u8()
      if (op === EDIT.end) return map
      const key = reader.mapKey()
      if (op === EDIT.set) {
        map.set(key, reader.value(depth))
        continue
      }
      const value = map.get(key)
      if (value === undefined && !map.has(key)) throw corrupt('an edit names a key that is not there')
      if (op === EDIT.open) map.set(key, this.#edit(value, depth + 1))
      else if (op === EDIT.remove) map.delete(key)
      else if (op === EDIT.move) {
        map.delete(key)
        map.set(key, value)
      } else throw corrupt(`unknown edit ${op}`)
    }
  }

  #editSet(set: Set<unknown>): object {
    const reader = this.#reader
    for (;;) {
      const op = reader.u8()
      if (op === EDIT.end) return set
      const member = reader.primitive()
      if (op === EDIT.set) {
        set.add(member)
        continue
      }
      if (!set.delete(member)) throw corrupt('an edit names a member that is not there')
      if (op === EDIT.move) set.add(member)
      else if (op !== EDIT.remove) throw corrupt(`unknown edit ${op}`)
    }
  }

  #editList(list: unknown[], depth: number): unknown[] {
    const reader = this.#reader
    for (;;) {
      const op = reader.u8()
      if (op === EDIT.end) return list
      const at = reader.count()
      if (op === EDIT.splice) {
        const removed = reader.count()
        const count = reader.countOf(1)
        if (at + removed > list.length) throw corrupt('an edit lies outside its list')
        if (removed === 0 && at === list.length) for (let i = 0; i < count; i++) list.push(reader.value(depth))
        else {
          const items: unknown[] = []
          for (let i = 0; i < count; i++) items.push(reader.value(depth))
          if (items.length <= 1000) list.splice(at, removed, ...items)
          else {
            this.#own.delete(list)
            list = [...list.slice(0, at), ...items, ...list.slice(at + removed)]
            this.#own.add(list)
          }
        }
        continue
      }
      if (at >= list.length) throw corrupt('an edit lies outside its list')
      if (op === EDIT.set) list[at] = reader.value(depth)
      else if (op === EDIT.open) list[at] = this.#edit(list[at], depth + 1)
      else throw corrupt(`unknown edit ${op}`)
    }
  }
}

function copyArray(base: readonly unknown[]): unknown[] {
  return base.slice()
}
function copyMap(base: ReadonlyMap<unknown, unknown>): Map<unknown, unknown> {
  return new Map(base)
}
function copySet(base: ReadonlySet<unknown>): Set<unknown> {
  return new Set(base)
}
function copyObject(base: object): object {
  return { ...base }
}
function copyDictionary(base: object): object {
  return Object.assign(Object.create(null) as object, base)
}
