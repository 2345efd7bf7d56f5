import type { AntiphonError, Run, SnapshotMeta, StoredState, StoreId, Zxid } from '@antiphon/ports'
import type { SnapshotFrames, SnapshotPosition, SnapshotTotals } from './frames.ts'
import type { Pack } from './pack.ts'

/** What a flush has settled. */
export interface Flushed {
  /** The oldest packs that were submitted; none when there was nothing to do. */
  readonly packs: readonly Pack[]
  /** Null: they are durable. */
  readonly error: AntiphonError | null
}

/** A snapshot that is being written: the engine's own. */
export interface SnapshotSink {
  /** Removes what there is. Never throws: what stays is removed when the store is opened. */
  abort(): void
}

/** A finished snapshot, open. */
export interface SnapshotSource {
  readonly meta: SnapshotMeta
  readonly bytes: number
  readonly begin: SnapshotPosition
  /** Whole frames from `from` on, about `bytesMax` together but at least one. @throws AntiphonError CORRUPT, DISK_FAILED */
  read(from: SnapshotPosition, bytesMax: number): SnapshotFrames
}

/**
 * A store without a host: what the `LogStore` port demands, synchronous, for one thread. Whoever drives it carries out one call after the other, and flushes before it calls for anything
 * that has to see what is pending. Each call but `flush` and `open` is a matter of a millisecond or so.
 */
export interface Engine {
  /** Packs that wait for a flush. */
  readonly pending: number
  /** Nothing need follow the last batch (`seal`). */
  readonly sealed: boolean
  /** Tells a batch from the next one. */
  readonly lastBatch: number
  /** Recovers; everything that is reported is durable. A new, empty store takes `freshStoreId` for ever. Once, before anything else. */
  open(freshStoreId: StoreId): StoredState
  /** For a later flush; the pack's memory belongs to the engine until then. */
  submit(pack: Pack): void
  /** Carries out one batch: the oldest packs. Never throws: after a failure the store has failed, and this and every later flush says so. A staged pack whose generation is gone fails alone. */
  flush(): Flushed
  /** Makes a last batch that nothing follows for a while distinguishable from a torn one, where that takes anything. */
  seal(): boolean
  /** One step of what can wait. False when nothing is left. */
  background(): boolean
  /** What was found to be damaged, and that the store goes on in spite of: each once. */
  takeTroubles?(): readonly AntiphonError[]
  /** Whether everything behind `zxid` can be read at once; if not, a step was done towards that. Without it: always. @throws AntiphonError CORRUPT, DISK_FAILED */
  reaches?(zxid: Zxid): boolean
  read(after: Zxid, upTo: Zxid, bytesMax: number): Run[]
  /** Of our own. */
  beginSnapshot(meta: SnapshotMeta): SnapshotSink
  /** Of a leader, into a generation of its own. */
  beginStaging(meta: SnapshotMeta): SnapshotSink
  /** Whole frames, as `ChunkFramer` makes them. */
  appendSnapshot(sink: SnapshotSink, frames: Uint8Array): void
  /** Durable; false when it is void: another generation was installed meanwhile. */
  finishSnapshot(sink: SnapshotSink, totals: SnapshotTotals): boolean
  /** Durable, and takes entries behind it: the generation's number. */
  finishStaging(sink: SnapshotSink, totals: SnapshotTotals): number
  /** The newest one, or the one at `zxid`; it stays until `closeSnapshot`. */
  openSnapshot(zxid?: Zxid): SnapshotSource | null
  closeSnapshot(source: SnapshotSource): void
  /** The staged generation is void. Unknown numbers are ignored. */
  discard(generation: number): void
  /** The log's new start. */
  compact(retain: number, keepFrom: Zxid): Zxid
  /** What is pending was flushed before. Never throws. */
  close(): void
}
