import { type CoreConfig, validateConfig } from './config.ts'
import { onDigest, onDigestTold, onRebuild, onRebuilt, onVerdict, serveRebuilds } from './digests.ts'
import type { Effects, Primary } from './effects.ts'
import { advanceElection, onVote } from './election.ts'
import { decodeState, encodeState } from './encoding.ts'
import { AntiphonError } from './errors.ts'
import { followerTick, noteCommit, onPing, onPropose as onProposal } from './follower/broadcast.ts'
import { onNewEpoch } from './follower/discovery.ts'
import { onChunk, onCommitLeader, onDiff, onNewLeader, onSnap, onStaged, onTrunc } from './follower/synchronization.ts'
import { foundIfUnanimous, onFounded, onFounding, onIdentity, sendIdentity } from './founding.ts'
import { endPointsUpTo } from './history.ts'
import type { Input } from './input.ts'
import { hearLearner, leaderTick, onAck, onPropose, primaryOf } from './leader/broadcast.ts'
import { clockAheadOf } from './leader/clocks.ts'
import { onAckEpoch, onCepoch } from './leader/discovery.ts'
import { changeEpochIfDue } from './leader/epoch-change.ts'
import { dropLearner } from './leader/follower-progress.ts'
import { onAckLeader, onReceived, onTransferred } from './leader/synchronization.ts'
import { holdsLease } from './lease.ts'
import type { Message } from './messages.ts'
import { onPong, onRead, onReadPoint, onReadRequest } from './reads.ts'
import { leave } from './roles.ts'
import { type CoreState, type Following, freshState } from './state.ts'
import { forget, Step } from './step.ts'
import type { Checksum, EpochEnd, Millis, Now, PeerId, SnapshotMeta, StoredState, StoreId } from './types.ts'
import { type CoreView, viewOf } from './view.ts'
import { maxZxid, minZxid, ZERO, type Zxid } from './zxid.ts'

/**
 * ```
 *   tick, message, propose, read, connection          Effects
 *   persisted, applied, staged, transferred   --> step() -->   writes (each with the acknowledgements it permits), sends,
 *                                                              transfers, commitTo, readable, role, closes, fault
 * ```
 *
 * The whole of ZAB as one synchronous, deterministic machine: the same stored state, seed and inputs give the same effects, byte for byte. It performs no I/O and
 * knows no clock; the shell carries its effects out and tells it what came of them.
 */
export class Core {
  #step: Step

  /** @throws AntiphonError INVALID_SETTINGS, also when the settings name other members than the ensemble was founded with. */
  constructor(config: CoreConfig, stored: StoredState, now: Now) {
    validateConfig(config)
    if (stored.founding !== null) checkMembers(config, stored.founding.configuration.members)
    this.#step = new Step(config, freshState(config, stored, now))
    this.#step.wakeAt = now.monotonic
  }

  /** The single gate: every input comes through here, and every change of phase begins here. After a fault nothing has effects any more. */
  step(input: Input, now: Now): Effects {
    const step = this.#step
    step.begin(now)
    if (step.state.faulted) return step
    dispatch(step, input)
    if (!step.state.faulted) advanceElection(step)
    step.wakeAt = step.state.lastTick + step.config.tickMs
    return step
  }

