import { bytesAbove, checksumAt, commonPoint, includes, recentRuns } from '../history.ts'
import { type AckLeader, END_POINTS_MAX, type Received, type StagedPart } from '../messages.ts'
import type { Leading, Learner } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'
import { maxZxid, minZxid, type Zxid } from '../zxid.ts'
import { advanceCommit, establish } from './broadcast.ts'
import { dropLearner, horizon, learnerOf } from './follower-progress.ts'
import { onStreamed, streamOn } from './stream.ts'

/** Phase 2 on the leader: bring one learner to exactly our history, by the shortest way (rule 13). */
export function synchronize(step: Step, role: Leading, id: PeerId, learner: Learner): void {
  const { history } = step.state
  const theirs = learner.ackEpoch!
  const common = commonPoint(history.endPoints, theirs.endPoints, theirs.endPoints.length < END_POINTS_MAX)
  if (common === null || common.zxid < history.start) {
    if (!continueStaged(step, role, id, learner)) startTransfer(step, role, id, learner, 'snap')
    return
  }
  learner.mode = 'diff'
  if (common.zxid < theirs.last) {
    learner.mode = 'trunc'
    step.send(id, { kind: 'TRUNC', epoch: role.epoch, to: common.zxid, checksum: common.checksum })
  }
  step.send(id, { kind: 'DIFF', epoch: role.epoch, after: common.zxid, checksum: common.checksum, staged: false })
  learner.sent = common.zxid
  welcome(step, role, id, learner)
}

/** The learner has staged a whole snapshot, and a log behind it, whose end is in our history: the rest of it follows there (rule 14). */
function continueStaged(step: Step, role: Leading, id: PeerId, learner: Learner): boolean {
  const { history } = step.state
  const log = learner.ackEpoch!.staged?.log ?? null
  if (log === null || log.last < history.start || !includes(history, log.last, log.checksum)) return false
  learner.mode = 'snap'
  step.send(id, { kind: 'DIFF', epoch: role.epoch, after: log.last, checksum: log.checksum, staged: true })
  learner.sent = log.last
  welcome(step, role, id, learner)
  return true
}

/** Where a snapshot that broke off may go on, if a snapshot here turns out to begin with the same chunks. */
function resumable(step: Step, learner: Learner): StagedPart | null {
  const { history } = step.state
  const { staged } = learner.ackEpoch!
  const fits = staged !== null && staged.log === null && staged.zxid >= history.start && includes(history, staged.zxid, staged.checksum)
  return fits ? staged : null
}

/** Sends the rest up to the tail and NEWLEADER behind it, in one FIFO; what memory does not hold, or would overflow a window, is streamed from the store first. */
function welcome(step: Step, role: Leading, id: PeerId, learner: Learner): void {
  const { history, committed } = step.state
  const last = horizon(step, learner)
  const overflows = last > learner.sent && bytesAbove(history, learner.sent) > step.config.windowBytes
  const runs = overflows ? null : recentRuns(history, learner.sent, last)
  if (runs === null) {
    startTransfer(step, role, id, learner, 'diff')
    return
  }
  for (const run of runs) step.send(id, { kind: 'PROPOSE', epoch: role.epoch, committed, run })
  learner.sent = last
  learner.transfer = 0
  learner.stage = 'welcomed'
  learner.welcomedAt = last
  // Known: `last` is the tail, the commit point (which recent runs or end points hold), or a point that the learner named itself.
  const { staged, checksum: named } = learner.ackEpoch!
  const checksum = checksumAt(history, last) ?? (staged?.log?.last === last ? staged.log.checksum : named)
  step.send(id, { kind: 'NEWLEADER', epoch: role.epoch, last, checksum })
}

