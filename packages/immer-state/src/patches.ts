import type { Patch } from 'immer'
import { diff, type EditKind, type EditSink } from './diff.ts'

/** What leads from `previous` to `next`, as immer's `applyPatches` takes it. Values are those of `next`: immutable. */
export function patchesBetween(previous: unknown, next: unknown): Patch[] {
  const sink = new PatchSink()
  diff(previous, next, sink)
  return sink.patches
}

class PatchSink implements EditSink {
  readonly patches: Patch[] = []
  readonly #path: (string | number)[] = []
  readonly #bases: object[] = []
  #muted = 0

  replace(value: unknown): void {
    this.#add('replace', undefined, value)
  }

  open(kind: EditKind, key: unknown, base: object, next: object): void {
    if (this.#bases.length > 0) this.#path.push(key as string)
    this.#bases.push(base)
    if (kind === 'members' && this.#muted === 0) this.#members(base as ReadonlySet<unknown>, next as ReadonlySet<unknown>)
    if (kind === 'members') this.#muted++
    else if (this.#muted > 0) this.#muted++
  }

  close(): void {
    this.#bases.pop()
    this.#path.pop()
    if (this.#muted > 0) this.#muted--
  }

  set(kind: EditKind, key: unknown, value: unknown, isNew: boolean): void {
    this.#add(isNew ? 'add' : 'replace', kind === 'set' ? 0 : key, value)
  }

  remove(kind: EditKind, key: unknown): void {
    if (kind === 'set') this.#add('remove', 0, key)
    else this.#add('remove', key)
  }

  move(kind: EditKind, key: unknown, next: unknown): boolean {
    this.remove(kind, key)
    this.set(kind, key, next, true)
    return false
  }

  splice(at: number, removed: number, items: readonly unknown[], from: number, to: number): void {
    const replaced = Math.min(removed, to - from)
    for (let i = 0; i < replaced; i++) this.#add('replace', at + i, items[from + i])
    for (let i = removed - 1; i >= replaced; i--) this.#add('remove', at + i)
    for (let i = replaced; i < to - from; i++) this.#add('add', at + i, items[from + i])
  }

  /** immer names a set's member by itself. */
  #members(base: ReadonlySet<unknown>, next: ReadonlySet<unknown>): void {
    let index = 0
    for (const member of base) if (!next.has(member)) this.#add('remove', index++, member)
    for (const member of next) if (!base.has(member)) this.#add('add', index++, member)
  }

  #add(op: Patch['op'], key: unknown, ...value: [unknown?]): void {
    if (this.#muted > 0) return
    const path = key === undefined ? [...this.#path] : [...this.#path, key as string | number]
    this.patches.push(value.length === 0 ? { op, path } : { op, path, value: value[0] })
  }
}
