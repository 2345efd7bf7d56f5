import { BOUNDS, type Bounds } from './bounds.ts'

const QUIET = { ...BOUNDS, crashes: 0, unsynced: 0, losses: 0, partitions: 0, ticks: 0 }

/**
 * What is explored when nothing else is asked for: narrow scopes, which are exhausted or go deep, then the full bounds from every start. Each one's bounds lie within the issue's:
 * three voters, two proposals, three elections, two crashes, one loss of unsynced writes, one partition.
 */
export const PLAN: readonly Bounds[] = [
  { ...QUIET, start: 'established' },
  { ...QUIET, start: 'founded', elections: 1, proposals: 1 },
  { ...QUIET, start: 'established', ticks: 1 },
  { ...QUIET, start: 'established', counterMax: 1 },
  { ...QUIET, start: 'established', counterMax: 1, elections: 2, proposals: 1, crashes: 1, unsynced: 1 },
  { ...QUIET, start: 'divided', crashes: 1 },
  { ...QUIET, start: 'established', elections: 2, proposals: 1, crashes: 1, unsynced: 1 },
  { ...QUIET, start: 'lagging', elections: 2, proposals: 1, crashes: 1, unsynced: 1 },
  { ...QUIET, start: 'orphaned', proposals: 1, crashes: 2 },
  { ...QUIET, start: 'divided', losses: 2, crashes: 2, unsynced: 1, ticks: 1 },
  { ...BOUNDS, start: 'fresh' },
  { ...BOUNDS, start: 'founded' },
  { ...BOUNDS, start: 'established' },
  { ...BOUNDS, start: 'committed' },
  { ...BOUNDS, start: 'lagging' },
  { ...BOUNDS, start: 'orphaned' },
  { ...BOUNDS, start: 'divided', losses: 3 },
]
