import type { AuthScheme } from '../machine-types.ts'
import type { Identity } from '../types.ts'
import { isInRange, parseAddress, parseRange } from './addresses.ts'
import { type DigestAlgorithm, digestId, digestUser, isDigestId } from './digest.ts'

/** A scheme, and whether its identities are what `auth` in an ACL stands for. */
export interface Scheme extends AuthScheme {
  readonly isAuthenticated: boolean
}

export const SUPER: Identity = { scheme: 'super', id: '' }

/** `user:password`. Nobody is turned away: with another password one is somebody else, whom no ACL names. */
export function digestScheme(algorithm: DigestAlgorithm, superDigest: string): Scheme {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  return {
    name: 'digest',
    isAuthenticated: true,
    authenticate(credential) {
      const id = digestId(decoder.decode(credential), algorithm)
      const identity: Identity = { scheme: 'digest', id }
      return id === superDigest ? [SUPER, identity] : [identity]
    },
    isValid: isDigestId,
    matches: isSame,
    userName: digestUser,
  }
}

/** Where a request comes from is seen by whoever has the connection, who makes the identity with `addressIdentity`: a credential says nothing about it. */
export const IP_SCHEME: Scheme = {
  name: 'ip',
  isAuthenticated: false,
  authenticate: showsNothing,
  isValid: (id) => parseRange(id) !== null,
  matches(identity, aclId) {
    const range = parseRange(aclId)
    if (range === null) return false
    const address = parseAddress(identity)
    return address !== null && isInRange(address, range)
  },
}

/** The subject of the certificate that the connection was made with, whose holder makes the identity: a credential says nothing about it. */
export const X509_SCHEME: Scheme = {
  name: 'x509',
  isAuthenticated: true,
  authenticate: showsNothing,
  isValid: isDistinguishedName,
  matches: isSame,
}

/** The identity of a connection from `address` (IPv4, IPv6, IPv4-mapped; a zone is left out). Null: it is no address. */
export function addressIdentity(address: string): Identity | null {
  const zone = address.indexOf('%')
  const plain = zone < 0 ? address : address.slice(0, zone)
  const bytes = parseAddress(plain)
  if (bytes === null) return null
  return { scheme: 'ip', id: bytes.length === 4 ? bytes.join('.') : plain.toLowerCase() }
}

function showsNothing(): null {
  return null
}

function isSame(identity: string, aclId: string): boolean {
  return identity === aclId
}

/** RFC 2253, roughly: `type=value` at least once, parted by commas that are neither quoted nor escaped. */
function isDistinguishedName(id: string): boolean {
  return /^\s*[\w.-]+\s*=(?:[^",;\\]|\\.|"(?:[^"\\]|\\.)*")*(?:[,;]\s*[\w.-]+\s*=(?:[^",;\\]|\\.|"(?:[^"\\]|\\.)*")*)*$/su.test(id)
}
