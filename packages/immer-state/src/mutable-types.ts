import type { Millis, ProposeOptions, StateMachine, Zxid } from '@antiphon/ports'
import type { ActionRequest, Dispatch, ReadOptions } from './types.ts'

/** A structure of one's own that changes in place. `Table` is one. */
export interface MutableModel {
  /** What it holds, as values that a state may hold, one at a time: fixed at the moment of the call while changes go on, in the same order on every replica. */
  view(): Iterable<unknown>
  /** Takes back one item of `view()`; called in their order, on a fresh one. Items are immutable. */
  load(item: unknown): void
  /** Equal on every replica that holds the same. */
  digest?(): bigint
}

/** What an action is given: all of it is the same on every replica. */
export interface MutableContext {
  /** Unix milliseconds as the leader stamped the request, never decreasing. */
  readonly time: Millis
  readonly zxid: Zxid
}

/**
 * Changes the model in place, on every replica: **deterministic**. Whatever it needs is in the model, the payload and the context; no clock, no randomness, no I/O. Throwing makes `dispatch`
 * reject, and takes nothing back: look first, then change.
 */
// biome-ignore lint/suspicious/noExplicitAny: parameters are contravariant; only `any` lets each action declare its own payload.
export type MutableAction<Model> = (model: Model, payload: any, context: MutableContext) => unknown
export type MutableActions<Model> = Readonly<Record<string, MutableAction<Model>>>

export interface MutableStateOptions<Model extends MutableModel, A extends MutableActions<Model>> {
  /** `mutable-state` unless told. */
  readonly name?: string
  /** Raise it with every change of what an action does: replicas with different versions must not serve one ensemble. */
  readonly version?: number
  /** An empty one: at the start, and before a snapshot is loaded. */
  readonly create: () => Model
  readonly actions: A
  /** Looks at a payload where the request is made; what it throws rejects the request with INVALID_ARGUMENT before it counts. */
  readonly validate?: { readonly [Name in keyof A]?: (payload: unknown) => unknown }
}

/** What came of an action: its result, or why not. */
export type ActionOutcome = { readonly result: unknown } | { readonly refusal: string; readonly message: string }

/** A replicated structure that changes in place: what `mutableState` makes, to be listed among a replica's `machines`. */
export interface MutableState<Model extends MutableModel, A extends MutableActions<Model>> extends StateMachine<ActionRequest, ActionOutcome> {
  /** To read from. Changed from outside it would differ from the others' for good. */
  readonly model: Model
  readonly zxid: Zxid
  /** Has every replica run an action; resolves with what it returned here. Errors: INVALID_ARGUMENT, REFUSED, and those of `Replica.propose`. */
  readonly dispatch: Dispatch<A>
  /** The model, at least as new as `level` says; `linearizable` unless told. It goes on changing. */
  read(options?: ReadOptions): Promise<Model>
}

export type DispatchFunction = (payload?: unknown, options?: ProposeOptions) => Promise<unknown>
