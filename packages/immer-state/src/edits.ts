import type { EditKind, EditSink } from './diff.ts'
import type { ByteWriter } from './writer.ts'

/** Opcodes of an edit script. `KEEP` and `REPLACE` stand for the root alone. */
export const EDIT = { end: 0, set: 1, remove: 2, move: 3, open: 4, splice: 5, keep: 6, replace: 7 } as const
export const KINDS: readonly EditKind[] = ['array', 'object', 'dictionary', 'map', 'set', 'members']

/**
 * The edits as bytes:
 *
 * ```
 * script  = KEEP | REPLACE value | OPEN kind edit* END
 * edit    = SET key value | REMOVE key | MOVE key | OPEN key kind edit* END
 *         | SPLICE count(at) count(removed) count(items) value*
 * ```
 *
 * Keys are values; of arrays and members, counts. SET of a set's member has no value beside the key.
 */
export class EditWriter implements EditSink {
  readonly #writer: ByteWriter
  /** For each open edit, where it began and where its edits begin. */
  readonly #open: number[] = []
  readonly #kinds: EditKind[] = []
  #start = 0

  constructor(writer: ByteWriter) {
    this.#writer = writer
  }

  begin(): void {
    this.#open.length = 0
    this.#kinds.length = 0
    this.#start = this.#writer.length
  }

  finish(): void {
    if (this.#writer.length === this.#start) this.#writer.u8(EDIT.keep)
    this.#writer.check()
  }

  replace(value: unknown): void {
    this.#writer.u8(EDIT.replace)
    this.#writer.value(value)
  }

  open(kind: EditKind, key: unknown): void {
    const writer = this.#writer
    this.#open.push(writer.length)
    writer.u8(EDIT.open)
    const parent = this.#kinds.at(-1)
    if (parent !== undefined) this.#key(parent, key)
    writer.u8(KINDS.indexOf(kind))
    this.#open.push(writer.length)
    this.#kinds.push(kind)
  }

  close(): void {
    const writer = this.#writer
    const bodyAt = this.#open.pop()!
    const headAt = this.#open.pop()!
    this.#kinds.pop()
    // Two containers that are not one may still hold the same.
    if (writer.length === bodyAt) writer.length = headAt
    else writer.u8(EDIT.end)
  }

  set(kind: EditKind, key: unknown, value: unknown): void {
    this.#writer.u8(EDIT.set)
    this.#key(kind, key)
    if (kind !== 'set') this.#writer.value(value, this.#kinds.length)
  }

  remove(kind: EditKind, key: unknown): void {
    this.#writer.u8(EDIT.remove)
    this.#key(kind, key)
  }

  move(kind: EditKind, key: unknown): boolean {
    this.#writer.u8(EDIT.move)
    this.#key(kind, key)
    return true
  }

  splice(at: number, removed: number, items: readonly unknown[], from: number, to: number): void {
    const writer = this.#writer
    writer.u8(EDIT.splice)
    writer.count(at)
    writer.count(removed)
    writer.count(to - from)
    for (let i = from; i < to; i++) writer.item(items, i, this.#kinds.length - 1)
  }

  #key(kind: EditKind, key: unknown): void {
    if (kind === 'array' || kind === 'members') this.#writer.count(key as number)
    else if (kind === 'map') this.#writer.mapKey(key)
    else if (kind === 'set') this.#writer.value(key, this.#kinds.length)
    else this.#writer.key(key as string)
  }
}
