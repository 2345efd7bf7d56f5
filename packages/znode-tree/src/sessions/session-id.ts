import type { Millis } from '@antiphon/ports'
import type { SessionId } from '../types.ts'

const U64 = 2n ** 64n
const U32_MASK = 0xffff_ffff
/** ZooKeeper's `EphemeralType.CONTAINER`: no session may have it for an id. */
export const RESERVED_ID: SessionId = 2n ** 63n
const SECRET = 0xb3415c00n
const LCG_MULTIPLIER = 0x5deece66dn
const LCG_MASK = 2n ** 48n - 1n
const PASSWORD_BYTES = 16

export function peerOf(id: SessionId): number {
  return Number(id >> 56n)
}

/** ZooKeeper's first id of a server that starts at `time`: `(time << 24) >>> 8 | peer << 56`. */
export function firstSessionId(peer: number, time: Millis): SessionId {
  const id = (((BigInt(Math.trunc(time)) << 24n) % U64) >> 8n) | (BigInt(peer) << 56n)
  return id === RESERVED_ID ? id + 1n : id
}

/** An id of `peer` that was never given out: `highest` is the highest that was, or null. */
export function nextSessionId(peer: number, time: Millis, highest: SessionId | null): SessionId {
  const first = firstSessionId(peer, time)
  return highest === null || first > highest ? first : highest + 1n
}

/** ZooKeeper's: `new java.util.Random(id ^ secret).nextBytes(16)`. Whoever knows the id and the algorithm knows it: it guards against mistakes, no more. */
export function passwordOf(id: SessionId): Uint8Array {
  const password = new Uint8Array(PASSWORD_BYTES)
  let seed = (id ^ SECRET ^ LCG_MULTIPLIER) & LCG_MASK
  for (let at = 0; at < PASSWORD_BYTES; at += 4) {
    seed = (seed * LCG_MULTIPLIER + 0xbn) & LCG_MASK
    const word = Number(seed >> 16n) & U32_MASK
    for (let i = 0; i < 4; i++) password[at + i] = word >>> (8 * i)
  }
  return password
}

export function isPasswordOf(id: SessionId, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== PASSWORD_BYTES) return false
  const password = passwordOf(id)
  let difference = 0
  for (let i = 0; i < PASSWORD_BYTES; i++) difference |= password[i]! ^ bytes[start + i]!
  return difference === 0
}
