import { AntiphonError, corrupt, invalidArgument } from '@antiphon/ports'
import { offender } from './offender.ts'
import { ByteReader } from './reader.ts'
import type { ActionRequest } from './types.ts'
import { Outgrown, PIECE_BYTES_MAX, tooLarge, Unserialisable, VALUES_REMEDY } from './values.ts'
import { ByteWriter } from './writer.ts'

export interface RequestOptions<Action> {
  readonly actions: Readonly<Record<string, Action>>
  readonly validate?: Readonly<Record<string, ((payload: unknown) => unknown) | undefined>>
}

/**
 * What makers of states are given besides their actions: a misspelt option would be left at its default without a word.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function expectOptions(options: { readonly name?: string; readonly version?: number }, required: string): void {
  if (typeof options !== 'object' || options === null) throw invalidSettings('the options are not an object', `Pass { ${required}, actions }.`)
  const known = ['name', 'version', required, 'actions', 'validate']
  for (const option of Object.keys(options))
    if (!known.includes(option)) throw invalidSettings(`there is no option \`${option}\``, `Correct its name; the options are ${known.join(', ')}.`)
  const { name, version } = options
  if (name !== undefined && (typeof name !== 'string' || name === '')) throw invalidSettings('`name` is no text', 'Give the state a name, or leave it out.')
  if (version !== undefined && !Number.isSafeInteger(version)) throw invalidSettings('`version` is no integer', 'Give the state a version, or leave it out.')
}

/** The actions of a machine by name, and the way of a request to its bytes and back. */
export class Requests<Action> {
  readonly #actions: ReadonlyMap<string, Action>
  readonly #validate: Readonly<Record<string, ((payload: unknown) => unknown) | undefined>>
  readonly #writer = new ByteWriter()
  readonly #reader = new ByteReader()

  /** @throws AntiphonError INVALID_SETTINGS */
  constructor({ actions, validate = {} }: RequestOptions<Action>) {
    const known = Object.entries(actions ?? {})
    for (const [name, action] of known)
      if (typeof action !== 'function') throw invalidSettings(`the action ${name} is not a function`, 'Write it as (state, payload, context) => result.')
    if (known.length === 0) throw invalidSettings('there are no actions', 'Give the state at least one: actions: { name(state, payload) { ... } }.')
    this.#actions = new Map(known)
    if (typeof validate !== 'object' || validate === null)
      throw invalidSettings('`validate` is not an object', 'Give it a function for each action that has one.')
    for (const [name, look] of Object.entries(validate)) {
      if (!this.#actions.has(name))
        throw invalidSettings(`\`validate\` names ${name}, and there is no such action`, `Correct its name; the actions are: ${this.names.join(', ')}.`)
      if (look !== undefined && typeof look !== 'function')
        throw invalidSettings(`validate.${name} is not a function`, 'Write it as (payload) => { ... }, and throw.')
    }
    this.#validate = validate
  }

  get names(): readonly string[] {
    return [...this.#actions.keys()]
  }

  get(name: string): Action | undefined {
    return this.#actions.get(name)
  }

  /** @throws AntiphonError INVALID_ARGUMENT, TOO_LARGE */
  encode({ action, payload }: ActionRequest): Uint8Array {
    if (!this.#actions.has(action)) throw invalidArgument(`there is no action ${String(action)}`, `The actions are: ${this.names.join(', ')}.`)
    const validate = Object.hasOwn(this.#validate, action) ? this.#validate[action] : undefined
    try {
      validate?.(payload)
    } catch (thrown) {
      const message = `the payload of ${action} is wrong: ${thrown instanceof Error ? thrown.message : String(thrown)}`
      throw new AntiphonError('INVALID_ARGUMENT', message, { remedy: 'Correct the payload; nothing was done.', cause: thrown })
    }
    this.#writer.reset()
    this.#writer.string(action)
    return this.#finish(payload, `the payload of ${action}`)
  }

  /** @throws AntiphonError CORRUPT */
  decode(bytes: Uint8Array, start = 0, end: number = bytes.length): ActionRequest {
    const reader = this.#reader
    reader.open(bytes, start, end)
    const request = { action: reader.string(), payload: reader.value() }
    if (reader.at !== end) throw corrupt('a request goes on behind its end')
    reader.close()
    return request
  }

  /** @throws AntiphonError INVALID_ARGUMENT, TOO_LARGE */
  encodeValue(value: unknown): Uint8Array {
    this.#writer.reset()
    return this.#finish(value, 'the result')
  }

  decodeValue(bytes: Uint8Array): unknown {
    this.#reader.open(bytes)
    const value = this.#reader.value()
    this.#reader.close()
    return value
  }

  #finish(value: unknown, what: string): Uint8Array {
    try {
      this.#writer.value(value)
      this.#writer.check()
    } catch (thrown) {
      if (thrown instanceof Outgrown) throw tooLarge(what, PIECE_BYTES_MAX)
      if (thrown instanceof Unserialisable) throw invalidArgument(offender(value, what, thrown.message), VALUES_REMEDY)
      throw thrown
    }
    return this.#writer.finish()
  }
}

export function invalidSettings(message: string, remedy: string, cause?: unknown): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy, ...(cause === undefined ? {} : { cause }) })
}

export function notAttached(): AntiphonError {
  return new AntiphonError('NOT_READY', 'this state belongs to no replica yet', {
    remedy: 'List it among the `machines` of Replica.start, and dispatch after that.',
  })
}

export function attachedTwice(name: string): AntiphonError {
  return invalidSettings(`the state ${name} belongs to another replica`, 'Make another one for each replica.')
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
