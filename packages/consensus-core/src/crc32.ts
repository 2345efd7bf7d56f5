/**
 * CRC-32 (IEEE 802.3, reflected, as in zlib): `crc32(b, crc32(a))` is the CRC of `a` followed by `b`.
 * Short ranges by table, long ones by the host's native routine where it has one; both give the same values.
 * Measured on Node 20, a range inside a larger array: 100 bytes 75 ns by table, 60 by table through a DataView, 200 native; 300 bytes 197, 160, 212; 1,024 bytes 650, 540, 380.
 */
const NATIVE_FROM_BYTES = 320
const NATIVE_FROM_BYTES_OF_VIEW = 448

/** Table k gives the effect of a byte that k bytes follow; sixteen are combined in a step. */
const SLICES = 16
const [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15] = makeTables() as unknown as Tables
type Table = Int32Array
type Four = [Table, Table, Table, Table]
type Tables = readonly [...Four, ...Four, ...Four, ...Four]

function makeTables(): Int32Array[] {
  const made: Int32Array[] = []
  const first = new Int32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    first[n] = c
  }
  made.push(first)
  for (let k = 1; k < SLICES; k++) made.push(made[k - 1]!.map((before) => first[before & 0xff]! ^ (before >>> 8)))
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
  for (const sixteen = end - 15; at < sixteen; at += 16) {
    const behind =
      t11[bytes[at + 4]!]! ^
      t10[bytes[at + 5]!]! ^
      t9[bytes[at + 6]!]! ^
      t8[bytes[at + 7]!]! ^
      t7[bytes[at + 8]!]! ^
      t6[bytes[at + 9]!]! ^
      t5[bytes[at + 10]!]! ^
      t4[bytes[at + 11]!]! ^
      t3[bytes[at + 12]!]! ^
      t2[bytes[at + 13]!]! ^
      t1[bytes[at + 14]!]! ^
      t0[bytes[at + 15]!]!
    crc =
      behind ^
      t15[(crc ^ bytes[at]!) & 0xff]! ^
      t14[((crc >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
      t13[((crc >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
      t12[(crc >>> 24) ^ bytes[at + 3]!]!
  }
  if (at < end - 7) {
    const behind = t3[bytes[at + 4]!]! ^ t2[bytes[at + 5]!]! ^ t1[bytes[at + 6]!]! ^ t0[bytes[at + 7]!]!
    crc =
      behind ^
      t7[(crc ^ bytes[at]!) & 0xff]! ^
      t6[((crc >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
      t5[((crc >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
      t4[(crc >>> 24) ^ bytes[at + 3]!]!
    at += 8
  }
  for (; at < end; at++) crc = t0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** The CRC of a 32-bit number in its four big-endian bytes, continued from `seed`. */
export function crc32OfWord(word: number, seed: number): number {
  const crc = ~seed
  return (
    ~(
      t3[(crc ^ (word >>> 24)) & 0xff]! ^
      t2[((crc >>> 8) ^ (word >>> 16)) & 0xff]! ^
      t1[((crc >>> 16) ^ (word >>> 8)) & 0xff]! ^
      t0[((crc >>> 24) ^ word) & 0xff]!
    ) >>> 0
  )
}

/** `crc32` for whoever keeps a DataView on its memory: four bytes are read at once. */
export function crc32OfView(view: DataView, seed: number, start: number, end: number): number {
  if (native !== null && end - start >= NATIVE_FROM_BYTES_OF_VIEW) return native(new Uint8Array(view.buffer, view.byteOffset + start, end - start), seed)
  let crc = ~seed
  let at = start
  for (const sixteen = end - 15; at < sixteen; at += 16) {
    const a = view.getInt32(at, true) ^ crc
    const b = view.getInt32(at + 4, true)
    const c = view.getInt32(at + 8, true)
    const d = view.getInt32(at + 12, true)
    crc =
      t15[a & 0xff]! ^
      t14[(a >>> 8) & 0xff]! ^
      t13[(a >>> 16) & 0xff]! ^
      t12[a >>> 24]! ^
      t11[b & 0xff]! ^
      t10[(b >>> 8) & 0xff]! ^
      t9[(b >>> 16) & 0xff]! ^
      t8[b >>> 24]! ^
      t7[c & 0xff]! ^
      t6[(c >>> 8) & 0xff]! ^
      t5[(c >>> 16) & 0xff]! ^
      t4[c >>> 24]! ^
      t3[d & 0xff]! ^
      t2[(d >>> 8) & 0xff]! ^
      t1[(d >>> 16) & 0xff]! ^
      t0[d >>> 24]!
  }
  for (; at < end - 3; at += 4) {
    const a = view.getInt32(at, true) ^ crc
    crc = t3[a & 0xff]! ^ t2[(a >>> 8) & 0xff]! ^ t1[(a >>> 16) & 0xff]! ^ t0[a >>> 24]!
  }
  for (; at < end; at++) crc = t0[(crc ^ view.getUint8(at)) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}
