import 'reflect-metadata'
import { randomUUID, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

const crypto = webcrypto

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
/** Clocks differ. */
const BACK_DAYS = 2

/** In PEM. */
export interface MemberCertificate {
  readonly key: string
  readonly cert: string
  /** The authority's certificate: whom this member trusts. */
  readonly ca: string
}

export interface MemberCertificateOptions {
  /** Out of date since yesterday. */
  readonly expired?: boolean
}

export interface Authority {
  /** Its certificate, in PEM. */
  readonly ca: string
  /** A new key, and a certificate for it with the alternative name `URI:antiphon://peer/<id>`: the transports take who shows it for member `id`. */
  member(id: number, options?: MemberCertificateOptions): Promise<MemberCertificate>
}

export interface AuthorityOptions {
  /** How long it and its certificates hold. 1 unless told. */
  readonly days?: number
}

/** An authority with a key of its own, which never leaves it: to try TLS, and for tests. */
export async function newAuthority({ days = 1 }: AuthorityOptions = {}): Promise<Authority> {
  x509.cryptoProvider.set(crypto as never)
  const keys = (await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const now = Date.now()
  const notAfter = new Date(now + days * DAY_MS)
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    // Authorities of one name would be taken for each other.
    name: `CN=Antiphon authority ${randomUUID()}`,
    notBefore: new Date(now - BACK_DAYS * DAY_MS),
    notAfter,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true), new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true)],
  })
  const ca = root.toString('pem')
  return {
    ca,
    async member(id, { expired = false } = {}) {
      const own = (await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
      const cert = await x509.X509CertificateGenerator.create({
        subject: `CN=member ${id}`,
        issuer: root.subject,
        notBefore: new Date(now - BACK_DAYS * DAY_MS),
        notAfter: expired ? new Date(now - DAY_MS) : notAfter,
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `antiphon://peer/${id}` }])],
      })
      const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64')
      return {
        key: `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
        cert: `${cert.toString('pem').trimEnd()}\n`,
        ca,
      }
    },
  }
}
