import { AntiphonError, type Lane, type Random } from '@antiphon/ports'
import { hostClock, type NetworkClock } from './host-clock.ts'

/** Milliseconds; a pair means uniformly between. */
export type Delay = number | { readonly min: number; readonly max: number }

export interface MemoryNetworkOptions {
  /** Real time unless given. Everything that the network does later, it does through this clock: with a simulated one it is deterministic. */
  readonly clock?: NetworkClock
  /** Jitter, delays between bounds, and how much of a dropped connection's tail still arrives. A generator with a fixed seed unless given. */
  readonly random?: Random
  /** Bytes sent and not yet delivered, per connection and lane. Above it `send` answers false; a single frame is always taken by an empty lane. */
  readonly laneBytesMax?: Partial<Record<Lane, number>>
  /** One way, for links that `delay()` says nothing about. 0: delivered in the next turn. */
  readonly delayMs?: Delay
  /** Pause between attempts to connect: doubles from `min` to `max`, jittered. */
  readonly redialMs?: { readonly min: number; readonly max: number }
}

export interface NetworkSettings {
  readonly clock: NetworkClock
  readonly random: Random
  /** In the order of `LANES`. */
  readonly laneBytesMax: readonly [number, number, number]
  readonly delayMs: Delay
  readonly redialMs: { readonly min: number; readonly max: number }
}

/** Highest priority first; a lane's place here is its index everywhere in this package. */
export const LANES: readonly [Lane, Lane, Lane] = ['control', 'entries', 'bulk']

const MEBIBYTE = 1024 * 1024

/** @throws AntiphonError INVALID_SETTINGS */
export function networkSettings(options: MemoryNetworkOptions): NetworkSettings {
  const lanes = { control: 8 * MEBIBYTE, entries: 32 * MEBIBYTE, bulk: 8 * MEBIBYTE, ...options.laneBytesMax }
  for (const lane of LANES) positive(lanes[lane], `laneBytesMax.${lane}`)
  const redialMs = options.redialMs ?? { min: 1, max: 20 }
  positive(redialMs.min, 'redialMs.min')
  positive(redialMs.max, 'redialMs.max')
  const delayMs = options.delayMs ?? 0
  validateDelay(delayMs)
  return {
    clock: options.clock ?? hostClock(),
    random: options.random ?? seededRandom(0x5eed),
    laneBytesMax: [lanes.control, lanes.entries, lanes.bulk],
    delayMs,
    redialMs,
  }
}

/** @throws AntiphonError INVALID_SETTINGS */
export function validateDelay(delay: Delay): void {
  const { min, max } = typeof delay === 'number' ? { min: delay, max: delay } : delay
  if (!(min >= 0 && max >= min && max < 2 ** 31))
    throw invalid(`a delay from ${min} to ${max} ms is not possible`, 'Give milliseconds, 0 or more, `min` not above `max`.')
}

/** Uniform within the bounds. A fixed delay draws nothing from `random`. */
export function sampleDelay(delay: Delay, random: Random): number {
  if (typeof delay === 'number') return delay
  return delay.min + ((delay.max - delay.min) * random.uint32()) / 2 ** 32
}

export function invalid(message: string, remedy: string): AntiphonError {
  return new AntiphonError('INVALID_SETTINGS', message, { remedy })
}

function positive(value: number, name: string): void {
  if (!(value > 0 && Number.isFinite(value))) throw invalid(`${name} must be above 0, not ${value}`, `Correct \`${name}\`, or leave it out.`)
}

/** A 32-bit Weyl sequence through a mixer: good enough for delays, and the same in every run. */
function seededRandom(seed: number): Random {
  let state = seed
  return {
    uint32() {
      state = (state + 0x9e3779b9) | 0
      let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
      return (mixed ^ (mixed >>> 16)) >>> 0
    },
  }
}
