import type { CoreConfig } from './config.ts'
import type { Epochs, Millis, PeerId } from './types.ts'

/** A voter's promise to one leader: until then it helps nobody else to an epoch (rule 23). */
export interface LeasePromise {
  /** 0: to whom is not known, so that it stands in everybody's way. */
  readonly to: PeerId | 0
  /** Monotonic. */
  readonly until: Millis
}

/** A voter's share of the drift: by its own clock, however fast that is, at least `leaseMs` have passed. */
export function holdMs(config: CoreConfig): Millis {
  return config.leaseMs * (1 + config.leaseDriftPerMille / 1000)
}

/** The leader's: by its own clock, however slow that is, at most `leaseMs` have passed. */
export function serveMs(config: CoreConfig): Millis {
  return config.leaseMs * (1 - config.leaseDriftPerMille / 1000)
}

/**
 * An earlier process may have echoed a moment ago, and only to the leader that its accepted epoch was promised to. What we promised ourselves ended with that process; who
 * never promised anything never echoed.
 */
export function heldSinceStart(config: CoreConfig, epochs: Epochs, now: Millis): LeasePromise {
  const to = epochs.acceptedFrom?.leader ?? 0
  return { to, until: epochs.accepted === 0 || to === config.self ? now : now + holdMs(config) }
}
