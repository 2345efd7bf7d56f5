import { AntiphonError } from '@antiphon/ports'

/** Tags of the value codec. Numbers are big-endian; a *count* is a varint of 7-bit groups, least significant first. */
export const TAG = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  /** count: a non-negative safe integer. */
  integer: 4,
  /** count c: the integer -1 - c. */
  negative: 5,
  /** IEEE 754, 8 bytes; NaN is the canonical one; -0 stands here. */
  float: 6,
  /** u32 length in bytes, UTF-8. */
  string: 7,
  /** u32 length in units, UTF-16: strings with lone surrogates. */
  units: 8,
  /** count of bytes, magnitude. */
  bigint: 9,
  /** The same, negative. */
  bigintNegative: 10,
  /** f64 milliseconds; NaN is the invalid date. */
  date: 11,
  /** u32 length, bytes. */
  bytes: 12,
  /** count, values. */
  array: 13,
  /** count, then key (a string value) and value of each. */
  object: 14,
  /** The same, without a prototype. */
  dictionary: 15,
  /** count, then key (a primitive) and value of each. */
  map: 16,
  /** count, values. */
  set: 17,
} as const

/** `SHORT_STRING + n`: ASCII of n bytes, up to SHORT_STRING_MAX. */
export const SHORT_STRING = 0x40
export const SHORT_STRING_MAX = 0x3f
/** `SMALL_INTEGER + n`: the integer n, up to SMALL_INTEGER_MAX. */
export const SMALL_INTEGER = 0x80
export const SMALL_INTEGER_MAX = 0x7f

/** Deepest nesting of containers. */
export const DEPTH_MAX = 256
/** Bound of everything that is encoded in one piece: a request, a change, a result. */
export const PIECE_BYTES_MAX: number = 48 * 1024 * 1024

export type Container = 'array' | 'object' | 'dictionary' | 'map' | 'set'

/** A value that no replica could read back as it was. */
export class Unserialisable extends Error {
  override readonly name = 'Unserialisable'
}

/** An encoding outgrew its bound. */
export class Outgrown extends Error {
  override readonly name = 'Outgrown'
}

export const VALUES_REMEDY =
  'Keep to null, undefined, booleans, numbers, strings, bigint, plain objects, arrays, Map (keys: strings, numbers, bigint, booleans, null), Set, Date and Uint8Array, nested up to 256 deep and without cycles.'

export function tooLarge(what: string, bytesMax: number): AntiphonError {
  return new AntiphonError('TOO_LARGE', `${what} is longer than ${bytesMax} bytes`, {
    remedy: 'Send less at once: split the action, or store large data outside and keep a reference.',
  })
}
