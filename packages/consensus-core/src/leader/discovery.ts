import type { AckEpoch, Cepoch } from '../messages.ts'
import { memberOf } from '../quorum.ts'
import { noReads } from '../reads.ts'
import { announceRole, dropKept, leave } from '../roles.ts'
import type { Leading } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'
import { ZERO } from '../zxid.ts'
import { hearClock } from './clocks.ts'
import { newAttempt, promiseEpoch } from './epoch-change.ts'
import { dropLearner, learnerOf, newLearner } from './follower-progress.ts'
import { invite, inviteWaiting } from './invitation.ts'
import { synchronize } from './synchronization.ts'

/** Phase 1 on the prospective leader: learn which epochs were promised, have a higher one promised, and make sure that nobody in the quorum knows more. */
export function lead(step: Step): void {
  const { state, now } = step
  // The history that counts is our own then.
  dropKept(step)
  const role: Leading = {
    name: 'leading',
    attempt: newAttempt(step),
    stage: 'collecting',
    epoch: 0,
    initialLast: ZERO,
    acknowledgedEpoch: false,
    acknowledgedLeader: false,
    acked: ZERO,
    learners: new Map(),
    heard: new Map(),
    since: now.monotonic,
    progressAt: now.monotonic,
    reads: noReads(),
    clocks: new Map(),
    polls: [],
  }
  state.role = role
  announceRole(step)
  // Those that decided before us have asked already. All their promises are known before an epoch is chosen.
  for (const [id, peer] of state.peers) if (peer.cepoch !== null && step.counted(id)) state.acceptedHeard = Math.max(state.acceptedHeard, peer.cepoch.accepted)
  for (const [id, peer] of state.peers) if (peer.identified && peer.cepoch !== null) onCepoch(step, id, peer.cepoch)
  if (state.role === role) proposeEpoch(step, role)
}

export function onCepoch(step: Step, from: PeerId, message: Cepoch): void {
  const { state } = step
  step.peer(from).cepoch = message
  const counted = step.counted(from)
  if (counted) state.acceptedHeard = Math.max(state.acceptedHeard, message.accepted)
  const { role } = state
  if (role.name !== 'leading') return
  // A member that begins anew on the same connection: its former relation is over.
  if (role.learners.has(from)) {
    dropLearner(step, role, from, 'the member begins discovery again')
    return
  }
  const learner = newLearner(step, from)
  if (role.epoch > 0 && counted && isShutOut(role, message)) {
    leave(step, `member ${from} has promised epoch ${message.accepted}: ours, ${role.epoch}, shuts it out`)
    return
  }
  role.learners.set(from, learner)
  if (counted) {
    role.heard.set(from, step.now.monotonic)
    role.progressAt = step.now.monotonic
  }
  if (role.stage === 'collecting') proposeEpoch(step, role)
  else invite(step, role, from, learner)
}

/** Rule 10: its promise forbids it to take part in our epoch. */
function isShutOut(role: Leading, cepoch: Cepoch): boolean {
  if (cepoch.accepted !== role.epoch) return cepoch.accepted > role.epoch
  return cepoch.acceptedFrom === null || cepoch.acceptedFrom.leader !== role.attempt.leader || cepoch.acceptedFrom.nonce !== role.attempt.nonce
}

/** With a quorum's promises known: an epoch above all of them, promised by ourselves first. */
function proposeEpoch(step: Step, role: Leading): void {
  if (role.stage !== 'collecting') return
  if (!step.isQuorum((id) => step.counted(id) && (id === step.self || role.learners.has(id)))) return
  promiseEpoch(step, role)
}

export function onAckEpoch(step: Step, from: PeerId, message: AckEpoch): void {
  const { role } = step.state
  if (role.name !== 'leading' || message.epoch !== role.epoch) return
  if (from === step.self) {
    role.acknowledgedEpoch = true
    if (role.stage === 'promising') role.stage = 'acknowledging'
    for (const learner of role.learners.values()) if (learner.stage === 'invited') learner.epoch = role.epoch
    inviteWaiting(step, role)
  } else {
    const learner = learnerOf(step, role, from)
    if (learner === null || learner.stage !== 'invited') return
    learner.stage = 'acknowledged'
    learner.epoch = role.epoch
    learner.ackEpoch = message
    hearClock(step, role, from, message.wall)
    if (learner.counted) {
      role.progressAt = step.now.monotonic
      // A voter without weight is in no quorum: what it knows more was never committed. One that is quarantined cannot lead, and whatever it knows more than a quorum
      // of others was not committed either (`beginEpoch`).
      const weighs = memberOf(step.configuration, from)!.weight > 0
      if (weighs && !message.quarantined && knowsMore(step, message)) {
        leave(step, `member ${from} knows more than we do`)
        return
      }
    }
    if (role.stage === 'synchronizing' || role.stage === 'established') synchronize(step, role, from, learner)
  }
  beginEpoch(step, role)
}

/** Is its history better than ours? */
function knowsMore(step: Step, ack: AckEpoch): boolean {
  const { epochs, history } = step.state
  return ack.current > epochs.current || (ack.current === epochs.current && ack.last > history.last)
}

/** With a quorum of ACK-E, none better: the epoch's history is ours. Our own current epoch becomes durable, and with it our own ACK-LD. */
function beginEpoch(step: Step, role: Leading): void {
  if (role.stage !== 'acknowledging') return
  const counts = (ack: AckEpoch | null | undefined): boolean => ack != null && !(ack.quarantined && knowsMore(step, ack))
  const acknowledged = (id: PeerId): boolean => step.counted(id) && (id === step.self ? role.acknowledgedEpoch : counts(role.learners.get(id)?.ackEpoch))
  if (!step.isQuorum(acknowledged)) return
  const { state } = step
  role.stage = 'synchronizing'
  role.initialLast = state.history.last
  role.progressAt = step.now.monotonic
  step.write({
    epochs: { ...state.epochs, current: role.epoch },
    afterwards: [step.outgoing(step.self, { kind: 'ACK-LD', epoch: role.epoch, last: role.initialLast })],
  })
  for (const [id, learner] of role.learners) if (learner.stage === 'acknowledged') synchronize(step, role, id, learner)
}
