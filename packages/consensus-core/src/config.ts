import { AntiphonError } from './errors.ts'
import type { Configuration, EnsembleId, Member, PeerId } from './types.ts'
import { COUNTER_MAX } from './zxid.ts'

/** What a core is told at its birth. Durations are in ticks; units stand last. */
export interface CoreConfig {
  readonly self: PeerId
  /** The members of the settings: the configuration that is founded. Later the founding record's counts. */
  readonly initial: Configuration
  /** Fingerprint of the settings on which the ensemble must agree: 16 hexadecimal digits, in `SETTINGS_PARTS`. */
  readonly settings: string
  /** Minted by the shell at random; becomes the ensemble's id if we are the founder and found. */
  readonly freshEnsembleId: EnsembleId
  /** Seed of the core's own pseudo-random numbers (attempts, jitter): drawn at random by the shell for each start. */
  readonly seed: number
  readonly tickMs: number
  /** Silence that ends an established relation. */
  readonly syncLimitTicks: number
  /** Silence that ends discovery and synchronisation. */
  readonly initLimitTicks: number
  /** How long a decided election waits for a better vote. */
  readonly finalizeWaitTicks: number
  /** Longest pause after failed discoveries. */
  readonly backoffTicksMax: number
  /** Bytes sent to one learner and not yet acknowledged; also the bound of uncommitted bytes. */
  readonly windowBytes: number
  /** Bytes of recent runs kept in memory for learners that come soon. */
  readonly recentBytes: number
  /** The counter at which the reign ends as planned (rule 12); COUNTER_MAX but in tests. */
  readonly counterMax: number
  /** Agreed. How long one echo of a voter lets the leader read without asking (rule 23); 0: never. */
  readonly leaseMs: number
  /** Agreed. By how many thousandths the rate of a member's monotonic clock may differ from true time. */
  readonly leaseDriftPerMille: number
  /** How far a leader's wall clock may be ahead of the median of its voters' before entries carry the median (rule 24). */
  readonly clockAheadMsMax: number
}

/** What the digits of the settings' fingerprint stand for, so that a difference can be named. */
export const SETTINGS_PARTS: readonly { readonly what: string; readonly from: number; readonly to: number }[] = [
  { what: 'members', from: 0, to: 6 },
  { what: 'machines', from: 6, to: 12 },
  { what: 'limits (requestBytesMax, originWindow, readLease, digestEvery)', from: 12, to: 16 },
]

/** Defaults for one datacentre and a host with garbage collection: `protocol.md`, Settings. */
export const CORE_DEFAULTS: Omit<CoreConfig, 'self' | 'initial' | 'settings' | 'freshEnsembleId' | 'seed'> = {
  tickMs: 100,
  syncLimitTicks: 10,
  initLimitTicks: 50,
  finalizeWaitTicks: 2,
  backoffTicksMax: 300,
  windowBytes: 16 * 1024 * 1024,
  recentBytes: 8 * 1024 * 1024,
  counterMax: COUNTER_MAX,
  leaseMs: 0,
  leaseDriftPerMille: 10,
  clockAheadMsMax: 1000,
}

/** Longer, and a leader that is gone would be missed for too long. */
const LEASE_MS_MAX = 60_000
/** Beyond it a lease is hardly worth its name. */
const DRIFT_PER_MILLE_MAX = 500

/** @throws AntiphonError INVALID_SETTINGS */
export function validateConfig(config: CoreConfig): void {
  const voters = config.initial.members.filter((member) => member.role === 'voter')
  const refuse = (message: string, remedy: string): never => {
    throw new AntiphonError('INVALID_SETTINGS', message, { remedy })
  }
  if (!config.initial.members.some((member) => member.id === config.self))
    refuse(`member ${config.self} is not among the ensemble's members`, 'List every member, this one included, under `members`.')
  if (voters.length === 0) refuse('the ensemble has no voter', 'Give at least one member the role `voter`.')
  if (new Set(config.initial.members.map((member) => member.id)).size !== config.initial.members.length)
    refuse('a member is listed twice', 'Give each member an id of its own.')
  for (const member of config.initial.members) validateMember(member, refuse)
  if (!voters.some((member) => member.weight > 0)) refuse('no voter has a weight above 0', 'Give at least one voter a weight.')
  const positive: readonly (keyof typeof CORE_DEFAULTS)[] = [
    'tickMs',
    'syncLimitTicks',
    'initLimitTicks',
    'windowBytes',
    'backoffTicksMax',
    'counterMax',
    'clockAheadMsMax',
  ]
  for (const name of positive)
    if (!Number.isSafeInteger(config[name]) || config[name] < 1) refuse(`${name} must be a positive integer, not ${config[name]}`, `Correct \`${name}\`.`)
  if (!Number.isSafeInteger(config.finalizeWaitTicks) || config.finalizeWaitTicks < 0)
    refuse('finalizeWaitTicks must be 0 or more', 'Correct `finalizeWaitTicks`.')
  if (config.counterMax > COUNTER_MAX) refuse(`counterMax is above ${COUNTER_MAX}`, 'Leave `counterMax` to its default.')
  validateLease(config, refuse)
}

function validateLease({ leaseMs, leaseDriftPerMille, tickMs }: CoreConfig, refuse: (message: string, remedy: string) => never): void {
  if (!Number.isSafeInteger(leaseDriftPerMille) || leaseDriftPerMille < 0 || leaseDriftPerMille > DRIFT_PER_MILLE_MAX)
    refuse(`the drift of a lease is ${leaseDriftPerMille} per mille`, `Give \`readLease.driftPerMille\` an integer from 0 to ${DRIFT_PER_MILLE_MAX}.`)
  if (leaseMs === 0) return
  if (!Number.isSafeInteger(leaseMs) || leaseMs < 2 * tickMs || leaseMs > LEASE_MS_MAX)
    refuse(
      `a lease of ${leaseMs} ms is not an integer from two ticks (${2 * tickMs}) to ${LEASE_MS_MAX}`,
      'Give `readLease.ms` several ticks: each heartbeat renews it.',
    )
}

function validateMember(member: Member, refuse: (message: string, remedy: string) => never): void {
  if (!Number.isInteger(member.id) || member.id < 1 || member.id > 255)
    refuse(`member id ${member.id} is not an integer from 1 to 255`, 'Number the members from 1 to 255.')
  if (!Number.isSafeInteger(member.weight) || member.weight < 0) refuse(`member ${member.id} has weight ${member.weight}`, 'Weights are integers, 0 or more.')
  if (!Number.isSafeInteger(member.group) || member.group < 0) refuse(`member ${member.id} has group ${member.group}`, 'Groups are integers, 0 or more.')
}
