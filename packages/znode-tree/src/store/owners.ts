import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import type { SessionId } from '../types.ts'

const CHUNK_SHIFT = 12
const CHUNK = 2 ** CHUNK_SHIFT

interface OwnerList {
  first: NodeIndex
  count: number
}

/** Lists of nodes through themselves: the ephemerals of each session, and what may be reaped one day. Memory for the links is made only where such nodes are. */
export class Owners {
  /** Of each record two words, the next and the previous one. */
  readonly #links: (Int32Array | undefined)[] = []
  readonly #sessions = new Map<SessionId, OwnerList>()
  readonly #reapable: OwnerList = { first: NO_NODE, count: 0 }
  #ephemerals = 0
  /** The reapable node that comes next, or NO_NODE. */
  #cursor: NodeIndex = NO_NODE

  get ephemerals(): number {
    return this.#ephemerals
  }

  sessions(): IterableIterator<SessionId> {
    return this.#sessions.keys()
  }

  countOf(session: SessionId): number {
    return this.#sessions.get(session)?.count ?? 0
  }

  addEphemeral(node: NodeIndex, session: SessionId): void {
    let list = this.#sessions.get(session)
    if (list === undefined) this.#sessions.set(session, (list = { first: NO_NODE, count: 0 }))
    this.#add(list, node)
    this.#ephemerals++
  }

  removeEphemeral(node: NodeIndex, session: SessionId): void {
    const list = this.#sessions.get(session)!
    this.#remove(list, node)
    this.#ephemerals--
    if (list.count === 0) this.#sessions.delete(session)
  }

  addReapable(node: NodeIndex): void {
    this.#add(this.#reapable, node)
  }

  removeReapable(node: NodeIndex): void {
    if (node === this.#cursor) this.#cursor = this.next(node)
    this.#remove(this.#reapable, node)
  }

  firstEphemeral(session: SessionId): NodeIndex {
    return this.#sessions.get(session)?.first ?? NO_NODE
  }

  /** The next one from the last rewind on; what was added since then stands before the first. */
  nextReapable(): NodeIndex {
    const node = this.#cursor
    if (node !== NO_NODE) this.#cursor = this.next(node)
    return node
  }

  rewindReapable(): void {
    this.#cursor = this.#reapable.first
  }

  next(node: NodeIndex): NodeIndex {
    return this.#links[node >>> CHUNK_SHIFT]![(node & (CHUNK - 1)) * 2]!
  }

  #add(list: OwnerList, node: NodeIndex): void {
    this.#set(node, 0, list.first)
    this.#set(node, 1, NO_NODE)
    if (list.first !== NO_NODE) this.#set(list.first, 1, node)
    list.first = node
    list.count++
  }

  #remove(list: OwnerList, node: NodeIndex): void {
    const links = this.#links[node >>> CHUNK_SHIFT]!
    const at = (node & (CHUNK - 1)) * 2
    const next = links[at]!
    const previous = links[at + 1]!
    if (next !== NO_NODE) this.#set(next, 1, previous)
    if (previous === NO_NODE) list.first = next
    else this.#set(previous, 0, next)
    list.count--
  }

  #set(node: NodeIndex, word: 0 | 1, value: NodeIndex): void {
    const chunk = node >>> CHUNK_SHIFT
    let links = this.#links[chunk]
    const at = (node & (CHUNK - 1)) * 2 + word
    if (links === undefined || at >= links.length) {
      const larger = new Int32Array(Math.min(2 * CHUNK, Math.max(128, 2 * (links?.length ?? 0), 2 ** Math.ceil(Math.log2(at + 1)))))
      if (links !== undefined) larger.set(links)
      this.#links[chunk] = links = larger
    }
    links[at] = value
  }
}
