import type { CoreConfig } from './config.ts'
import { type History, historyOf } from './history.ts'
import { heldSinceStart, type LeasePromise } from './lease-promise.ts'
import type { AckEpoch, Cepoch, Rebuild, Vote } from './messages.ts'
import type { Attempt, Digest, EnsembleId, Epochs, Founding, Millis, Now, PeerId, SnapshotMeta, StoredState, StoreId } from './types.ts'
import { ZERO, type Zxid } from './zxid.ts'

/** All that a core remembers: plain data, so that it can be encoded, compared and explored. */
export interface CoreState {
  readonly storeId: StoreId
  /** Durable; null before. */
  founding: Founding | null
  /** Handed to the store and not yet durable: who holds one does not answer "empty" any more (rule 8). */
  foundingUnderway: Founding | null
  /** As of the last write handed to the store. */
  epochs: Epochs
  history: History
  /** Tail of the history that is durable; `durable <= history.last`, and the committed prefix need not be durable here. */
  durable: Zxid
  /** Applied <= committed <= history.last always; neither decreases. */
  committed: Zxid
  applied: Zxid
  nextTicket: number
  /** Handed to the store and not yet durable, oldest first. */
  readonly underway: UnderwayWrite[]
  readonly peers: Map<PeerId, PeerState>
  role: RoleState
  /** What a relation that broke has left staged (rule 14): in this process only, never beside a `staging` of the role, and nothing while we lead. */
  kept: Staging | null
  /** Fast leader election's logical clock. */
  round: number
  /** Highest accepted epoch of a counted voter that was ever heard of: the next epoch is above (rule 10). */
  acceptedHeard: number
  /** Discoveries in a row that came to nothing (rule 11). */
  failures: number
  nextTransfer: number
  nextRead: number
  randomState: number
  /** What our last echo promised (rule 23). */
  lease: LeasePromise
  lastTick: Millis
  faulted: boolean
  /** The newest digests of our own state, ascending: what a leader is told once we are active with it (rule 28). Empty while quarantined. */
  digests: OwnDigest[]
  /** The verdict on our state, which is void until it is rebuilt. Volatile: log and promises are sound, and a new process compares again. */
  quarantined: OwnDigest | null
  /** What was told of our state below this ZXID is of one that was replaced since. */
  soundFrom: Zxid
}

export interface OwnDigest {
  readonly zxid: Zxid
  readonly digest: Digest
}

/** What members told at one ZXID. */
export interface DigestPoll {
  readonly zxid: Zxid
  /** `counted`: as of the store that told it. */
  readonly told: Map<PeerId, { readonly digest: Digest; readonly counted: boolean }>
  /** What a quorum agrees on; null before. */
  verdict: Digest | null
  disputed: boolean
}

export interface UnderwayWrite {
  readonly ticket: number
  /** Monotonic: when it was handed over. */
  readonly since: Millis
  /** Tail of the history once it is durable. */
  readonly last: Zxid
  readonly founds: boolean
}

/** What is known of a peer through its live connection; forgotten with it. */
export interface PeerState {
  /** 0: no connection. */
  connection: number
  storeId: StoreId | null
  /** Its IDENTITY told our ensemble and our settings on this connection: only then is it listened to. */
  identified: boolean
  ensembleId: EnsembleId | null
  /** Null until its IDENTITY has come. */
  empty: boolean | null
  settings: string | null
  vote: Vote | null
  cepoch: Cepoch | null
  /** Our relation with it has ended since it was last identified: that it comes back then tells nothing new (rule 11). Outlives the connection. */
  parted: boolean
}

export type RoleState = Looking | Following | Leading

/** Electing, or waiting to. */
export interface Looking {
  readonly name: 'looking'
  /** False until the store has caught up and the back-off is over: no vote is given before (rules 7, 11). */
  electing: boolean
  heldUntil: Millis
  vote: Ballot | null
  /** When a quorum agrees: the moment at which that decides. */
  decideAt: Millis | null
  askAgainAt: Millis
}

/** What a vote is for. Compared by epoch, then ZXID, then id. */
export interface Ballot {
  readonly leader: PeerId
  readonly epoch: number
  readonly zxid: Zxid
}

export type FollowerPhase = 'discovering' | 'synchronizing' | 'welcomed' | 'active'

/** Follower, observer and learner alike. */
export interface Following {
  readonly name: 'following'
  readonly leader: PeerId
  readonly connection: number
  /** Does this store count as a voter (rule 9)? */
  readonly counted: boolean
  phase: FollowerPhase
  /** 0 until NEWEPOCH. */
  epoch: number
  /** The leader has named the point from which entries follow: PROPOSE is taken from then on. */
  diffing: boolean
  staging: Staging | null
  /** The leader's commit point as heard; kept although it is beyond what we hold (rule 16). */
  commitHeard: Zxid
  /** Monotonic: last sign of life, and while synchronising of progress (rule 18). */
  heardAt: Millis
  /** Reads sent to the leader and not yet answered, by their numbers. */
  reads: number[]
  /** The transfer by which we are being rebuilt; 0: none. */
  rebuilding: number
}

/** A snapshot on its way in, with the history that will follow it (rule 14). Nothing of it is acknowledged or counted before it is installed. */
export interface Staging {
  /** The leader's number of it; another one when it goes on under another relation. */
  transfer: number
  /** Null until all chunks are stored. */
  generation: number | null
  /** Chunks that have come, without gaps. */
  chunks: number
  /** CRC-32 over their bytes. */
  digest: number
  /** The last one has come. */
  complete: boolean
  readonly meta: SnapshotMeta
  readonly history: History
}

