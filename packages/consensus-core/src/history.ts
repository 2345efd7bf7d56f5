import { checksumBehind, cutAfter, cutBehind, endPointsOf, entryLength, entryZxid, type Run } from './run.ts'
import type { Checksum, EpochEnd, Millis, SnapshotMeta, StoredState } from './types.ts'
import { epochOf, ZERO, type Zxid } from './zxid.ts'

/** What a replica has accepted: its log behind its snapshot, committed or not. */
export interface History {
  /** The ZXID before the log's first entry: a learner further back needs a SNAP. */
  start: Zxid
  last: Zxid
  /** The history's checksum at `last`. */
  checksum: Checksum
  /** Wall time of the entry at `last`; entries never go below it. */
  time: Millis
  /** Of the whole known history up to `last`, ascending by epoch. */
  endPoints: EpochEnd[]
  snapshot: SnapshotMeta | null
  /** The newest runs, contiguous up to `last`; what a learner can be sent without reading the store. */
  readonly recent: RecentRuns
}

/** A queue in an array: live elements are those from `head` on. */
interface RecentRuns {
  runs: Run[]
  /** `ends[i]`: bytes of all runs up to and including `runs[i]`, counted since this process began. */
  ends: number[]
  head: number
  /** Bytes of all runs ever appended here. */
  end: number
}

export function historyOf(stored: StoredState): History {
  return { ...stored.log, endPoints: [...stored.log.endPoints], snapshot: stored.snapshot, recent: noRuns() }
}

/** The history that a snapshot alone stands for. */
export function historyAt(meta: SnapshotMeta): History {
  return { start: meta.zxid, last: meta.zxid, checksum: meta.checksum, time: meta.time, endPoints: [...meta.endPoints], snapshot: meta, recent: noRuns() }
}

function noRuns(): RecentRuns {
  return { runs: [], ends: [], head: 0, end: 0 }
}

/** The caller has checked that `run` follows directly: ZXID and checksum. */
export function append(history: History, run: Run): void {
  const { endPoints, recent } = history
  const added = endPointsOf(run)
  if (endPoints.length > 0 && endPoints[endPoints.length - 1]!.epoch === added[0]!.epoch) endPoints.pop()
  for (const end of added) endPoints.push(end)
  history.last = run.last
  history.checksum = run.checksum
  history.time = run.time
  recent.end += run.bytes.length
  recent.runs.push(run)
  recent.ends.push(recent.end)
}

/** Drops everything above `to`, where the history's checksum is `checksum`. The time stays: it may only be too late, and the next run corrects it. */
export function truncate(history: History, to: Zxid, checksum: Checksum): void {
  const { endPoints, recent } = history
  const above = endPoints.find((end) => end.last > to)
  history.endPoints = endPoints.filter((end) => end.last <= to)
  if (above !== undefined && to > ZERO && above.epoch === epochOf(to)) history.endPoints.push({ epoch: above.epoch, last: to, checksum })
  history.last = to
  history.checksum = checksum
  for (let i = recent.runs.length - 1; i >= recent.head && recent.runs[i]!.last > to; i--) {
    const run = recent.runs.pop()!
    recent.end = recent.ends.pop()! - run.bytes.length
    const kept = cutBehind(run, to)
    if (kept === null) continue
    recent.end += kept.bytes.length
    recent.runs.push(kept)
    recent.ends.push(recent.end)
    break
  }
}

/** Forgets runs that are wholly below `needed`, while the rest exceeds `bytesMax`. The run that holds `needed` itself stays: its checksum may be asked for. */
export function trimRecent(history: History, needed: Zxid, bytesMax: number): void {
  const { recent } = history
  while (recent.head < recent.runs.length) {
    const run = recent.runs[recent.head]!
    const bytes = recent.end - recent.ends[recent.head]! + run.bytes.length
    if (bytes <= bytesMax || run.last >= needed) break
    recent.head++
  }
  if (recent.head > 512 && recent.head * 2 > recent.runs.length) {
    recent.runs.splice(0, recent.head)
    recent.ends.splice(0, recent.head)
    recent.head = 0
  }
}

