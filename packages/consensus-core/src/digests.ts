import { checksumAt } from './history.ts'
import { learnerOf } from './leader/follower-progress.ts'
import type { DigestTold, Rebuild, Snap, Verdict } from './messages.ts'
import { isQuorum } from './quorum.ts'
import { leave } from './roles.ts'
import type { DigestPoll, Following, Leading } from './state.ts'
import type { Step } from './step.ts'
import type { Digest, PeerId, SnapshotMeta } from './types.ts'
import { formatZxid, maxZxid, type Zxid } from './zxid.ts'

// Rule 28. Members tell their leader the digest of their state at equal ZXIDs; whoever differs from a quorum is told so. Its log is as good as any: it goes on
// voting, promising and acknowledging, and only its state is void, until a snapshot of a state that does not contradict the verdict takes its place.

/** How many ZXIDs a leader compares at a time: who is further behind is compared at later ones. */
const POLLS_MAX = 64
/** How many of our own a new leader is told. */
const OWN_MAX = 16

/** The machines stand at `zxid`, and this is what they come down to. */
export function onDigest(step: Step, zxid: Zxid, digest: Digest): void {
  const { state } = step
  if (state.quarantined !== null) return
  state.digests.push({ zxid, digest })
  if (state.digests.length > OWN_MAX) state.digests.shift()
  const { role } = state
  if (role.name === 'leading') {
    if (role.stage === 'established') tell(step, role, step.self, zxid, digest)
  } else if (role.name === 'following' && role.phase === 'active') {
    step.send(role.leader, { kind: 'DIGEST', epoch: role.epoch, zxid, digest })
  }
}

/** A follower has become active: what it found before, or its question for a sound state. */
export function tellDigests(step: Step, role: Following): void {
  for (const { zxid, digest } of step.state.digests) step.send(role.leader, { kind: 'DIGEST', epoch: role.epoch, zxid, digest })
  askForRebuild(step)
}

/** A reign has begun: our own are the first that are told. */
export function openPolls(step: Step, role: Leading): void {
  for (const { zxid, digest } of [...step.state.digests]) if (step.state.role === role) tell(step, role, step.self, zxid, digest)
}

export function onDigestTold(step: Step, from: PeerId, message: DigestTold): void {
  const { role, committed } = step.state
  if (role.name !== 'leading' || role.stage !== 'established' || message.epoch !== role.epoch || from === step.self) return
  if (learnerOf(step, role, from)?.stage !== 'active' || message.zxid > committed) return
  tell(step, role, from, message.zxid, message.digest)
}

function tell(step: Step, role: Leading, from: PeerId, zxid: Zxid, digest: Digest): void {
  const poll = pollAt(role, zxid)
  if (poll === null) return
  poll.told.set(from, { digest, counted: step.counted(from) })
  if (poll.verdict !== null) {
    if (digest !== poll.verdict) judge(step, role, from, zxid, digest, poll.verdict)
    return
  }
  const agree = (on: Digest): boolean => isQuorum(step.configuration, (id) => isTold(poll, id, on))
  if (!agree(digest)) {
    dispute(step, poll)
    return
  }
  poll.verdict = digest
  // We ourselves come last: to be judged ends the reign.
  for (const [id, other] of poll.told) if (id !== step.self && other.digest !== digest) judge(step, role, id, zxid, other.digest, digest)
  const own = poll.told.get(step.self)
  if (own !== undefined && own.digest !== digest) judge(step, role, step.self, zxid, own.digest, digest)
}

function isTold(poll: DigestPoll, id: PeerId, digest: Digest): boolean {
  const told = poll.told.get(id)
  return told?.counted === true && told.digest === digest
}

/** The poll at `zxid`, opened if there was none; null when it is too old to be kept. */
function pollAt(role: Leading, zxid: Zxid): DigestPoll | null {
  const { polls } = role
  let at = polls.length
  while (at > 0 && polls[at - 1]!.zxid >= zxid) at--
  if (polls[at]?.zxid === zxid) return polls[at]!
  if (at === 0 && polls.length >= POLLS_MAX) return null
  const poll: DigestPoll = { zxid, told: new Map(), verdict: null, disputed: false }
  polls.splice(at, 0, poll)
  if (polls.length > POLLS_MAX) polls.shift()
  return poll
}

/** Whatever those that have not spoken will say, no quorum can agree any more: nobody can be judged. */
function dispute(step: Step, poll: DigestPoll): void {
  if (poll.disputed) return
  const told = new Set<Digest>()
  for (const { digest, counted } of poll.told.values()) if (counted) told.add(digest)
  const isOpen = (digest: Digest | null): boolean =>
    isQuorum(step.configuration, (id) => poll.told.get(id)?.counted !== true || (digest !== null && isTold(poll, id, digest)))
  if (isOpen(null)) return
  for (const digest of told) if (isOpen(digest)) return
  poll.disputed = true
  step.disputed = poll.zxid
}

function judge(step: Step, role: Leading, id: PeerId, zxid: Zxid, own: Digest, quorum: Digest): void {
  if (id === step.self) quarantine(step, zxid, own, quorum)
  else step.send(id, { kind: 'VERDICT', epoch: role.epoch, zxid, digest: quorum })
}

