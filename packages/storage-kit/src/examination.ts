import { type AntiphonError, type Checksum, counterOf, type EpochEnd, epochOf, type Run, type SnapshotMeta, type Zxid } from '@antiphon/ports'
import { runFromBytes } from '@antiphon/wire'

export interface SnapshotDescription {
  readonly file: string
  readonly bytes: number
  readonly meta: SnapshotMeta
  /** Of the chunks alone. */
  readonly chunkBytes: number
}

export interface Damage {
  readonly file: string
  /** Null: not known. */
  readonly offset: number | null
  readonly what: string
}

/** What was read and found to be as it was written; damage by file and offset. */
export interface Verification<Description> {
  /** Null when the store can not be opened. */
  readonly store: Description | null
  readonly entries: number
  readonly entryBytes: number
  readonly chunks: number
  readonly chunkBytes: number
  readonly damages: readonly Damage[]
}

/** What `error` says of damage; any other error is thrown on. */
export function damageOf(error: unknown): Damage {
  const { code, message, details } = error as AntiphonError
  if (code !== 'CORRUPT') throw error
  const { file, offset } = details
  return { file: String(file ?? ''), offset: typeof offset === 'number' ? offset : null, what: message }
}

/** Whether `run`, taken apart anew, is what its head says, and goes on behind `after`; `checksum`: of the history there, null where it is not known. @throws AntiphonError CORRUPT */
export function continues(run: Run, after: Zxid, checksum: Checksum | null): boolean {
  const { last, checksum: end } = runFromBytes(run.bytes, run.previous, run.previousChecksum)
  return run.previous === after && (checksum === null || run.previousChecksum === checksum) && last === run.last && end === run.checksum
}

/** Counters of an epoch begin with 1 and leave nothing out. Both places are in the history whose end points these are. */
export function entriesBetween(endPoints: readonly EpochEnd[], after: Zxid, upTo: Zxid): number {
  let entries = 0
  for (const { epoch, last } of endPoints) {
    if (last <= after || epoch > epochOf(upTo)) continue
    entries += counterOf(last < upTo ? last : upTo) - (epoch === epochOf(after) ? counterOf(after) : 0)
  }
  return entries
}
