import { holdMs, serveMs } from './lease-promise.ts'
import type { Leading } from './state.ts'
import type { Step } from './step.ts'
import type { PeerId } from './types.ts'

// Rule 23, reads by lease. Of true time, a leader reads for at most `leaseMs` after it sent a round that a quorum echoed; each of that quorum holds out for at least `leaseMs` after
// it received that round. So no other leader can have been promised an epoch, and nothing committed elsewhere, while the lease stands: if clocks' rates are within the drift.

/** On a voter: an echo is about to leave. */
export function promiseLease(step: Step, leader: PeerId): void {
  if (step.config.leaseMs > 0) step.state.lease = { to: leader, until: step.now.monotonic + holdMs(step.config) }
}

/** Does an echo forbid us to help `candidate`? Not the leader to which it went: its new attempt ends its old reign. */
export function isPromisedAway(step: Step, candidate: PeerId): boolean {
  const { lease } = step.state
  return lease.to !== candidate && step.now.monotonic < lease.until
}

/** `leader` has told, behind every round that it sent us, that it does not lead: it reads by no lease any more. */
export function releaseLease(step: Step, leader: PeerId): void {
  const { lease } = step.state
  if (lease.to === leader && step.counted(leader)) step.state.lease = { to: leader, until: step.now.monotonic }
}

/** On the leader: is what it has committed all that was committed anywhere, as of `now`? */
export function holdsLease(step: Step, role: Leading): boolean {
  const { config, state, now } = step
  const { confirmedAt } = role.reads
  if (config.leaseMs === 0 || role.stage !== 'established' || confirmedAt === null || state.epochs.accepted !== role.epoch) return false
  return now.monotonic < confirmedAt + serveMs(config)
}
