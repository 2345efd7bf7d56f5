import type { Zxid } from '@antiphon/ports'
import { entriesBetween } from '@antiphon/storage-kit'
import type { Log } from './log-files.ts'

/** One file of the log. */
export interface SegmentSummary {
  readonly file: string
  readonly generation: number
  /** Behind the last whole batch. */
  readonly end: number
  /** Number of its first batch. */
  readonly firstBatch: number
  /** The ZXID before its first entry. */
  readonly previous: Zxid
  /** Of its last entry that is in the history; `previous` when it has none. */
  readonly last: Zxid
  /** Of its entries, those that are in the history. */
  readonly entries: number
}

export function segmentsOf({ generation, segments, index }: Log): SegmentSummary[] {
  const held = new Map(segments.map((segment) => [segment, { previous: segment.head.previous.zxid, last: segment.head.previous.zxid, entries: false }]))
  for (const { segment, previous, end } of index.extents) {
    const found = held.get(segment)
    if (found === undefined) continue
    if (!found.entries) found.previous = previous
    found.entries = true
    found.last = end.zxid
  }
  return [...held].map(([segment, { previous, last }]) => {
    return {
      file: segment.name,
      generation,
      end: segment.end,
      firstBatch: segment.head.firstBatch,
      previous,
      last,
      entries: entriesBetween(index.endPoints, previous, last),
    }
  })
}
