const MASK = (1n << 48n) - 1n

/** The password that ZooKeeper draws from a session's id: `java.util.Random(id ^ 0xb3415c00).nextBytes(16)`. */
export function javaPassword(session: bigint): Buffer {
  let seed = (BigInt.asUintN(64, session ^ 0xb3415c00n) ^ 0x5deece66dn) & MASK
  const password = Buffer.alloc(16)
  for (let at = 0; at < 16; at += 4) {
    seed = (seed * 0x5deece66dn + 0xbn) & MASK
    password.writeUInt32LE(Number((seed >> 16n) & 0xffffffffn), at)
  }
  return password
}
