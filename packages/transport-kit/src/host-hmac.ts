import { PROOF_BYTES } from './handshake.ts'

/** WebCrypto, as Node and browsers offer it; looked up at run time. */
interface Host {
  readonly crypto: { readonly subtle?: Subtle }
}

type HmacKey = { readonly hmacKey: unique symbol }

interface Subtle {
  importKey(format: 'raw', key: Uint8Array, algorithm: { name: 'HMAC'; hash: 'SHA-256' }, extractable: false, usages: string[]): Promise<HmacKey>
  sign(algorithm: 'HMAC', key: HmacKey, text: Uint8Array): Promise<ArrayBuffer>
  /** In a time that tells nothing. */
  verify(algorithm: 'HMAC', key: HmacKey, proof: Uint8Array, text: Uint8Array): Promise<boolean>
}

/** Proves, and checks proofs, under shared secrets. */
export class Prover {
  readonly #subtle: Subtle
  readonly #keys: Promise<HmacKey[]>

  /** `null` where the host has no WebCrypto: a page that was not loaded by HTTPS or from this machine. */
  static of(secrets: readonly Uint8Array[]): Prover | null {
    const subtle = (globalThis as unknown as Host).crypto?.subtle
    return subtle === undefined ? null : new Prover(subtle, secrets)
  }

  private constructor(subtle: Subtle, secrets: readonly Uint8Array[]) {
    this.#subtle = subtle
    this.#keys = Promise.all(secrets.map((secret) => subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])))
    this.#keys.catch(() => undefined)
  }

  /** By the first secret. */
  async prove(text: Uint8Array): Promise<Uint8Array> {
    const [key] = await this.#keys
    return new Uint8Array(await this.#subtle.sign('HMAC', key!, text))
  }

  /** By any of them. */
  async verify(proof: Uint8Array, text: Uint8Array): Promise<boolean> {
    if (proof.length !== PROOF_BYTES) return false
    for (const key of await this.#keys) if (await this.#subtle.verify('HMAC', key, proof, text)) return true
    return false
  }
}
