/** What one measurement of a closed loop asks for: `inFlight` proposals are under way at any time. */
export interface Load {
  readonly inFlight: number
  readonly warmUpMs: number
  readonly measureMs: number
  /** Eight concurrent `pbkdf2` keep the process's thread pool busy meanwhile. */
  readonly starved: boolean
}

export interface Figures {
  readonly commits: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export const RECORD_BYTES = 100
