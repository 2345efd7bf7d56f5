import type { Millis, StateMachine, Zxid } from '@antiphon/ports'
import type { Model } from '../linearizability.ts'

/** Where a workload draws from: the only chance that it may use, or a seed would not show the same thing twice. */
export interface WorkloadRandom {
  /** 0 <= x < 1. */
  unit(): number
  /** An integer, 0 <= x < limit. */
  below(limit: number): number
  /** An integer, low <= x <= high. */
  between(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
}

export interface SimulateOptions<Request, Result> {
  /** A machine in its first state; each call gives another, all alike. */
  readonly machine: () => StateMachine<Request, Result>
  /** The next request of some client. `number` counts from 1 within a seed. */
  readonly workload: (random: WorkloadRandom, number: number) => Request
  /** How many, from 1 on; or these. 20 unless told. */
  readonly seeds?: number | readonly number[]
  /** Requests in each seed; 60 unless told. */
  readonly requests?: number
  /** The search ends behind so many findings; 1 unless told. */
  readonly findingsMax?: number
  /** What the machine is to its clients, as a sequential object: their calls must then be linearizable. */
  readonly model?: Model<string | number | object, Request, Result>
  /** Of a model that falls into parts that share no state: the part that a request is about. Parts are judged alone, and far faster. */
  readonly partition?: (request: Request) => string
}

export type FindingKind =
  | 'threw' // the machine threw where it may not
  | 'nondeterministic' // the same entries, applied in two fresh machines at different times, give different states or results
  | 'depends-on-batch' // the state depends on how entries are put into batches, or on whose they are
  | 'restore-differs' // a machine that was restored is not the one that the snapshot was taken of, at once or by what it does later
  | 'snapshot-differs' // a snapshot that is read while entries go on being applied is not the state as of its call
  | 'digest-differs' // equal states, unequal digests
  | 'diverged' // a member of the ensemble has another state or result than its entries give
  | 'not-abandoned' // what a reign prepared and lost is still seen by a later one
  | 'not-linearizable' // what clients were told fits no order of their calls that the model allows
  | 'violation' // the ensemble itself broke a promise: a bug of the library

export interface Finding<Request = unknown> {
  readonly kind: FindingKind
  /** `simulate({ ..., seeds: [seed] })` shows it again. */
  readonly seed: number
  /** What is wrong, where it shows, and what to do about it. */
  readonly explanation: string
  /** The entry behind which it shows; null when it belongs to none. */
  readonly zxid: Zxid | null
  /** The shortest run of this seed that was found to show it: requests made, entries of the machine, faults of the ensemble. */
  readonly requests: number
  readonly entries: number
  readonly faults: number
  /** The requests behind the entries up to there, oldest first; only of a machine without `prepare`, where a request is the entry. */
  readonly history: readonly Request[]
}

export interface SimulateResult<Request = unknown> {
  /** No finding. */
  readonly ok: boolean
  /** Seeds that were run: fewer than asked for when there were enough findings. */
  readonly seeds: number
  /** Entries of the machine, over all seeds. */
  readonly entries: number
  /** Leaders, crashes of any kind and restored snapshots, over all seeds: what the machine has been through. */
  readonly leaders: number
  readonly starts: number
  readonly restores: number
  readonly findings: readonly Finding<Request>[]
  /** For people: what an assertion says when it fails. */
  readonly report: string
}

/** An entry of the machine, in the one order. */
export interface Entry {
  readonly zxid: Zxid
  readonly time: Millis
  readonly bytes: Uint8Array
}

/** What is wrong with a machine, and the entry behind which it shows. */
export interface Flaw {
  readonly kind: FindingKind
  readonly zxid: Zxid | null
  readonly explanation: string
}

export type Make<Request, Result> = () => StateMachine<Request, Result>
