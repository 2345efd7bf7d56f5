import { AntiphonError, type Clock } from '@antiphon/ports'
import type { CallOptions } from './types.ts'

/** `promise`, or the error of the call's own limits. What it waits for goes on. */
export function within<T>(promise: Promise<T>, { signal, timeoutMs }: CallOptions, clock: Clock): Promise<T> {
  if (signal === undefined && timeoutMs === undefined) return promise
  return new Promise((resolve, reject) => {
    const onAbort = (): void => end(() => reject(given('ABORTED', 'the read was given up', signal?.reason)))
    const cancel =
      timeoutMs === undefined
        ? null
        : clock.schedule(timeoutMs, () => end(() => reject(given('TIMEOUT', 'earlier writes of the session, or its events, were under way for too long'))))
    const end = (settle: () => void): void => {
      cancel?.()
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted === true) onAbort()
    promise.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    )
  })
}

function given(code: 'ABORTED' | 'TIMEOUT', message: string, cause?: unknown): AntiphonError {
  return new AntiphonError(code, message, { remedy: 'Read again, or wait longer.', ...(cause === undefined ? {} : { cause }) })
}
