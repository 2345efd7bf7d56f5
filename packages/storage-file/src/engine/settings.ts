import { AntiphonError } from '@antiphon/ports'
import type { LogSettings } from './log-files.ts'

export interface EngineOptions {
  /** A log segment is left when the next batch would make it longer than this. 64 MiB unless told. */
  readonly segmentBytes?: number
  /** How far in front of the writes files are kept zero-filled, in idle moments: a flush of zero-filled blocks is cheaper. 16 MiB unless told; 0: not at all. */
  readonly aheadBytes?: number
  /** What the packs of one batch come to at most, unless one alone is larger. 8 MiB unless told. */
  readonly batchBytesMax?: number
}

const FILL_BYTES = 512 * 1024

/** The options, checked, with what is not told filled in. @throws AntiphonError INVALID_SETTINGS */
export function engineSettings(options: EngineOptions): LogSettings & { readonly batchBytesMax: number } {
  const segmentBytes = atLeast(options.segmentBytes ?? 64 * 1024 * 1024, 1024, 'segmentBytes')
  const aheadBytes = Math.min(segmentBytes, atLeast(options.aheadBytes ?? 16 * 1024 * 1024, 0, 'aheadBytes'))
  const batchBytesMax = atLeast(options.batchBytesMax ?? 8 * 1024 * 1024, 1, 'batchBytesMax')
  return { segmentBytes, aheadBytes, fillBytes: Math.min(FILL_BYTES, aheadBytes), batchBytesMax }
}

function atLeast(value: number, min: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= min && value <= 2 ** 30) return value
  throw new AntiphonError('INVALID_SETTINGS', `${name} must be an integer from ${min} to 2^30, not ${value}`, {
    remedy: `Correct \`${name}\`, or leave it out.`,
  })
}
