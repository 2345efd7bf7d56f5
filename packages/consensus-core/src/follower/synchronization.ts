import { crc32 } from '../crc32.ts'
import { acceptRebuild, tellDigests } from '../digests.ts'
import { type History, historyAt, truncate } from '../history.ts'
import type { Chunk, CommitLeader, Diff, NewLeader, Snap, Trunc } from '../messages.ts'
import { announceRole, dropKept, leave } from '../roles.ts'
import type { Following, Staging } from '../state.ts'
import type { Step } from '../step.ts'
import type { Epochs } from '../types.ts'
import { formatZxid, maxZxid, ZERO } from '../zxid.ts'
import { noteCommit } from './broadcast.ts'

// Phase 2 on a follower: take over the leader's history. Whatever is written on the way carries the old epoch, and the old epoch votes, until one write makes the
// whole history and the new epoch durable together, and with them ACK-LD (rules 5, 14).

/** The history that arriving entries extend: behind a staged snapshot, or our own. */
export function incoming(step: Step, role: Following): History {
  return role.staging?.history ?? step.state.history
}

export function onTrunc(step: Step, role: Following, message: Trunc): void {
  if (role.phase !== 'synchronizing' || role.diffing || role.staging !== null) return
  const { state } = step
  const { to, checksum } = message
  if (to >= state.history.last) return
  if (to < state.committed) {
    step.stop(
      'DIVERGED',
      `the leader asks to drop entries above ${formatZxid(to)}, but everything up to ${formatZxid(state.committed)} is committed here`,
      'Keep this folder for inspection; compare it with the other members before anything else.',
    )
    return
  }
  dropKept(step)
  truncate(state.history, to, checksum)
  step.write({ truncateTo: { zxid: to, checksum } })
}

export function onDiff(step: Step, role: Following, message: Diff): void {
  if (role.phase !== 'synchronizing' || role.diffing || role.staging !== null) return
  const { state } = step
  const { kept } = state
  if (!message.staged || kept === null || kept.generation === null) dropKept(step)
  const history = message.staged ? state.kept?.history : state.history
  if (history?.last !== message.after) {
    dropKept(step)
    leave(step, `entries behind ${formatZxid(message.after)} do not follow our history, which ends at ${formatZxid(history?.last ?? ZERO)}`)
    return
  }
  if (differs(step, history, message.checksum)) return
  role.staging = state.kept
  state.kept = null
  role.diffing = true
}

/** Equal ZXID, unequal checksum: two histories that must never have been (rule 6). */
export function differs(step: Step, history: History, checksum: number): boolean {
  if (history.checksum === checksum) return false
  step.stop(
    'DIVERGED',
    `the history up to ${formatZxid(history.last)} has checksum ${history.checksum} here and ${checksum} at the leader`,
    'Keep this folder for inspection; compare it with the other members before anything else.',
  )
  return true
}

export function onSnap(step: Step, role: Following, message: Snap): void {
  if (role.phase === 'active') {
    acceptRebuild(step, role, message)
    return
  }
  if (role.phase !== 'synchronizing' || role.diffing || role.staging !== null) return
  if (message.meta.zxid < step.state.committed) {
    leave(step, `a snapshot at ${formatZxid(message.meta.zxid)} is below what is applied here`)
    return
  }
  if (message.chunks > 0) {
    resume(step, role, message)
    return
  }
  const { transfer, meta } = message
  dropKept(step)
  role.staging = { transfer, generation: null, chunks: 0, digest: 0, complete: false, meta, history: historyAt(meta) }
  step.receives.push({ transfer, from: role.leader, connection: role.connection, meta, chunks: 0, rebuild: false })
}

