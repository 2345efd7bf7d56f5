import { sha1 } from '@noble/hashes/legacy.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { toBase64 } from './base64.ts'

export type DigestAlgorithm = 'SHA-1' | 'SHA-256'

/**
 * The id of a user in the `digest` scheme, `user:base64(hash(user:password))`, for ACLs and for the option `superDigest`. `userAndPassword` is `user:password`; the password may have colons
 * in it.
 */
export function digestId(userAndPassword: string, algorithm: DigestAlgorithm = 'SHA-1'): string {
  const bytes = new TextEncoder().encode(userAndPassword)
  const hash = algorithm === 'SHA-1' ? sha1(bytes) : sha256(bytes)
  const colon = userAndPassword.indexOf(':')
  return `${colon < 0 ? userAndPassword : userAndPassword.slice(0, colon)}:${toBase64(hash)}`
}

/** Exactly two parts: colons at the end count for nothing, as Java splits. */
export function isDigestId(id: string): boolean {
  const parts = id.split(':')
  while (parts.at(-1) === '') parts.pop()
  return parts.length === 2
}

export function digestUser(id: string): string {
  const colon = id.indexOf(':')
  return colon < 0 ? id : id.slice(0, colon)
}

/** The hash is nobody's business who may not change the ACL. */
export function maskDigestId(id: string): string {
  return id.includes(':') ? `${digestUser(id)}:x` : id
}