function startTransfer(step: Step, role: Leading, id: PeerId, learner: Learner, mode: 'diff' | 'snap'): void {
  const { state } = step
  learner.stage = 'transferring'
  learner.transfer = state.nextTransfer++
  if (mode === 'snap') learner.mode = 'snap'
  const resume = mode === 'snap' ? resumable(step, learner) : null
  const newest = state.history.snapshot?.zxid ?? state.history.start
  learner.keepAbove = mode === 'diff' ? learner.sent : resume === null ? newest : minZxid(newest, resume.zxid)
  step.transfers.push({
    transfer: learner.transfer,
    to: id,
    connection: learner.connection,
    mode,
    epoch: role.epoch,
    after: learner.keepAbove,
    upTo: horizon(step, learner),
    bytesMax: Number.MAX_SAFE_INTEGER,
    resume,
  })
}

/** Our own stream was handed over, or failed. Reports of an old transfer are ignored (rule 15). */
export function onTransferred(step: Step, transfer: number, upTo: Zxid, ok: boolean): void {
  const { role } = step.state
  if (role.name !== 'leading') return
  for (const [id, learner] of role.learners) {
    if (learner.transfer === transfer && learner.streaming) return onStreamed(step, role, id, learner, upTo, ok)
    if (learner.rebuilding === transfer && !ok) {
      dropLearner(step, role, id, 'its rebuild failed')
      return
    }
    if (learner.transfer !== transfer || learner.stage !== 'transferring') continue
    if (!ok) dropLearner(step, role, id, 'its transfer failed')
    else continueFrom(step, role, id, learner, upTo)
    return
  }
}

/** The receiver of a SNAP has it, staged. */
export function onReceived(step: Step, from: PeerId, message: Received): void {
  const { role } = step.state
  if (role.name !== 'leading' || message.epoch !== role.epoch) return
  const learner = learnerOf(step, role, from)
  if (learner === null) return
  if (learner.rebuilding !== 0 && learner.rebuilding === message.transfer) {
    learner.rebuild = null
    learner.rebuilding = 0
    return
  }
  if (learner.stage !== 'transferring' || learner.transfer !== message.transfer) return
  if (message.ok) continueFrom(step, role, from, learner, message.upTo)
  else dropLearner(step, role, from, 'it could not store the snapshot')
}

function continueFrom(step: Step, role: Leading, id: PeerId, learner: Learner, upTo: Zxid): void {
  const { history } = step.state
  if (upTo > history.last || upTo < history.start) {
    dropLearner(step, role, id, 'its transfer ended where our log does not reach')
    return
  }
  learner.sent = upTo
  learner.keepAbove = upTo
  if (learner.counted) role.progressAt = step.now.monotonic
  welcome(step, role, id, learner)
}

/** ACK-LD is also the ACK of NEWLEADER's last ZXID (rule 15); ACKs count only behind it (rule 16). */
export function onAckLeader(step: Step, from: PeerId, message: AckLeader): void {
  const { role } = step.state
  if (role.name !== 'leading' || message.epoch !== role.epoch) return
  if (from === step.self) {
    role.acknowledgedLeader = true
    role.acked = maxZxid(role.acked, message.last)
  } else {
    const learner = learnerOf(step, role, from)
    if (learner === null || learner.stage !== 'welcomed' || message.last > learner.sent) return
    learner.stage = 'active'
    learner.acked = maxZxid(learner.acked, message.last)
    if (learner.counted) {
      role.heard.set(from, step.now.monotonic)
      role.progressAt = step.now.monotonic
    }
    if (role.stage === 'established') step.send(from, { kind: 'COMMIT-LD', epoch: role.epoch, committed: step.state.committed })
    streamOn(step, role, from, learner)
  }
  if (role.stage === 'synchronizing') {
    const acknowledged = (id: PeerId): boolean => step.counted(id) && (id === step.self ? role.acknowledgedLeader : role.learners.get(id)?.stage === 'active')
    if (step.isQuorum(acknowledged)) establish(step, role)
  } else if (role.stage === 'established') {
    advanceCommit(step, role)
  }
}
