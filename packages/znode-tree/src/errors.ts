import { AntiphonError } from '@antiphon/ports'
import { ZNODE_ERRORS, type ZnodeErrorCode } from './types.ts'

const REMEDIES: Readonly<Partial<Record<ZnodeErrorCode, string>>> = {
  NO_NODE: 'Create the node (or its parent) first, or look with `exists`.',
  NODE_EXISTS: 'Somebody made it before: read it, or take another name.',
  BAD_VERSION: 'Somebody changed it meanwhile: read it again and decide anew.',
  NOT_EMPTY: 'Delete its children first.',
  NO_AUTH: "Authenticate as somebody whom the node's ACL permits this.",
  NO_CHILDREN_FOR_EPHEMERALS: 'Put children under a persistent node.',
  INVALID_ACL: 'Give at least one entry, each of a known scheme with an id that is valid for it.',
  SESSION_EXPIRED: 'Open a new session; its ephemeral nodes are gone.',
  SESSION_MOVED: 'Another holder has taken the session over: leave it to them, or open one of your own.',
  QUOTA_EXCEEDED: 'Delete something below the quota, or raise it.',
  EPHEMERAL_ON_LOCAL_SESSION: 'Make ephemeral nodes with a global session.',
}

/** A request that was answered with no: AntiphonError REFUSED, whose `refusal` is ZooKeeper's code and whose `details` have its number (`zookeeperCode`) and the path. */
export function znodeError(code: ZnodeErrorCode, path: string | null = null, message?: string): AntiphonError {
  return new AntiphonError('REFUSED', message ?? `${code}${path === null ? '' : ` for ${path}`}`, {
    refusal: code,
    remedy: REMEDIES[code] ?? 'Correct the request.',
    details: { zookeeperCode: ZNODE_ERRORS[code], ...(path === null ? {} : { path }) },
  })
}
