import type { AntiphonError, Millis, ProposeOptions, ReadLevel, StateMachine, Zxid } from '@antiphon/ports'
import type { Draft, Immutable, Patch } from 'immer'

/** What an action is given besides the draft and its payload. Only the leader runs actions, so whatever it finds here need not be the same elsewhere: the patches carry it. */
export interface ActionContext {
  /** The time that the change's entry carries: Unix milliseconds, never decreasing along the history. */
  readonly time: Millis
  /** Uniform, 0 <= x < 2^32, an integer. */
  random(): number
  /** The reign in which the action runs. */
  readonly epoch: number
}

/**
 * Changes the draft; what it returns is what `dispatch` resolves with, and no new state. Synchronous. Throwing changes nothing and refuses the request.
 *
 * `any`: the payload is the action's own to declare.
 */
// biome-ignore lint/suspicious/noExplicitAny: parameters are contravariant; only `any` lets each action declare its own payload.
export type Action<State> = (state: Draft<State>, payload: any, context: ActionContext) => unknown
export type Actions<State> = Readonly<Record<string, Action<State>>>

// biome-ignore lint/suspicious/noExplicitAny: as above.
type PayloadOf<F> = F extends (state: any, ...rest: infer Rest) => unknown
  ? Rest extends []
    ? []
    : Rest extends [infer Payload, ...unknown[]]
      ? undefined extends Payload
        ? [payload?: Payload]
        : [payload: Payload]
      : Rest extends [(infer Payload)?, ...unknown[]]
        ? [payload?: Payload]
        : []
  : never

// biome-ignore lint/suspicious/noExplicitAny: as above.
type ResultOf<F> = F extends (...args: any[]) => infer Result ? (Result extends PromiseLike<unknown> ? never : Result) : never

/** One method for each action: its payload, then options. */
export type Dispatch<A> = {
  readonly [Name in keyof A]: PayloadOf<A[Name]> extends []
    ? (payload?: undefined, options?: ProposeOptions) => Promise<ResultOf<A[Name]>>
    : (...args: [...PayloadOf<A[Name]>, options?: ProposeOptions]) => Promise<ResultOf<A[Name]>>
}

export interface ImmerStateOptions<State, A extends Actions<State>> {
  /** Told apart from other machines by it: agreed by the ensemble. `immer-state` unless told. */
  readonly name?: string
  /** Raise it when replicas with the old actions and the new ones must not serve one ensemble. 1 unless told. */
  readonly version?: number
  /** The state before the first change: an object, an array, a Map or a Set. It travels with the first change, so that replicas that were built with different ones agree. */
  readonly initial: State
  readonly actions: A
  /** Looks at a payload where the request is made; what it throws rejects the request with INVALID_ARGUMENT before it counts. */
  readonly validate?: { readonly [Name in keyof A]?: (payload: unknown) => unknown }
}

/** What travels from the caller to the leader. */
export interface ActionRequest {
  readonly action: string
  readonly payload: unknown
}

/** Where a batch of changes ended. */
export interface Delivery {
  /** The batch's last entry. */
  readonly zxid: Zxid
  /** Its time as the leader stamped it; 0 when the state came with a snapshot. */
  readonly time: Millis
}

export interface SubscribeOptions<Selected> {
  /** Whether nothing changed; `Object.is` unless told. */
  readonly equals?: (selected: Selected, previous: Selected) => boolean
  /** Call the listener now as well, with the selected value twice. */
  readonly immediate?: boolean
}

export type Unsubscribe = () => void

export interface ReadOptions {
  /** `linearizable` unless told. */
  readonly level?: ReadLevel
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

/** A replicated state: what `immerState` makes, to be listed among a replica's `machines`. */
export interface ImmerState<State, A extends Actions<State>> extends StateMachine<ActionRequest, unknown> {
  /** What is applied here. Immutable: each batch makes another, which shares what did not change. */
  readonly state: Immutable<State>
  /** The last entry that is in `state`; 0 before the first. */
  readonly zxid: Zxid
  /**
   * Has the leader run an action; resolves with what the action returned, once this replica has applied the change, so that `state` shows it.
   * Errors: INVALID_ARGUMENT, REFUSED, TOO_LARGE, NOT_READY, and those of `Replica.propose`.
   */
  readonly dispatch: Dispatch<A>
  /** The state, at least as new as `level` says; `linearizable` unless told. */
  read(options?: ReadOptions): Promise<Immutable<State>>
  /** Called once a delivered batch, if it changed anything. */
  subscribe(listener: (state: Immutable<State>, previous: Immutable<State>) => void): Unsubscribe
  /** Called once a delivered batch, if it changed what the selector takes from the state. */
  subscribe<Selected>(
    selector: (state: Immutable<State>) => Selected,
    listener: (selected: Selected, previous: Selected) => void,
    options?: SubscribeOptions<Selected>,
  ): Unsubscribe
  /** What each delivered batch changed, as immer's `applyPatches` takes it. A snapshot that was restored comes as its difference to the state before. */
  patches(listener: (patches: readonly Patch[], delivery: Delivery) => void): Unsubscribe
  /** What a subscriber threw. The replica goes on, other subscribers are called. */
  on(event: 'trouble', listener: (error: AntiphonError) => void): this
  off(event: 'trouble', listener: (error: AntiphonError) => void): this
  digest(): bigint
}
