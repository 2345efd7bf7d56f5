import { type AclNumber, NO_NODE, type NodeIndex, type NodeKind } from '../data-tree-types.ts'
import { type Block, offsetOf, pageOf } from '../store/arena.ts'
import { type NodeStore, nameBytesOf, ROOT } from '../store/node-store.ts'
import { BLOCK, chunkOf, DATA_LENGTH, FIRST_CHILD, FLAGS, KIND_MASK, NAME_SHIFT, NEXT, NULL_DATA, WIDE_NAME, wordsAt } from '../store/records.ts'
import type { TreeState } from '../store/tree-state.ts'
import type { View } from '../store/versions.ts'
import type { Acl } from '../types.ts'

/** Views that nobody can read any more are closed, or each change would go on keeping what they do not need. */
const forgotten = new FinalizationRegistry<() => void>((close) => close())

/**
 * A tree as it was when this was made. Its nodes are met once, in pre-order, children in the order of their creation; what it reads of a node is to be read before the next `advance()`, and before
 * the tree is changed.
 */
export class TreeView {
  readonly size: number
  readonly digest: bigint
  /** Of the node that was met: 0 is `/`. */
  depth = -1
  /** Where its fields are read from: `words[at + ...]`, `doubles[at / 2 + ...]`. */
  words: Int32Array
  doubles: Float64Array
  at = 0
  readonly #store: NodeStore
  readonly #view: View
  /** What comes after the node met last and its children, at each depth. */
  readonly #next: NodeIndex[] = []
  #down: NodeIndex = ROOT
  #closed = false

  constructor(state: TreeState) {
    const { store } = state
    this.size = state.size
    this.digest = state.digest.value()
    this.#store = store
    this.words = store.words[0]!
    this.doubles = store.doubles[0]!
    const view = store.versions.open()
    this.#view = view
    forgotten.register(this, () => store.versions.close(view), this)
  }

  get flags(): number {
    return this.words[this.at + FLAGS]!
  }

  get kind(): NodeKind {
    return (this.flags & KIND_MASK) as NodeKind
  }

  /** NULL_DATA, or bytes. */
  get dataLength(): number {
    return this.words[this.at + DATA_LENGTH]!
  }

  aclOf(number: AclNumber): readonly Acl[] {
    return this.#store.acls.get(number)
  }

  /** Those that its nodes may have. Some may be in it that none has. */
  *acls(): Generator<readonly [AclNumber, readonly Acl[]], void, undefined> {
    const { acls } = this.#store
    for (let number = 0; number < acls.end; number++) if (acls.has(number)) yield [number, acls.get(number)]
  }

  /** On to the next node; false: there is none, and the view is closed. */
  advance(): boolean {
    if (this.#closed) return false
    let record = this.#down
    if (record !== NO_NODE) this.depth++
    else while (this.depth >= 0 && (record = this.#next[this.depth]!) === NO_NODE) this.depth--
    if (record === NO_NODE) {
      this.close()
      return false
    }
    const resolved = this.#store.versions.resolve(record, this.#view)
    const words = this.#store.words[chunkOf(resolved)]!
    const at = wordsAt(resolved)
    this.#down = words[at + FIRST_CHILD]!
    // The root has no siblings.
    this.#next[this.depth] = words[at + NEXT]!
    this.#view.setRead(record)
    this.words = words
    this.doubles = this.#store.doubles[chunkOf(resolved)]!
    this.at = at
    return true
  }

  /** The memory that name and data lie in, if there are any. */
  get memory(): Uint8Array {
    return this.#store.arena.bytes[pageOf(this.#block)]!
  }

  get dataAt(): number {
    return offsetOf(this.#block) + nameBytesOf(this.flags)
  }

  get nameLength(): number {
    return this.flags >>> NAME_SHIFT
  }

  /** Character `index` of the name. */
  nameUnit(index: number): number {
    const bytes = this.memory
    if ((this.flags & WIDE_NAME) === 0) return bytes[offsetOf(this.#block) + index]!
    const at = offsetOf(this.#block) + 2 * index
    return bytes[at]! | (bytes[at + 1]! << 8)
  }

  get isNull(): boolean {
    return this.dataLength === NULL_DATA
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    forgotten.unregister(this)
    this.#store.versions.close(this.#view)
  }

  get #block(): Block {
    return this.words[this.at + BLOCK]!
  }
}
