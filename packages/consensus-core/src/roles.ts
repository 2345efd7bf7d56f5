import type { RoleName } from './effects.ts'
import type { Following, Leading, Staging } from './state.ts'
import { looking } from './state.ts'
import type { Step } from './step.ts'
import { ZERO } from './zxid.ts'

/**
 * Back to LOOKING. Whoever changes its mind closes the connections of the relation that ends: nothing that is still under way from it can then be taken for a part of
 * the next one, on any lane. `keeps`: it ended for no reason of its own, so that what it has staged may go on under the next one (rule 14).
 */
export function leave(step: Step, reason: string, keeps = false): void {
  const { state } = step
  const { role } = state
  if (role.name === 'looking') return
  voidReads(step, role)
  const active = role.name === 'leading' ? role.stage === 'established' : role.phase === 'active'
  if (role.name === 'leading') {
    for (const learner of role.learners.values()) {
      if (learner.transfer !== 0) step.cancels.push(learner.transfer)
      if (learner.rebuilding !== 0) step.cancels.push(learner.rebuilding)
    }
    for (const peer of role.learners.keys()) {
      step.peer(peer).parted = true
      step.close(peer, reason)
    }
    // The others would go on believing that we lead, for as long as our back-off keeps us silent.
    for (const [id, peer] of state.peers)
      if (peer.identified) step.send(id, { kind: 'VOTE', state: 'looking', leader: 0, zxid: ZERO, epoch: 0, round: state.round })
  } else {
    if (role.staging !== null) {
      if (keeps && role.staging.chunks > 0) state.kept = role.staging
      else voidStaging(step, role.staging)
    }
    step.peer(role.leader).parted = true
    if (step.peer(role.leader).connection === role.connection) step.close(role.leader, reason)
  }
  state.failures = active ? 0 : state.failures + 1
  const pause = active ? 0 : step.random() * Math.min(step.ticks(2 ** Math.min(state.failures, 20)), step.ticks(step.config.backoffTicksMax))
  state.role = looking(step.now.monotonic + pause)
  announceRole(step)
}

/** Nobody will answer these: whoever asked here asks again, and so do those who asked us, for they hear of it themselves. */
export function voidReads(step: Step, role: Leading | Following): void {
  if (role.name === 'leading') {
    const { reads } = role
    for (const ask of [...reads.underway.flatMap(({ asked }) => asked), ...reads.waiting])
      if (ask.connection === 0) step.readable.push({ number: ask.number, zxid: null })
    reads.underway.length = 0
    reads.waiting = []
    reads.confirmedAt = null
  } else {
    for (const number of role.reads) step.readable.push({ number, zxid: null })
    role.reads = []
  }
}

/** What was staged goes, all of it. */
export function voidStaging(step: Step, staging: Staging): void {
  if (staging.generation === null) step.abandons.push(staging.transfer)
  else step.discards.push(staging.generation)
}

/** What an earlier relation has left is of no use any more. */
export function dropKept(step: Step): void {
  const { kept } = step.state
  if (kept === null) return
  step.state.kept = null
  voidStaging(step, kept)
}

/** Tells the shell what we are now. */
export function announceRole(step: Step): void {
  const { role, epochs } = step.state
  const name: RoleName = role.name === 'following' ? (role.counted ? 'following' : 'observing') : role.name
  step.role = {
    role: name,
    leader: role.name === 'looking' ? null : role.name === 'leading' ? step.self : role.leader,
    epoch: role.name === 'looking' ? epochs.current : role.epoch,
    active: role.name === 'leading' ? role.stage === 'established' : role.name === 'following' && role.phase === 'active',
  }
}
