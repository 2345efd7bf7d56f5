import {
  AntiphonError,
  type CommittedBatch,
  corrupt,
  invalidArgument,
  type PrimaryContext,
  type ProposeOptions,
  type Proposer,
  ZERO,
  type Zxid,
} from '@antiphon/ports'
import { enableMapSet, Immer, type Immutable } from 'immer'
import { TypedEmitter } from 'tiny-typed-emitter'
import { diff } from './diff.ts'
import { Digester } from './digest.ts'
import { EditWriter } from './edits.ts'
import type { DispatchFunction } from './mutable-types.ts'
import { offender } from './offender.ts'
import { Patcher } from './patcher.ts'
import { ByteReader } from './reader.ts'
import { actionThrew, explained, refusal } from './refusals.ts'
import { attachedTwice, expectOptions, invalidSettings, isThenable, notAttached, Requests } from './requests.ts'
import { chunksOf, ValueStream } from './snapshot.ts'
import { Subscriptions } from './subscriptions.ts'
import type {
  Action,
  ActionContext,
  ActionRequest,
  Actions,
  Delivery,
  Dispatch,
  ImmerState,
  ImmerStateOptions,
  ReadOptions,
  SubscribeOptions,
  Unsubscribe,
} from './types.ts'
import { Outgrown, tooLarge, Unserialisable, VALUES_REMEDY } from './values.ts'
import { ByteWriter } from './writer.ts'

/** First byte of a change and of a snapshot. */
const FORMAT = 1

/** A change that was prepared and not applied yet, and the state behind it. */
interface Prepared {
  readonly change: Uint8Array
  readonly state: unknown
}

