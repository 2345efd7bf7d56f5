import { isPromisedAway } from '../lease.ts'
import type { NewEpoch } from '../messages.ts'
import { announceRole, leave, voidReads } from '../roles.ts'
import type { Following } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'
import { ZERO } from '../zxid.ts'
import { ackEpochOf } from './acknowledgement.ts'

/** Phase 1 on a follower, an observer or a learner. The election has checked that the leader is connected. */
export function follow(step: Step, leader: PeerId): void {
  const { state, now } = step
  state.role = {
    name: 'following',
    leader,
    connection: step.peer(leader).connection,
    counted: step.counted(step.self),
    phase: 'discovering',
    epoch: 0,
    diffing: false,
    staging: null,
    commitHeard: ZERO,
    heardAt: now.monotonic,
    reads: [],
    rebuilding: 0,
  }
  announceRole(step)
  // Rule 7: nothing is under way to the store, so that this is what a crash would leave.
  step.send(leader, { kind: 'CEPOCH', accepted: state.epochs.accepted, acceptedFrom: state.epochs.acceptedFrom })
}

/** Rule 10: promised when above what was promised before, or again to the same attempt. The promise is durable before ACK-E leaves. */
export function onNewEpoch(step: Step, role: Following, message: NewEpoch): void {
  const { epochs } = step.state
  const { epoch, attempt } = message
  if (role.phase === 'active' && epoch > role.epoch) endEpoch(step, role)
  else if (role.phase !== 'discovering') return
  role.heardAt = step.now.monotonic
  if (!role.counted) {
    if (epoch < epochs.current) {
      leave(step, `epoch ${epoch} is older than ours, ${epochs.current}`)
      return
    }
    role.epoch = epoch
    role.phase = 'synchronizing'
    step.send(role.leader, ackEpochOf(step, epoch))
    return
  }
  const again =
    epoch === epochs.accepted && epochs.acceptedFrom !== null && epochs.acceptedFrom.leader === attempt.leader && epochs.acceptedFrom.nonce === attempt.nonce
  if (epoch <= epochs.accepted && !again) {
    leave(step, `epoch ${epoch} is not above the promised one, ${epochs.accepted}`)
    return
  }
  if (isPromisedAway(step, attempt.leader)) {
    leave(step, 'our echo to another leader still binds us')
    return
  }
  role.epoch = epoch
  role.phase = 'synchronizing'
  step.write({ epochs: { accepted: epoch, acceptedFrom: attempt, current: epochs.current }, afterwards: [step.outgoing(role.leader, ackEpochOf(step, epoch))] })
}

/**
 * Rule 12: the leader's counter is used up, and it goes on in a later epoch. What is still on its way in the old one is not listened to any more: ACK-E says exactly what we
 * hold, and the rest comes again.
 */
function endEpoch(step: Step, role: Following): void {
  voidReads(step, role)
  role.phase = 'discovering'
  role.diffing = false
}