  primary(now: Now): Primary | null {
    this.#step.now = now
    return primaryOf(this.#step)
  }

  /** The leader that we are active with; ourselves, with connection 0, when we lead and are established; null otherwise. */
  leader(): { readonly peer: PeerId; readonly connection: number } | null {
    const { role } = this.#step.state
    if (role.name === 'leading') return role.stage === 'established' ? { peer: this.#step.self, connection: 0 } : null
    return role.name === 'following' && role.phase === 'active' ? { peer: role.leader, connection: role.connection } : null
  }

  /** Would a read be granted without asking anybody? */
  holdsLease(now: Now): boolean {
    const { role } = this.#step.state
    this.#step.now = now
    return role.name === 'leading' && holdsLease(this.#step, role)
  }

  /** Of a leader that has heard others' clocks: its wall clock less the median (rule 24), negative when it is behind; null otherwise. */
  clockAheadMs(now: Now): Millis | null {
    this.#step.now = now
    return clockAheadOf(this.#step)
  }

  view(): CoreView {
    return viewOf(this.#step)
  }

  /** For a snapshot of our own at `zxid`, which is applied. */
  endPointsUpTo(zxid: Zxid, checksum: Checksum): EpochEnd[] {
    return endPointsUpTo(this.#step.state.history, zxid, checksum)
  }

  /** Nothing above this may be compacted: transfers under way need it. */
  keepFrom(): Zxid {
    const { role, history } = this.#step.state
    let keep = history.last
    if (role.name === 'leading')
      for (const learner of role.learners.values()) if (learner.stage === 'transferring' || learner.streaming) keep = minZxid(keep, learner.keepAbove)
    return keep
  }

  /** The whole state as bytes: two cores of equal bytes and equal settings behave equally. */
  encode(): Uint8Array {
    return encodeState(this.#step.state)
  }

  /** @throws AntiphonError CORRUPT when `bytes` are not what `encode` made. */
  static decode(config: CoreConfig, bytes: Uint8Array): Core {
    const core = new Core(config, NOTHING_STORED, { monotonic: 0, wall: 0 })
    core.#step = new Step(config, decodeState(bytes))
    return core
  }

  /** For invariants, tests and exploration; never to be changed. */
  get state(): Readonly<CoreState> {
    return this.#step.state
  }
}

/** What `decode` replaces at once. */
const NOTHING_STORED: StoredState = {
  storeId: '',
  founding: null,
  epochs: { accepted: 0, acceptedFrom: null, current: 0 },
  snapshot: null,
  log: { start: ZERO, last: ZERO, checksum: 0, endPoints: [], time: 0 },
}

function checkMembers(config: CoreConfig, founded: CoreConfig['initial']['members']): void {
  const told = config.initial.members
  const same =
    told.length === founded.length &&
    told.every((member, i) => {
      const other = founded[i]!
      return member.id === other.id && member.role === other.role && member.weight === other.weight && member.group === other.group
    })
  if (!same) {
    throw new AntiphonError('INVALID_SETTINGS', 'the settings name other members, roles, weights or groups than the ensemble was founded with', {
      remedy: 'Start with the members that the ensemble was founded with; changing members of a founded ensemble is not possible yet.',
    })
  }
}

function dispatch(step: Step, input: Input): void {
  const { state } = step
  switch (input.kind) {
    case 'tick':
      return tick(step)
    case 'message':
      return receive(step, input.from, input.connection, input.message)
    case 'propose':
      return onPropose(step, input.run)
    case 'read':
      return onRead(step, input.number)
    case 'persisted':
      return persisted(step, input.ticket)
    case 'transferred':
      return onTransferred(step, input.transfer, input.upTo, input.ok)
    case 'staged':
      return onStaged(step, input.transfer, input.generation, input.ok)
    case 'applied':
      state.applied = maxZxid(state.applied, minZxid(input.upTo, state.committed))
      if (state.role.name === 'leading') changeEpochIfDue(step, state.role)
      if (state.role.name === 'leading') serveRebuilds(step, state.role)
      return
    case 'digest':
      return onDigest(step, input.zxid, input.digest)
    case 'rebuilt':
      return onRebuilt(step, input.transfer, input.snapshot)
    case 'compacted':
      compacted(state, input.snapshot, input.start)
      if (state.role.name === 'leading') serveRebuilds(step, state.role)
      return
    case 'connection':
      return input.up ? connected(step, input.peer, input.connection, input.storeId) : disconnected(step, input.peer, input.connection)
  }
}

/** Told late, behind an install, it is of a log that is gone. */
function compacted(state: CoreState, snapshot: SnapshotMeta, start: Zxid): void {
  const { history } = state
  if (history.snapshot !== null && snapshot.zxid < history.snapshot.zxid) return
  history.snapshot = snapshot
  history.start = maxZxid(history.start, start)
}

function tick(step: Step): void {
  const { state, now } = step
  state.lastTick = now.monotonic
  foundIfUnanimous(step)
  if (state.role.name === 'leading') leaderTick(step, state.role)
  else if (state.role.name === 'following') followerTick(step, state.role)
}

function persisted(step: Step, ticket: number): void {
  const { state } = step
  while (state.underway.length > 0 && state.underway[0]!.ticket <= ticket) {
    const write = state.underway.shift()!
    state.durable = write.last
    if (write.founds) onFounded(step)
  }
  if (state.role.name === 'following' && state.role.phase !== 'active') state.role.heardAt = step.now.monotonic
}

function connected(step: Step, id: PeerId, connection: number, storeId: StoreId | null): void {
  const peer = step.state.peers.get(id)
  if (peer === undefined) return
  if (peer.connection !== 0) disconnected(step, id, peer.connection)
  forget(peer)
  peer.connection = connection
  peer.storeId = storeId
  sendIdentity(step, id)
}

function disconnected(step: Step, id: PeerId, connection: number): void {
  const { state } = step
  const peer = state.peers.get(id)
  if (peer === undefined || peer.connection !== connection) return
  forget(peer)
  const { role } = state
  if (role.name === 'following' && role.leader === id) leave(step, 'the connection to the leader is gone', true)
  else if (role.name === 'leading') dropLearner(step, role, id, 'its connection is gone')
}

/** Only what comes on the live connection is heard, and until a peer has told our ensemble's id nothing but that. */
function receive(step: Step, from: PeerId, connection: number, message: Message): void {
  const { state } = step
  if (from === step.self) {
    if (connection === 0) toLeader(step, from, message)
    return
  }
  const peer = state.peers.get(from)
  if (peer === undefined || peer.connection !== connection || connection === 0) return
  if (message.kind === 'IDENTITY') return onIdentity(step, from, message)
  if (message.kind === 'FOUNDING') return onFounding(step, from, message)
  if (!peer.identified) return
  if (message.kind === 'VOTE') return onVote(step, from, message)
  if (state.role.name === 'leading') hearLearner(step, state.role, from)
  toLeader(step, from, message)
  if (state.role.name === 'following' && state.role.leader === from && state.role.connection === connection) fromLeader(step, state.role, message)
}

/** What learners, and our own store, tell the leader. */
function toLeader(step: Step, from: PeerId, message: Message): void {
  switch (message.kind) {
    case 'CEPOCH':
      return onCepoch(step, from, message)
    case 'ACK-E':
      return onAckEpoch(step, from, message)
    case 'RECEIVED':
      return onReceived(step, from, message)
    case 'ACK-LD':
      return onAckLeader(step, from, message)
    case 'ACK':
      return onAck(step, from, message)
    case 'PONG':
      return onPong(step, from, message)
    case 'DIGEST':
      return onDigestTold(step, from, message)
    case 'REBUILD':
      return onRebuild(step, from, message)
    case 'READ':
      return onReadRequest(step, from, message)
  }
}

/** What the leader tells its learners. NEWEPOCH opens an epoch; everything else belongs to the one that is open. */
function fromLeader(step: Step, role: Following, message: Message): void {
  if (message.kind === 'NEWEPOCH') return onNewEpoch(step, role, message)
  if ('epoch' in message && message.epoch !== role.epoch) return
  // While synchronising only progress counts as a sign of life, and a heartbeat is none (rule 18).
  const waiting = role.phase === 'discovering' || role.phase === 'synchronizing'
  if (!waiting || (message.kind !== 'PING' && message.kind !== 'COMMIT')) role.heardAt = step.now.monotonic
  switch (message.kind) {
    case 'TRUNC':
      return onTrunc(step, role, message)
    case 'DIFF':
      return onDiff(step, role, message)
    case 'SNAP':
      return onSnap(step, role, message)
    case 'CHUNK':
      return onChunk(step, role, message)
    case 'NEWLEADER':
      return onNewLeader(step, role, message)
    case 'PROPOSE':
      return onProposal(step, role, message)
    case 'COMMIT-LD':
      return onCommitLeader(step, role, message)
    case 'COMMIT':
      return noteCommit(step, role, message.committed)
    case 'PING':
      return onPing(step, role, message)
    case 'READ-POINT':
      return onReadPoint(step, role, message)
    case 'VERDICT':
      return onVerdict(step, message)
  }
}
