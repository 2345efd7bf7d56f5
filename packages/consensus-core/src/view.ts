import type { RoleName } from './effects.ts'
import type { LearnerStage } from './state.ts'
import type { Step } from './step.ts'
import type { Configuration, EnsembleId, PeerId } from './types.ts'
import type { Zxid } from './zxid.ts'

/** What a status page wants to know; a copy. */
export interface CoreView {
  readonly role: RoleName
  /** False while looking, discovering and synchronising. */
  readonly active: boolean
  readonly leader: PeerId | null
  /** The epoch of the present relation; 0 before it is known. */
  readonly epoch: number
  readonly acceptedEpoch: number
  readonly currentEpoch: number
  /** Tail of the history; `applied <= committed <= last`. */
  readonly last: Zxid
  readonly durable: Zxid
  readonly committed: Zxid
  readonly applied: Zxid
  /** Null before the founding. */
  readonly ensembleId: EnsembleId | null
  readonly configuration: Configuration
  /** Does this store count as a voter (rule 9)? */
  readonly counted: boolean
  /** The ZXID at which a quorum found another state; null when ours is sound as far as anybody knows (rule 28). */
  readonly quarantined: Zxid | null
  readonly round: number
  readonly connected: readonly PeerId[]
  readonly learners: readonly LearnerView[]
}

export interface LearnerView {
  readonly peer: PeerId
  readonly counted: boolean
  readonly stage: LearnerStage
  /** How it was, or is being, synchronised. */
  readonly mode: 'diff' | 'trunc' | 'snap' | null
  readonly acked: Zxid
  /** Its window was full: it gets from the store what follows, until it meets the live entries (rule 17). */
  readonly streaming: boolean
}

export function viewOf(step: Step): CoreView {
  const { state } = step
  const { role, epochs, history } = state
  const learners: LearnerView[] = []
  if (role.name === 'leading')
    for (const [peer, learner] of role.learners)
      learners.push({ peer, counted: learner.counted, stage: learner.stage, mode: learner.mode, acked: learner.acked, streaming: learner.streaming })
  return {
    role: role.name === 'following' ? (role.counted ? 'following' : 'observing') : role.name,
    active: role.name === 'leading' ? role.stage === 'established' : role.name === 'following' && role.phase === 'active',
    leader: role.name === 'looking' ? null : role.name === 'leading' ? step.self : role.leader,
    epoch: role.name === 'looking' ? 0 : role.epoch,
    acceptedEpoch: epochs.accepted,
    currentEpoch: epochs.current,
    last: history.last,
    durable: state.durable,
    committed: state.committed,
    applied: state.applied,
    ensembleId: state.founding?.ensembleId ?? null,
    configuration: step.configuration,
    counted: step.counted(step.self),
    quarantined: state.quarantined?.zxid ?? null,
    round: state.round,
    connected: [...state.peers].filter(([, peer]) => peer.connection !== 0).map(([id]) => id),
    learners,
  }
}
