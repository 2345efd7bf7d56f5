import type { Run } from './run.ts'
import type { Attempt, Checksum, Digest, EnsembleId, EpochEnd, Founding, Millis, PeerId, SnapshotMeta, StoreId } from './types.ts'
import type { Zxid } from './zxid.ts'

/**
 * What peers say to each other, under the papers' names. Lanes (rule 18): `entries` keeps DIFF, TRUNC, NEWLEADER, PROPOSE and forwarded requests in one order; `bulk` is
 * a snapshot's SNAP and CHUNKs; everything else travels on `control`.
 */
export type Message =
  | Identity
  | FoundingRecord
  | Vote
  | Cepoch
  | NewEpoch
  | AckEpoch
  | Trunc
  | Diff
  | Snap
  | Chunk
  | Stored
  | Received
  | NewLeader
  | AckLeader
  | CommitLeader
  | Propose
  | Ack
  | Commit
  | Ping
  | Pong
  | ReadRequest
  | ReadPoint
  | Register
  | Requests
  | Resend
  | Retired
  | DigestTold
  | Verdict
  | Rebuild

export type MessageKind = Message['kind']

/** Opens the control lane of each connection; repeated when the ensemble id changes (rule 8). */
export interface Identity {
  readonly kind: 'IDENTITY'
  readonly ensembleId: EnsembleId | null
  /** Fingerprint of the settings on which the ensemble must agree, 16 hexadecimal digits. */
  readonly settings: string
  /** Neither has nor was ever handed a founding record. */
  readonly empty: boolean
}

export interface FoundingRecord {
  readonly kind: 'FOUNDING'
  readonly founding: Founding
}

/** Fast leader election: the sender's vote and state. */
export interface Vote {
  readonly kind: 'VOTE'
  readonly state: 'looking' | 'following' | 'leading' | 'observing'
  /** 0: no vote (an observer's or a learner's question). */
  readonly leader: PeerId | 0
  /** The candidate's last ZXID. */
  readonly zxid: Zxid
  /** The candidate's current epoch. */
  readonly epoch: number
  readonly round: number
}

/** Learner to its prospective leader: the promise it has made so far. */
export interface Cepoch {
  readonly kind: 'CEPOCH'
  readonly accepted: number
  readonly acceptedFrom: Attempt | null
}

export interface NewEpoch {
  readonly kind: 'NEWEPOCH'
  readonly epoch: number
  readonly attempt: Attempt
}

/** ACK-E. `epoch` is durably promised; the rest is the learner's history. */
export interface AckEpoch {
  readonly kind: 'ACK-E'
  readonly epoch: number
  readonly current: number
  readonly last: Zxid
  readonly checksum: Checksum
  /** The learner can not go back below it. */
  readonly committed: Zxid
  /** The sender's wall clock (rule 24). */
  readonly wall: Millis
  /** The sender's state is void (rule 28): its promise and its history are as good as any, but it can not lead. */
  readonly quarantined: boolean
  /** Ascending; the newest END_POINTS_MAX of them. */
  readonly endPoints: readonly EpochEnd[]
  /** What a SNAP that broke off has left here; null when nothing. */
  readonly staged: StagedPart | null
}

/** How far a snapshot has come in before its connection broke (rule 14). Counts for nothing but where its transfer goes on. */
export interface StagedPart {
  /** What the snapshot is of, and the history's checksum there. */
  readonly zxid: Zxid
  readonly checksum: Checksum
  /** Chunks that have come, without gaps; 1 or more. */
  readonly chunks: number
  /** CRC-32 over their bytes. */
  readonly digest: number
  /** Where the log behind the snapshot ends, once all chunks are stored; null before. */
  readonly log: { readonly last: Zxid; readonly checksum: Checksum } | null
}

/** Drop everything above `to`; a DIFF from there follows. */
export interface Trunc {
  readonly kind: 'TRUNC'
  readonly epoch: number
  readonly to: Zxid
  readonly checksum: Checksum
}

/** The entries above `after` follow as PROPOSE messages, then NEWLEADER. */
export interface Diff {
  readonly kind: 'DIFF'
  readonly epoch: number
  readonly after: Zxid
  readonly checksum: Checksum
  /** They follow what the learner has staged, as its ACK-E told it, and not its own log. */
  readonly staged: boolean
}

/** Head of a snapshot transfer; its CHUNKs follow on the same lane. */
export interface Snap {
  readonly kind: 'SNAP'
  readonly epoch: number
  readonly transfer: number
  readonly meta: SnapshotMeta
  /** The learner has so many chunks, as its ACK-E told it, and they are the first ones of this snapshot: the rest follows. 0: it begins anew. */
  readonly chunks: number
  /** CRC-32 over the bytes of those chunks of the sender's own; 0 when there are none. */
  readonly digest: number
}

/** Shell to shell. */
export interface Chunk {
  readonly kind: 'CHUNK'
  readonly transfer: number
  /** From 0, without gaps. */
  readonly index: number
  readonly last: boolean
  readonly bytes: Uint8Array
}

/** Credit for chunks (rule 18); counts for nothing else. From a sender: so many of those that its receiver has are the same here, and it goes on comparing. Shell to shell. */
export interface Stored {
  readonly kind: 'STORED'
  readonly transfer: number
  /** Chunks stored so far, of the whole snapshot. */
  readonly chunks: number
}

