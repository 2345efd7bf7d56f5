import { AntiphonError, type CommittedBatch, corrupt, type ProposeOptions, type Proposer, ZERO, type Zxid } from '@antiphon/ports'
import type { ActionOutcome, DispatchFunction, MutableAction, MutableActions, MutableModel, MutableState, MutableStateOptions } from './mutable-types.ts'
import { actionThrew, explained, refusal, refuse } from './refusals.ts'
import { attachedTwice, expectOptions, invalidSettings, isThenable, notAttached, Requests } from './requests.ts'
import { chunksOf, ValueStream } from './snapshot.ts'
import type { ActionRequest, Dispatch, ReadOptions } from './types.ts'

const FORMAT = 1

/**
 * The path for wide state: actions change a structure in place, on every replica, so nothing is copied and nothing is compared. The price is that actions must be deterministic, and
 * that a change which throws half-way stays half-way (on every replica alike).
 * @throws AntiphonError INVALID_SETTINGS
 */
export function mutableState<Model extends MutableModel, A extends MutableActions<Model>>(options: MutableStateOptions<Model, A>): MutableState<Model, A> {
  return new MutableStateMachine(options)
}

class MutableStateMachine<Model extends MutableModel, A extends MutableActions<Model>> implements MutableState<Model, A> {
  readonly name: string
  readonly version: number
  readonly dispatch: Dispatch<A>
  readonly #create: () => Model
  readonly #requests: Requests<MutableAction<Model>>
  #proposer: Proposer<ActionRequest, ActionOutcome> | null = null
  #model: Model
  #zxid: Zxid = ZERO

  constructor(options: MutableStateOptions<Model, A>) {
    expectOptions(options, 'create')
    this.name = options.name ?? 'mutable-state'
    this.version = options.version ?? 1
    if (typeof options.create !== 'function') throw invalidSettings('`create` is not a function', 'Write it as () => new Table().')
    this.#create = options.create
    this.#requests = new Requests<MutableAction<Model>>(options)
    this.#model = options.create()
    if (typeof this.#model?.view !== 'function' || typeof this.#model.load !== 'function') {
      throw invalidSettings('what `create` gives has no `view` and `load`', 'Give a Table, or a class that implements MutableModel.')
    }
    const dispatch: Record<string, DispatchFunction> = Object.create(null)
    for (const action of this.#requests.names) dispatch[action] = (payload, proposeOptions) => this.#dispatch(action, payload, proposeOptions)
    this.dispatch = Object.freeze(dispatch) as unknown as Dispatch<A>
    // What the model has for a digest, the machine has; without one, none.
    if (typeof this.#model.digest === 'function') this.digest = () => this.#model.digest!()
  }

  digest?: () => bigint

  get model(): Model {
    return this.#model
  }

  get zxid(): Zxid {
    return this.#zxid
  }

  async read({ level = 'linearizable', ...options }: ReadOptions = {}): Promise<Model> {
    if (this.#proposer === null) throw notAttached()
    await this.#proposer.read(level, options)
    return this.#model
  }

  attach(proposer: Proposer<ActionRequest, ActionOutcome>): void {
    if (this.#proposer !== null) throw attachedTwice(this.name)
    this.#proposer = proposer
  }

  encodeRequest(request: ActionRequest): Uint8Array {
    return this.#requests.encode(request)
  }

  decodeRequest(bytes: Uint8Array): ActionRequest {
    return this.#requests.decode(bytes)
  }

  encodeResult(outcome: ActionOutcome): Uint8Array {
    return this.#requests.encodeValue(outcome)
  }

  decodeResult(bytes: Uint8Array): ActionOutcome {
    return this.#requests.decodeValue(bytes) as ActionOutcome
  }

  apply(batch: CommittedBatch): ActionOutcome[] {
    const outcomes: ActionOutcome[] = []
    for (let i = 0; i < batch.length; i++) {
      outcomes.push(this.#applyOne(this.#requests.decode(batch.bytes, batch.start(i), batch.end(i)), batch.time(i), batch.zxid(i)))
    }
    if (batch.length > 0) this.#zxid = batch.zxid(batch.length - 1)
    return outcomes
  }

  /** What is thrown is the request's own outcome: the same everywhere, since the action is deterministic. */
  #applyOne({ action, payload }: ActionRequest, time: number, zxid: Zxid): ActionOutcome {
    const run = this.#requests.get(action)
    if (run === undefined) {
      throw new AntiphonError('VERSION_MISMATCH', `an action ${action} was replicated, which this version does not have`, {
        remedy: 'Run the same version on every replica; raise `version` with every change of the actions.',
      })
    }
    try {
      const result = run(this.#model, payload, { time, zxid })
      if (!isThenable(result)) return { result }
      result.then(undefined, () => {})
      throw refusal('ASYNC_ACTION', `the action ${action} returned a promise`)
    } catch (thrown) {
      const error = actionThrew(action, thrown)
      return { refusal: error.refusal ?? error.code, message: error.message }
    }
  }

  snapshot(): Iterable<Uint8Array> {
    return chunksOf(counted(this.#model.view()))
  }

  async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const model = this.#create()
    let values = 0
    let last: unknown
    const stream = new ValueStream((value) => {
      // One behind: the last value is the count.
      if (values === 1 && last !== FORMAT) throw corrupt('a snapshot is of another kind of machine, or of a newer version')
      if (values > 1) model.load(last)
      last = value
      values++
    })
    for await (const chunk of chunks) stream.push(chunk)
    stream.finish()
    if (values < 2 || last !== values - 2) throw corrupt('a snapshot is not whole')
    this.#model = model
    this.#zxid = zxid
  }

  async #dispatch(action: string, payload: unknown, options: ProposeOptions | undefined): Promise<unknown> {
    if (this.#proposer === null) throw notAttached()
    const outcome = await this.#proposer.propose({ action, payload }, options)
    if ('refusal' in outcome) throw explained(refuse(outcome.refusal, outcome.message))
    return outcome.result
  }
}

function* counted(items: Iterable<unknown>): Generator<unknown, void, undefined> {
  let count = 0
  yield FORMAT
  for (const item of items) {
    count++
    yield item
  }
  yield count
}