/** What the leader says of us counts unless it is of a state that is gone: replaced since, or of an earlier process, whose digest the leader still holds. */
export function onVerdict(step: Step, message: Verdict): void {
  const { zxid, digest } = message
  if (zxid <= step.state.soundFrom) return
  const own = digestAt(step, zxid)
  if (own !== null && own !== digest) quarantine(step, zxid, own, digest)
}

function digestAt(step: Step, zxid: Zxid): Digest | null {
  return step.state.digests.find((own) => own.zxid === zxid)?.digest ?? null
}

function quarantine(step: Step, zxid: Zxid, own: Digest, quorum: Digest): void {
  const { state } = step
  if (state.quarantined !== null) return
  state.quarantined = { zxid, digest: quorum }
  state.digests = []
  step.quarantine = { zxid, digest: own, quorum }
  // A change would be computed against the void state.
  if (state.role.name === 'leading') leave(step, "our state is not the quorum's")
  else askForRebuild(step)
}

/** Its snapshot must not lie below what we know to be committed: so it stands in front of the end of our own log, and above every snapshot of our own. */
function askForRebuild(step: Step): void {
  const { role, quarantined, committed } = step.state
  if (quarantined === null || role.name !== 'following' || role.phase !== 'active') return
  role.rebuilding = 0
  step.send(role.leader, { kind: 'REBUILD', epoch: role.epoch, ...quarantined, after: committed })
}

export function onRebuild(step: Step, from: PeerId, message: Rebuild): void {
  const { role } = step.state
  if (role.name !== 'leading' || role.stage !== 'established' || message.epoch !== role.epoch) return
  const learner = learnerOf(step, role, from)
  if (learner === null || learner.stage !== 'active') return
  if (learner.rebuilding !== 0) step.cancels.push(learner.rebuilding)
  learner.rebuild = message
  learner.rebuilding = 0
  serveRebuilds(step, role)
}

/**
 * Called whenever something may have changed that a rebuild waits for. A verdict is a fact wherever it came from: if it contradicts our own state, it is ours that is void;
 * and before we stand at its ZXID ourselves we do not know.
 */
export function serveRebuilds(step: Step, role: Leading): void {
  const { state } = step
  if (role.stage !== 'established') return
  for (const [id, learner] of role.learners) {
    const { rebuild } = learner
    if (rebuild === null || learner.rebuilding !== 0 || state.applied < rebuild.after) continue
    const own = digestAt(step, rebuild.zxid)
    if (own !== null && own !== rebuild.digest) {
      quarantine(step, rebuild.zxid, own, rebuild.digest)
      return
    }
    const { snapshot } = state.history
    if (snapshot === null || snapshot.zxid < rebuild.after) {
      step.snapshotDue = step.snapshotDue === null ? rebuild.after : maxZxid(step.snapshotDue, rebuild.after)
      continue
    }
    learner.rebuilding = state.nextTransfer++
    const { zxid } = snapshot
    step.transfers.push({
      transfer: learner.rebuilding,
      to: id,
      connection: learner.connection,
      mode: 'snap',
      epoch: role.epoch,
      after: zxid,
      upTo: zxid,
      bytesMax: Number.MAX_SAFE_INTEGER,
      resume: null,
    })
  }
}

/** A SNAP on a relation that is active: the state that replaces ours. */
export function acceptRebuild(step: Step, role: Following, { transfer, meta }: Snap): void {
  const { state } = step
  if (state.quarantined === null || role.rebuilding !== 0) return
  const known = meta.zxid <= state.history.last ? checksumAt(state.history, meta.zxid) : null
  if (known !== null && known !== meta.checksum) {
    step.stop(
      'DIVERGED',
      `the history up to ${formatZxid(meta.zxid)} has checksum ${known} here and ${meta.checksum} at the leader`,
      'Keep this folder for inspection; compare it with the other members before anything else.',
    )
    return
  }
  role.rebuilding = transfer
  step.receives.push({ transfer, from: role.leader, connection: role.connection, meta, chunks: 0, rebuild: true })
}

/** The shell has replaced the state, or could not. The log behind the snapshot is durable here and stays as it is (rule 14). */
export function onRebuilt(step: Step, transfer: number, snapshot: SnapshotMeta | null): void {
  const { state } = step
  const { role } = state
  const isOurs = role.name === 'following' && transfer !== 0 && role.rebuilding === transfer
  if (snapshot === null) {
    if (isOurs) leave(step, 'the snapshot that was to replace our state could not be stored')
    return
  }
  if (state.quarantined === null) return
  state.quarantined = null
  state.digests = []
  state.soundFrom = snapshot.zxid
  if (state.history.snapshot === null || state.history.snapshot.zxid <= snapshot.zxid) state.history.snapshot = snapshot
  step.commit(snapshot.zxid)
  if (!isOurs) return
  role.rebuilding = 0
  step.send(role.leader, { kind: 'RECEIVED', epoch: role.epoch, transfer, upTo: snapshot.zxid, ok: true })
}
