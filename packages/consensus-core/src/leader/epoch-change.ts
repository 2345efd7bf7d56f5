import { ackEpochOf } from '../follower/acknowledgement.ts'
import { voidReads } from '../roles.ts'
import type { Leading } from '../state.ts'
import type { Step } from '../step.ts'
import type { Attempt } from '../types.ts'
import { counterOf, EPOCH_MAX, epochOf } from '../zxid.ts'
import { dropLearner, renewLearner } from './follower-progress.ts'
import { newEpoch } from './invitation.ts'

export function newAttempt(step: Step): Attempt {
  return { leader: step.self, nonce: Math.floor(step.random() * 0x20_0000) * 0x1_0000_0000 + Math.floor(step.random() * 0x1_0000_0000) }
}

/** An epoch above all promises that were heard of. Ours is durable before NEWEPOCH leaves; our own ACK-E comes back the same way. */
export function promiseEpoch(step: Step, role: Leading): void {
  const { state } = step
  const epoch = Math.max(state.epochs.accepted, state.acceptedHeard) + 1
  if (epoch > EPOCH_MAX) {
    step.stop('INVALID_SETTINGS', `epoch ${epoch} cannot be represented`, 'Move the state to a new ensemble.')
    return
  }
  role.stage = 'promising'
  role.epoch = epoch
  role.progressAt = step.now.monotonic
  const afterwards = [step.outgoing(step.self, ackEpochOf(step, epoch))]
  for (const [id, learner] of role.learners) {
    if (!learner.counted) continue
    learner.stage = 'invited'
    // One that is in the epoch before stays there until NEWEPOCH has left.
    if (learner.epoch === 0) learner.epoch = epoch
    afterwards.push(step.outgoing(id, newEpoch(role)))
  }
  step.write({ epochs: { accepted: epoch, acceptedFrom: role.attempt, current: state.epochs.current }, afterwards })
}

/**
 * Rule 12: the counter is used up, and everything is committed and applied. The same leader goes on in the next epoch, by the same phases, over the same connections: the
 * promises of a quorum, its ACK-Es, our own current epoch, NEWLEADER at the same end of the history, a quorum of ACK-LDs.
 *
 * Who is active and counts is asked at once; who counts nowhere, when the epoch is established. Who is still being synchronised begins anew, for it is owed
 * the rest of a stream that belongs to the epoch that ends.
 */
export function changeEpochIfDue(step: Step, role: Leading): void {
  const { state, config, now } = step
  const { last } = state.history
  if (role.stage !== 'established' || epochOf(last) !== role.epoch || counterOf(last) < config.counterMax) return
  if (state.committed < last || state.applied < last) return
  voidReads(step, role)
  for (const [id, learner] of [...role.learners]) {
    if (learner.stage === 'active') {
      if (learner.counted) renewLearner(step, role, id, learner)
    } else if (learner.stage !== 'discovered') {
      dropLearner(step, role, id, 'the epoch ends before it is active')
    }
  }
  role.attempt = newAttempt(step)
  role.acknowledgedEpoch = false
  role.acknowledgedLeader = false
  role.since = now.monotonic
  promiseEpoch(step, role)
}
