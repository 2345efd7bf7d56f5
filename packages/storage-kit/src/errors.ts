import { AntiphonError, corrupt, type ErrorCode, formatZxid, type Outcome, type Zxid } from '@antiphon/ports'

/** What a disk threw, as the error that the store's user sees. Whatever has a `code` as `node:fs` has it will do. */
export function diskError(cause: unknown, operation: string, file: string): AntiphonError {
  if (cause instanceof AntiphonError) return cause
  const code = String((cause as { code?: unknown } | null)?.code ?? 'unknown')
  const message = `${operation} of ${file} failed: ${cause instanceof Error ? cause.message : code}`
  const options = { outcome: 'unknown' as const, cause, details: { operation, file, errno: code } }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new AntiphonError('DISK_FULL', message, {
      ...options,
      remedy: 'Free space on this volume, then start the replica again; nothing that was acknowledged is lost.',
    })
  }
  const remedy =
    code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
      ? 'Give the process the right to read and write this folder, then start the replica again.'
      : 'Examine the volume before the replica is started again: a failed flush is never retried, because the system may have dropped what it could not write.'
  return new AntiphonError('DISK_FAILED', message, { ...options, remedy })
}

export function diverged(zxid: Zxid): AntiphonError {
  return new AntiphonError('DIVERGED', `the history at ${formatZxid(zxid)} has another checksum here`, {
    remedy: 'Keep this store as it is for examination; wipe the member that differs from a quorum and let it be readmitted.',
    details: { zxid },
  })
}

/** Corruption is named by file and offset (rule 2). */
export function corruptAt(file: string, offset: number, what: string): AntiphonError {
  return corrupt(`${file} at ${offset}: ${what}`, { file, offset })
}

/**
 * A file of another format is refused, never taken for damage or for a leftover.
 * @throws AntiphonError VERSION_MISMATCH
 */
export function expectVersion(found: number, known: number, what: string): void {
  if (found === known) return
  throw new AntiphonError('VERSION_MISMATCH', `${what} has format version ${found}; this program knows ${known}`, {
    remedy: 'Open it with the version of the program that wrote it, or a later one.',
    details: { found, known },
  })
}

/** What has ended a store, told from a failure of one snapshot alone, which may have the same code. */
export function storeFailure(error: unknown): AntiphonError {
  if (!(error instanceof AntiphonError)) {
    return new AntiphonError('DISK_FAILED', `the store stopped: ${String(error)}`, {
      outcome: 'unknown',
      cause: error,
      remedy: 'Report this with its cause; then start the replica again.',
    })
  }
  const { code, message, outcome, remedy, cause, details } = error
  return new AntiphonError(code, message, { outcome, remedy, cause, details: { ...details, storeFailed: true } })
}

/** An `AntiphonError` as data. */
export interface StoredError {
  readonly code: ErrorCode
  readonly message: string
  readonly outcome: Outcome
  readonly remedy: string
  readonly details: Readonly<Record<string, unknown>>
}

export function storedError(error: unknown): StoredError {
  const { code, message, outcome, remedy, details } = diskError(error, 'an operation', 'the store')
  return { code, message, outcome, remedy, details }
}

export function restoredError({ code, message, ...options }: StoredError): AntiphonError {
  return new AntiphonError(code, message, options)
}
