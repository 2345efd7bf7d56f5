import { bytesAbove, recentRuns } from '../history.ts'
import type { Leading, Learner } from '../state.ts'
import type { Step } from '../step.ts'
import type { PeerId } from '../types.ts'
import type { Zxid } from '../zxid.ts'
import { dropLearner, horizon, windowStart } from './follower-progress.ts'

// Rule 17: a learner whose window is full gets no live entries. It is sent what follows from the store, in pieces of half a window: each waits until all but the piece
// before it is acknowledged, so that what is on its way never exceeds the window, wherever it lies. It is live again as soon as memory reaches back to what it
// has acknowledged and all of that fits its window. Its ACKs count all the while.

export function beginStream(step: Step, role: Leading, id: PeerId, learner: Learner): void {
  learner.streaming = true
  learner.streamMark = learner.sent
  learner.keepAbove = learner.sent
  streamOn(step, role, id, learner)
}

/** What comes next: the live stream, another piece, or an ACK. Called whenever one of them may have become possible. */
export function streamOn(step: Step, role: Leading, id: PeerId, learner: Learner): void {
  if (!learner.streaming || learner.transfer !== 0 || role.stage !== 'established') return
  const { state, config } = step
  const { history, committed } = state
  const upTo = horizon(step, learner)
  if (bytesAbove(history, windowStart(learner)) <= config.windowBytes) {
    // Memory reaches back to where its window begins, and with that to what it was sent.
    for (const run of recentRuns(history, learner.sent, upTo)!) step.send(id, { kind: 'PROPOSE', epoch: role.epoch, committed, run })
    learner.sent = upTo
    learner.streaming = false
    return
  }
  if (learner.acked < learner.streamMark || learner.sent >= upTo) return
  learner.transfer = state.nextTransfer++
  learner.streamMark = learner.sent
  learner.keepAbove = learner.sent
  step.transfers.push({
    transfer: learner.transfer,
    to: id,
    connection: learner.connection,
    mode: 'diff',
    epoch: role.epoch,
    after: learner.sent,
    upTo,
    bytesMax: Math.ceil(config.windowBytes / 2),
    resume: null,
  })
  learner.sent = upTo
}

/** A piece was handed over, up to `upTo`; or the store could not give it. */
export function onStreamed(step: Step, role: Leading, id: PeerId, learner: Learner, upTo: Zxid, ok: boolean): void {
  if (!ok) {
    dropLearner(step, role, id, 'its stream failed')
    return
  }
  learner.transfer = 0
  learner.sent = upTo
  learner.keepAbove = upTo
  streamOn(step, role, id, learner)
}

/** Above this, memory keeps entries for a learner: its window; of a stream what lies behind the present piece, so that it can be met, as long as that fits a window. */
export function neededInMemory(step: Step, learner: Learner): Zxid {
  const { history } = step.state
  if (!learner.streaming) return windowStart(learner)
  return bytesAbove(history, learner.sent) <= step.config.windowBytes ? learner.sent : history.last
}
