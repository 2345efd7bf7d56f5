import { openPolls, serveRebuilds } from '../digests.ts'
import type { Primary } from '../effects.ts'
import { append, bytesAbove, recentRuns, trimRecent } from '../history.ts'
import type { Ack } from '../messages.ts'
import { beat } from '../reads.ts'
import { announceRole, leave } from '../roles.ts'
import type { Run } from '../run.ts'
import type { Leading, Learner } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'
import { counterOf, epochOf, maxZxid, minZxid, type Zxid } from '../zxid.ts'
import { stampOf } from './clocks.ts'
import { changeEpochIfDue } from './epoch-change.ts'
import { dropLearner, learnerOf, renewLearner, windowStart } from './follower-progress.ts'
import { ping } from './heartbeat.ts'
import { inviteWaiting } from './invitation.ts'
import { beginStream, neededInMemory, streamOn } from './stream.ts'

/** A quorum has acknowledged NEWLEADER: its history, all of it, is committed, and the reign begins. */
export function establish(step: Step, role: Leading): void {
  const { state } = step
  role.stage = 'established'
  state.failures = 0
  step.commit(role.initialLast)
  // Those that count nowhere are still in the epoch before, if there was one (rule 12).
  for (const [id, learner] of role.learners) if (learner.epoch !== 0 && learner.epoch !== role.epoch) renewLearner(step, role, id, learner)
  for (const [id, learner] of role.learners) {
    if (learner.counted) role.heard.set(id, step.now.monotonic)
    if (learner.stage === 'active') step.send(id, { kind: 'COMMIT-LD', epoch: role.epoch, committed: state.committed })
  }
  announceRole(step)
  inviteWaiting(step, role)
  openPolls(step, role)
}

/** Phase 3. What the shell may prepare against, or null when it must not. */
export function primaryOf(step: Step): Primary | null {
  const { state, config } = step
  const { role, history } = state
  if (role.name !== 'leading' || role.stage !== 'established' || state.applied < role.initialLast || state.faulted || state.quarantined !== null) return null
  const counter = epochOf(history.last) === role.epoch ? counterOf(history.last) : 0
  return {
    epoch: role.epoch,
    previous: history.last,
    previousChecksum: history.checksum,
    time: Math.max(stampOf(step, role), history.time),
    entriesRoom: config.counterMax - counter,
    bytesRoom: config.windowBytes - bytesAbove(history, state.committed),
  }
}

/** The batch goes into our log and to every voter that was sent NEWLEADER, side by side (rule 16). */
export function onPropose(step: Step, run: Run): void {
  const { state } = step
  const { role, history } = state
  if (
    role.name !== 'leading' ||
    role.stage !== 'established' ||
    run.previous !== history.last ||
    run.previousChecksum !== history.checksum ||
    epochOf(run.first) !== role.epoch
  )
    return
  append(history, run)
  step.write({ append: [run], afterwards: [step.outgoing(step.self, { kind: 'ACK', epoch: role.epoch, upTo: run.last })] })
  for (const [id, learner] of role.learners) {
    if (learner.counted && (learner.stage === 'welcomed' || learner.stage === 'active')) sendRun(step, role, id, learner, run)
  }
  trim(step, role)
}

/** Memory keeps what is not committed, and what a learner's window holds or a stream is about to meet, however small `recentBytes` is. */
function trim(step: Step, role: Leading): void {
  const { history, committed } = step.state
  let needed = committed
  for (const learner of role.learners.values())
    if (learner.stage === 'welcomed' || learner.stage === 'active') needed = minZxid(needed, neededInMemory(step, learner))
  trimRecent(history, needed, step.config.recentBytes)
}

function sendRun(step: Step, role: Leading, id: PeerId, learner: Learner, run: Run): void {
  if (learner.streaming) return streamOn(step, role, id, learner)
  if (bytesAbove(step.state.history, windowStart(learner)) > step.config.windowBytes + run.bytes.length) return beginStream(step, role, id, learner)
  step.send(id, { kind: 'PROPOSE', epoch: role.epoch, committed: step.state.committed, run })
  learner.sent = run.last
}

export function onAck(step: Step, from: PeerId, message: Ack): void {
  const { role } = step.state
  if (role.name !== 'leading' || message.epoch !== role.epoch) return
  if (from === step.self) {
    role.acked = maxZxid(role.acked, message.upTo)
  } else {
    const learner = learnerOf(step, role, from)
    if (learner === null || message.upTo > learner.sent) return
    learner.acked = maxZxid(learner.acked, message.upTo)
    streamOn(step, role, from, learner)
  }
  if (role.stage === 'established') advanceCommit(step, role)
}