/**
 * A state that an ensemble replicates. Actions change drafts of it; the leader runs them, against everything prepared so far, and what they changed is replicated and applied
 * everywhere.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function immerState<State extends object, A extends Actions<State>>(options: ImmerStateOptions<State, A>): ImmerState<State, A> {
  return new ImmerStateMachine(options)
}

class ImmerStateMachine<State extends object, A extends Actions<State>>
  extends TypedEmitter<{ trouble(error: AntiphonError): void }>
  implements ImmerState<State, A>
{
  readonly name: string
  readonly version: number
  readonly dispatch: Dispatch<A>
  readonly #requests: Requests<Action<State>>
  readonly #immer: Immer
  readonly #subscriptions: Subscriptions
  readonly #digester = new Digester()
  readonly #initial: unknown
  #proposer: Proposer<ActionRequest, unknown> | null = null

  #state: unknown
  #zxid: Zxid = ZERO
  /** No change was applied yet: `#state` is this replica's own `initial`, of which the others know nothing. */
  #unborn = true
  /** Oldest first from `#preparedFrom` on; each state builds on the one before, the first on `#state`. */
  #prepared: Prepared[] = []
  #preparedFrom = 0

  readonly #writer = new ByteWriter()
  readonly #resultWriter = new ByteWriter()
  readonly #edits = new EditWriter(this.#writer)
  /** Reads payloads and results: theirs to change who get them. */
  readonly #reader = new ByteReader()
  /** Reads what becomes part of the state. */
  readonly #stateReader = new ByteReader()
  readonly #patcher = new Patcher(this.#stateReader)

  constructor(options: ImmerStateOptions<State, A>) {
    super()
    expectOptions(options, 'initial')
    enableMapSet()
    this.#stateReader.frozen = true

    this.name = options.name ?? 'immer-state'
    this.version = options.version ?? 1
    this.#requests = new Requests<Action<State>>(options)
    // States of drafts are read once and thrown away: what is kept comes from the change's bytes, on the leader too, and is frozen there.
    this.#immer = new Immer({ autoFreeze: false })
    this.#initial = this.#readInitial(options.initial)
    this.#state = this.#initial
    this.#subscriptions = new Subscriptions(this.#state, (error) => {
      this.emit('trouble', error)
      this.#proposer?.trouble?.(error)
    })
    const dispatch: Record<string, DispatchFunction> = Object.create(null)
    for (const action of this.#requests.names) dispatch[action] = (payload, proposeOptions) => this.#dispatch(action, payload, proposeOptions)
    this.dispatch = Object.freeze(dispatch) as unknown as Dispatch<A>
  }

  get state(): Immutable<State> {
    return this.#state as Immutable<State>
  }

  get zxid(): Zxid {
    return this.#zxid
  }

  async read({ level = 'linearizable', ...options }: ReadOptions = {}): Promise<Immutable<State>> {
    if (this.#proposer === null) throw notAttached()
    await this.#proposer.read(level, options)
    return this.state
  }

  subscribe<Selected>(
    first: ((state: Immutable<State>) => Selected) | ((state: Immutable<State>, previous: Immutable<State>) => void),
    listener?: (selected: Selected, previous: Selected) => void,
    options?: SubscribeOptions<Selected>,
  ): Unsubscribe {
    if (typeof first !== 'function' || (listener !== undefined && typeof listener !== 'function')) {
      throw invalidArgument('a subscriber is a function', 'Call subscribe(listener), or subscribe(selector, listener).')
    }
    const { equals } = options ?? {}
    if (equals !== undefined && typeof equals !== 'function')
      throw invalidArgument('`equals` is not a function', 'Write it as (selected, previous) => boolean, or leave it out.')
    if (listener === undefined) return this.#subscriptions.add(null, first as (selected: unknown, previous: unknown) => void, undefined)
    return this.#subscriptions.add(
      first as (state: unknown) => unknown,
      listener as (selected: unknown, previous: unknown) => void,
      options as SubscribeOptions<never> | undefined,
    )
  }

  patches(listener: Parameters<ImmerState<State, A>['patches']>[0]): Unsubscribe {
    if (typeof listener !== 'function') throw invalidArgument('a listener is a function')
    return this.#subscriptions.addPatches(listener)
  }

  // The port: where requests are made

  attach(proposer: Proposer<ActionRequest, unknown>): void {
    if (this.#proposer !== null) throw attachedTwice(this.name)
    this.#proposer = proposer
  }

  encodeRequest(request: ActionRequest): Uint8Array {
    return this.#requests.encode(request)
  }

  decodeRequest(bytes: Uint8Array): ActionRequest {
    return this.#requests.decode(bytes)
  }

  encodeResult(result: unknown): Uint8Array {
    return this.#requests.encodeValue(result)
  }

  decodeResult(bytes: Uint8Array): unknown {
    return this.#requests.decodeValue(bytes)
  }

  // The port: on the primary

  prepare(request: Uint8Array, context: PrimaryContext): Uint8Array {
    const { action, payload } = this.#requests.decode(request)
    const reducer = this.#requests.get(action)
    if (reducer === undefined) throw refusal('UNKNOWN_ACTION', `the leader has no action ${action}`)
    const base = this.#tip()
    const result = this.#resultWriter
    result.reset(context.changeBytesMax)
    const next = this.#run(action, reducer, base, payload, context)
    const change = this.#encodeChange(action, base, next, context.changeBytesMax)
    this.#prepared.push({ change, state: this.#advance(base, change, change.length) })
    return change
  }

  unprepare(): void {
    if (this.#prepared.length > this.#preparedFrom) this.#prepared.pop()
  }

  leading(): void {
    this.abandon()
  }

  abandon(): void {
    this.#prepared = []
    this.#preparedFrom = 0
  }

  // The port: on every replica

  apply(batch: CommittedBatch): unknown[] {
    const results: unknown[] = []
    if (batch.length === 0) return results
    let state = this.#state
    try {
      for (let i = 0; i < batch.length; i++) {
        state = this.#applyOne(state, batch, i)
        results.push(batch.needsResult(i) ? this.#resultOf(batch.bytes, batch.start(i), batch.end(i)) : undefined)
      }
    } catch (thrown) {
      this.#patcher.drop()
      throw thrown
    } finally {
      this.#stateReader.close()
      this.#reader.close()
    }
    this.#patcher.seal()
    const last = batch.length - 1
    this.#moveTo(state, { zxid: batch.zxid(last), time: batch.time(last) })
    return results
  }

  snapshot(): Iterable<Uint8Array> {
    return chunksOf(this.#unborn ? [FORMAT, 0] : [FORMAT, 1, this.#state])
  }

  async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const values: unknown[] = []
    const stream = new ValueStream((value) => values.push(value))
    for await (const chunk of chunks) stream.push(chunk)
    stream.finish()
    const [format, states, state] = values
    if (format !== FORMAT || (states !== 0 && states !== 1) || values.length !== 2 + states)
      throw corrupt('a snapshot is of another kind of machine, or of a newer version')
    this.abandon()
    this.#unborn = states === 0
    this.#moveTo(this.#unborn ? this.#initial : state, { zxid, time: 0 })
  }

  digest(): bigint {
    return this.#unborn ? 0n : this.#digester.digest(this.#state)
  }

  // Inside

  #dispatch(action: string, payload: unknown, options: ProposeOptions | undefined): Promise<unknown> {
    if (this.#proposer === null) return Promise.reject(notAttached())
    return this.#proposer.propose({ action, payload }, options).then(undefined, (error: unknown) => {
      throw explained(error)
    })
  }

  /** The state behind everything prepared so far. */
  #tip(): unknown {
    return this.#prepared.length > this.#preparedFrom ? this.#prepared.at(-1)!.state : this.#state
  }

  /** Runs an action on a draft; its result is left encoded in `#resultWriter`. */
  #run(action: string, reducer: Action<State>, base: unknown, payload: unknown, context: PrimaryContext): unknown {
    const actionContext: ActionContext = { time: context.time, epoch: context.epoch, random: () => context.random() }
    let result: unknown
    try {
      return this.#immer.produce(base, (draft: unknown) => {
        result = reducer(draft as never, payload, actionContext)
        if (isThenable(result)) {
          // Nobody waits for it; its failure is not to end the process.
          result.then(undefined, () => {})
          throw refusal('ASYNC_ACTION', `the action ${action} returned a promise`)
        }
        // Before the drafts in it are revoked.
        if (result !== undefined) this.#encodeResultOf(action, result, context.changeBytesMax)
      })
    } catch (thrown) {
      throw actionThrew(action, thrown)
    }
  }

  #encodeResultOf(action: string, result: unknown, bytesMax: number): void {
    try {
      this.#resultWriter.value(result)
      this.#resultWriter.check()
    } catch (thrown) {
      throw encodingFailed(thrown, () => offender(result, `the result of ${action}`, 'what does not survive'), `the result of ${action}`, bytesMax)
    }
  }

  /**
   * ```
   * u8 FORMAT, count of the result's bytes (0: undefined), result, script
   * ```
   *
   * The script of the first change of all replaces the whole state (see `initial`).
   */
  #encodeChange(action: string, base: unknown, next: unknown, bytesMax: number): Uint8Array {
    const writer = this.#writer
    const whole = this.#unborn && this.#prepared.length === this.#preparedFrom
    writer.reset(bytesMax)
    writer.u8(FORMAT)
    writer.count(this.#resultWriter.length)
    writer.append(this.#resultWriter.bytes, 0, this.#resultWriter.length)
    try {
      this.#edits.begin()
      if (whole) this.#edits.replace(next)
      else diff(base, next, this.#edits)
      this.#edits.finish()
    } catch (thrown) {
      throw encodingFailed(thrown, () => offender(next, 'state', 'what does not survive'), `the change of ${action}`, bytesMax)
    }
    return writer.finish()
  }

  /** The immutable state behind `change`, as every replica makes it. */
  #advance(base: unknown, change: Uint8Array, end: number): unknown {
    const reader = this.#stateReader
    reader.open(change, 0, end)
    this.#skipResult(reader)
    const state = this.#patcher.apply(base)
    this.#patcher.seal()
    reader.close()
    return state
  }

  #applyOne(base: unknown, batch: CommittedBatch, index: number): unknown {
    const start = batch.start(index)
    const end = batch.end(index)
    this.#unborn = false
    if (this.#preparedFrom < this.#prepared.length) {
      const { change, state } = this.#prepared[this.#preparedFrom]!
      if (equalBytes(change, batch.bytes, start, end)) {
        this.#forgetOldest()
        return state
      }
      // Somebody else's change came first: what was prepared on top of another state is void.
      this.abandon()
    }
    const reader = this.#stateReader
    reader.open(batch.bytes, start, end)
    this.#skipResult(reader)
    const state = this.#patcher.apply(base)
    if (reader.at !== end) throw corrupt('a change goes on behind its end')
    return state
  }

  #forgetOldest(): void {
    this.#preparedFrom++
    if (this.#preparedFrom === this.#prepared.length) {
      this.#prepared.length = 0
      this.#preparedFrom = 0
    } else if (this.#preparedFrom >= 1024 && this.#preparedFrom * 2 > this.#prepared.length) {
      this.#prepared = this.#prepared.slice(this.#preparedFrom)
      this.#preparedFrom = 0
    }
  }

  #skipResult(reader: ByteReader): void {
    if (reader.u8() !== FORMAT) throw corrupt('a change is of a newer version')
    const length = reader.count()
    reader.need(length)
    reader.at += length
  }

  #resultOf(bytes: Uint8Array, start: number, end: number): unknown {
    const reader = this.#reader
    reader.open(bytes, start + 1, end)
    return reader.count() === 0 ? undefined : reader.value()
  }

  #moveTo(state: unknown, delivery: Delivery): void {
    this.#state = state
    this.#zxid = delivery.zxid
    this.#subscriptions.moved(state, delivery)
  }

  /** A copy of our own, immutable. */
  #readInitial(initial: unknown): unknown {
    if (typeof initial !== 'object' || initial === null || initial instanceof Date || initial instanceof Uint8Array) {
      throw invalidSettings('`initial` is not an object, an array, a Map or a Set', VALUES_REMEDY)
    }
    try {
      this.#writer.reset()
      this.#writer.value(initial)
      this.#writer.check()
    } catch (thrown) {
      throw invalidSettings(offender(initial, 'initial', 'what does not survive'), VALUES_REMEDY, thrown)
    }
    this.#stateReader.open(this.#writer.bytes, 0, this.#writer.length)
    const copy = this.#stateReader.value()
    this.#stateReader.close()
    return copy
  }
}

/** @throws AntiphonError: as the refusal that it becomes */
function encodingFailed(thrown: unknown, where: () => string, what: string, bytesMax: number): unknown {
  if (thrown instanceof Outgrown)
    return new AntiphonError('REFUSED', tooLarge(what, bytesMax).message, { refusal: 'TOO_LARGE', remedy: tooLarge(what, bytesMax).remedy })
  if (thrown instanceof Unserialisable) return refusal('UNSERIALISABLE', where())
  // immer has corners in which it leaves a draft behind that it has revoked.
  return refusal('UNSERIALISABLE', `${what} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
}

function equalBytes(change: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (change.length !== end - start) return false
  for (let i = 0; i < change.length; i++) if (change[i] !== bytes[start + i]) return false
  return true
}
