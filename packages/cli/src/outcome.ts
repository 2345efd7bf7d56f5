import { AntiphonError } from '@antiphon/ports'

/** What a command has found or done. */
export interface Outcome {
  /** For machines: one object. */
  readonly report: object
  /** For people. */
  readonly text: string
  /** Damage was found. */
  readonly damaged?: boolean
}

export const SOUND = 0
export const DAMAGED = 1
export const NOT_DONE = 2

export interface Console {
  out(text: string): void
  err(text: string): void
}

/** Prints what `work` comes to; the exit status. */
export async function carryOut(console: Console, json: boolean, work: () => Promise<Outcome>): Promise<number> {
  try {
    const { report, text, damaged = false } = await work()
    console.out(json ? `${JSON.stringify({ ok: !damaged, ...report })}\n` : text)
    return damaged ? DAMAGED : SOUND
  } catch (thrown) {
    const error = asError(thrown)
    const { code, message, remedy, details } = error
    console.err(`antiphon: ${message} (${code})\n${remedy}\n`)
    if (json) console.out(`${JSON.stringify({ ok: false, error: { code, message, remedy, details } })}\n`)
    return code === 'CORRUPT' || code === 'DIVERGED' ? DAMAGED : NOT_DONE
  }
}

function asError(thrown: unknown): AntiphonError {
  if (thrown instanceof AntiphonError) return thrown
  const { code, message = String(thrown) } = (thrown ?? {}) as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new AntiphonError('DISK_FULL', message, { remedy: 'Make room on this volume, then try again.', cause: thrown })
  const remedy =
    code === undefined ? 'This is a fault of the program: report it with this message.' : 'See to the file or folder that the message names, then try again.'
  return new AntiphonError('DISK_FAILED', message, { remedy, cause: thrown })
}
