import { hearClock } from './leader/clocks.ts'
import { learnerOf } from './leader/follower-progress.ts'
import { ping } from './leader/heartbeat.ts'
import { holdsLease } from './lease.ts'
import type { Pong, ReadPoint, ReadRequest } from './messages.ts'
import type { Following, LeaderReads, Leading, ReadAsk, ReadRound } from './state.ts'
import type { Step } from './step.ts'
import type { PeerId } from './types.ts'
import type { Zxid } from './zxid.ts'

// Rule 23. A read joins the next round to be sent; its point is the commit point at that moment; a quorum's echoes say that nobody has promised a later epoch until after that. Several
// rounds may be under way. An echo of one is an echo of those before it, which were sent earlier.

/** Beyond it reads wait, and share a round. */
export const ROUNDS_MAX = 16

export function noReads(): LeaderReads {
  return { round: 0, underway: [], waiting: [], confirmedAt: null }
}

export function onRead(step: Step, number: number): void {
  const { role } = step.state
  if (role.name === 'leading' && role.stage === 'established') {
    ask(step, role, { from: step.self, connection: 0, number })
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
  if (learner !== null) ask(step, role, { from, connection: learner.connection, number: message.number })
}

function ask(step: Step, role: Leading, read: ReadAsk): void {
  if (holdsLease(step, role)) return answer(step, role, read, step.state.committed)
  role.reads.waiting.push(read)
  beginRound(step, role)
}

function beginRound(step: Step, role: Leading): void {
  if (role.reads.waiting.length === 0 || role.reads.underway.length >= ROUNDS_MAX) return
  nextRound(step, role)
  ping(step, role, true)
  endRounds(step, role)
}

function nextRound(step: Step, role: Leading): void {
  const { reads } = role
  reads.round++
  reads.underway.push({ number: reads.round, point: step.state.committed, sentAt: step.now.monotonic, asked: reads.waiting })
  reads.waiting = []
}

/** The heartbeat of an established leader. With leases each is a round of its own, whose echoes renew the lease. */
export function beat(step: Step, role: Leading): void {
  if (step.config.leaseMs > 0 && role.reads.underway.length < ROUNDS_MAX) nextRound(step, role)
  ping(step, role)
  endRounds(step, role)
}

export function onPong(step: Step, from: PeerId, message: Pong): void {
  const { role } = step.state
  if (role.name !== 'leading' || message.epoch !== role.epoch) return
  const learner = learnerOf(step, role, from)
  if (learner === null) return
  hearClock(step, role, from, message.wall)
  learner.round = Math.max(learner.round, message.round)
  endRounds(step, role)
  if (role.stage === 'established') beginRound(step, role)
}

function endRounds(step: Step, role: Leading): void {
  const { reads } = role
  let ended = 0
  while (ended < reads.underway.length && isConfirmed(step, role, reads.underway[ended]!)) ended++
  if (ended === 0) return
  reads.confirmedAt = reads.underway[ended - 1]!.sentAt
  for (const { point, asked } of reads.underway.splice(0, ended)) for (const read of asked) answer(step, role, read, point)
}

function isConfirmed(step: Step, role: Leading, round: ReadRound): boolean {
  const { epochs } = step.state
  const echoed = (id: PeerId): boolean =>
    step.counted(id) && (id === step.self ? epochs.accepted === role.epoch : (role.learners.get(id)?.round ?? 0) >= round.number)
  return step.isQuorum(echoed)
}

function answer(step: Step, role: Leading, read: ReadAsk, point: Zxid): void {
  if (read.connection === 0) step.readable.push({ number: read.number, zxid: point })
  else if (step.peer(read.from).connection === read.connection)
    step.send(read.from, { kind: 'READ-POINT', epoch: role.epoch, number: read.number, zxid: point })
}

export function onReadPoint(step: Step, role: Following, message: ReadPoint): void {
  const at = role.reads.indexOf(message.number)
  if (at < 0) return
  role.reads.splice(at, 1)
  step.readable.push({ number: message.number, zxid: message.zxid })
}
