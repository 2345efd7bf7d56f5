import type { Millis, PrimaryContext } from '@antiphon/ports'
import type { DataTree } from './data-tree-types.ts'
import type { ZnodeTreeOptions } from './machine-types.ts'
import { isReapable } from './prepare/own.ts'

const MINUTE_MS = 60_000
/** Deletions that may be made up for at once. */
const BURST_MS = 1000

type ReaperOptions = Pick<Required<ZnodeTreeOptions>, 'reapEveryMs' | 'reapsPerMinuteMax' | 'containerUnusedMsMax'>

/** What the leader wants gone: containers without children, TTL nodes whose time is over. Looks now and then, and asks at a bounded rate. */
export class Reaper {
  readonly #tree: DataTree
  readonly #options: ReaperOptions
  /** Paths that may go. */
  #found: string[] = []
  #lookedAt: Millis = 0
  #paidAt: Millis = 0
  /** Deletions that may be asked for now. */
  #credit = 0

  constructor(tree: DataTree, options: ReaperOptions) {
    this.#tree = tree
    this.#options = options
  }

  begin(monotonic: Millis): void {
    this.#found = []
    this.#lookedAt = monotonic
    this.#paidAt = monotonic
    this.#credit = 0
  }

  /** Paths to be reaped. One that was asked for before and is still on its way is refused when it is prepared. */
  tick({ monotonic, time }: Pick<PrimaryContext, 'monotonic' | 'time'>): string[] {
    const { reapEveryMs, reapsPerMinuteMax } = this.#options
    const perMs = reapsPerMinuteMax / MINUTE_MS
    this.#credit = Math.min(this.#credit + (monotonic - this.#paidAt) * perMs, Math.max(1, BURST_MS * perMs))
    this.#paidAt = monotonic
    if (this.#found.length === 0 && monotonic - this.#lookedAt >= reapEveryMs) {
      this.#lookedAt = monotonic
      this.#look(time)
    }
    const paths = this.#found.splice(0, Math.floor(this.#credit))
    this.#credit -= paths.length
    return paths
  }

  #look(time: Millis): void {
    const tree = this.#tree
    for (const node of tree.reapable()) {
      if (this.#found.length >= this.#options.reapsPerMinuteMax) return
      const record = {
        kind: tree.kind(node),
        childCount: tree.childCount(node),
        childrenCreated: tree.childrenCreated(node),
        mtime: tree.mtime(node),
        ttlMs: tree.ttlMs(node),
      }
      if (isReapable(record, time, this.#options)) this.#found.push(tree.path(node))
    }
  }
}
