import { DEPTH_MAX, Unserialisable } from './values.ts'
import { containerOf, keysOf } from './writer.ts'

/** How a container is edited: what it is, and for a Set whose differing members are containers, its members as a list. */
export type EditKind = 'array' | 'object' | 'dictionary' | 'map' | 'set' | 'members'

/**
 * Takes the difference of two states as edits, in the order in which they are carried out. Keys of objects and maps keep the order in which JavaScript enumerates them: `set` of a
 * new key and `move` put it at the end, `set` of a known one leaves it where it is.
 */
export interface EditSink {
  /** The whole state is another. */
  replace(value: unknown): void
  /** Edits of the container at `key` follow, until `close`; there may be none. `key` is null for the root. */
  open(kind: EditKind, key: unknown, base: object, next: object): void
  close(): void
  /** Of an array: the item at `key` is replaced. */
  set(kind: EditKind, key: unknown, value: unknown, isNew: boolean): void
  remove(kind: EditKind, key: unknown): void
  /** Remove and set again, with the value that it had; whether its edits to `next` are wanted behind. */
  move(kind: EditKind, key: unknown, next: unknown): boolean
  /** Of an array: `removed` items at `at` give way to `items[from..to)`. */
  splice(at: number, removed: number, items: readonly unknown[], from: number, to: number): void
}

/** How far ahead an array's items are looked for before they count as changed. */
const LOOK_AHEAD = 64

/** Keys from which on an object counts as wide. */
const WIDE = 32

/** Both states share what did not change: only where two containers are not the same one is anything compared. @throws Unserialisable */
export function diff(base: unknown, next: unknown, sink: EditSink): void {
  if (Object.is(base, next)) return
  if (!nested(base, next, null, sink, 0)) sink.replace(next)
}

/** Opens an edit of `base` to `next` if both are containers of one kind. */
function nested(base: unknown, next: unknown, key: unknown, sink: EditSink, depth: number): boolean {
  if (typeof next !== 'object' || next === null || typeof base !== 'object' || base === null) return false
  if (depth >= DEPTH_MAX) throw new Unserialisable(`a cycle, or more than ${DEPTH_MAX} levels`)
  const kind = containerOf(next)
  if (kind === null || containerOf(base) !== kind) return false
  if (kind === 'set') {
    diffSet(base as ReadonlySet<unknown>, next as ReadonlySet<unknown>, key, sink, depth)
    return true
  }
  sink.open(kind, key, base, next)
  if (kind === 'array') diffList(base as readonly unknown[], next as readonly unknown[], sink, depth)
  else if (kind === 'map') diffMap(base as ReadonlyMap<unknown, unknown>, next as ReadonlyMap<unknown, unknown>, sink, depth)
  else diffObject(base as Values, next as Values, kind, sink, depth)
  sink.close()
  return true
}

type Values = Readonly<Record<string, unknown>>

function child(kind: EditKind, base: unknown, next: unknown, key: unknown, sink: EditSink, depth: number): void {
  if (Object.is(base, next)) return
  if (!nested(base, next, key, sink, depth + 1)) sink.set(kind, key, next, false)
}

const has = Object.prototype.hasOwnProperty

function isIndex(key: string): boolean {
  const number = Number(key)
  return number >= 0 && number < 0xffff_ffff && Number.isInteger(number) && String(number) === key
}

/**
 * Whatever was done to a copy of `base`, its keys are some of the base's in their order, then those that were set since. Index keys come first and ascending, wherever
 * they were set.
 */
function diffObject(base: Values, next: Values, kind: EditKind, sink: EditSink, depth: number): void {
  const before = Object.keys(base)
  const after = keysOf(next)
  if (before.length >= WIDE && sameKeys(before, after)) {
    // Looked up one by one, the values of a wide object cost several times as much.
    const old = Object.values(base)
    const values = Object.values(next)
    for (let i = 0; i < after.length; i++) if (old[i] !== values[i] || values[i] === 0) child(kind, old[i], values[i], after[i], sink, depth)
    return
  }
  let i = 0
  let j = 0
  while (i < before.length || j < after.length) {
    const key = after[j]
    const old = before[i]
    if (key !== undefined && key === old) {
      child(kind, base[key], next[key], key, sink, depth)
      i++
      j++
    } else if (key !== undefined && !has.call(base, key) && (old === undefined || isIndex(key))) {
      sink.set(kind, key, next[key], true)
      j++
    } else if (old !== undefined) {
      // Gone, or to be met again behind the base's last key.
      if (!has.call(next, old)) sink.remove(kind, old)
      i++
    } else {
      if (sink.move(kind, key, next[key!])) child(kind, base[key!], next[key!], key, sink, depth)
      j++
    }
  }
}

