import { ping } from './leader/broadcast.ts'
import { learnerOf } from './leader/follower-progress.ts'
import type { Pong, ReadPoint, ReadRequest } from './messages.ts'
import type { Following, Leading } from './state.ts'
import type { Step } from './step.ts'
import type { PeerId } from './types.ts'

// Rule 23, first form: one round of heartbeats at a time. A read joins the next round to be sent; its point is the commit point at that moment; a quorum's echoes
// say that nobody has promised a later epoch since.

export function onRead(step: Step, number: number): void {
  const { role } = step.state
  if (role.name === 'leading' && role.stage === 'established') {
    role.reads.waiting.push({ from: step.self, connection: 0, number })
    beginRound(step, role)
  } else if (role.name === 'following' && role.phase === 'active') {
    role.reads.push(number)
    step.send(role.leader, { kind: 'READ', epoch: role.epoch, number })
  } else {
    step.readable.push({ number, zxid: null })
  }
}

export function onReadRequest(step: Step, from: PeerId, message: ReadRequest): void {
  const { role } = step.state
  if (role.name !== 'leading' || role.stage !== 'established' || message.epoch !== role.epoch) return
  const learner = learnerOf(step, role, from)
  if (learner === null) return
  role.reads.waiting.push({ from, connection: learner.connection, number: message.number })
  beginRound(step, role)
}

function beginRound(step: Step, role: Leading): void {
  const { reads } = role
  while (reads.point === null && reads.waiting.length > 0) {
    reads.round++
    reads.point = step.state.committed
    reads.asked = reads.waiting
    reads.waiting = []
    ping(step, role)
    endRound(step, role)
  }
}

export function onPong(step: Step, from: PeerId, message: Pong): void {
  const { role } = step.state
  if (role.name !== 'leading' || message.epoch !== role.epoch) return
  const learner = learnerOf(step, role, from)
  if (learner === null) return
  learner.round = Math.max(learner.round, message.round)
  endRound(step, role)
  if (role.stage === 'established') beginRound(step, role)
}

function endRound(step: Step, role: Leading): void {
  const { reads } = role
  const { point } = reads
  if (point === null) return
  const { epochs } = step.state
  const confirmed = (id: PeerId): boolean =>
    step.counted(id) && (id === step.self ? epochs.accepted === role.epoch : (role.learners.get(id)?.round ?? 0) >= reads.round)
  if (!step.isQuorum(confirmed)) return
  for (const ask of reads.asked) {
    if (ask.connection === 0) step.readable.push({ number: ask.number, zxid: point })
    else if (step.peer(ask.from).connection === ask.connection) step.send(ask.from, { kind: 'READ-POINT', epoch: role.epoch, number: ask.number, zxid: point })
  }
  reads.point = null
  reads.asked = []
}

export function onReadPoint(step: Step, role: Following, message: ReadPoint): void {
  const at = role.reads.indexOf(message.number)
  if (at < 0) return
  role.reads.splice(at, 1)
  step.readable.push({ number: message.number, zxid: message.zxid })
}