/** collecting: CEPOCHs; promising: our own promise becomes durable; acknowledging: ACK-Es; synchronizing: ACK-LDs; established: broadcast. */
export type LeaderStage = 'collecting' | 'promising' | 'acknowledging' | 'synchronizing' | 'established'

export interface Leading {
  readonly name: 'leading'
  /** A new one for each epoch (rule 12). */
  attempt: Attempt
  stage: LeaderStage
  /** 0 until a quorum's CEPOCHs are in; behind an exhausted counter the next one, while learners may still be in the one before. */
  epoch: number
  /** Our history's tail when the epoch began: nothing is prepared before it is applied (rule 20). */
  initialLast: Zxid
  /** Our own ACK-E, ACK-LD and ACKs, which come back from our own store (rule 5). */
  acknowledgedEpoch: boolean
  acknowledgedLeader: boolean
  acked: Zxid
  readonly learners: Map<PeerId, Learner>
  /** Monotonic: when a counted voter was last heard as our learner; outlives its connection (rule 25). */
  readonly heard: Map<PeerId, Millis>
  /** Monotonic: when this attempt began. */
  since: Millis
  /** Monotonic, before the stage `established`: the last progress of any counted voter. */
  progressAt: Millis
  reads: LeaderReads
  /** Of counted members, as they last told; outlive their connections (rule 24). */
  readonly clocks: Map<PeerId, ClockReading>
  /** Ascending by ZXID; the newest POLLS_MAX. */
  polls: DigestPoll[]
}

/** discovered: CEPOCH came; invited: NEWEPOCH sent; acknowledged: ACK-E came; transferring: a stream is under way; welcomed: NEWLEADER sent; active: ACK-LD came. */
export type LearnerStage = 'discovered' | 'invited' | 'acknowledged' | 'transferring' | 'welcomed' | 'active'

export interface Learner {
  readonly connection: number
  readonly counted: boolean
  /** The epoch that NEWEPOCH has opened on this relation; 0 before. Heartbeats name it. */
  epoch: number
  stage: LearnerStage
  ackEpoch: AckEpoch | null
  /** The transfer that is under way; 0: none. */
  transfer: number
  mode: 'diff' | 'trunc' | 'snap' | null
  /** Compaction keeps what is above, until the tail is met (rule 17). */
  keepAbove: Zxid
  /** NEWLEADER's last ZXID; 0 before. */
  welcomedAt: Zxid
  /** Its window was full: entries come to it from the store, piece by piece, until they meet the live ones (rule 17). */
  streaming: boolean
  /** While streaming: the next piece waits until this much is acknowledged. */
  streamMark: Zxid
  /** Last entry sent, or covered by the piece that is being streamed. */
  sent: Zxid
  /** Cumulative; `acked <= sent`. */
  acked: Zxid
  /** Highest read round echoed. */
  round: number
  heardAt: Millis
  /** It is quarantined, and waits for a snapshot that can be believed. */
  rebuild: Rebuild | null
  /** The transfer that brings it; 0: none yet. */
  rebuilding: number
}

export interface LeaderReads {
  /** Of the newest round that was sent; 0: none yet. */
  round: number
  /** Sent and not yet confirmed, oldest first; ROUNDS_MAX at most. */
  readonly underway: ReadRound[]
  /** Those that join the next round. */
  waiting: ReadAsk[]
  /** Monotonic: when the newest confirmed round was sent; null before the first. */
  confirmedAt: Millis | null
}

export interface ReadRound {
  readonly number: number
  /** The commit point when it was sent. */
  readonly point: Zxid
  /** Monotonic. */
  readonly sentAt: Millis
  readonly asked: readonly ReadAsk[]
}

/** A member's wall clock, seen from ours. */
export interface ClockReading {
  /** Its wall clock less our monotonic one, when it was told. */
  readonly offset: Millis
  /** Monotonic. */
  readonly heardAt: Millis
}

/** `from` ourselves: connection 0. */
export interface ReadAsk {
  readonly from: PeerId
  readonly connection: number
  readonly number: number
}

export function freshState(config: CoreConfig, stored: StoredState, now: Now): CoreState {
  const base = stored.snapshot?.zxid ?? ZERO
  const peers = new Map<PeerId, PeerState>()
  for (const member of config.initial.members) if (member.id !== config.self) peers.set(member.id, unknownPeer())
  return {
    storeId: stored.storeId,
    founding: stored.founding,
    foundingUnderway: null,
    epochs: stored.epochs,
    history: historyOf(stored),
    durable: stored.log.last,
    committed: base,
    applied: base,
    nextTicket: 1,
    underway: [],
    peers,
    role: looking(now.monotonic),
    kept: null,
    round: 0,
    acceptedHeard: 0,
    failures: 0,
    nextTransfer: 1,
    nextRead: 1,
    randomState: config.seed >>> 0 || 1,
    lease: heldSinceStart(config, stored.epochs, now.monotonic),
    lastTick: now.monotonic,
    faulted: false,
    digests: [],
    quarantined: null,
    soundFrom: ZERO,
  }
}

export function unknownPeer(): PeerState {
  return { connection: 0, storeId: null, identified: false, ensembleId: null, empty: null, settings: null, vote: null, cepoch: null, parted: false }
}

export function looking(heldUntil: Millis): Looking {
  return { name: 'looking', electing: false, heldUntil, vote: null, decideAt: null, askAgainAt: heldUntil }
}
