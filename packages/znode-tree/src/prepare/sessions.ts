import { corrupt, type Millis } from '@antiphon/ports'
import { ATTACH, CLOSE, OPEN_SESSION } from '../changes.ts'
import { EPHEMERAL } from '../data-tree-types.ts'
import { znodeError } from '../errors.ts'
import type { SessionRecord } from '../overlay.ts'
import { parentPath } from '../path.ts'
import { peerMax, readOwnSession, readPeer } from '../requests.ts'
import { leastTimeoutMs } from '../sessions/expiry.ts'
import { isPasswordOf, nextSessionId, peerOf } from '../sessions/session-id.ts'
import { remove } from './operations.ts'
import type { Outcome, Preparation } from './request.ts'

/** With an id, a local session becomes a global one. */
export function prepareCreateSession(preparation: Preparation): Outcome {
  const { reader, overlay, zxid, time } = preparation
  const peer = readPeer(reader, peerMax(preparation.options.ttlNodes))
  const timeoutMs = clamp(preparation, reader.i32())
  const asked = readOwnSession(reader, peer)
  reader.finish()

  const id = asked ?? nextSessionId(peer, time, overlay.highest(peer))
  // A local session's id is its own replica's idea: never somebody else's session.
  if (overlay.attachment(id) >= 0) return 'NODE_EXISTS'
  overlay.openSession(id, peer, zxid)
  overlay.raise(peerOf(id), id)
  write(preparation, OPEN_SESSION, id, peer, timeoutMs)
  return null
}

/** A wrong password and a session that is not there are one answer: SESSION_EXPIRED. */
export function prepareAttachSession(preparation: Preparation): Outcome {
  const { reader, overlay, zxid } = preparation
  const id = reader.session()
  const length = reader.data()
  if (length < 0) throw corrupt('a request to attach has no password')
  const end = reader.at
  const peer = readPeer(reader, peerMax(preparation.options.ttlNodes))
  const timeoutMs = clamp(preparation, reader.i32())
  reader.finish()

  const record = overlay.session(id)
  if (record === null || !isPasswordOf(id, reader.bytes, end - length, end)) return 'SESSION_EXPIRED'
  overlay.touchSession(record)
  record.peer = peer
  record.attachment = zxid
  write(preparation, ATTACH, id, peer, timeoutMs)
  return null
}

/**
 * The session and its ephemeral nodes are gone as of this one change: what is prepared behind it finds neither. Which nodes they are, every replica finds for itself, for the state is the same
 * everywhere.
 * @throws AntiphonError REFUSED (SESSION_EXPIRED): it is closed since the leader asked, whose own question needs no entry to say so
 */
export function prepareCloseSession(preparation: Preparation): Outcome {
  const { reader, overlay, change } = preparation
  const id = reader.session()
  const isAsked = reader.u8Below(2) === 1
  const attachment = reader.zxid()
  reader.finish()

  const record = overlay.session(id)
  if (record === null) {
    if (!isAsked) throw znodeError('SESSION_EXPIRED', null, 'the session that was to expire is closed')
    return 'SESSION_EXPIRED'
  }
  if (isAsked && record.attachment !== attachment) return 'SESSION_MOVED'
  removeEphemerals(preparation, record)
  overlay.touchSession(record)
  record.exists = false
  change.u8(CLOSE)
  change.session(id)
  change.u8(isAsked ? 0 : 1)
  return null
}

/** Those that are applied, and those that are only prepared. An ephemeral node has no children. */
function removeEphemerals(preparation: Preparation, { id, made }: SessionRecord): void {
  const { tree } = preparation
  for (const path of tree.ephemerals(id)) removeEphemeral(preparation, id, path)
  for (const path of made) removeEphemeral(preparation, id, path)
}

function removeEphemeral(preparation: Preparation, id: bigint, path: string): void {
  const { overlay } = preparation
  const record = overlay.at(path)
  if (record.exists && record.kind === EPHEMERAL && record.owner === id) remove(preparation, record, overlay.at(parentPath(path)))
}

function clamp({ options, tickMs }: Preparation, timeoutMs: Millis): Millis {
  const bounded = Math.min(Math.max(timeoutMs, options.sessionTimeoutMsMin), options.sessionTimeoutMsMax)
  return Math.max(bounded, Math.ceil(leastTimeoutMs(tickMs)))
}

function write({ change }: Preparation, kind: number, id: bigint, peer: number, timeoutMs: Millis): void {
  change.u8(kind)
  change.session(id)
  change.u8(peer)
  change.u32(timeoutMs)
}
