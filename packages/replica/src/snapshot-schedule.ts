import type { Random } from '@antiphon/ports'

export interface SnapshotIntervals {
  readonly everyEntries: number
  /** 0: however many there are. */
  readonly everyBytes: number
  readonly random: Random
}

/**
 * When a snapshot of our own is due: after a part of the intervals, drawn anew each time between half and whole, so that members who apply the same entries do not all write at once.
 * Whatever brings them into step (a common start, a snapshot from the leader) is undone by the next draw; an offset by member would be lost with it.
 */
export class SnapshotSchedule {
  readonly #intervals: SnapshotIntervals
  #entriesDue = 0
  #bytesDue = 0

  constructor(intervals: SnapshotIntervals) {
    this.#intervals = intervals
    this.begin(0, 0)
  }

  /** One was taken, or restored, at these counts. */
  begin(entries: number, bytes: number): void {
    const { everyEntries, everyBytes, random } = this.#intervals
    const share = (1 + random.uint32() / 2 ** 32) / 2
    this.#entriesDue = entries + Math.ceil(share * everyEntries)
    this.#bytesDue = everyBytes === 0 ? Number.POSITIVE_INFINITY : bytes + Math.ceil(share * everyBytes)
  }

  /** What makes one due; null while none is. */
  due(entries: number, bytes: number): 'entries' | 'bytes' | null {
    if (entries >= this.#entriesDue) return 'entries'
    return bytes >= this.#bytesDue ? 'bytes' : null
  }
}
