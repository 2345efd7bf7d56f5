import { invalidArgument } from './errors.ts'
import type { Zxid } from './zxid.ts'

declare const peerBrand: unique symbol
/** A member's number, 1 to 255: breaks ties in elections and enters session ids. */
export type PeerId = number & { readonly [peerBrand]: true }
/** Milliseconds; of which clock, the name or the field says. */
export type Millis = number
/** 32 lower-case hexadecimal digits: a random 128-bit number that names one store (one disk) for ever. */
export type StoreId = string
/** 32 lower-case hexadecimal digits: a random 128-bit number, minted by the founder. */
export type EnsembleId = string

/** @throws AntiphonError INVALID_ARGUMENT when it is not an integer from 1 to 255. */
export function peerId(value: number): PeerId {
  if (!Number.isInteger(value) || value < 1 || value > 255) throw invalidArgument(`peer id ${value} is not an integer from 1 to 255`)
  return value as PeerId
}

/** Both clocks, read once by the shell for each step. */
export interface Now {
  /** Never goes back; its zero means nothing. */
  readonly monotonic: Millis
  /** Unix time; may jump. */
  readonly wall: Millis
}

/** The history's CRC-32 at a ZXID: of every byte of every entry from the first to that one. 0 for the empty history. */
export type Checksum = number

/** 16 lower-case hexadecimal digits: what a replica's state comes down to at a ZXID. Equal states have equal digests; unequal ones hardly ever (rule 28). */
export type Digest = string

/** One attempt of one candidate to become a leader: what an epoch is promised to (rule 10). */
export interface Attempt {
  readonly leader: PeerId
  /** Drawn at random for each attempt, a safe integer. */
  readonly nonce: number
}

export interface Epochs {
  /** The last NEWEPOCH that was acknowledged; `current <= accepted` always. */
  readonly accepted: number
  /** To whom `accepted` was promised; null before any promise. */
  readonly acceptedFrom: Attempt | null
  /** The last NEWLEADER that was acknowledged. */
  readonly current: number
}

/** Where an epoch ends in a history: the last entry of `epoch` and the history's checksum there. */
export interface EpochEnd {
  readonly epoch: number
  readonly last: Zxid
  readonly checksum: Checksum
}

export interface Member {
  readonly id: PeerId
  readonly role: 'voter' | 'observer'
  /** Of a voter, 0 or more; a voter of weight 0 is never a leader and adds nothing to a quorum. 1 unless told. */
  readonly weight: number
  /** Voters of one group form a hierarchical quorum's unit; 0 for all means plain (weighted) majority. */
  readonly group: number
  /** The store that counts under this id (rule 9); null for observers, and before the founding. */
  readonly storeId: StoreId | null
}

export interface Configuration {
  /** ZXID of the entry that made it; 0 for the founding one. */
  readonly version: Zxid
  /** Ascending by id. */
  readonly members: readonly Member[]
}

/** The ensemble's birth record (rule 8). */
export interface Founding {
  readonly ensembleId: EnsembleId
  readonly configuration: Configuration
}

/** What a snapshot is of. */
export interface SnapshotMeta {
  /** Every entry at or below it is in; nothing above. */
  readonly zxid: Zxid
  /** The history's checksum at `zxid`. */
  readonly checksum: Checksum
  /** The history's epoch end points up to `zxid`, ascending; the last one is `zxid` itself (none for the empty history). */
  readonly endPoints: readonly EpochEnd[]
  /** Wall time of the last entry at or below `zxid`; 0 if there is none. */
  readonly time: Millis
}

/** What `LogStore.open()` found, all of it durable. */
export interface StoredState {
  readonly storeId: StoreId
  readonly founding: Founding | null
  readonly epochs: Epochs
  /** The newest installed or saved snapshot; null when there is none. */
  readonly snapshot: SnapshotMeta | null
  readonly log: StoredLog
}

/** `start <= (snapshot?.zxid ?? 0) <= last` always. */
export interface StoredLog {
  /** The ZXID before the log's first entry; equal to `last` when the log is empty. */
  readonly start: Zxid
  readonly last: Zxid
  /** The history's checksum at `last`. */
  readonly checksum: Checksum
  /** End points of the whole known history up to `last` (the snapshot's included), ascending. */
  readonly endPoints: readonly EpochEnd[]
  /** Wall time of the entry at `last`; 0 for the empty history. */
  readonly time: Millis
}