/** The rest of what a broken relation has left here, if it is the rest of exactly that: the same point in history, the same chunks so far (rule 14). */
function resume(step: Step, role: Following, { transfer, meta, chunks, digest }: Snap): void {
  const { state } = step
  const { kept } = state
  if (kept === null || kept.meta.zxid !== meta.zxid || kept.meta.checksum !== meta.checksum || kept.chunks !== chunks || kept.digest !== digest) {
    dropKept(step)
    leave(step, `the rest of a snapshot at ${formatZxid(meta.zxid)} does not fit what is staged here`)
    return
  }
  state.kept = null
  kept.transfer = transfer
  role.staging = kept
  if (kept.generation === null) step.receives.push({ transfer, from: role.leader, connection: role.connection, meta, chunks, rebuild: false })
  else received(step, role, kept)
}

/** The shell stores it; here it is only noted how far the snapshot has come. */
export function onChunk(step: Step, role: Following, message: Chunk): void {
  const { staging } = role
  if (staging === null || staging.transfer !== message.transfer || staging.complete) return
  if (message.index !== staging.chunks) {
    leave(step, `chunk ${message.index} of a snapshot came where ${staging.chunks} was due`)
    return
  }
  staging.chunks++
  staging.digest = crc32(message.bytes, staging.digest)
  staging.complete = message.last
}

/** The shell has stored the chunks, or could not. A generation that nobody waits for any more is void. */
export function onStaged(step: Step, transfer: number, generation: number, ok: boolean): void {
  const { state } = step
  const { role } = state
  const staging = (role.name === 'following' ? role.staging : null) ?? state.kept
  if (staging === null || staging.transfer !== transfer || staging.generation !== null) {
    if (ok) step.discards.push(generation)
    return
  }
  if (ok) {
    staging.generation = generation
    if (role.name === 'following' && role.staging === staging) received(step, role, staging)
  } else if (staging === state.kept) {
    state.kept = null
  } else if (role.name === 'following') {
    role.staging = null
    leave(step, 'the snapshot could not be staged')
  }
}

function received(step: Step, role: Following, staging: Staging): void {
  role.diffing = true
  role.heardAt = step.now.monotonic
  step.send(role.leader, { kind: 'RECEIVED', epoch: role.epoch, transfer: staging.transfer, upTo: staging.history.last, ok: true })
}

/** History and current epoch become durable in one piece; ACK-LD hangs on it. */
export function onNewLeader(step: Step, role: Following, message: NewLeader): void {
  if (role.phase !== 'synchronizing' || !role.diffing) return
  const { state } = step
  const history = incoming(step, role)
  if (history.last !== message.last) {
    leave(step, `NEWLEADER ends at ${formatZxid(message.last)}, our history at ${formatZxid(history.last)}`)
    return
  }
  if (differs(step, history, message.checksum)) return
  const { staging } = role
  role.phase = 'welcomed'
  role.heardAt = step.now.monotonic
  const epochs = { ...promiseBehind(step, role), current: role.epoch }
  const afterwards = [step.outgoing(role.leader, { kind: 'ACK-LD', epoch: role.epoch, last: message.last } as const)]
  if (staging === null) {
    step.write({ epochs, afterwards })
    return
  }
  role.staging = null
  state.history = staging.history
  state.digests = []
  state.soundFrom = staging.meta.zxid
  state.committed = maxZxid(state.committed, staging.meta.zxid)
  step.write({ install: staging.generation!, epochs, afterwards })
}

/**
 * Who does not count here has promised nothing for this epoch. But its store may have promised a later one in its own place (two disks that were swapped), and is held to it when it is back there.
 */
function promiseBehind({ state }: Step, { epoch }: Following): Pick<Epochs, 'accepted' | 'acceptedFrom'> {
  const { accepted, acceptedFrom } = state.epochs
  return accepted >= epoch ? { accepted, acceptedFrom } : { accepted: epoch, acceptedFrom: null }
}

/** A quorum stands behind the epoch: what is committed may be applied, and we are part of the broadcast. */
export function onCommitLeader(step: Step, role: Following, message: CommitLeader): void {
  if (role.phase !== 'welcomed') return
  role.phase = 'active'
  step.state.failures = 0
  announceRole(step)
  noteCommit(step, role, message.committed)
  tellDigests(step, role)
}
