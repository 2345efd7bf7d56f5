import type { Millis, PrimaryContext } from '@antiphon/ports'
import { type DataTree, NO_NODE, type NodeIndex } from './data-tree-types.ts'
import type { ZnodeTreeOptions } from './machine-types.ts'
import { isReapable } from './prepare/own.ts'

const MINUTE_MS = 60_000
/** Deletions that may be made up for at once. */
const BURST_MS = 1000
/** What one tick does: a million nodes are looked through in 62 ticks, of some milliseconds each. */
const LOOKS_PER_TICK = 16_384
const REAPS_PER_TICK = 1024

type ReaperOptions = Pick<Required<ZnodeTreeOptions>, 'reapEveryMs' | 'reapsPerMinuteMax' | 'containerUnusedMsMax'>

/**
 * What the leader wants gone: containers without children, TTL nodes whose time is over. Now and then it looks through all that may be reaped one day, a part of them each tick, and no further
 * than it may ask for; what comes meanwhile is looked at the next time.
 */
export class Reaper {
  readonly #tree: DataTree
  readonly #options: ReaperOptions
  #isLooking = false
  /** When it began to look last. */
  #lookedAt: Millis = 0
  #paidAt: Millis = 0
  /** Deletions that may be asked for, times MINUTE_MS. */
  #credit = 0

  constructor(tree: DataTree, options: ReaperOptions) {
    this.#tree = tree
    this.#options = options
  }

  begin(monotonic: Millis): void {
    this.#isLooking = false
    this.#lookedAt = monotonic
    this.#paidAt = monotonic
    this.#credit = 0
  }

  /** Paths to be reaped. One that was asked for before and is still on its way is refused when it is prepared. */
  tick({ monotonic, time }: Pick<PrimaryContext, 'monotonic' | 'time'>): string[] {
    const { reapEveryMs, reapsPerMinuteMax } = this.#options
    this.#credit = Math.min(this.#credit + (monotonic - this.#paidAt) * reapsPerMinuteMax, Math.max(MINUTE_MS, BURST_MS * reapsPerMinuteMax))
    this.#paidAt = monotonic
    if (!this.#isLooking) {
      if (monotonic - this.#lookedAt < reapEveryMs) return []
      this.#isLooking = true
      this.#lookedAt = monotonic
      this.#tree.rewindReapable()
    }
    const paths = this.#look(time, Math.min(REAPS_PER_TICK, Math.floor(this.#credit / MINUTE_MS)))
    this.#credit -= paths.length * MINUTE_MS
    return paths
  }

  #look(time: Millis, most: number): string[] {
    const tree = this.#tree
    const paths: string[] = []
    for (let looks = 0; looks < LOOKS_PER_TICK && paths.length < most; looks++) {
      const node = tree.nextReapable()
      if (node === NO_NODE) {
        this.#isLooking = false
        break
      }
      if (this.#mayGo(node, time)) paths.push(tree.path(node))
    }
    return paths
  }

  #mayGo(node: NodeIndex, time: Millis): boolean {
    const tree = this.#tree
    const record = {
      kind: tree.kind(node),
      childCount: tree.childCount(node),
      childrenCreated: tree.childrenCreated(node),
      mtime: tree.mtime(node),
      ttlMs: tree.ttlMs(node),
    }
    return isReapable(record, time, this.#options)
  }
}
