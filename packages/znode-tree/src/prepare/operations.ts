import { corrupt } from '@antiphon/ports'
import { CHECK, CREATE, DELETE, SET_ACL, SET_DATA } from '../changes.ts'
import { CONTAINER, EPHEMERAL, type NodeKind, PERSISTENT, TTL } from '../data-tree-types.ts'
import { hasParent, isValidPath, parentPath, sequentialSuffix } from '../path.ts'
import type { PathRecord } from '../path-record.ts'
import { OP_CHECK, OP_CREATE, OP_DELETE, OP_SET_ACL, OP_SET_DATA } from '../requests.ts'
import { ADMIN, CREATE_MODES, CREATE as MAY_CREATE, DELETE as MAY_DELETE, READ, WRITE, type ZnodeErrorCode } from '../types.ts'
import { charge, checkSession, exceedsQuota, isOtherVersion, mayNot, nextVersion } from './checks.ts'
import type { Outcome, Preparation } from './request.ts'

/** Milliseconds; ZooKeeper has 40 bits for them. */
export const TTL_MS_MAX: number = 2 ** 40 - 1
/** Of all that may be made, asked of or written to, these may not be deleted. */
const SPECIAL: ReadonlySet<string> = new Set(['/', '/zookeeper', '/zookeeper/config', '/zookeeper/quota'])

interface Mode {
  readonly kind: NodeKind
  readonly isSequential: boolean
}

const MODES: readonly Mode[] = CREATE_MODES.map((mode) => ({
  kind: mode.startsWith('ephemeral') ? EPHEMERAL : mode === 'container' ? CONTAINER : mode.endsWith('-with-ttl') ? TTL : PERSISTENT,
  isSequential: mode.includes('-sequential'),
}))

/**
 * One operation, alone or of a multi: what comes first in ZooKeeper's order of checks (client-protocol.md, section 5) is what it fails for. The operation's own bytes are read to their end.
 * @throws AntiphonError CORRUPT
 */
export function prepareOperation(preparation: Preparation, code: number): Outcome {
  switch (code) {
    case OP_CREATE:
      return prepareCreate(preparation)
    case OP_DELETE:
      return prepareDelete(preparation)
    case OP_SET_DATA:
      return prepareSetData(preparation)
    case OP_SET_ACL:
      return prepareSetAcl(preparation)
    case OP_CHECK:
      return prepareCheck(preparation)
    default:
      throw corrupt(`an operation has the unknown code ${code}`)
  }
}

function prepareCreate(preparation: Preparation): Outcome {
  const { reader, overlay, options, access, change } = preparation
  const { kind, isSequential } = MODES[reader.u8Below(MODES.length)]!
  const ttlMs = reader.signed()
  const asked = reader.text()
  const dataLength = reader.data()
  const dataEnd = reader.at
  const askedAcl = reader.acl()

  if (kind === TTL && !options.ttlNodes) return 'UNIMPLEMENTED'
  if (kind === TTL ? ttlMs < 1 || ttlMs > TTL_MS_MAX : ttlMs !== 0) return 'BAD_ARGUMENTS'
  if (kind === EPHEMERAL && preparation.local) return 'EPHEMERAL_ON_LOCAL_SESSION'
  const refused = checkSession(preparation)
  if (refused !== null) return refused
  if (!hasParent(asked)) return 'BAD_ARGUMENTS'
  const acl = access.fixAcl(askedAcl, preparation.identities)
  if (acl === null) return 'INVALID_ACL'
  const parent = overlay.at(parentPath(asked))
  if (!parent.exists) return 'NO_NODE'
  if (mayNot(preparation, parent, MAY_CREATE)) return 'NO_AUTH'
  const path = isSequential ? asked + sequentialSuffix(parent.childrenCreated) : asked
  if (!isValidPath(path)) return 'BAD_ARGUMENTS'
  const record = overlay.at(path)
  if (record.exists) return 'NODE_EXISTS'
  if (parent.kind === EPHEMERAL) return 'NO_CHILDREN_FOR_EPHEMERALS'
  const bytes = Math.max(0, dataLength)
  const exceeded = exceedsQuota(preparation, path, 1, bytes)
  if (exceeded !== null) return exceeded

  charge(preparation, path, 1, bytes)
  overlay.touch(record)
  record.exists = true
  record.kind = kind
  record.owner = kind === EPHEMERAL ? preparation.session : 0n
  record.ttlMs = ttlMs
  record.version = 0
  record.aversion = 0
  record.childrenCreated = 0
  record.childCount = 0
  record.dataLength = bytes
  record.mtime = preparation.time
  record.acl = acl
  overlay.touch(parent)
  parent.childrenCreated = (parent.childrenCreated + 1) | 0
  parent.childCount++
  if (kind === EPHEMERAL) overlay.makeEphemeral(preparation.session, path)

  change.u8(CREATE)
  change.u8(kind)
  change.text(path)
  writeData(preparation, dataLength, dataEnd)
  change.acl(acl)
  if (kind === EPHEMERAL) change.session(preparation.session)
  else if (kind === TTL) change.safe(ttlMs)
  return null
}