/** The highest entry that a quorum has durably; only of this epoch, behind ACK-LDs: copies of an earlier epoch's entries alone commit nothing. */
export function advanceCommit(step: Step, role: Leading): void {
  const { state } = step
  let best = state.committed
  const consider = (zxid: Zxid): void => {
    if (zxid <= best) return
    if (step.isQuorum((id) => step.counted(id) && (id === step.self ? role.acknowledgedLeader && role.acked >= zxid : holds(role.learners.get(id), zxid))))
      best = zxid
  }
  consider(role.acked)
  for (const learner of role.learners.values()) if (learner.counted && learner.stage === 'active') consider(learner.acked)
  if (best === state.committed) return
  step.commit(best)
  for (const [id, learner] of role.learners) {
    if (learner.counted) {
      if (learner.stage === 'active') step.send(id, { kind: 'COMMIT', epoch: role.epoch, committed: best })
    } else if (learner.stage === 'welcomed' || learner.stage === 'active') {
      informObserver(step, role, id, learner)
    }
  }
  trim(step, role)
}

function holds(learner: Learner | undefined, zxid: Zxid): boolean {
  return learner !== undefined && learner.stage === 'active' && learner.acked >= zxid
}

/** Rule 27: an observer gets committed entries only. */
function informObserver(step: Step, role: Leading, id: PeerId, learner: Learner): void {
  const { history, committed } = step.state
  if (committed <= learner.sent) return
  if (learner.streaming) return streamOn(step, role, id, learner)
  const runs = recentRuns(history, learner.sent, committed)
  if (runs === null) beginStream(step, role, id, learner)
  else for (const run of runs) sendRun(step, role, id, learner, run)
}

/** Once a tick: heartbeats, and who has fallen silent (rule 25). */
export function leaderTick(step: Step, role: Leading): void {
  const { state, now, config } = step
  const syncLimit = step.ticks(config.syncLimitTicks)
  const initLimit = step.ticks(config.initLimitTicks)
  const oldest = state.underway[0]
  if (oldest !== undefined && now.monotonic - oldest.since > (role.stage === 'established' ? syncLimit : initLimit)) {
    leave(step, 'our own store is silent')
    return
  }
  for (const [id, learner] of [...role.learners]) {
    const limit = learner.stage === 'active' ? syncLimit : initLimit
    if (now.monotonic - learner.heardAt > limit) dropLearner(step, role, id, 'it has fallen silent')
  }
  if (role.stage !== 'established') {
    if (now.monotonic - role.progressAt > initLimit) leave(step, 'no quorum made progress')
    else if (now.monotonic - role.since > syncLimit && !isAwaited(step, role)) leave(step, 'no quorum follows')
    else ping(step, role)
    return
  }
  if (!step.isQuorum((id) => (id === step.self ? step.counted(id) : heardWithin(role, id, now.monotonic - syncLimit)))) {
    leave(step, 'a quorum has fallen silent')
    return
  }
  changeEpochIfDue(step, role)
  serveRebuilds(step, role)
  if (state.role !== role) return
  if (role.stage === 'established') beat(step, role)
  else if (!state.faulted) ping(step, role)
}

/** Do enough voters follow us, or say that they do? */
function isAwaited(step: Step, role: Leading): boolean {
  return step.isQuorum((id) => {
    if (!step.counted(id)) return false
    if (id === step.self || role.learners.has(id)) return true
    const { vote } = step.peer(id)
    return vote !== null && vote.state === 'following' && vote.leader === step.self
  })
}

function heardWithin(role: Leading, id: PeerId, since: number): boolean {
  const at = role.heard.get(id)
  return at !== undefined && at >= since
}

/** Any message from a learner is a sign of life. */
export function hearLearner(step: Step, role: Leading, from: PeerId): void {
  const learner = learnerOf(step, role, from)
  if (learner === null) return
  learner.heardAt = step.now.monotonic
  if (!learner.counted) return
  role.heard.set(from, step.now.monotonic)
  // A learner that stores what it was sent ends the relation itself when its store falls silent: until then its words are progress (rule 18).
  if (learner.stage === 'transferring' || learner.stage === 'welcomed') role.progressAt = step.now.monotonic
}
