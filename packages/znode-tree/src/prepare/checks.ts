import type { PathRecord } from '../path-record.ts'
import type { ZnodeErrorCode } from '../types.ts'
import type { Outcome, Preparation } from './request.ts'

/** ZooKeeper's `checkSession`: the requester holds a session that is there. A local session is its replica's own affair. */
export function checkSession({ overlay, session, attachment, local }: Preparation): Outcome {
  if (local) return null
  const held = overlay.attachment(session)
  if (held < 0) return 'SESSION_EXPIRED'
  return held === attachment ? null : 'SESSION_MOVED'
}

export function mayNot({ access, identities }: Preparation, record: PathRecord, perms: number): boolean {
  return !access.permits(record.acl, perms, identities)
}

/** The version behind `current`: 32 bits signed, but never -1, which means any (ZOOKEEPER-4743). */
export function nextVersion(current: number): number {
  const next = (current + 1) | 0
  return next === -1 ? 0 : next
}

export function isOtherVersion(current: number, expected: number): boolean {
  return expected !== -1 && expected !== current
}

/**
 * ZooKeeper's `checkQuota`, with what is prepared and not applied counted in. What is within the limits is charged by the caller. A soft limit only warns, and so does a hard one where quotas
 * are not enforced.
 */
export function exceedsQuota({ tree, overlay, options, warnings }: Preparation, path: string, count: number, bytes: number): ZnodeErrorCode | null {
  if (count === 0 && bytes === 0) return null
  const quota = tree.quotaOf(path)
  if (quota === null) return null
  const used = overlay.used(quota.path)
  const nodes = quota.count + used.count + count
  const size = quota.bytes + used.bytes + bytes
  if (options.enforceQuota) {
    if (count !== 0 && isOver(nodes, quota.countHardLimit)) return 'QUOTA_EXCEEDED'
    if (bytes !== 0 && isOver(size, quota.bytesHardLimit)) return 'QUOTA_EXCEEDED'
  }
  if (count !== 0) warnings.note(quota.path, 'nodes', nodes, lower(quota.countLimit, quota.countHardLimit))
  if (bytes !== 0) warnings.note(quota.path, 'bytes', size, lower(quota.bytesLimit, quota.bytesHardLimit))
  return null
}

function isOver(used: number, limit: number): boolean {
  return limit > -1 && used > limit
}

/** Of two limits, each of which may be none. */
function lower(one: number, other: number): number {
  return one < 0 || (other > -1 && other < one) ? other : one
}

export function charge({ tree, overlay }: Preparation, path: string, count: number, bytes: number): void {
  if (count === 0 && bytes === 0) return
  const quota = tree.quotaOf(path)
  if (quota !== null) overlay.charge(quota.path, count, bytes)
}