function sameKeys(before: readonly string[], after: readonly string[]): boolean {
  if (before.length !== after.length) return false
  for (let i = 0; i < before.length; i++) if (before[i] !== after[i]) return false
  return true
}

function diffMap(base: ReadonlyMap<unknown, unknown>, next: ReadonlyMap<unknown, unknown>, sink: EditSink, depth: number): void {
  const old = base.entries()
  let entry = old.next()
  for (const [key, value] of next) {
    // A Map tells keys apart as Object.is does, -0 aside, which it never holds.
    while (entry.done !== true && !Object.is(entry.value[0], key)) {
      if (!next.has(entry.value[0])) sink.remove('map', entry.value[0])
      entry = old.next()
    }
    if (entry.done !== true) {
      child('map', entry.value[1], value, key, sink, depth)
      entry = old.next()
    } else if (base.has(key)) {
      if (sink.move('map', key, value)) child('map', base.get(key), value, key, sink, depth)
    } else sink.set('map', key, value, true)
  }
  for (; entry.done !== true; entry = old.next()) if (!next.has(entry.value[0])) sink.remove('map', entry.value[0])
}

function diffSet(base: ReadonlySet<unknown>, next: ReadonlySet<unknown>, key: unknown, sink: EditSink, depth: number): void {
  const members = differsInContainers(base, next)
  sink.open(members ? 'members' : 'set', key, base, next)
  if (members) diffList([...base], [...next], sink, depth)
  else {
    const old = base.values()
    let entry = old.next()
    for (const value of next) {
      while (entry.done !== true && !Object.is(entry.value, value)) {
        if (!next.has(entry.value)) sink.remove('set', entry.value)
        entry = old.next()
      }
      if (entry.done !== true) entry = old.next()
      else if (base.has(value)) sink.move('set', value, value)
      else sink.set('set', value, value, true)
    }
    for (; entry.done !== true; entry = old.next()) if (!next.has(entry.value)) sink.remove('set', entry.value)
  }
  sink.close()
}

/** A member that is an object cannot be named by its value. */
function differsInContainers(base: ReadonlySet<unknown>, next: ReadonlySet<unknown>): boolean {
  const old = base.values()
  for (const value of next) {
    const entry = old.next()
    if (entry.done !== true && Object.is(entry.value, value)) continue
    if (typeof value === 'object' && value !== null) return true
    if (entry.done !== true && typeof entry.value === 'object' && entry.value !== null) return true
  }
  for (let entry = old.next(); entry.done !== true; entry = old.next()) if (typeof entry.value === 'object' && entry.value !== null) return true
  return false
}

/** Not the shortest script, but linear, and short for what is done to lists: items changed in place, put in, taken out. */
function diffList(base: readonly unknown[], next: readonly unknown[], sink: EditSink, depth: number): void {
  let baseEnd = base.length
  let nextEnd = next.length
  while (baseEnd > 0 && nextEnd > 0 && Object.is(base[baseEnd - 1], next[nextEnd - 1]) && present(next, nextEnd - 1)) {
    baseEnd--
    nextEnd--
  }
  let i = 0
  let j = 0
  while (i < baseEnd && j < nextEnd) {
    if (Object.is(base[i], next[j]) && present(next, j)) {
      i++
      j++
      continue
    }
    const removed = distance(base, i, baseEnd, next[j])
    const inserted = distance(next, j, nextEnd, base[i])
    if (removed > 0 && (inserted === 0 || removed <= inserted)) {
      sink.splice(j, removed, next, j, j)
      i += removed
    } else if (inserted > 0) {
      sink.splice(j, 0, next, j, j + inserted)
      j += inserted
    } else {
      child('array', base[i], next[j], j, sink, depth)
      i++
      j++
    }
  }
  if (i < baseEnd || j < nextEnd) sink.splice(j, baseEnd - i, next, j, nextEnd)
}

function present(list: readonly unknown[], index: number): boolean {
  if (list[index] !== undefined || index in list) return true
  throw new Unserialisable('a hole in an array')
}

/** How many items stand before `item` from `start` on; 0 when it is not near. */
function distance(list: readonly unknown[], start: number, end: number, item: unknown): number {
  const limit = Math.min(end, start + LOOK_AHEAD)
  for (let at = start + 1; at < limit; at++) if (Object.is(list[at], item)) return at - start
  return 0
}
