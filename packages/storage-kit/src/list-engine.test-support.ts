import { AntiphonError, type Run, type SnapshotMeta, type StoredState, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import {
  type Disk,
  EngineBase,
  type Installed,
  type Pack,
  type Point,
  parseSnapshotName,
  RECORD_HEAD_BYTES,
  RECORD_INSTALL,
  RECORD_RUN,
  recordKind,
  recordSpan,
  runHeadAt,
  u32,
} from './index.ts'

/** Places in order; the first one is what the log begins behind. */
export type List = Point[]

const EMPTY: Point = { zxid: ZERO, checksum: 0, time: 0 }

/** An engine whose log is a list in memory: what `EngineBase` does shows by itself. */
export class ListEngine extends EngineBase<List> {
  readonly sealed = true
  lastBatch = 0
  log: List = [EMPTY]
  /** Each flush: how many packs it carried. */
  readonly batches: number[] = []
  readonly discarded: List[] = []
  readonly dropped: Zxid[] = []
  installed: Installed<List> | null = null
  /** The next write fails. */
  fault: AntiphonError | null = null
  released = 0

  constructor(disk: Disk, log: List = [EMPTY], batchBytesMax = 1_000_000) {
    super(disk, batchBytesMax)
    this.log = log
  }

  get garbageLeft(): number {
    let count = 0
    while (this.garbage.removeOne()) count++
    return count
  }

  protected recover(storeId: StoreId): StoredState {
    const snapshots = this.disk.list().flatMap((name) => parseSnapshotName(name) ?? [])
    const zxids = snapshots.filter(({ aside }) => !aside).map(({ zxid }) => zxid)
    this.adopt({ storeId, generation: 0, nextGeneration: 1, snapshots: zxids.sort((a, b) => a - b) })
    const { zxid: last, checksum, time } = this.log.at(-1)!
    const log = { start: this.start, last, checksum, time, endPoints: [] }
    return { storeId, founding: null, epochs: { accepted: 0, acceptedFrom: null, current: 0 }, snapshot: this.checkNewest(), log }
  }

  protected release(): void {
    this.released++
  }

  protected write(packs: readonly Pack[], staged: List | null): void {
    if (this.fault !== null) throw this.fault
    this.batches.push(packs.length)
    for (const { bytes } of packs) {
      for (let at = 0; at < bytes.length; at += recordSpan(bytes, at)) {
        const payload = at + RECORD_HEAD_BYTES
        if (recordKind(bytes, at) === RECORD_INSTALL) {
          this.installed = this.install(u32(bytes, payload))
          this.log = this.installed.log
        } else if (recordKind(bytes, at) === RECORD_RUN) {
          const { last: zxid, checksum, time } = runHeadAt(bytes, payload)
          ;(staged ?? this.log).push({ zxid, checksum, time })
        }
      }
    }
    this.lastBatch++
  }

  protected get start(): Zxid {
    return this.log[0]!.zxid
  }

  protected readLog(): Run[] {
    return []
  }

  protected pointAt(zxid: Zxid): Point | null {
    return this.log.find((point) => point.zxid === zxid) ?? null
  }

  protected logBehind({ zxid, checksum, time }: SnapshotMeta): List {
    return [{ zxid, checksum, time }]
  }

  protected discardLog(log: List): void {
    this.discarded.push(log)
  }

  protected dropThrough(limit: Zxid): void {
    if (this.fault !== null) throw this.fault
    this.dropped.push(limit)
    this.log = this.log.filter(({ zxid }, i) => zxid >= limit || i === this.log.length - 1)
  }

  seal(): boolean {
    return false
  }

  background(): boolean {
    return this.garbage.removeOne()
  }

  close(): void {
    this.closeReaders()
    this.release()
  }
}

export function diskFull(): AntiphonError {
  return new AntiphonError('DISK_FULL', 'no space is left', { remedy: 'Free space.', details: { operation: 'writing' } })
}
