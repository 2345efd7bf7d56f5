import { AntiphonError, formatZxid, invalidArgument, type Outcome, type Zxid } from '@antiphon/ports'

// What a caller of propose, read and ready may meet; one place, so that code, outcome and remedy agree everywhere.

export function overloaded(bytes: number, bytesMax: number): AntiphonError {
  return new AntiphonError('OVERLOADED', `${bytes} bytes of requests wait already, of ${bytesMax} at most`, {
    remedy: 'Propose less at a time, propose with whenFull: "wait", or raise `queueBytesMax`.',
    details: { bytes, bytesMax },
  })
}

export function tooManyReads(most: number): AntiphonError {
  return new AntiphonError('OVERLOADED', `${most} linearizable reads wait already`, {
    remedy: 'Await reads before asking for more: one read serves all that is looked at behind it.',
    details: { most },
  })
}

export function requestTooLarge(bytes: number, bytesMax: number): AntiphonError {
  return new AntiphonError('TOO_LARGE', `a request of ${bytes} bytes is above the limit of ${bytesMax}`, {
    remedy: 'Split the request, or raise `requestBytesMax` on every replica.',
    details: { bytes, bytesMax },
  })
}

export function changeTooLarge(message: string): AntiphonError {
  return new AntiphonError('TOO_LARGE', message, { remedy: 'Ask for less in one request, or raise `requestBytesMax` on every replica.' })
}

export function refused(refusal: string, message: string): AntiphonError {
  return new AntiphonError('REFUSED', message, { remedy: `The state machine said no (${refusal}); look at the state and ask for something else.`, refusal })
}

const UNKNOWN_REMEDY = 'It may have happened, or may still happen: read the state before asking again.'

export function timedOut(outcome: Outcome, what: string): AntiphonError {
  return new AntiphonError('TIMEOUT', `${what} took longer than its timeout`, {
    outcome,
    remedy: outcome === 'unknown' ? UNKNOWN_REMEDY : 'Nothing was done: ask again, with more time if this recurs.',
  })
}

export function invalidTimeout(timeoutMs: unknown): AntiphonError {
  return invalidArgument(
    `timeoutMs is ${typeof timeoutMs === 'string' ? JSON.stringify(timeoutMs) : String(timeoutMs)}`,
    'Give milliseconds, 0 or more, or leave it out.',
  )
}

export function invalidSignal(): AntiphonError {
  return invalidArgument('signal is no AbortSignal', 'Pass the `signal` of an AbortController, or leave it out.')
}

export function invalidOptions(options: unknown): AntiphonError {
  return invalidArgument(`the options are ${options === null ? 'null' : `a ${typeof options}`}`, 'Pass an object, or leave them out.')
}

export function invalidWhenFull(whenFull: unknown): AntiphonError {
  return invalidArgument(`whenFull is ${String(whenFull)}`, 'Say `reject` or `wait`, or leave it out.')
}

export function aborted(outcome: Outcome, what: string, cause: unknown): AntiphonError {
  return new AntiphonError('ABORTED', `${what} was given up by its signal`, {
    outcome,
    cause,
    remedy: outcome === 'unknown' ? UNKNOWN_REMEDY : 'Nothing was done.',
  })
}

export function closed(outcome: Outcome, cause: AntiphonError | null): AntiphonError {
  const why = cause === null ? 'the replica is closed' : `the replica has stopped: ${cause.message}`
  return new AntiphonError('CLOSED', why, {
    outcome,
    remedy: outcome === 'unknown' ? `${UNKNOWN_REMEDY} Start a replica again first.` : 'Start a replica again.',
    ...(cause === null ? {} : { cause }),
  })
}

/** The request may have been sent, and what became of it went by while nobody looked: its origin's row was retired, and that again jumped over by a snapshot (rule 22). */
export function resultLost(why: string): AntiphonError {
  return new AntiphonError('ABORTED', `the result of a request passed this replica by: ${why}`, { outcome: 'unknown', remedy: UNKNOWN_REMEDY })
}

/** The request was applied while this replica was away, and its result was above what is kept for an origin (rule 22). */
export function resultTooLarge(bytesMax: number): AntiphonError {
  return new AntiphonError('RESULT_TOO_LARGE', 'the request was applied, and its result was too large to be kept for a replica that was not there', {
    outcome: 'applied',
    remedy: 'Do not ask again: it has happened. Read the state; return less from the state machine, or raise `resultsBytesMax` on every replica.',
    details: { bytesMax },
  })
}

/** The request was refused while this replica was away, and the reason was above what is kept for an origin (rule 22). */
export function refusalTooLarge(): AntiphonError {
  return refused('UNTOLD', 'the request was refused, and the reason was too large to be kept for a replica that was not there')
}

/** The request was applied, and its result, kept by another replica, cannot be read here. */
export function resultUnreadable(name: string, thrown: unknown): AntiphonError {
  return new AntiphonError('CORRUPT', `the machine \`${name}\` cannot decode the result of a request that was applied: ${messageOf(thrown)}`, {
    outcome: 'applied',
    remedy: 'Do not ask again: it has happened. Read the state, and see that decodeResult takes what encodeResult makes.',
    cause: thrown,
  })
}

export function notReady(cause: AntiphonError): AntiphonError {
  return new AntiphonError('NOT_READY', 'no leader was heard of, or its history was not caught up with, within the timeout', {
    remedy: 'See that a majority of the voters is running and reachable; the events `trouble` and `role` tell more.',
    cause,
  })
}

export function invalidSettings(message: string, remedy: string, cause?: unknown): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy, ...(cause === undefined ? {} : { cause }) })
}

/** What must never happen to a replica: it stops, and nothing more is said in its name. */
export function diverged(message: string, details: Readonly<Record<string, unknown>>, cause?: unknown): AntiphonError {
  return new AntiphonError('DIVERGED', message, {
    outcome: 'unknown',
    remedy:
      'Stop using this replica. Correct the state machine or report the bug, then restart it; if it happens again, wipe this member and let it be readmitted.',
    details,
    ...(cause === undefined ? {} : { cause }),
  })
}

export function unfitNote(name: string, bytesMax: number): AntiphonError {
  return invalidArgument(
    `the note of machine \`${name}\` is no Uint8Array of at most ${bytesMax} bytes, and was left out`,
    'Say less in `note`; what must arrive is a request.',
  )
}

export function machineThrew(name: string, where: string, thrown: unknown): AntiphonError {
  return diverged(`the machine \`${name}\` threw in ${where}: ${messageOf(thrown)}`, { machine: name }, thrown)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Of a read of what is here now. */
export function quarantined(): AntiphonError {
  return new AntiphonError('NOT_READY', "the state of this replica was found to differ from the quorum's and is being replaced", {
    remedy: 'Read `linearizable`, which waits for the new state; or read from another replica.',
  })
}

export function disputed(zxid: Zxid): AntiphonError {
  return new AntiphonError('DIVERGED', `the replicas' states at ${formatZxid(zxid)} differ, and no quorum agrees on one`, {
    outcome: 'unknown',
    remedy:
      'Compare the digests in `status()` of all replicas; a machine that is not deterministic is the usual cause. Every replica goes on with the state that it has.',
    details: { zxid },
  })
}
