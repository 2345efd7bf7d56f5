import { SETTINGS_PARTS } from './config.ts'
import { AntiphonError } from './errors.ts'
import type { FoundingRecord, Identity } from './messages.ts'
import type { PeerState } from './state.ts'
import type { Step } from './step.ts'
import type { Configuration, Founding, PeerId } from './types.ts'

// Rule 8: an ensemble is founded once, unanimously, by the voter with the lowest id; and every connection begins by telling who we are.

export function sendIdentity(step: Step, to: PeerId): void {
  const { founding, foundingUnderway } = step.state
  step.send(to, {
    kind: 'IDENTITY',
    ensembleId: founding?.ensembleId ?? null,
    settings: step.config.settings,
    empty: founding === null && foundingUnderway === null,
  })
}

export function onIdentity(step: Step, from: PeerId, message: Identity): void {
  const peer = step.peer(from)
  peer.ensembleId = message.ensembleId
  peer.empty = message.empty
  peer.settings = message.settings
  if (message.settings !== step.config.settings) {
    const remedy = 'Start every member with the same members, roles, weights and groups, the same machines, and the same limits.'
    refuse(
      step,
      from,
      'INVALID_SETTINGS',
      `member ${from} was started with other ${differingParts(message.settings, step.config.settings)} than this one`,
      remedy,
    )
    return
  }
  const { founding } = step.state
  if (founding !== null && message.ensembleId === null) step.send(from, { kind: 'FOUNDING', founding })
  identify(step, from, peer)
  foundIfUnanimous(step)
}

/** A peer that tells our ensemble's id is listened to; one that tells another is not of ours. */
function identify(step: Step, from: PeerId, peer: PeerState): void {
  const { founding } = step.state
  if (founding === null || peer.ensembleId === null || peer.identified || peer.settings !== step.config.settings) return
  if (peer.ensembleId !== founding.ensembleId) {
    refuse(
      step,
      from,
      'WRONG_ENSEMBLE',
      `member ${from} belongs to ensemble ${peer.ensembleId}, this one to ${founding.ensembleId}`,
      'Check the addresses, or wipe the member that is meant to join this ensemble.',
    )
    return
  }
  peer.identified = true
  const { role } = step.state
  // Rule 11: a voter that connects anew ends the pause; one that comes back from the relation that has just failed does not.
  if (role.name === 'looking' && step.counted(from) && !peer.parted) role.heldUntil = Math.min(role.heldUntil, step.now.monotonic)
  peer.parted = false
  if (role.name === 'looking') role.askAgainAt = step.now.monotonic
}

/** The connection stays, so that the other side hears of it too and nobody dials in vain; but nothing that comes on it is listened to. */
function refuse(step: Step, peer: PeerId, code: 'INVALID_SETTINGS' | 'WRONG_ENSEMBLE', message: string, remedy: string): void {
  step.refusals.push({ peer, error: new AntiphonError(code, message, { remedy, details: { peer } }) })
}

/** Which parts of two fingerprints differ, in words. */
function differingParts(theirs: string, ours: string): string {
  const differing = SETTINGS_PARTS.filter(({ from, to }) => theirs.slice(from, to) !== ours.slice(from, to)).map(({ what }) => what)
  return differing.length === 0 ? 'settings' : differing.join(' and ')
}

/**
 * The founder founds once every voter of the initial configuration has answered, on a connection that is alive now, that it is empty and has our settings, and while nobody
 * connected tells otherwise. What a peer holds is told by that peer alone: hearsay would outlive a record that was lost before it was durable.
 */
export function foundIfUnanimous(step: Step): void {
  const { state, config } = step
  if (state.founding !== null || state.foundingUnderway !== null) return
  const voters = config.initial.members.filter((member) => member.role === 'voter')
  if (voters.reduce((lowest, voter) => Math.min(lowest, voter.id), 256) !== step.self) return
  for (const peer of state.peers.values()) if (peer.empty === false || peer.ensembleId !== null) return
  for (const voter of voters) {
    if (voter.id === step.self) continue
    const peer = step.peer(voter.id)
    if (peer.connection === 0 || peer.empty !== true || peer.settings !== config.settings || peer.storeId === null) return
  }
  const configuration: Configuration = {
    version: config.initial.version,
    members: config.initial.members.map((member) => ({
      ...member,
      storeId: member.role === 'voter' ? (member.id === step.self ? state.storeId : step.peer(member.id).storeId) : null,
    })),
  }
  const founding: Founding = { ensembleId: config.freshEnsembleId, configuration }
  const record: FoundingRecord = { kind: 'FOUNDING', founding }
  const connected = [...state.peers].filter(([, peer]) => peer.connection !== 0 && peer.settings === config.settings)
  adopt(
    step,
    founding,
    connected.map(([id]) => step.outgoing(id, record)),
  )
}

export function onFounding(step: Step, from: PeerId, message: FoundingRecord): void {
  const { state } = step
  const own = state.founding ?? state.foundingUnderway
  if (own !== null) {
    if (own.ensembleId !== message.founding.ensembleId)
      refuse(step, from, 'WRONG_ENSEMBLE', `member ${from} holds the record of another ensemble`, 'Wipe the member that is meant to join this ensemble.')
    return
  }
  adopt(step, message.founding, [])
}

function adopt(step: Step, founding: Founding, afterwards: ReturnType<Step['outgoing']>[]): void {
  step.state.foundingUnderway = founding
  step.write({ founding, afterwards })
}

/** The record is durable: from here on we belong to the ensemble, and say so on every connection. */
export function onFounded(step: Step): void {
  const { state } = step
  state.founding = state.foundingUnderway
  state.foundingUnderway = null
  for (const [id, peer] of state.peers) {
    if (peer.connection === 0) continue
    sendIdentity(step, id)
    if (peer.settings !== null && peer.settings !== step.config.settings) continue
    if (peer.empty !== null && peer.ensembleId === null && state.founding !== null) step.send(id, { kind: 'FOUNDING', founding: state.founding })
    identify(step, id, peer)
  }
}
