/**
 * CRC-32 (IEEE 802.3, reflected, as in zlib): `crc32(b, crc32(a))` is the CRC of `a` followed by `b`.
 * Short ranges by table, long ones by the host's native routine where it has one; both give the same values.
 */
const NATIVE_FROM_BYTES = 320

const tables: readonly Uint32Array[] = makeTables()
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array, Uint32Array]

function makeTables(): Uint32Array[] {
  const made: Uint32Array[] = []
  const first = new Uint32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    first[n] = c >>> 0
  }
  made.push(first)
  for (let k = 1; k < 8; k++) {
    const before = made[k - 1]!
    const table = new Uint32Array(256)
    for (let n = 0; n < 256; n++) table[n] = (first[before[n]! & 0xff]! ^ (before[n]! >>> 8)) >>> 0
    made.push(table)
  }
  return made
}

type NativeCrc32 = (data: Uint8Array, seed: number) => number

/** `process.getBuiltinModule` needs no import, so that a browser build carries nothing of Node. */
const native: NativeCrc32 | null = findNative()

function findNative(): NativeCrc32 | null {
  const host = (globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } }).process
  const zlib = host?.getBuiltinModule?.('zlib') as { crc32?: NativeCrc32 } | undefined
  return typeof zlib?.crc32 === 'function' ? zlib.crc32 : null
}

/** The CRC of `bytes[start, end)` continued from `seed`, as an unsigned 32-bit number. The caller has bounded the range. */
export function crc32(bytes: Uint8Array, seed = 0, start = 0, end: number = bytes.length): number {
  if (native !== null && end - start >= NATIVE_FROM_BYTES) return native(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), seed)
  return crc32ByTable(bytes, seed, start, end)
}

/** The table-driven form alone: what a browser runs. */
export function crc32ByTable(bytes: Uint8Array, seed: number, start: number, end: number): number {
  let crc = ~seed
  let at = start
  for (const blocks = end - 7; at < blocks; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      t7[crc & 0xff]! ^ t6[(crc >>> 8) & 0xff]! ^ t5[(crc >>> 16) & 0xff]! ^ t4[crc >>> 24]! ^ t3[bytes[at + 4]!]! ^ t2[bytes[at + 5]!]! ^ t1[bytes[at + 6]!]! ^ t0[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = t0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}