/** Index of the first recent run that holds entries above `zxid`; the array's length when there is none. */
function firstAbove(recent: RecentRuns, zxid: Zxid): number {
  let low = recent.head
  let high = recent.runs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (recent.runs[middle]!.last > zxid) high = middle
    else low = middle + 1
  }
  return low
}

/** The runs in (after, upTo], or null when memory does not reach back to `after`. */
export function recentRuns(history: History, after: Zxid, upTo: Zxid): Run[] | null {
  if (after >= upTo) return []
  const { recent } = history
  const from = firstAbove(recent, after)
  if (from >= recent.runs.length || recent.runs[from]!.previous > after) return null
  const found: Run[] = []
  for (let i = from; i < recent.runs.length && recent.runs[i]!.previous < upTo; i++) {
    const tail = cutAfter(recent.runs[i]!, after)
    const run = tail === null ? null : cutBehind(tail, upTo)
    if (run !== null) found.push(run)
  }
  return found
}

/** Bytes of the entries above `zxid`, counted in whole runs; infinite when memory does not reach back to it. */
export function bytesAbove(history: History, zxid: Zxid): number {
  const { recent } = history
  if (zxid >= history.last) return 0
  const from = firstAbove(recent, zxid)
  if (from >= recent.runs.length || recent.runs[from]!.previous > zxid) return Number.POSITIVE_INFINITY
  return recent.end - recent.ends[from]! + recent.runs[from]!.bytes.length
}

/** The history's checksum at `zxid`, or null where memory does not tell. */
export function checksumAt(history: History, zxid: Zxid): Checksum | null {
  if (zxid === history.last) return history.checksum
  if (zxid === ZERO) return 0
  const end = history.endPoints.find((point) => point.last === zxid)
  if (end !== undefined) return end.checksum
  if (history.snapshot?.zxid === zxid) return history.snapshot.checksum
  const { recent } = history
  const index = firstAbove(recent, zxid)
  const before = recent.runs[index]
  if (before === undefined || zxid < before.previous) return null
  if (zxid === before.previous) return before.previousChecksum
  for (let at = 0; at < before.bytes.length; at += entryLength(before.bytes, at)) {
    if (entryZxid(before.bytes, at) === zxid) return checksumBehind(before.bytes, at)
  }
  return null
}

/** Is the entry at `zxid`, with everything before it, in this history? By its checksum where memory tells that, else by its epoch: a ZXID has one author (rule 13). */
export function includes(history: History, zxid: Zxid, checksum: Checksum): boolean {
  const known = checksumAt(history, zxid)
  if (known !== null) return known === checksum
  return history.endPoints.some((end) => end.epoch === epochOf(zxid) && end.last >= zxid)
}

/** Where two histories part. */
export interface CommonPoint {
  readonly zxid: Zxid
  readonly checksum: Checksum
}

/**
 * The exact end of the longest common prefix (rule 13). A ZXID names one entry and with it the whole history below: so the newest epoch that both know ends the
 * prefix, at the earlier of its two ends. Null: the learner's list was cut short and shares nothing with ours.
 */
export function commonPoint(ours: readonly EpochEnd[], theirs: readonly EpochEnd[], theirsComplete: boolean): CommonPoint | null {
  let i = ours.length - 1
  let j = theirs.length - 1
  while (i >= 0 && j >= 0) {
    const our = ours[i]!
    const their = theirs[j]!
    if (our.epoch === their.epoch) return our.last <= their.last ? { zxid: our.last, checksum: our.checksum } : { zxid: their.last, checksum: their.checksum }
    if (our.epoch > their.epoch) i--
    else j--
  }
  return theirsComplete ? { zxid: ZERO, checksum: 0 } : null
}

/** The end points of the history up to `zxid`, whose checksum the caller knows. */
export function endPointsUpTo(history: History, zxid: Zxid, checksum: Checksum): EpochEnd[] {
  if (zxid === ZERO) return []
  const epoch = epochOf(zxid)
  const below = history.endPoints.filter((end) => end.epoch < epoch)
  below.push({ epoch, last: zxid, checksum })
  return below
}
