/** Written down a second time, so that a wrong number is seen. */
export const CODES = {
  RUNTIME_INCONSISTENCY: -2,
  MARSHALLING_ERROR: -5,
  BAD_ARGUMENTS: -8,
  NO_NODE: -101,
  NO_AUTH: -102,
  BAD_VERSION: -103,
  NO_CHILDREN_FOR_EPHEMERALS: -108,
  NODE_EXISTS: -110,
  NOT_EMPTY: -111,
  SESSION_EXPIRED: -112,
  INVALID_ACL: -114,
  NO_WATCHER: -121,
  QUOTA_EXCEEDED: -125,
} as const

export class Refused extends Error {
  readonly code: number

  constructor(code: number) {
    super(`refused: ${code}`)
    this.code = code
  }
}

export function refuse(code: number): never {
  throw new Refused(code)
}
