const MODULUS = 65521
/** So many additions fit into 32 bits before the sums have to be reduced. */
const RUN = 5552

/** Adler-32, as zlib's, continued from `seed`; 1 is that of nothing. */
export function adler32(bytes: Uint8Array, seed: number, start: number, end: number): number {
  let a = seed & 0xffff
  let b = seed >>> 16
  for (let at = start; at < end; ) {
    for (const stop = Math.min(end, at + RUN); at < stop; at++) {
      a += bytes[at]!
      b += a
    }
    a %= MODULUS
    b %= MODULUS
  }
  return ((b << 16) | a) >>> 0
}
