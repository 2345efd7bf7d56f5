import { AntiphonError, invalidArgument, type Outcome } from '@antiphon/ports'
import { type OperationResult, pathFault, ZNODE_ERRORS, type ZnodeErrorCode, znodeError } from '@antiphon/znode-tree'

export function expired(outcome: Outcome = 'rejected'): AntiphonError {
  return ended('SESSION_EXPIRED', 'the session has expired', outcome)
}

export function moved(): AntiphonError {
  return ended('SESSION_MOVED', 'another holder has taken the session over', 'rejected')
}

function ended(code: ZnodeErrorCode, message: string, outcome: Outcome): AntiphonError {
  const { remedy, details } = znodeError(code)
  return new AntiphonError('REFUSED', message, { refusal: code, outcome, remedy, details })
}

export function closed(cause?: unknown): AntiphonError {
  return new AntiphonError('CLOSED', 'the session is closed', { remedy: 'Open a new session.', ...(cause === undefined ? {} : { cause }) })
}

export function unsound(): AntiphonError {
  return new AntiphonError('NOT_READY', "the state of this session's replica was found to differ from the quorum's and is being replaced", {
    remedy: 'Read with a promise and the level `linearizable`, which waits for the new state.',
  })
}

export function listenerThrew(thrown: unknown): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', `a listener threw: ${messageOf(thrown)}`, {
    remedy: 'Catch what the listener throws; the session went on without it.',
    cause: thrown,
  })
}

/** The first operation that failed, of a transaction that was not applied. */
export function transactionFailed(results: readonly OperationResult[], paths: readonly string[]): AntiphonError {
  const index = results.findIndex((result) => result.type === 'error' && result.error !== 'OK')
  const result = results[index]
  const code: ZnodeErrorCode = result?.type === 'error' ? result.error : 'RUNTIME_INCONSISTENCY'
  const { remedy } = znodeError(code)
  return new AntiphonError('REFUSED', `operation ${index} of the transaction: ${code} for ${paths[index]}`, {
    refusal: code,
    remedy,
    details: { zookeeperCode: ZNODE_ERRORS[code], index, path: paths[index] },
  })
}

export function corruptValue(path: string, thrown: unknown): AntiphonError {
  return new AntiphonError('REFUSED', `the data of ${path} can not be decoded: ${messageOf(thrown)}`, {
    refusal: 'CORRUPT_VALUE',
    remedy: 'Look who else writes this node, and in which format.',
    details: { path },
    cause: thrown,
  })
}

export function expectPath(path: unknown): asserts path is string {
  expectSlash(path)
  const fault = pathFault(path)
  if (fault !== null) throw invalidArgument(`${JSON.stringify(path)} is no path: ${fault}`)
}

export function expectSlash(path: unknown): asserts path is string {
  if (typeof path !== 'string' || !path.startsWith('/')) throw invalidArgument(`a path is a text that begins with /, not ${String(path)}`)
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
