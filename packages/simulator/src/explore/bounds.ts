import { COUNTER_MAX } from '@antiphon/consensus-core'

/** Where the exploration begins; all of them are reached by the core itself, deterministically. */
export const STARTS = ['fresh', 'founded', 'established', 'committed', 'lagging', 'orphaned', 'divided'] as const

/**
 * fresh: empty stores, connected. founded: with the ensemble's record, connected, about to elect. established: a leader that both others follow, no entries. committed: the same with
 * one entry committed everywhere. lagging: one follower has not heard of that entry yet. orphaned: nor will it, the leader is down. divided: a leader has kept an entry for itself and is down; the other two have a new leader.
 */
export type Start = (typeof STARTS)[number]

/** How much may happen, in all: what led to the start counts too, but for ticks. */
export interface Bounds {
  readonly start: Start
  readonly proposals: number
  /** Attempts to lead. */
  readonly elections: number
  readonly crashes: number
  /** Crashes that lose writes which were not yet durable; the others keep what was handed to the store. */
  readonly unsynced: number
  /** Connections that are lost without anybody's doing. */
  readonly losses: number
  /** One member is cut off from both others. Connections come back at any later moment, or never. */
  readonly partitions: number
  /** Of each member, behind the start. */
  readonly ticks: number
  /** The counter at which an epoch ends (rule 12): 1 changes it behind each proposal. */
  readonly counterMax: number
}

export const BOUNDS: Bounds = {
  start: 'established',
  proposals: 2,
  elections: 3,
  crashes: 2,
  unsynced: 1,
  losses: 1,
  partitions: 1,
  ticks: 2,
  counterMax: COUNTER_MAX,
}