/** The receiver has the whole snapshot of transfer `transfer`, staged up to `upTo` (rule 15). `ok: false`: it could not be stored. */
export interface Received {
  readonly kind: 'RECEIVED'
  readonly epoch: number
  readonly transfer: number
  readonly upTo: Zxid
  readonly ok: boolean
}

/** The history that the epoch begins with ends exactly here (rule 15). */
export interface NewLeader {
  readonly kind: 'NEWLEADER'
  readonly epoch: number
  readonly last: Zxid
  readonly checksum: Checksum
}

/** ACK-LD: the history up to `last` and the current epoch are durable; also the ACK of `last`. */
export interface AckLeader {
  readonly kind: 'ACK-LD'
  readonly epoch: number
  readonly last: Zxid
}

/** COMMIT-LD: a quorum has acknowledged NEWLEADER; `committed` is the leader's latest commit point (rule 16). */
export interface CommitLeader {
  readonly kind: 'COMMIT-LD'
  readonly epoch: number
  readonly committed: Zxid
}

export interface Propose {
  readonly kind: 'PROPOSE'
  readonly epoch: number
  readonly committed: Zxid
  readonly run: Run
}

/** Cumulative: everything up to `upTo` is durable at the sender. */
export interface Ack {
  readonly kind: 'ACK'
  readonly epoch: number
  readonly upTo: Zxid
}

export interface Commit {
  readonly kind: 'COMMIT'
  readonly epoch: number
  readonly committed: Zxid
}

/** The leader's heartbeat; carries the newest read round (rule 23). */
export interface Ping {
  readonly kind: 'PING'
  readonly epoch: number
  readonly committed: Zxid
  /** 0: no round was begun yet. */
  readonly round: number
  readonly wall: Millis
}

export interface Pong {
  readonly kind: 'PONG'
  readonly epoch: number
  /** The highest round heard while the accepted epoch was `epoch`. */
  readonly round: number
  /** The sender's wall clock (rule 24). */
  readonly wall: Millis
  /** Filled by the shell: machine number and that machine's note, for the leader's machine. */
  readonly notes: readonly { readonly machine: number; readonly note: Uint8Array }[]
}

/** A learner asks for a read point; numbered by the learner. */
export interface ReadRequest {
  readonly kind: 'READ'
  readonly epoch: number
  readonly number: number
}

export interface ReadPoint {
  readonly kind: 'READ-POINT'
  readonly epoch: number
  readonly number: number
  readonly zxid: Zxid
}

/** An origin asks to be entered into the table (rule 22). Shell to shell. */
export interface Register {
  readonly kind: 'REGISTER'
  readonly storeId: StoreId
  /** Drawn at start, 16 hexadecimal digits. */
  readonly nonce: string
}

export interface Request {
  readonly machine: number
  readonly payload: Uint8Array
}

/** Numbered requests, consecutive from `first`, of one origin. Shell to shell. */
export interface Requests {
  readonly kind: 'REQUESTS'
  readonly origin: Zxid
  readonly first: number
  /** The origin has seen the results of everything up to this number. */
  readonly confirmed: number
  readonly requests: readonly Request[]
}

/** Send again from `next`. Shell to shell. */
export interface Resend {
  readonly kind: 'RESEND'
  readonly origin: Zxid
  readonly next: number
}

/** The origin's row is gone: what was sent under it is `unknown`. Shell to shell. */
export interface Retired {
  readonly kind: 'RETIRED'
  readonly origin: Zxid
}

/** The sender's digest as of `zxid`, whose counter is a multiple of `digestEvery` (rule 28). */
export interface DigestTold {
  readonly kind: 'DIGEST'
  readonly epoch: number
  readonly zxid: Zxid
  readonly digest: Digest
}

/** A quorum has told `digest` at `zxid`, and the receiver another one. */
export interface Verdict {
  readonly kind: 'VERDICT'
  readonly epoch: number
  readonly zxid: Zxid
  readonly digest: Digest
}

/** A quarantined member asks for a snapshot at or behind `after`, of a state that does not contradict the verdict on it. */
export interface Rebuild {
  readonly kind: 'REBUILD'
  readonly epoch: number
  readonly zxid: Zxid
  readonly digest: Digest
  readonly after: Zxid
}

export type Lane = 'control' | 'entries' | 'bulk'

/** How many epoch end points an ACK-E carries at most: a learner that shares none of them is synchronised by SNAP. */
export const END_POINTS_MAX = 4096

export function laneOf(kind: MessageKind): Lane {
  switch (kind) {
    case 'TRUNC':
    case 'DIFF':
    case 'NEWLEADER':
    case 'PROPOSE':
    case 'REGISTER':
    case 'REQUESTS':
      return 'entries'
    case 'SNAP':
    case 'CHUNK':
      return 'bulk'
    default:
      return 'control'
  }
}

/** Messages that the shells exchange among themselves; the core takes them as a sign of life only, and notes how many CHUNKs have come. */
export function isShellMessage(kind: MessageKind): boolean {
  return kind === 'CHUNK' || kind === 'STORED' || kind === 'REGISTER' || kind === 'REQUESTS' || kind === 'RESEND' || kind === 'RETIRED'
}
