import 'reflect-metadata'
import { randomUUID, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

const crypto = webcrypto
x509.cryptoProvider.set(crypto as never)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000

export interface MemberCertificate {
  readonly key: string
  readonly cert: string
  readonly ca: string
}

export interface Authority {
  readonly ca: string
  member(id: number, options?: { readonly expired?: boolean }): Promise<MemberCertificate>
}

/** An authority for one test, with a key of its own. */
export async function newAuthority(): Promise<Authority> {
  const keys = (await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair
  const now = Date.now()
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    // Authorities of one name would be taken for each other.
    name: `CN=Antiphon test authority ${randomUUID()}`,
    notBefore: new Date(now - 10 * DAY_MS),
    notAfter: new Date(now + DAY_MS),
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
        notBefore: new Date(now - 2 * DAY_MS),
        notAfter: new Date(expired ? now - DAY_MS : now + DAY_MS),
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `antiphon://peer/${id}` }])],
      })
      const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64')
      return { key: `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`, cert: cert.toString('pem'), ca }
    },
  }
}
