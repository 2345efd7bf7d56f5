import { append, type History, trimRecent } from '../history.ts'
import { promiseLease } from '../lease.ts'
import type { Ping, Propose } from '../messages.ts'
import { leave } from '../roles.ts'
import { cutAfter, type Run } from '../run.ts'
import type { Following } from '../state.ts'
import type { Step } from '../step.ts'
import { formatZxid, maxZxid, minZxid, type Zxid } from '../zxid.ts'

/** Entries, of a synchronisation or live. Live ones are acknowledged by the write that makes them durable (rule 5). */
export function onPropose(step: Step, role: Following, message: Propose): void {
  if (!role.diffing) return
  const { state, config } = step
  const { staging } = role
  const history = staging?.history ?? state.history
  const run = fit(step, history, message.run)
  if (run === null) return
  append(history, run)
  if (role.phase === 'synchronizing') {
    role.heardAt = step.now.monotonic
    if (staging !== null) step.stagedAppends.push({ generation: staging.generation!, runs: [run] })
    else step.write({ append: [run] })
  } else {
    step.write({ append: [run], afterwards: [step.outgoing(role.leader, { kind: 'ACK', epoch: role.epoch, upTo: run.last })] })
  }
  trimRecent(history, history.last, config.recentBytes)
  noteCommit(step, role, message.committed)
}

/** The part of `run` that is new here, or null: nothing new, or it does not fit and the relation is over (rule 16). */
function fit(step: Step, history: History, run: Run): Run | null {
  const rest = cutAfter(run, history.last)
  if (rest === null) return null
  if (rest.previous !== history.last) {
    leave(step, `entries from ${formatZxid(run.first)} leave a gap behind ${formatZxid(history.last)}`)
    return null
  }
  if (rest.previousChecksum !== history.checksum) {
    step.stop(
      'DIVERGED',
      `the entry behind ${formatZxid(history.last)} was chained to another history`,
      'Keep this folder for inspection; compare it with the other members before anything else.',
    )
    return null
  }
  return rest
}

/** Keeps the commit point that was heard; applies it as far as we hold the entries, and only behind COMMIT-LD (rules 1, 16). */
export function noteCommit(step: Step, role: Following, committed: Zxid): void {
  role.commitHeard = maxZxid(role.commitHeard, committed)
  if (role.phase === 'active') step.commit(minZxid(role.commitHeard, step.state.history.last))
}

/** Echoes the read round: our promise still is this leader's (rule 23). */
export function onPing(step: Step, role: Following, message: Ping): void {
  const { state, now } = step
  const promised = !role.counted || state.epochs.accepted === message.epoch
  const durable = role.phase === 'welcomed' || role.phase === 'active'
  const round = promised && durable ? message.round : 0
  if (round > 0 && role.counted) promiseLease(step, role.leader)
  step.send(role.leader, { kind: 'PONG', epoch: message.epoch, round, wall: now.wall, notes: [] })
  noteCommit(step, role, message.committed)
}

/** Once a tick: has the leader fallen silent, or our own store (rules 18, 25)? */
export function followerTick(step: Step, role: Following): void {
  const { state, now, config } = step
  const limit = step.ticks(role.phase === 'active' ? config.syncLimitTicks : config.initLimitTicks)
  const oldest = state.underway[0]
  if (oldest !== undefined && now.monotonic - oldest.since > limit) leave(step, 'our own store is silent')
  else if (now.monotonic - role.heardAt > limit) leave(step, 'the leader has fallen silent', true)
}
