import { AntiphonError } from '@antiphon/ports'

interface Note {
  readonly key: string
  readonly isOver: boolean
  readonly error: () => AntiphonError
}

/** Quotas whose stay above a limit has been told, and that may be gone since. */
const TOLD_MAX = 1024

/** Of limits that are exceeded and refuse nothing. Each is told when it comes to that, and not again before a write has found itself within it. */
export class QuotaWarnings {
  readonly #tell: (warning: AntiphonError) => void
  readonly #told = new Set<string>()
  readonly #notes: Note[] = []

  constructor(tell: (warning: AntiphonError) => void) {
    this.#tell = tell
  }

  /** A change is begun, or what it came to so far is void. */
  begin(): void {
    this.#notes.length = 0
  }

  /** With the change that was begun the quota of `path` would hold `used`; -1: there is no limit. */
  note(path: string, what: 'nodes' | 'bytes', used: number, limit: number): void {
    const key = `${what} ${path}`
    const isOver = limit > -1 && used > limit
    if (isOver !== this.#told.has(key) || this.#notes.length > 0) this.#notes.push({ key, isOver, error: () => exceeded(path, what, used, limit) })
  }

  /** It is prepared. */
  commit(): void {
    for (const { key, isOver, error } of this.#notes) {
      if (isOver === this.#told.has(key)) continue
      if (!isOver) {
        this.#told.delete(key)
        continue
      }
      if (this.#told.size === TOLD_MAX) this.#told.clear()
      this.#told.add(key)
      this.#tell(error())
    }
  }
}

function exceeded(path: string, what: string, used: number, limit: number): AntiphonError {
  return new AntiphonError('REFUSED', `the quota of ${path} is exceeded: ${used} ${what}, and ${limit} is its limit; nothing was refused`, {
    refusal: 'QUOTA_EXCEEDED',
    outcome: 'applied',
    remedy: 'Delete something below the quota, raise it, or let hard limits refuse (`enforceQuota`).',
    details: { path, what, used, limit },
  })
}