function prepareDelete(preparation: Preparation): Outcome {
  const { reader, overlay, change } = preparation
  const path = reader.text()
  const version = reader.i32()

  const refused = checkSession(preparation)
  if (refused !== null) return refused
  if (!hasParent(path) || SPECIAL.has(path)) return 'BAD_ARGUMENTS'
  const parent = overlay.at(parentPath(path))
  if (!parent.exists) return 'NO_NODE'
  if (mayNot(preparation, parent, MAY_DELETE)) return 'NO_AUTH'
  const record = overlay.at(path)
  if (!record.exists) return 'NO_NODE'
  if (isOtherVersion(record.version, version)) return 'BAD_VERSION'
  if (record.childCount > 0) return 'NOT_EMPTY'

  remove(preparation, record, parent)
  change.u8(DELETE)
  change.text(path)
  return null
}

/** `record`, which has no children, is gone from `parent` as of the change that is prepared. */
export function remove(preparation: Preparation, record: PathRecord, parent: PathRecord): void {
  const { overlay } = preparation
  charge(preparation, record.path, -1, -record.dataLength)
  overlay.touch(record)
  record.exists = false
  overlay.touch(parent)
  parent.childCount--
}

function prepareSetData(preparation: Preparation): Outcome {
  const { reader, overlay, change } = preparation
  const path = reader.text()
  const version = reader.i32()
  const dataLength = reader.data()
  const dataEnd = reader.at

  const refused = checkSession(preparation)
  if (refused !== null) return refused
  const record = overlay.at(path)
  if (!record.exists) return absent(path)
  if (mayNot(preparation, record, WRITE)) return 'NO_AUTH'
  const bytes = Math.max(0, dataLength)
  const exceeded = exceedsQuota(preparation, path, 0, bytes - record.dataLength)
  if (exceeded !== null) return exceeded
  if (isOtherVersion(record.version, version)) return 'BAD_VERSION'

  charge(preparation, path, 0, bytes - record.dataLength)
  overlay.touch(record)
  record.version = nextVersion(record.version)
  record.dataLength = bytes
  record.mtime = preparation.time
  change.u8(SET_DATA)
  change.text(path)
  change.i32(record.version)
  writeData(preparation, dataLength, dataEnd)
  return null
}

function prepareSetAcl(preparation: Preparation): Outcome {
  const { reader, overlay, access, change } = preparation
  const path = reader.text()
  const version = reader.i32()
  const asked = reader.acl()

  const refused = checkSession(preparation)
  if (refused !== null) return refused
  if (!isValidPath(path)) return 'BAD_ARGUMENTS'
  const acl = access.fixAcl(asked, preparation.identities)
  if (acl === null) return 'INVALID_ACL'
  const record = overlay.at(path)
  if (!record.exists) return 'NO_NODE'
  if (mayNot(preparation, record, ADMIN)) return 'NO_AUTH'
  if (isOtherVersion(record.aversion, version)) return 'BAD_VERSION'

  overlay.touch(record)
  record.aversion = nextVersion(record.aversion)
  record.acl = acl
  change.u8(SET_ACL)
  change.text(path)
  change.i32(record.aversion)
  change.acl(acl)
  return null
}

function prepareCheck(preparation: Preparation): Outcome {
  const { reader, overlay, change } = preparation
  const path = reader.text()
  const version = reader.i32()

  const refused = checkSession(preparation)
  if (refused !== null) return refused
  const record = overlay.at(path)
  if (!record.exists) return absent(path)
  if (mayNot(preparation, record, READ)) return 'NO_AUTH'
  if (isOtherVersion(record.version, version)) return 'BAD_VERSION'
  change.u8(CHECK)
  return null
}

/** What is not there may be no path. Of what is there that need not be asked. */
function absent(path: string): ZnodeErrorCode {
  return isValidPath(path) ? 'NO_NODE' : 'BAD_ARGUMENTS'
}

/** The data that lies before `end` in the request; -1 is the length of null. */
function writeData({ reader, change }: Preparation, length: number, end: number): void {
  if (length < 0) change.data(null)
  else change.dataOf(reader.bytes, end - length, end)
}
