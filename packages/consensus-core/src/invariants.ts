import type { Core } from './core.ts'
import type { Effects } from './effects.ts'
import type { History } from './history.ts'
import { isQuorum } from './quorum.ts'
import type { CoreState, Leading } from './state.ts'
import type { EpochEnd } from './types.ts'
import { epochOf, formatZxid, type Zxid } from './zxid.ts'

/** What of a state is needed to judge the step that follows it: cheap enough to take before each one. */
export interface Before {
  readonly committed: Zxid
  readonly applied: Zxid
  readonly accepted: number
  readonly current: number
  readonly nextTicket: number
  readonly founded: boolean
}

export function before(core: Core): Before {
  const { state } = core
  return {
    committed: state.committed,
    applied: state.applied,
    accepted: state.epochs.accepted,
    current: state.epochs.current,
    nextTicket: state.nextTicket,
    founded: state.founding !== null,
  }
}

/** What must hold of one state. Returns the first breach, as a sentence; null when all holds. */
export function checkState(core: Core): string | null {
  const { history } = core.state
  return checkTail(core) ?? checkEndPoints(history.endPoints) ?? checkRuns(history)
}

/** The part of it that a step can break without `checkStep` or an earlier `checkState` having seen it: cheap enough to look at behind each one, however long the history. */
export function checkTail(core: Core): string | null {
  const { state } = core
  const { history, epochs } = state
  if (state.applied > state.committed) return `applied ${formatZxid(state.applied)} > committed ${formatZxid(state.committed)}`
  if (state.committed > history.last) return `committed ${formatZxid(state.committed)} > last ${formatZxid(history.last)}`
  if (epochs.current > epochs.accepted) return `current epoch ${epochs.current} > accepted epoch ${epochs.accepted}`
  if (history.start > (history.snapshot?.zxid ?? 0)) return `the log starts at ${formatZxid(history.start)}, above the snapshot`
  return checkLastEndPoint(state) ?? checkRecent(state) ?? checkRole(state)
}

function checkEndPoints(endPoints: readonly EpochEnd[]): string | null {
  for (let i = 0; i < endPoints.length; i++) {
    const end = endPoints[i]!
    if (epochOf(end.last) !== end.epoch) return `the end point ${formatZxid(end.last)} is not of epoch ${end.epoch}`
    if (i > 0 && endPoints[i - 1]!.epoch >= end.epoch) return 'the end points are not ascending'
  }
  return null
}

function checkLastEndPoint(state: CoreState): string | null {
  const { endPoints, last, checksum } = state.history
  if (last === 0) return endPoints.length === 0 ? null : 'an empty history has end points'
  const tail = endPoints.length === 0 ? null : endPoints[endPoints.length - 1]!
  if (tail === null || tail.last !== last || tail.checksum !== checksum) return 'the last end point is not the tail of the history'
  return null
}

function checkRuns({ recent }: History): string | null {
  for (let i = recent.head + 1; i < recent.runs.length; i++) {
    const [before, run] = [recent.runs[i - 1]!, recent.runs[i]!]
    if (run.previous !== before.last || run.previousChecksum !== before.checksum) return `the recent runs have a hole behind ${formatZxid(before.last)}`
  }
  return null
}

/** Only the newest two are looked at. */
function checkRecent(state: CoreState): string | null {
  const { recent, last, checksum } = state.history
  const held = recent.runs.length - recent.head
  if (held === 0) return null
  const tail = recent.runs[recent.runs.length - 1]!
  if (tail.last !== last || tail.checksum !== checksum) return 'the recent runs do not end at the tail'
  if (held === 1) return null
  const previous = recent.runs[recent.runs.length - 2]!
  return tail.previous === previous.last && tail.previousChecksum === previous.checksum ? null : 'the recent runs have a hole'
}

function checkRole(state: CoreState): string | null {
  const { role, epochs } = state
  if (role.name === 'leading') {
    if (state.quarantined !== null) return `leads although its state is void since ${formatZxid(state.quarantined.zxid)}`
    if (role.stage !== 'collecting' && epochs.accepted !== role.epoch) return `leading epoch ${role.epoch} with accepted epoch ${epochs.accepted}`
    if ((role.stage === 'synchronizing' || role.stage === 'established') && epochs.current !== role.epoch)
      return `leading epoch ${role.epoch} with current epoch ${epochs.current}`
    if (role.stage === 'established' && state.committed < role.initialLast) return 'established before the initial history is committed'
    for (const learner of role.learners.values())
      if (learner.acked > learner.sent && learner.stage !== 'transferring') return 'a learner has acknowledged what it was not sent'
  }
  if (role.name === 'following' && role.counted && (role.phase === 'welcomed' || role.phase === 'active') && epochs.current !== role.epoch)
    return `following epoch ${role.epoch} with current epoch ${epochs.current}`
  if (state.kept !== null && (role.name === 'leading' || (role.name === 'following' && role.staging !== null)))
    return 'two histories are staged, or a leader keeps one'
  if (state.founding === null && (role.name !== 'looking' || role.electing)) return 'takes part without a founding record'
  return null
}

/** What must hold between two states and the effects that led from one to the other. */
export function checkStep(core: Core, earlier: Before, effects: Effects): string | null {
  const { state } = core
  if (state.committed < earlier.committed) return `committed went back from ${formatZxid(earlier.committed)} to ${formatZxid(state.committed)}`
  if (state.applied < earlier.applied) return `applied went back from ${formatZxid(earlier.applied)}`
  if (state.epochs.accepted < earlier.accepted) return `the accepted epoch went back from ${earlier.accepted} to ${state.epochs.accepted}`
  if (state.epochs.current < earlier.current) return `the current epoch went back from ${earlier.current} to ${state.epochs.current}`
  if (earlier.founded && state.founding === null) return 'the founding was forgotten'
  if (effects.commitTo !== null && (effects.commitTo <= earlier.committed || effects.commitTo !== state.committed))
    return 'commitTo does not tell the commit point'
  let ticket = earlier.nextTicket
  for (const write of effects.writes) {
    if (write.ticket !== ticket++) return `write ${write.ticket} is out of order`
    if (write.truncateTo !== null && write.truncateTo.zxid < earlier.committed) return `a committed entry is truncated: to ${formatZxid(write.truncateTo.zxid)}`
  }
  const { role } = state
  if (state.epochs.current > earlier.current && role.name === 'leading' && !hasAckEpochs(core, role, earlier))
    return `leads epoch ${role.epoch}, which no quorum that knows no more has acknowledged`
  for (const { rebuild } of effects.receives) if (rebuild && state.quarantined === null) return 'a state that nobody found wanting is to be replaced'
  for (const outgoing of effects.sends) {
    const { kind } = outgoing.message
    if (kind === 'ACK' || kind === 'ACK-LD' || (kind === 'ACK-E' && core.view().counted)) return `${kind} leaves without the write that makes it true`
  }
  return null
}

/** Rule 10: our own current epoch is written behind a quorum of ACK-E for that very epoch, none of them better than our own history. */
function hasAckEpochs(core: Core, role: Leading, earlier: Before): boolean {
  const { configuration, last } = core.view()
  return isQuorum(configuration, (id) => {
    if (id === role.attempt.leader) return role.acknowledgedEpoch
    const learner = role.learners.get(id)
    if (learner?.counted !== true || learner.ackEpoch?.epoch !== role.epoch) return false
    const { current, last: theirs } = learner.ackEpoch
    return current < earlier.current || (current === earlier.current && theirs <= last)
  })
}
