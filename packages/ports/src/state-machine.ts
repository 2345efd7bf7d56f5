import type { AntiphonError, Member, Millis, PeerId, Zxid } from '@antiphon/consensus-core'
import type { Address } from './transport.ts'

/**
 * A deterministic machine that every replica runs. Requests become *changes* on the primary (`prepare`); changes are replicated and applied everywhere (`apply`).
 * A machine belongs to one replica.
 */
export interface StateMachine<Request = unknown, Result = unknown> {
  /** Part of the ensemble's agreed settings: replicas with another name or version do not connect. */
  readonly name: string
  readonly version: number
  /** Called where the request is made. The memory that it returns is the replica's from then on: never write to it again. @throws AntiphonError INVALID_ARGUMENT: rejected, and no number was given. */
  encodeRequest(request: Request): Uint8Array
  decodeRequest(bytes: Uint8Array): Request
  /** The result, for a replica that missed the change itself: equal bytes on every replica. Copied before the next call. Must not throw for what `apply` gave. */
  encodeResult(result: Result): Uint8Array
  decodeResult(bytes: Uint8Array): Result
  /**
   * On the primary alone, against the state as of everything prepared so far. `request` is as `encodeRequest` made it. Returns the change that all replicas apply. Throwing leaves
   * the speculation as it was and becomes a refusal. Without it, the request itself is the change.
   */
  prepare?(request: Uint8Array, context: PrimaryContext): Uint8Array
  /** Take back the last change alone: it was too large. */
  unprepare?(): void
  /** The primary's reign begins, its history is applied: forget all speculation. Each epoch is a reign, also one that the same leader draws when the counter of the last is used up. */
  leading?(context: PrimaryContext): void
  /** The reign is void: forget everything prepared and not applied. */
  abandon?(): void
  /** On the primary, once a tick: requests that it makes by itself. */
  tick?(context: PrimaryContext): readonly Request[]
  /** Unreplicated words that ride on heartbeats to the leader. May be lost. */
  note?(): Uint8Array | null
  /** On the primary: a note that came; `monotonic` as in `PrimaryContext`. */
  heard?(from: PeerId, note: Uint8Array, monotonic: Millis): void
  /** On every replica, in order, deterministic, one call per batch; one result per change. Time comes only from the entries. Throwing stops the replica. */
  apply(batch: CommittedBatch): readonly Result[]
  /** A view fixed at the moment of the call, serialised lazily in slices while `apply` goes on: identical bytes on every replica at the same ZXID. */
  snapshot(): Iterable<Uint8Array>
  /** Replaces the whole state; chunks as `snapshot()` gave them. */
  restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void>
  /**
   * An incremental digest of the state, 64 bits: equal on every replica at the same ZXID, restored or not. Taken every so many entries and compared: a replica that differs from a quorum is
   * rebuilt (rule 28). Throwing stops the replica.
   */
  digest?(): bigint
  /** The replica that runs this machine is started; `proposer` is how a typed front (`dispatch`) reaches it. Called once. */
  attach?(proposer: Proposer<Request, Result>): void
}

/** What a machine's typed front may do with its replica. */
export interface Proposer<Request, Result> {
  propose(request: Request, options?: ProposeOptions): Promise<Result>
  read(level: ReadLevel, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<void>
  /** Who belongs to the ensemble, as this replica knows it. */
  ensemble?(): EnsembleView
  /** Something of the front's own is wrong (a subscriber that threw), and nothing of the replica's: told as its event `trouble`. */
  trouble?(error: AntiphonError): void
}

export interface EnsembleView {
  /** ZXID of the entry by which they belong to it; 0: by its founding. */
  readonly version: Zxid
  /** Ascending by id; addresses as this replica's transport dials them, which others may spell otherwise. */
  readonly members: readonly (Omit<Member, 'storeId'> & { readonly address: Address })[]
}

/** `local`: what is applied here now. `linearizable`: at least everything that was acknowledged anywhere before the call. */
export type ReadLevel = 'local' | 'linearizable'

export interface ProposeOptions {
  /** Given up before it was numbered: rejected; afterwards: outcome `unknown`. */
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
  /** When the queues are full: reject with OVERLOADED (default), or wait. */
  readonly whenFull?: 'reject' | 'wait'
}

/** What only the primary may look at. */
export interface PrimaryContext {
  readonly epoch: number
  /** The ZXID that the change's entry will have; in `leading` and `tick` the next one that is given out. A refusal has one too, what is taken back leaves it to the next. */
  readonly zxid: Zxid
  /** The time that the change's entry will carry: Unix milliseconds, never decreasing along the history. */
  readonly time: Millis
  /** This process's own clock, which no one sets: for spans. It stands in no change, and means nothing to another process. */
  readonly monotonic: Millis
  /** What lies between two calls of `tick`, and two heartbeats to everybody, unless the replica is late. */
  readonly tickMs: Millis
  /** Largest change in bytes; a larger one is taken back (`unprepare`) and refused with TOO_LARGE. */
  readonly changeBytesMax: number
  /** Random, for the primary alone: what it yields must stand in the change. 0 <= x < 2^32, integers. */
  random(): number
}

/** Consecutive changes of one machine. Everything in it is valid during the call of `apply` only; what is kept must be copied. */
export interface CommittedBatch {
  readonly length: number
  /** The memory that all changes lie in. */
  readonly bytes: Uint8Array
  /** Where change `index` begins and ends in `bytes`: the way without a view per entry. */
  start(index: number): number
  end(index: number): number
  /** A view of change `index`. */
  change(index: number): Uint8Array
  zxid(index: number): Zxid
  /** The entry's time: Unix milliseconds as the leader stamped it. */
  time(index: number): Millis
  /** Somebody waits for the result of change `index`, or may come to: it is kept, encoded, until its origin has it. The same on every replica. Other results may be left undefined. */
  needsResult(index: number): boolean
}
