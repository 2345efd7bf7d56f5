import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { type Arena, type Block, NO_BLOCK } from './arena.ts'
import type { Records } from './records.ts'

/** A state of the tree that somebody still reads, while changes go on. */
export class View {
  /** It sees what was changed in this epoch and before. */
  readonly epoch: number
  /** Records that it has read, a bit each: what becomes of them no longer matters to it. */
  readonly #read: (Uint8Array | undefined)[] = []

  constructor(epoch: number) {
    this.epoch = epoch
  }

  hasRead(record: NodeIndex): boolean {
    const bits = this.#read[record >>> 15]
    return bits !== undefined && (bits[(record >>> 3) & 0xfff]! & (1 << (record & 7))) !== 0
  }

  setRead(record: NodeIndex): void {
    const bits = (this.#read[record >>> 15] ??= new Uint8Array(0x1000))
    bits[(record >>> 3) & 0xfff]! |= 1 << (record & 7)
  }
}

/** What was changed while there were views. */
interface Touched {
  /** Epoch of the last change of the record; of its block. */
  since: number
  blockSince: number
  /** Copies of earlier states, oldest first; null: none yet. */
  copies: Copy[] | null
}

/** A record's state in the epochs from `since` on, before `until`. */
interface Copy {
  readonly since: number
  readonly until: number
  readonly record: NodeIndex
}

/** What views below `until` may need. */
interface Retired {
  readonly until: number
  /** The record whose oldest copy this is, or NO_NODE. */
  readonly record: NodeIndex
  readonly block: Block
}

const NEVER = 0
/** Retired things that one change gives back; when a view ends. */
const PURGED_PER_CHANGE = 4
const PURGED_AT_CLOSE = 256

/**
 * Lets views of the tree stand while it changes: before a record is changed it is copied, when some view has not read it yet; blocks that such a view may need are not given back. A change costs one
 * Map lookup per record that it touches while there is a view, and nothing otherwise.
 */
export class Versions {
  /** There is a view, or something left to give back: changes have to ask here. */
  busy = false
  readonly #records: Records
  readonly #arena: Arena
  #epoch = NEVER + 1
  readonly #views: View[] = []
  readonly #touched = new Map<NodeIndex, Touched>()
  /** In the order of `until`. */
  readonly #retired: Retired[] = []
  /** The first that is still there. */
  #retiredFrom = 0

  constructor(records: Records, arena: Arena) {
    this.#records = records
    this.#arena = arena
  }

  get views(): number {
    return this.#views.length
  }

  /** What is kept for views and would have been given back without them, and not been yet. */
  get kept(): number {
    return this.#retired.length - this.#retiredFrom
  }

  open(): View {
    const view = new View(this.#epoch++)
    this.#views.push(view)
    this.busy = true
    return view
  }

  close(view: View): void {
    const index = this.#views.indexOf(view)
    if (index < 0) return
    this.#views.splice(index, 1)
    this.#purge(PURGED_AT_CLOSE)
  }

  /** The record as `view` sees it. */
  resolve(record: NodeIndex, view: View): NodeIndex {
    const touched = this.#touched.get(record)
    if (touched === undefined || touched.since <= view.epoch) return record
    for (const copy of touched.copies!) if (copy.since <= view.epoch && view.epoch < copy.until) return copy.record
    throw new RangeError(`a view has lost record ${record}`)
  }

  /** Before a live record is changed. Records may have moved in memory afterwards. */
  touch(record: NodeIndex): void {
    this.#purge(PURGED_PER_CHANGE)
    if (this.#views.length === 0) return
    let touched = this.#touched.get(record)
    if (touched === undefined) this.#touched.set(record, (touched = { since: NEVER, blockSince: NEVER, copies: null }))
    const { since } = touched
    if (since === this.#epoch) return
    touched.since = this.#epoch
    const isNeeded = this.#isNeeded(record, since)
    if (isNeeded) {
      const copy = this.#records.allocate()
      this.#records.copy(record, copy)
      touched.copies ??= []
      touched.copies.push({ since, until: this.#epoch, record: copy })
    }
    this.#retired.push({ until: this.#epoch, record, block: NO_BLOCK })
  }

  /** A record was made: no view sees it. */
  created(record: NodeIndex): void {
    if (this.#views.length === 0) return
    const touched = this.#touched.get(record)
    if (touched === undefined) this.#touched.set(record, { since: this.#epoch, blockSince: this.#epoch, copies: null })
    else touched.since = touched.blockSince = this.#epoch
    this.#retired.push({ until: this.#epoch, record, block: NO_BLOCK })
  }

  /** May the record's block be written to? */
  ownsBlock(record: NodeIndex): boolean {
    return this.#views.length === 0 || this.#touched.get(record)?.blockSince === this.#epoch
  }

  /** The record, touched before, has another block than `block` from now on, or none. */
  replaced(record: NodeIndex, block: Block): void {
    const touched = this.#views.length === 0 ? undefined : this.#touched.get(record)
    if (touched === undefined || !this.#isNeeded(record, touched.blockSince)) this.#arena.release(block)
    else this.#retired.push({ until: this.#epoch, record: NO_NODE, block })
    if (touched !== undefined) touched.blockSince = this.#epoch
  }

  /** Does a view that may see the state since `epoch` still have to read the record? */
  #isNeeded(record: NodeIndex, epoch: number): boolean {
    for (const view of this.#views) if (view.epoch >= epoch && !view.hasRead(record)) return true
    return false
  }

  #purge(countMax: number): void {
    const retired = this.#retired
    // The oldest view is the first: they are opened in order.
    const oldest = this.#views[0]?.epoch ?? Number.POSITIVE_INFINITY
    const end = Math.min(retired.length, this.#retiredFrom + countMax)
    while (this.#retiredFrom < end && retired[this.#retiredFrom]!.until <= oldest) {
      const { record, block, until } = retired[this.#retiredFrom++]!
      if (block !== NO_BLOCK) this.#arena.release(block)
      if (record !== NO_NODE) this.#forget(record, until, oldest)
    }
    if (this.#retiredFrom === retired.length) {
      retired.length = this.#retiredFrom = 0
      this.busy = this.#views.length > 0
    } else if (this.#retiredFrom > 4096 && this.#retiredFrom * 2 > retired.length) {
      retired.splice(0, this.#retiredFrom)
      this.#retiredFrom = 0
    }
  }

  #forget(record: NodeIndex, until: number, oldest: number): void {
    const touched = this.#touched.get(record)
    if (touched === undefined) return
    const { copies } = touched
    if (copies !== null && copies.length > 0 && copies[0]!.until <= until) this.#records.release(copies.shift()!.record)
    if (touched.since <= oldest && (copies === null || copies.length === 0)) this.#touched.delete(record)
  }
}
