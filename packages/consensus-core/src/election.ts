import { follow } from './follower/discovery.ts'
import { lead } from './leader/discovery.ts'
import { isPromisedAway, releaseLease } from './lease.ts'
import type { Vote } from './messages.ts'
import { memberOf } from './quorum.ts'
import { leave } from './roles.ts'
import type { Ballot, Looking } from './state.ts'
import type { Step } from './step.ts'
import type { PeerId } from './types.ts'

/**
 * Fast leader election, told over connections that keep order: the newest vote heard on each live connection is the whole truth about its sender, so every step
 * counts anew, and a candidate that cannot be reached is none. Its outcome is an oracle's: it promises nothing for safety.
 * Source: ZooKeeper's fast leader election; `zab-and-election.md` section 3.
 */

export function onVote(step: Step, from: PeerId, message: Vote): void {
  const peer = step.peer(from)
  peer.vote = message
  if (message.state !== 'leading') releaseLease(step, from)
  const { role } = step.state
  const asks = message.state === 'looking' || message.leader === 0
  if (asks) peer.cepoch = null
  if (role.name === 'looking') return
  if (asks) {
    if (role.name === 'following' && role.leader === from && message.leader !== from) leave(step, `member ${from} is looking for another leader`, true)
    else step.send(from, ownVote(step))
  } else if (role.name === 'following' && role.leader === from && message.state !== 'leading') {
    leave(step, `member ${from} does not lead any more`, true)
  }
}

/** Called at the end of every step that ends in LOOKING. */
export function advanceElection(step: Step): void {
  const { state, now } = step
  if (state.role.name !== 'looking' || state.founding === null) return
  const role = state.role
  if (!role.electing) {
    // Rule 7: no vote before the last write is durable. Rule 11: none during the back-off.
    if (state.underway.length > 0 || now.monotonic < role.heldUntil) return
    role.electing = true
    role.vote = ownBallot(step)
    state.round++
    role.askAgainAt = now.monotonic
  }
  if (adoptBetter(step, role)) {
    role.decideAt = null
    role.askAgainAt = now.monotonic
  }
  if (joinEstablished(step)) return
  const elected = electedBy(step, role)
  if (elected !== null) {
    begin(step, elected)
    return
  }
  if (now.monotonic >= role.askAgainAt) {
    role.askAgainAt = now.monotonic + step.ticks(ASK_AGAIN_TICKS)
    announce(step)
  }
}

/** Repeats the question while nothing is decided: an answer depends on the other's state, which changes without being told. */
const ASK_AGAIN_TICKS = 3

/** Tells every peer our vote and state. */
function announce(step: Step): void {
  const vote = ownVote(step)
  for (const [id, peer] of step.state.peers) if (peer.identified) step.send(id, vote)
}

export function ownVote(step: Step): Vote {
  const { role, round, epochs, history } = step.state
  switch (role.name) {
    case 'looking': {
      const { vote } = role
      return {
        kind: 'VOTE',
        state: step.counted(step.self) ? 'looking' : 'observing',
        leader: role.electing && vote !== null ? vote.leader : 0,
        zxid: vote?.zxid ?? history.last,
        epoch: vote?.epoch ?? epochs.current,
        round,
      }
    }
    case 'following':
      return { kind: 'VOTE', state: role.counted ? 'following' : 'observing', leader: role.leader, zxid: history.last, epoch: role.epoch, round }
    case 'leading':
      return { kind: 'VOTE', state: 'leading', leader: step.self, zxid: history.last, epoch: role.epoch, round }
  }
}

/**
 * For ourselves: if we count, have a weight, and reach a quorum. Who reaches none can not lead, and a vote for it would only keep others from being elected. Everything it
 * states is durable, because nothing is under way. Whose state is void stands for nobody's (rule 28).
 */
function ownBallot(step: Step): Ballot | null {
  if (step.state.quarantined !== null || isPromisedAway(step, step.self)) return null
  if (!step.counted(step.self) || memberOf(step.configuration, step.self)!.weight === 0) return null
  if (!step.isQuorum((id) => step.counted(id) && (id === step.self || step.peer(id).identified))) return null
  return { leader: step.self, epoch: step.state.epochs.current, zxid: step.state.history.last }
}

