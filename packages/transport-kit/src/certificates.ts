import { AntiphonError } from '@antiphon/ports'
import type { ProvenIdentity } from './pipe.ts'

/** The part of Node's peer certificate that is read here. */
export interface Certificate {
  /** `DNS:one.example, URI:antiphon://peer/1`; a value with anything unusual in it is a JSON text. */
  readonly subjectaltname?: string | undefined
  readonly subject?: { readonly CN?: string | string[] | undefined } | undefined
}

/** Ids of peers for which a certificate speaks. */
export type PeersOf = (certificate: Certificate) => readonly number[]

/** By default: each alternative name `URI:antiphon://peer/<id>`. */
export const peersByUri: PeersOf = ({ subjectaltname }) => {
  const peers: number[] = []
  for (const name of alternativeNames(subjectaltname ?? '')) {
    const id = /^URI:antiphon:\/\/peer\/([1-9][0-9]{0,2})$/.exec(name)?.[1]
    if (id !== undefined) peers.push(Number(id))
  }
  return peers
}

/** Splits at commas, but for those inside of a quoted value. */
function alternativeNames(text: string): string[] {
  const names: string[] = []
  let name = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    if (quoted && char === '\\') {
      name += char + (text[++i] ?? '')
    } else if (char === ',' && !quoted) {
      names.push(name.trim())
      name = ''
    } else {
      if (char === '"') quoted = !quoted
      name += char
    }
  }
  names.push(name.trim())
  return names
}

export function identityOf(certificate: Certificate, peersOf: PeersOf): ProvenIdentity {
  const peers = new Set(peersOf(certificate))
  const { CN } = certificate.subject ?? {}
  const names = [...(CN === undefined ? [] : [`CN=${CN}`]), certificate.subjectaltname ?? ''].filter((name) => name !== '')
  return {
    speaksFor: (peer) => peers.has(peer),
    description: `a certificate of ${names.length === 0 ? 'nobody' : names.join(', ').slice(0, 200)}`,
  }
}

/** What the network does to connections, and no certificate has to do with. */
const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
  'EINVAL',
])

/** A failed TLS handshake as what it means; anything else as it is. */
export function tlsTrouble(error: Error, where: string): Error {
  const { code } = error as { code?: string }
  if (error instanceof AntiphonError || code === undefined || NETWORK.has(code)) return error
  return new AntiphonError('UNAUTHENTICATED', `the TLS handshake with ${where} failed: ${error.message}`, {
    remedy: "Compare both sides' certificates: issued by the authority that the other one trusts, in date, and naming the right peer.",
    cause: error,
  })
}
