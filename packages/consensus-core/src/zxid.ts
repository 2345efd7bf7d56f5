import { invalidArgument } from './errors.ts'

declare const zxidBrand: unique symbol
/**
 * Position in the one order: `epoch * 2^32 + counter`, held as a safe integer, so that plain comparison is the order of history.
 * 0 is the empty history. On wire and disk: 8 bytes, big-endian. Only this file knows the representation.
 * Source: ZAB (DSN'11), section III; ZooKeeper numbers its transactions the same way.
 */
export type Zxid = number & { readonly [zxidBrand]: true }

/** The history without any entry. */
export const ZERO: Zxid = 0 as Zxid
/** Highest epoch: a ZXID stays a safe integer. Status warns at `EPOCH_WARNING`. */
export const EPOCH_MAX: number = 2 ** 21 - 1
export const EPOCH_WARNING: number = 2 ** 20
/** Highest counter within an epoch; its exhaustion is planned (rule 12). */
export const COUNTER_MAX: number = 0xffff_ffff

const EPOCH_UNIT = 0x1_0000_0000

/** The ZXID of entry `counter` of `epoch`. @throws AntiphonError INVALID_ARGUMENT outside the ranges. */
export function zxidOf(epoch: number, counter: number): Zxid {
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > EPOCH_MAX) throw invalidArgument(`epoch ${epoch} is not within 0..${EPOCH_MAX}`)
  if (!Number.isInteger(counter) || counter < 0 || counter > COUNTER_MAX) throw invalidArgument(`counter ${counter} is not within 0..${COUNTER_MAX}`)
  return (epoch * EPOCH_UNIT + counter) as Zxid
}

/** The same from two unsigned 32-bit halves that were already bounded. */
export function zxidFromHalves(epoch: number, counter: number): Zxid {
  return (epoch * EPOCH_UNIT + counter) as Zxid
}

/** The reign a ZXID belongs to; 0 for the empty history. */
export function epochOf(zxid: Zxid): number {
  return Math.floor(zxid / EPOCH_UNIT)
}

/** The place within the reign, from 1. */
export function counterOf(zxid: Zxid): number {
  return zxid % EPOCH_UNIT
}

/** The next ZXID of the same epoch. The caller has checked that the counter is not exhausted. */
export function following(zxid: Zxid): Zxid {
  return (zxid + 1) as Zxid
}

/** True when an entry `next` may stand directly behind `previous`: the next counter of the same epoch, or the first of a later one. */
export function follows(previous: Zxid, next: Zxid): boolean {
  if (next === previous + 1) return next % EPOCH_UNIT !== 0
  return next % EPOCH_UNIT === 1 && next > previous
}

export function minZxid(a: Zxid, b: Zxid): Zxid {
  return a < b ? a : b
}

export function maxZxid(a: Zxid, b: Zxid): Zxid {
  return a > b ? a : b
}

/** Validates a number that came from outside. */
export function isZxid(value: unknown): value is Zxid {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/** For people: `epoch.counter`, such as `3.17`. */
export function formatZxid(zxid: Zxid): string {
  return `${epochOf(zxid)}.${counterOf(zxid)}`
}
