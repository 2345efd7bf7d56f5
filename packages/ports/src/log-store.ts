import type { AntiphonError, Run, SnapshotMeta, StoredState, StoreId, Write, Zxid } from '@antiphon/consensus-core'

/**
 * Keeps one replica's history. *Readable* and *durable* are different words here: readable is what this process can read back, durable is what a crash of the machine
 * leaves.
 *
 * Obligations:
 * - A `Write` is one atomic piece: after a crash all of it is there or nothing. Writes become durable in order; `done` calls come in order.
 * - After an error every later `done` fails with it too, and nothing more is written: a failed flush is never retried (rule 4). Whatever else is asked of a store that has failed fails with
 *   DISK_FAILED, or with `details.storeFailed: true`, which tells it from the failure of one snapshot alone.
 * - Corruption that is not a torn tail is refused by name and offset, never cut (rule 2).
 * - Both epochs, store id and founding survive every truncation, compaction and installation (rule 3).
 */
export interface LogStore {
  readonly supports: StoreSupport
  /** Whatever the store finds to be damaged, and goes on in spite of, is told to `trouble`: from `open()` on, each once, never from inside a call. Before `open()`; the last one counts. */
  watch?(trouble: (error: AntiphonError) => void): void
  /**
   * Recovers. Everything it reports is durable when it resolves (rule 4). A new, empty store takes `freshStoreId` as its id for ever.
   * @throws AntiphonError CORRUPT, FOLDER_IN_USE, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED
   */
  open(freshStoreId: StoreId): Promise<StoredState>
  /** Readable on return, durable at `done(null)`. Never throws. The store gathers: one flush is under way, what comes meanwhile goes with the next. `done` is never called from inside. */
  write(write: Write, done: (error: AntiphonError | null) => void): void
  /** Runs in (after, upTo], contiguous, whole entries, at most about `bytesMax` together but at least one entry. `after` must be at or behind the log's start. @throws AntiphonError */
  read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]>
  /** A snapshot of our own, or a leader's that replaces them; the log is durable through `meta.zxid`. Invisible until whole and flushed; then it takes the place of one at the same ZXID. Void (resolves false) when an install overtakes it. */
  saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<boolean>
  /** The newest snapshot, or the one at `zxid` as long as it is kept, pinned until its `close()`; null when there is none. */
  openSnapshot(zxid?: Zxid): Promise<Snapshot | null>
  /**
   * A leader's snapshot with a log of its own behind it: invisible to `open()` until a Write installs it. Resolves when durable. Generations are numbered from 1, never used again.
   * `chunks` may stand still for as long as they like (a connection was lost, and the rest comes over another one): that holds up nothing else, and costs no more than what was given. When
   * they throw, or the store is opened again, it is void.
   */
  stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number>
  /** Appends to a staged generation's log; durable at `done`, and in any case before a later Write that installs the generation. */
  stageAppend(generation: number, runs: readonly Run[], done: (error: AntiphonError | null) => void): void
  /** The generation is void; its files go. Unknown numbers are ignored. */
  discard(generation: number): void
  /** Keeps the newest `retain` snapshots and the log that follows the oldest of them; forgets nothing at or after `keepFrom`, nor a snapshot in use. Resolves with the log's new start. */
  compact(retain: number, keepFrom: Zxid): Promise<Zxid>
  /** Ends worker, handles, locks. Writes that were accepted are finished first. Idempotent. */
  close(): Promise<void>
}

export interface StoreSupport {
  /** Survives a crash of the machine. */
  readonly durable: boolean
  /** Runs in a browser. */
  readonly browser: boolean
}

export interface Snapshot {
  readonly meta: SnapshotMeta
  readonly bytes: number
  /** The chunks as they were saved, in order, checksums verified as they are read. @throws AntiphonError CORRUPT */
  chunks(): AsyncIterable<Uint8Array>
  close(): Promise<void>
}
