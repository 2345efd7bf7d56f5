import type { AntiphonError, ProposeOptions } from '@antiphon/ports'
import { invalidOptions, invalidSignal, invalidTimeout, invalidWhenFull } from './errors.ts'

export interface WaitOptions {
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

/** What is wrong with the options of a call: found out before anything is taken. Null when nothing is. */
export function wrongIn(options: ProposeOptions): AntiphonError | null {
  if (typeof options !== 'object' || options === null) return invalidOptions(options)
  const { signal, timeoutMs, whenFull } = options
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs >= 0)) return invalidTimeout(timeoutMs)
  if (signal !== undefined && !isSignal(signal)) return invalidSignal()
  return whenFull === undefined || whenFull === 'reject' || whenFull === 'wait' ? null : invalidWhenFull(whenFull)
}

function isSignal(signal: unknown): signal is AbortSignal {
  const { addEventListener, removeEventListener } = Object(signal) as Partial<AbortSignal>
  return typeof addEventListener === 'function' && typeof removeEventListener === 'function'
}
