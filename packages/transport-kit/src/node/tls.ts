import { isIP } from 'node:net'
import { type ConnectionOptions as ClientOptions, createSecureContext, type PeerCertificate, type TlsOptions as ServerOptions, type TLSSocket } from 'node:tls'
import type { PeerId } from '@antiphon/ports'
import { identityOf, invalidSettings, type PeersOf, type ProvenIdentity, peersByUri, validateNames } from '@antiphon/transport-kit'

/** PEM, as text or bytes. */
export interface TlsMaterial {
  readonly key: string | Uint8Array
  /** Ours, with those between it and the authority behind it. */
  readonly cert: string | Uint8Array
  /** The authorities whose certificates members have: of this ensemble alone, since whoever they vouch for may name an id. */
  readonly ca: string | Uint8Array | readonly (string | Uint8Array)[]
  readonly passphrase?: string
}

export interface TlsOptions extends TlsMaterial {
  /** Mutual TLS: who connects shows a certificate too. True unless told; without it give a `secret`, or anybody may claim any id. */
  readonly mutual?: boolean
  /** Ids for which a certificate speaks. Unless told: its alternative names `URI:antiphon://peer/<id>`. */
  readonly peersOf?: PeersOf
}

const KNOWN: readonly (keyof TlsOptions)[] = ['key', 'cert', 'ca', 'passphrase', 'mutual', 'peersOf']

/** @throws AntiphonError INVALID_SETTINGS; `hasSecret`: members prove themselves by a secret too. */
export function validateTls(tls: TlsOptions, hasSecret: boolean): void {
  if (typeof tls !== 'object' || tls === null) throw invalidSettings('`tls` must be an object', 'Give `{ key, cert, ca }`.')
  validateNames(tls, KNOWN)
  for (const name of ['key', 'cert', 'ca'] as const)
    if (tls[name] === undefined) throw invalidSettings(`\`tls.${name}\` is missing`, 'Give `{ key, cert, ca }` in PEM.')
  if (tls.mutual === false && !hasSecret)
    throw invalidSettings('without mutual TLS and without a secret anybody may claim any id', 'Leave `tls.mutual` out, or give a `secret`.')
  try {
    createSecureContext(contextOf(tls))
  } catch (error) {
    throw invalidSettings(`the TLS key or certificates cannot be used: ${(error as Error).message}`, 'Give PEM texts that belong together.', error)
  }
}

/** `tls` with renewed certificates. @throws AntiphonError INVALID_SETTINGS; also where there was no TLS before. */
export function renewedTls(tls: TlsOptions | null, material: TlsMaterial, hasSecret: boolean): TlsOptions {
  if (tls === null) throw invalidSettings('this transport was made without TLS', 'Give `tls` when it is made.')
  const renewed = { ...tls, ...material }
  validateTls(renewed, hasSecret)
  return renewed
}

type Context = { key: Buffer; cert: Buffer; ca: Buffer[]; passphrase?: string; minVersion: 'TLSv1.2' }

export function contextOf({ key, cert, ca, passphrase }: TlsMaterial): Context {
  const authorities = (Array.isArray(ca) ? ca : [ca]) as readonly (string | Uint8Array)[]
  const context = { key: Buffer.from(key), cert: Buffer.from(cert), ca: authorities.map((each) => Buffer.from(each)), minVersion: 'TLSv1.2' as const }
  return passphrase === undefined ? context : { ...context, passphrase }
}

export function serverOptions(tls: TlsOptions, handshakeTimeoutMs: number): ServerOptions {
  const mutual = tls.mutual ?? true
  return { ...contextOf(tls), requestCert: mutual, rejectUnauthorized: mutual, handshakeTimeout: handshakeTimeoutMs }
}

/** For dialling `peer`: the id that its certificate names takes the place of the host's name. */
export function clientOptions(tls: TlsOptions, host: string, peer: PeerId): ClientOptions {
  return {
    ...contextOf(tls),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
      const identity = identityOf(certificate, tls.peersOf ?? peersByUri)
      return identity.speaksFor(peer) ? undefined : new WrongPeer(`${identity.description} does not name peer ${peer}`)
    },
  }
}

class WrongPeer extends Error {
  readonly code = 'ERR_WRONG_PEER'
}

/** Of whoever has connected; null where it was not asked. */
export function clientIdentity(socket: TLSSocket, tls: TlsOptions): ProvenIdentity | null {
  return (tls.mutual ?? true) ? identityOf(socket.getPeerCertificate(), tls.peersOf ?? peersByUri) : null
}
