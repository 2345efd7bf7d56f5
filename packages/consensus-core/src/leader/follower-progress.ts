import type { Leading, Learner } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'
import { maxZxid, ZERO, type Zxid } from '../zxid.ts'

export function newLearner(step: Step, peer: PeerId): Learner {
  return {
    connection: step.peer(peer).connection,
    counted: step.counted(peer),
    epoch: 0,
    stage: 'discovered',
    ackEpoch: null,
    transfer: 0,
    mode: null,
    keepAbove: ZERO,
    welcomedAt: ZERO,
    streaming: false,
    streamMark: ZERO,
    sent: ZERO,
    acked: ZERO,
    round: 0,
    heardAt: step.now.monotonic,
    rebuild: null,
    rebuilding: 0,
  }
}

/** Where a learner's window begins: what it is known to have, or was welcomed with. */
export function windowStart(learner: Learner): Zxid {
  return maxZxid(learner.acked, learner.welcomedAt)
}

/** How far a learner may see: voters everything, the others what is committed (rule 27), or what they hold already. */
export function horizon(step: Step, learner: Learner): Zxid {
  return learner.counted ? step.state.history.last : maxZxid(step.state.committed, learner.sent)
}

/** The same relation, for the epoch that comes next (rule 12): what was on its way to the learner is void. */
export function renewLearner(step: Step, role: Leading, peer: PeerId, learner: Learner): void {
  if (learner.transfer !== 0) step.cancels.push(learner.transfer)
  if (learner.rebuilding !== 0) step.cancels.push(learner.rebuilding)
  role.learners.set(peer, { ...newLearner(step, peer), epoch: learner.epoch, heardAt: learner.heardAt })
}

/** The learner behind a message, if the message came on the connection of that relation. */
export function learnerOf(step: Step, role: Leading, from: PeerId): Learner | null {
  const learner = role.learners.get(from)
  return learner !== undefined && learner.connection === step.peer(from).connection ? learner : null
}

/** Ends one learner's relation; the others do not notice (rule 17). */
export function dropLearner(step: Step, role: Leading, peer: PeerId, reason: string): void {
  const learner = role.learners.get(peer)
  if (learner === undefined) return
  if (learner.transfer !== 0) step.cancels.push(learner.transfer)
  if (learner.rebuilding !== 0) step.cancels.push(learner.rebuilding)
  role.learners.delete(peer)
  if (step.peer(peer).connection === learner.connection) step.close(peer, reason)
}
