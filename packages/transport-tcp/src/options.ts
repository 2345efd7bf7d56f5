import { randomInt } from 'node:crypto'
import { AntiphonError, type Lane, type Random } from '@antiphon/ports'
import { type HostPort, listenAddress } from './address.ts'

export interface TcpTransportOptions {
  /** Where to listen: `host:port`, or both apart. Port 0 takes any free one; `address()` tells which. */
  readonly listen: string | HostPort
  /** Bytes that wait for the socket, per peer and lane. Above it `send` answers false; a single frame is always taken by an empty lane. 8 MiB, `entries` 32 MiB. */
  readonly laneBytesMax?: Partial<Record<Lane, number>>
  /** Pause between attempts to connect: doubles from `min` to `max`, jittered down to a half. 20 to 2000. */
  readonly redialMs?: { readonly min: number; readonly max: number }
  /** From the first packet to `up`: who takes longer is hung up on. 3000. */
  readonly handshakeTimeoutMs?: number
  /** How long a live connection may take to prove that it lives, when its peer connects a second time. 500. */
  readonly probeTimeoutMs?: number
  /** Incoming connections that have not yet said who they are. The oldest makes room. 64. */
  readonly strangersMax?: number
  /** Silence after which the operating system asks whether the peer's machine is still there. 5000. */
  readonly keepAliveMs?: number
  /** Jitter, and the incarnation that tells this start from others. From `node:crypto` unless given. */
  readonly random?: Random
}

export interface TcpSettings {
  readonly listen: HostPort
  /** In the order of `LANES`. */
  readonly laneBytesMax: readonly [number, number, number]
  readonly redialMs: { readonly min: number; readonly max: number }
  readonly handshakeTimeoutMs: number
  readonly probeTimeoutMs: number
  readonly strangersMax: number
  readonly keepAliveMs: number
  readonly random: Random
}

const MEBIBYTE = 1024 * 1024

/** @throws AntiphonError INVALID_SETTINGS */
export function tcpSettings(options: TcpTransportOptions): TcpSettings {
  const lanes = { control: 8 * MEBIBYTE, entries: 32 * MEBIBYTE, bulk: 8 * MEBIBYTE, ...options.laneBytesMax }
  const { redialMs = { min: 20, max: 2000 }, handshakeTimeoutMs = 3000, probeTimeoutMs = 500, strangersMax = 64, keepAliveMs = 5000 } = options
  const positive = { ...lanes, 'redialMs.min': redialMs.min, 'redialMs.max': redialMs.max, handshakeTimeoutMs, probeTimeoutMs, strangersMax, keepAliveMs }
  for (const [name, value] of Object.entries(positive)) {
    if (!(value > 0 && value < 2 ** 31)) throw invalidSettings(`${name} must be above 0 and below 2^31, not ${value}`, `Correct \`${name}\`, or leave it out.`)
  }
  if (redialMs.min > redialMs.max) throw invalidSettings('redialMs.min is above redialMs.max', 'Exchange them.')
  return {
    listen: listenAddress(options.listen),
    laneBytesMax: [lanes.control, lanes.entries, lanes.bulk],
    redialMs,
    handshakeTimeoutMs,
    probeTimeoutMs,
    strangersMax,
    keepAliveMs,
    random: options.random ?? { uint32: () => randomInt(2 ** 32) },
  }
}

export function invalidSettings(message: string, remedy: string, cause?: unknown): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy, cause })
}
