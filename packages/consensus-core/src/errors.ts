/**
 * Stable across major versions. What each means, and what to do about it, stands in the documentation under the same name;
 * an error carries its own remedy besides.
 */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_SETTINGS'
  | 'NOT_READY'
  | 'OVERLOADED'
  | 'TOO_LARGE'
  | 'RESULT_TOO_LARGE'
  | 'CLOSED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'REFUSED'
  | 'WRONG_ENSEMBLE'
  | 'UNKNOWN_PEER'
  | 'UNAUTHENTICATED'
  | 'VERSION_MISMATCH'
  | 'FOLDER_IN_USE'
  | 'FOLDER_FOREIGN'
  | 'CORRUPT'
  | 'DISK_FULL'
  | 'DISK_FAILED'
  | 'DIVERGED'

/** `rejected`: did not and will not happen. `unknown`: may have happened, or may still happen. `applied`: has happened, and only its result cannot be told. */
export type Outcome = 'rejected' | 'unknown' | 'applied'

export interface AntiphonErrorOptions {
  readonly outcome?: Outcome
  readonly remedy: string
  readonly cause?: unknown
  /** A machine's own code for a refusal, such as `NO_NODE`. */
  readonly refusal?: string
  readonly details?: Readonly<Record<string, unknown>>
}

/** The one error class of Antiphon. Branch on `code`; `message` is for people and may change. */
export class AntiphonError extends Error {
  override readonly name = 'AntiphonError'
  readonly code: ErrorCode
  readonly outcome: Outcome
  /** What to do about it, in one sentence. */
  readonly remedy: string
  /** For code REFUSED: the machine's own code. */
  readonly refusal: string | null
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: AntiphonErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.outcome = options.outcome ?? 'rejected'
    this.remedy = options.remedy
    this.refusal = options.refusal ?? null
    this.details = options.details ?? {}
  }
}

export function invalidArgument(message: string, remedy = 'Correct the argument; nothing was done.'): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', message, { remedy })
}

export function corrupt(message: string, details: Readonly<Record<string, unknown>> = {}): AntiphonError {
  return new AntiphonError('CORRUPT', message, {
    remedy: 'Do not edit or delete anything here. Restore this member from a backup, or wipe it and let it be readmitted.',
    details,
  })
}
