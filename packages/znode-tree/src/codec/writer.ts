import type { Acl, Identity, SessionId } from '../types.ts'
import { isOpen } from './open-acl.ts'

const HIGH = 0x1_0000_0000
const SLAB_BYTES = 64 * 1024
const encoder = new TextEncoder()

/** Values to bytes. Who calls has checked their ranges. */
export class ByteWriter {
  bytes: Uint8Array = new Uint8Array(512)
  length = 0
  #view: DataView = new DataView(this.bytes.buffer)
  #slab: Uint8Array = new Uint8Array(0)
  #slabUsed = 0

  reset(): void {
    this.length = 0
  }

  /** Memory that is nobody else's, cut from a larger piece. */
  finish(): Uint8Array {
    const { length } = this
    if (length > SLAB_BYTES / 4) return this.bytes.slice(0, length)
    if (this.#slabUsed + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES)
      this.#slabUsed = 0
    }
    const start = this.#slabUsed
    this.#slabUsed += length
    const piece = this.#slab.subarray(start, start + length)
    copy(this.bytes, 0, length, piece, 0)
    return piece
  }

  /** A view, valid until the next `reset`. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }

  room(count: number): void {
    const needed = this.length + count
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    this.#view = new DataView(grown.buffer)
  }

  u8(value: number): void {
    this.room(1)
    this.bytes[this.length++] = value
  }

  i16(value: number): void {
    this.room(2)
    this.#view.setInt16(this.length, value)
    this.length += 2
  }

  i32(value: number): void {
    this.room(4)
    this.#view.setInt32(this.length, value)
    this.length += 4
  }

  u32(value: number): void {
    this.room(4)
    this.#view.setUint32(this.length, value)
    this.length += 4
  }

  /** A safe integer, in 64 bits. */
  safe(value: number): void {
    this.room(8)
    this.#view.setUint32(this.length, value / HIGH)
    this.#view.setUint32(this.length + 4, value)
    this.length += 8
  }

  /** A safe integer of either sign, in 64 bits. */
  signed(value: number): void {
    this.room(8)
    this.#view.setInt32(this.length, Math.floor(value / HIGH))
    this.#view.setUint32(this.length + 4, value)
    this.length += 8
  }

  session(id: SessionId): void {
    this.room(8)
    this.#view.setBigUint64(this.length, id)
    this.length += 8
  }

  /** Below 2^32. */
  count(value: number): void {
    this.room(5)
    let rest = value
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.bytes[this.length++] = rest
  }

  /** Half of a surrogate pair becomes U+FFFD, which no path may hold. */
  text(text: string): void {
    const { length } = text
    const head = this.length
    this.room(length + 5)
    this.count(length)
    const start = this.length
    const { bytes } = this
    for (let at = 0; at < length; at++) {
      const unit = text.charCodeAt(at)
      if (unit >= 0x80) {
        this.length = head
        const encoded = encoder.encode(text)
        this.count(encoded.length)
        return this.raw(encoded, 0, encoded.length)
      }
      bytes[start + at] = unit
    }
    this.length = start + length
  }

  data(bytes: Uint8Array | null): void {
    if (bytes === null) this.count(0)
    else this.dataOf(bytes, 0, bytes.length)
  }

  dataOf(bytes: Uint8Array, start: number, end: number): void {
    this.count(end - start + 1)
    this.raw(bytes, start, end)
  }

  raw(bytes: Uint8Array, start: number, end: number): void {
    this.room(end - start)
    copy(bytes, start, end, this.bytes, this.length)
    this.length += end - start
  }

  /** Its bytes' count before it; none at all stand for the open one. */
  acl(acl: readonly Acl[]): void {
    if (isOpen(acl)) return this.count(0)
    const start = this.length
    this.count(acl.length)
    for (const { perms, scheme, id } of acl) {
      this.i32(perms)
      this.text(scheme)
      this.text(id)
    }
    this.#prefixCount(start)
  }

  identities(identities: readonly Identity[]): void {
    if (identities.length === 0) return this.count(0)
    const start = this.length
    this.count(identities.length)
    for (const { scheme, id } of identities) {
      this.text(scheme)
      this.text(id)
    }
    this.#prefixCount(start)
  }

  /** Puts the count of the bytes since `start` before them. */
  #prefixCount(start: number): void {
    const length = this.length - start
    const head = countBytes(length)
    this.room(head)
    this.bytes.copyWithin(start + head, start, this.length)
    this.length = start
    this.count(length)
    this.length += length
  }
}

/** A loop beats `set`, and the view that it needs, as far as this. */
const LOOP_BYTES_MAX = 64

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > LOOP_BYTES_MAX) return to.set(from.subarray(start, end), at)
  for (let i = start, j = at; i < end; i++, j++) to[j] = from[i]!
}

function countBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}
