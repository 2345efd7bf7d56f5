import type { NewEpoch } from '../messages.ts'
import type { Leading, Learner } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'

export function newEpoch(role: Leading): NewEpoch {
  return { kind: 'NEWEPOCH', epoch: role.epoch, attempt: role.attempt }
}

/** NEWEPOCH, once our own promise is durable. Those that count nowhere are invited only by an established leader: an epoch that comes to nothing must not shut them out. */
export function invite(step: Step, role: Leading, id: PeerId, learner: Learner): void {
  if (learner.stage !== 'discovered') return
  const promised = role.stage !== 'collecting' && role.stage !== 'promising'
  if (!promised || (!learner.counted && role.stage !== 'established')) return
  learner.stage = 'invited'
  learner.epoch = role.epoch
  step.send(id, newEpoch(role))
}

export function inviteWaiting(step: Step, role: Leading): void {
  for (const [id, learner] of role.learners) invite(step, role, id, learner)
}