function beats(a: Ballot, b: Ballot | null): boolean {
  if (b === null) return true
  if (a.epoch !== b.epoch) return a.epoch > b.epoch
  if (a.zxid !== b.zxid) return a.zxid > b.zxid
  return a.leader > b.leader
}

function sameBallot(a: Ballot, b: Ballot): boolean {
  return a.leader === b.leader && a.epoch === b.epoch && a.zxid === b.zxid
}

/** The ballot of a peer that is electing, if it counts; null otherwise. */
function ballotOf(step: Step, id: PeerId): Ballot | null {
  const { vote, identified } = step.peer(id)
  if (!identified || vote === null || vote.state !== 'looking' || vote.leader === 0 || !step.counted(id)) return null
  return { leader: vote.leader, epoch: vote.epoch, zxid: vote.zxid }
}

/**
 * Takes over a later round, and of the round the best vote: among ourselves and those that we reach and that stand for themselves. Of all that reach a quorum the best one
 * is seen by that quorum, and prefers nobody to itself: so it is elected, however the links lie. True when our own vote or round changed.
 */
function adoptBetter(step: Step, role: Looking): boolean {
  const { state } = step
  if (!step.counted(step.self)) return false
  const { round } = state
  for (const [id, peer] of state.peers) {
    if (peer.identified && peer.vote?.state === 'looking' && step.counted(id)) state.round = Math.max(state.round, peer.vote.round)
  }
  let best = ownBallot(step)
  // Who decided before us leads already and does not look any more: our vote for it still holds, or nobody would ever gather a quorum that decides at different moments.
  if (role.vote !== null && role.vote.leader !== step.self && hasBegun(step, role.vote.leader) && !isPromisedAway(step, role.vote.leader)) best = role.vote
  for (const [id, peer] of state.peers) {
    const ballot = isPromisedAway(step, id) ? null : ballotOf(step, id)
    if (ballot !== null && ballot.leader === id && peer.vote!.round === state.round && beats(ballot, best)) best = ballot
  }
  const changed = state.round !== round || (best === null ? role.vote !== null : role.vote === null || !sameBallot(best, role.vote))
  role.vote = best
  return changed
}

function hasBegun(step: Step, id: PeerId): boolean {
  const { vote, identified } = step.peer(id)
  return identified && vote !== null && vote.state === 'leading' && vote.round === step.state.round
}

/** A member that leads and has a quorum behind it, ourselves counted in, is joined. */
function joinEstablished(step: Step): boolean {
  for (const [id, peer] of step.state.peers) {
    if (!peer.identified || peer.vote?.state !== 'leading' || !step.counted(id)) continue
    if (step.counted(step.self) && isPromisedAway(step, id)) continue
    const supported = step.isQuorum((voter) => {
      if (voter === id || voter === step.self) return step.counted(voter)
      const { vote, identified } = step.peer(voter)
      return identified && step.counted(voter) && vote?.state === 'following' && vote.leader === id
    })
    if (!supported && step.counted(step.self)) continue
    step.state.round = Math.max(step.state.round, peer.vote.round)
    begin(step, id)
    return true
  }
  return false
}

/** The candidate on which a quorum agrees, itself included, once no better vote has come for a while or all have spoken. */
function electedBy(step: Step, role: Looking): PeerId | null {
  const { vote } = role
  if (vote === null) return null
  const agrees = (id: PeerId): boolean => {
    if (!step.counted(id)) return false
    if (id === step.self) return true
    const ballot = ballotOf(step, id)
    if (ballot !== null) return step.peer(id).vote!.round === step.state.round && sameBallot(ballot, vote)
    const peer = step.peer(id)
    return (
      peer.identified &&
      peer.vote !== null &&
      peer.vote.round === step.state.round &&
      peer.vote.leader === vote.leader &&
      peer.vote.state !== 'looking' &&
      peer.vote.state !== 'observing'
    )
  }
  if (!agrees(vote.leader) || !step.isQuorum(agrees)) {
    role.decideAt = null
    return null
  }
  if (step.configuration.members.every((member) => member.role !== 'voter' || agrees(member.id))) return vote.leader
  role.decideAt ??= step.now.monotonic + step.ticks(step.config.finalizeWaitTicks)
  return step.now.monotonic >= role.decideAt ? vote.leader : null
}

function begin(step: Step, leader: PeerId): void {
  if (leader === step.self) lead(step)
  else follow(step, leader)
  announce(step)
}
