import { AntiphonError } from '@antiphon/ports'
import { VALUES_REMEDY } from './values.ts'

/** Refusals that are the machine's own, and their remedies; an action's are its `refuse` codes. */
type RefusalCode =
  /** The action threw something without a code. */
  | 'ACTION_THREW'
  /** The action returned a promise. */
  | 'ASYNC_ACTION'
  /** The state or the result would not survive. */
  | 'UNSERIALISABLE'
  /** The leader does not know the action. */
  | 'UNKNOWN_ACTION'

const REMEDIES: Readonly<Record<RefusalCode, string>> = {
  ACTION_THREW: 'Correct the action, or have it throw `refuse(code, message)` where it means to say no.',
  ASYNC_ACTION: 'Actions are synchronous: await first, and dispatch what came of it.',
  UNSERIALISABLE: VALUES_REMEDY,
  UNKNOWN_ACTION: 'Bring every replica to the version that has this action, then dispatch it again.',
}

/** For an action to say no: `dispatch` rejects with AntiphonError REFUSED, whose `refusal` is `code` and whose message is `message`. Nothing is changed. */
export function refuse(code: string, message: string): AntiphonError {
  return new AntiphonError('REFUSED', message, { refusal: code, remedy: `The action said no (${code}); look at the state and ask for something else.` })
}

/** A refusal came back through the ensemble as code and message; its remedy is known here. */
export function explained(error: unknown): unknown {
  if (!(error instanceof AntiphonError) || error.code !== 'REFUSED') return error
  const { message, refusal, outcome, details } = error
  if (refusal === 'TOO_LARGE')
    return new AntiphonError('TOO_LARGE', message, {
      remedy: 'Do less in one action, or raise `requestBytesMax` on every replica.',
      outcome,
      details,
      cause: error,
    })
  if (refusal === null || !Object.hasOwn(REMEDIES, refusal)) return error
  return new AntiphonError('REFUSED', message, { refusal, remedy: REMEDIES[refusal as RefusalCode], outcome, details, cause: error })
}

/** What an action threw, as the refusal that it becomes. */
export function actionThrew(action: string, thrown: unknown): AntiphonError {
  if (thrown instanceof AntiphonError && thrown.refusal !== null) return thrown
  const { code } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as { code?: unknown }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  if (typeof code === 'string' && code !== '')
    return new AntiphonError('REFUSED', message, { refusal: code, remedy: `The action said no (${code}).`, cause: thrown })
  return new AntiphonError('REFUSED', `the action ${action} threw: ${message}`, { refusal: 'ACTION_THREW', remedy: REMEDIES.ACTION_THREW, cause: thrown })
}

export function refusal(code: RefusalCode, message: string): AntiphonError {
  return new AntiphonError('REFUSED', message, { refusal: code, remedy: REMEDIES[code] })
}
