import { AntiphonError } from '@antiphon/ports'
import type { ZnodeTreeOptions } from './machine-types.ts'

/** Of the machine: what it proposes, applies and takes snapshots of. */
export const VERSION = 1
export const DEFAULT_NAME = 'znodes'
const INT_MAX = 2 ** 31 - 1
/** ZooKeeper's, of its ticks of two seconds. */
const DEFAULTS: Required<ZnodeTreeOptions> = {
  name: DEFAULT_NAME,
  dataBytesMax: 1024 * 1024 - 1,
  sessionTimeoutMsMin: 4000,
  sessionTimeoutMsMax: 40_000,
  enforceQuota: false,
  ttlNodes: true,
  reapEveryMs: 60_000,
  reapsPerMinuteMax: 10_000,
  containerUnusedMsMax: 0,
  checkAcls: true,
  schemes: [],
  superDigest: '',
  digestAlgorithm: 'SHA-1',
  config: null,
}

/** @throws AntiphonError INVALID_SETTINGS. Schemes and the super digest are looked at where they are used. */
export function resolveOptions(options: ZnodeTreeOptions): Required<ZnodeTreeOptions> {
  const resolved: Record<string, unknown> = { ...DEFAULTS }
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(DEFAULTS, key)) throw invalid(`there is no option ${key}`, `The options are: ${Object.keys(DEFAULTS).join(', ')}.`)
    if (value !== undefined) resolved[key] = value
  }
  const all = resolved as unknown as Required<ZnodeTreeOptions>
  if (all.config !== null && typeof all.config !== 'string') throw invalid('config is no string')
  for (const key of ['name', 'superDigest'] as const) if (typeof all[key] !== 'string') throw invalid(`${key} is no string`)
  if (all.name === '') throw invalid('name is empty')
  for (const key of ['enforceQuota', 'ttlNodes', 'checkAcls'] as const) if (typeof all[key] !== 'boolean') throw invalid(`${key} is no boolean`)
  for (const key of ['dataBytesMax', 'sessionTimeoutMsMin', 'sessionTimeoutMsMax', 'reapEveryMs', 'reapsPerMinuteMax'] as const) checkInt(key, all[key], 1)
  checkInt('containerUnusedMsMax', all.containerUnusedMsMax, 0)
  if (all.sessionTimeoutMsMin > all.sessionTimeoutMsMax) throw invalid('sessionTimeoutMsMin is above sessionTimeoutMsMax')
  if (!Array.isArray(all.schemes)) throw invalid('schemes are no array')
  if (all.digestAlgorithm !== 'SHA-1' && all.digestAlgorithm !== 'SHA-256') throw invalid(`there is no digestAlgorithm ${String(all.digestAlgorithm)}`)
  return Object.freeze(all)
}

function checkInt(key: string, value: number, min: number): void {
  if (!Number.isInteger(value) || value < min || value > INT_MAX) throw invalid(`${key} is ${value}, and no integer from ${min} to ${INT_MAX}`)
}

function invalid(message: string, remedy = 'Correct the option.'): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy })
}
