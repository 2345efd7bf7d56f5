import type { AntiphonError } from './errors.ts'
import type { Message, StagedPart } from './messages.ts'
import type { Run } from './run.ts'
import type { Checksum, Digest, Epochs, Founding, Millis, PeerId, SnapshotMeta } from './types.ts'
import type { Zxid } from './zxid.ts'

/** A message for one connection; dropped when that connection is gone (rule 7). To ourselves: connection 0. */
export interface Outgoing {
  readonly to: PeerId
  readonly connection: number
  readonly message: Message
}

/** Carried out as ONE ordered, atomic piece: founding, install, truncate, append, epochs, flush; then, and only then, `afterwards`. */
export interface Write {
  /** Ascending from 1. */
  readonly ticket: number
  /** The ensemble's birth record. */
  readonly founding: Founding | null
  /** The staged generation that takes the place of snapshot and log. */
  readonly install: number | null
  /** Drop every entry above; `checksum` is what the history must have there (rule 6). */
  readonly truncateTo: { readonly zxid: Zxid; readonly checksum: Checksum } | null
  readonly append: readonly Run[]
  readonly epochs: Epochs | null
  /** The acknowledgements that this durability permits, ones to ourselves included. */
  readonly afterwards: readonly Outgoing[]
}

/**
 * Stream to a peer. `diff`: the log's entries in (after, upTo] as PROPOSEs on the lane `entries`, whole runs, until `bytesMax` is reached; then input `transferred`, which
 * tells how far it came. `snap`: the newest snapshot as SNAP and CHUNKs.
 */
export interface Transfer {
  readonly transfer: number
  readonly to: PeerId
  readonly connection: number
  readonly mode: 'diff' | 'snap'
  readonly epoch: number
  readonly after: Zxid
  readonly upTo: Zxid
  readonly bytesMax: number
  /** Of a `snap`: what its receiver has already, to be gone on with if a snapshot here begins with the very same chunks; else it is sent anew. */
  readonly resume: StagedPart | null
}

/** Stage the CHUNKs of this transfer as a generation of its own (rule 14), then input `staged`. */
export interface Receive {
  readonly transfer: number
  readonly from: PeerId
  readonly connection: number
  readonly meta: SnapshotMeta
  /** Rule 28: it takes the place of our own snapshots, and of the machines' state, in front of a log that stays; then input `rebuilt`, not `staged`. */
  readonly rebuild: boolean
  /** So many have come already, under an earlier transfer: this one brings the rest. 0: it begins. */
  readonly chunks: number
}

/** Entries that follow a staged snapshot: into the generation's own log. */
export interface StagedAppend {
  readonly generation: number
  readonly runs: readonly Run[]
}

/** Read `number` may be answered once everything up to `zxid` is applied here; `zxid: null`: it will not be granted, ask again. */
export interface ReadGrant {
  readonly number: number
  readonly zxid: Zxid | null
}

export type RoleName = 'looking' | 'following' | 'leading' | 'observing'

/** `active` is false while looking, discovering and synchronising. */
export interface Role {
  readonly role: RoleName
  readonly leader: PeerId | null
  readonly epoch: number
  readonly active: boolean
}

export interface Close {
  readonly peer: PeerId
  readonly connection: number
  /** Why, for the log. */
  readonly reason: string
}

/** A peer that is not of ours: it is not listened to while its connection lasts, and the user should hear of it, once for each connection. */
export interface Refusal {
  readonly peer: PeerId
  readonly error: AntiphonError
}

/** Our state is not the quorum's (rule 28). */
export interface Quarantine {
  readonly zxid: Zxid
  /** Ours. */
  readonly digest: Digest
  readonly quorum: Digest
}

/** Valid until the next step(): the core reuses its arrays. Carried out in the order of the fields. */
export interface Effects {
  /** The staged generation is void. */
  readonly discards: readonly number[]
  /** Transfers of which the chunks were being staged, and are void. */
  readonly abandons: readonly number[]
  readonly stagedAppends: readonly StagedAppend[]
  readonly writes: readonly Write[]
  /** Need no durability; may overtake any write's `afterwards`. */
  readonly sends: readonly Outgoing[]
  readonly transfers: readonly Transfer[]
  /** Transfers of ours that are void: stop streaming. */
  readonly cancels: readonly number[]
  readonly receives: readonly Receive[]
  readonly closes: readonly Close[]
  readonly refusals: readonly Refusal[]
  /** Apply everything up to here, in order. Never decreases. After a write that installs, the machines are restored first. */
  readonly commitTo: Zxid | null
  readonly readable: readonly ReadGrant[]
  /** The machines' state is void: nothing is applied, read or snapshotted until it is replaced (input `rebuilt`). */
  readonly quarantine: Quarantine | null
  /** Members tell unequal digests at this ZXID, and no quorum can agree on one: nobody is judged, and the user should hear of it. */
  readonly disputed: Zxid | null
  /** A snapshot of our own is wanted, at or behind this ZXID, as soon as that is applied. */
  readonly snapshotDue: Zxid | null
  /** Set when role, leader, epoch or activity changed. */
  readonly role: Role | null
  /** The replica stops. */
  readonly fault: AntiphonError | null
  /** Monotonic: the next tick is due no later. */
  readonly wakeAt: Millis
}

/** What the shell needs to frame the next batch: null unless established, with the initial history applied. */
export interface Primary {
  readonly epoch: number
  readonly previous: Zxid
  readonly previousChecksum: Checksum
  /** The stamp for the batch: never less than the last entry's. */
  readonly time: Millis
  /** Entries that the epoch's counter still has room for. */
  readonly entriesRoom: number
  /** Bytes that may become uncommitted besides those that are; 0 or less: wait. */
  readonly bytesRoom: number
}
