import type { Leading } from '../state.ts'
import type { Step } from '../step.ts'

/** To everybody that was invited; for a round of reads only to those whose echo can confirm it. */
export function ping(step: Step, role: Leading, onlyCounted = false): void {
  const { state, now } = step
  for (const [id, learner] of role.learners) {
    if (learner.epoch === 0 || (onlyCounted && !learner.counted)) continue
    step.send(id, { kind: 'PING', epoch: learner.epoch, committed: state.committed, round: role.reads.round, wall: now.wall })
  }
}
