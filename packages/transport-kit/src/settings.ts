import { type Address, AntiphonError, type Clock, type Lane, type PeerId, type Random, systemClock, systemRandom } from '@antiphon/ports'
import { Prover } from './host-hmac.ts'
import type { Pipe } from './pipe.ts'

/** What every transport that is built on connections can be told. */
export interface ConnectionOptions {
  /**
   * Shared by all members: whoever connects proves that it knows it, and nobody else gets in. 16 bytes or more, drawn at random. Several while one is replaced: the first
   * proves, all are believed. It authenticates the beginning of a connection; what follows is neither encrypted nor sealed: that is TLS.
   */
  readonly secret?: Secret | readonly Secret[]
  /** Bytes that wait for the network, per peer and lane. Above it `send` answers false; a single frame is always taken by an empty lane. 8 MiB, `entries` 32 MiB. */
  readonly laneBytesMax?: Partial<Record<Lane, number>>
  /** Pause between attempts to connect: doubles from `min` to `max`, jittered down to a half. 20 to 2000. */
  readonly redialMs?: { readonly min: number; readonly max: number }
  /** From the first packet to `up`: who takes longer is hung up on. 3000. */
  readonly handshakeTimeoutMs?: number
  /** How long a live connection may take to prove that it lives, when its peer connects a second time. 500. */
  readonly probeTimeoutMs?: number
  /** Incoming connections that have not yet proved who they are. The oldest makes room. 64. */
  readonly strangersMax?: number
  /** Jitter, nonces, and the incarnation that tells this start from others. The host's cryptographic source unless given. */
  readonly random?: Random
  /** The host's unless given. */
  readonly clock?: Clock
}

/** Text counts as its UTF-8 bytes. */
export type Secret = string | Uint8Array

export interface LinkSettings {
  /** In the order of `LANES`. */
  readonly laneBytesMax: readonly [number, number, number]
  readonly redialMs: { readonly min: number; readonly max: number }
  readonly handshakeTimeoutMs: number
  readonly probeTimeoutMs: number
  readonly strangersMax: number
  readonly random: Random
  readonly clock: Clock
  readonly prover: Prover | null
}

/** Opens a pipe towards a peer. @throws AntiphonError when the address makes no sense: only another one helps. Whatever else fails, `closed` tells. */
export type Dial = (address: Address, peer: PeerId) => Pipe

const MEBIBYTE = 1024 * 1024
const SECRET_BYTES_MIN = 16

/** @throws AntiphonError INVALID_SETTINGS */
export function linkSettings(options: ConnectionOptions): LinkSettings {
  const lanes = { control: 8 * MEBIBYTE, entries: 32 * MEBIBYTE, bulk: 8 * MEBIBYTE, ...options.laneBytesMax }
  const { redialMs = { min: 20, max: 2000 }, handshakeTimeoutMs = 3000, probeTimeoutMs = 500, strangersMax = 64 } = options
  validateAmounts({ ...lanes, 'redialMs.min': redialMs.min, 'redialMs.max': redialMs.max, handshakeTimeoutMs, probeTimeoutMs, strangersMax })
  if (redialMs.min > redialMs.max) throw invalidSettings('redialMs.min is above redialMs.max', 'Exchange them.')
  return {
    laneBytesMax: [lanes.control, lanes.entries, lanes.bulk],
    redialMs,
    handshakeTimeoutMs,
    probeTimeoutMs,
    strangersMax,
    random: options.random ?? systemRandom(),
    clock: options.clock ?? systemClock({ keepAlive: false }),
    prover: options.secret === undefined ? null : proverOf(options.secret),
  }
}

/** @throws AntiphonError INVALID_SETTINGS */
export function validateAmounts(amounts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(amounts)) {
    if (!(value > 0 && value < 2 ** 31)) throw invalidSettings(`${name} must be above 0 and below 2^31, not ${value}`, `Correct \`${name}\`, or leave it out.`)
  }
}

/** @throws AntiphonError INVALID_SETTINGS for a name that is not one of `known`: a misspelt setting would have no effect. */
export function validateNames(options: object, known: readonly string[]): void {
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw invalidSettings(`there is no setting \`${name}\``, `The settings are: ${known.join(', ')}.`)
}

export const CONNECTION_OPTIONS: readonly (keyof ConnectionOptions)[] = [
  'secret',
  'laneBytesMax',
  'redialMs',
  'handshakeTimeoutMs',
  'probeTimeoutMs',
  'strangersMax',
  'random',
  'clock',
]

function proverOf(secret: Secret | readonly Secret[]): Prover {
  const secrets = (Array.isArray(secret) ? secret : [secret]).map((each: unknown) => {
    const bytes = typeof each === 'string' ? new TextEncoder().encode(each) : each
    // Neither its bytes nor its length are anybody's business.
    if (!(bytes instanceof Uint8Array) || bytes.length < SECRET_BYTES_MIN)
      throw invalidSettings(`a secret must be a text or bytes, ${SECRET_BYTES_MIN} bytes or more`, 'Draw one: `openssl rand -hex 32`.')
    return bytes.slice()
  })
  if (secrets.length === 0) throw invalidSettings('there is no secret in `secret`', 'Give one, or leave `secret` out.')
  const prover = Prover.of(secrets)
  if (prover === null) throw invalidSettings('this host has no WebCrypto, which a secret needs', 'Load the page by HTTPS, or leave `secret` out.')
  return prover
}

export function invalidSettings(message: string, remedy: string, cause?: unknown): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy, cause })
}
