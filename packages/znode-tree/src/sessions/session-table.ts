import { corrupt, type Millis, type Zxid } from '@antiphon/ports'
import { ByteReader } from '../codec/reader.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { SessionInfo } from '../machine-types.ts'
import type { SessionId } from '../types.ts'
import { peerOf } from './session-id.ts'

export interface Session {
  readonly id: SessionId
  timeoutMs: Millis
  peer: number
  attachment: Zxid
  /** On the leader: the bucket that it expires with, UNARMED or DUE. Not replicated. */
  bucket: Millis
}

const CHUNK_BYTES = 64 * 1024
const ROW_BYTES = 8 + 4 + 1 + 8

/** The sessions that all replicas know, in the order in which they were made, and the highest id that each member has given out. */
export class SessionTable {
  #sessions = new Map<SessionId, Session>()
  #highest = new Map<number, SessionId>()
  #digest = 0n
  /** Who was asked for last, and probably is next: a Map's look-up by bigint is slow. It is there. */
  #last: Session | undefined

  get size(): number {
    return this.#sessions.size
  }

  get(id: SessionId): Session | undefined {
    const last = this.#last
    if (last !== undefined && last.id === id) return last
    const session = this.#sessions.get(id)
    if (session !== undefined) this.#last = session
    return session
  }

  values(): Iterable<Session> {
    return this.#sessions.values()
  }

  info(id: SessionId): SessionInfo | null {
    const session = this.#sessions.get(id)
    return session === undefined ? null : { id, timeoutMs: session.timeoutMs, peer: session.peer, attachment: session.attachment }
  }

  highest(peer: number): SessionId | null {
    return this.#highest.get(peer) ?? null
  }

  open(id: SessionId, peer: number, timeoutMs: Millis, attachment: Zxid): Session {
    const session: Session = { id, timeoutMs, peer, attachment, bucket: 0 }
    this.#sessions.set(id, session)
    this.#last = session
    this.#digest ^= digestOf(session)
    this.raise(id)
    return session
  }

  /** `id` was given out. */
  raise(id: SessionId): void {
    const maker = peerOf(id)
    const before = this.#highest.get(maker)
    if (before !== undefined && id <= before) return
    this.#highest.set(maker, id)
    this.#digest ^= (before === undefined ? 0n : digestOfHighest(before)) ^ digestOfHighest(id)
  }

  attach(session: Session, peer: number, timeoutMs: Millis, attachment: Zxid): void {
    this.#digest ^= digestOf(session)
    session.peer = peer
    session.timeoutMs = timeoutMs
    session.attachment = attachment
    this.#digest ^= digestOf(session)
  }

  close(session: Session): void {
    this.#sessions.delete(session.id)
    this.#last = undefined
    this.#digest ^= digestOf(session)
  }

  /** `other` is not to be used any more. */
  replaceWith(other: SessionTable): void {
    this.#sessions = other.#sessions
    this.#last = undefined
    this.#highest = other.#highest
    this.#digest = other.#digest
  }

  /** Of the rows and the highest ids, in whatever order. */
  digest(): bigint {
    return this.#digest
  }

  /** All of it, as of the call. */
  encode(): Uint8Array[] {
    const chunks: Uint8Array[] = []
    const writer = new ByteWriter()
    writer.u32(this.#highest.size)
    for (const id of [...this.#highest.values()].sort((a, b) => (a < b ? -1 : 1))) writer.session(id)
    writer.u32(this.#sessions.size)
    for (const { id, timeoutMs, peer, attachment } of this.#sessions.values()) {
      if (writer.length + ROW_BYTES > CHUNK_BYTES) {
        chunks.push(writer.view().slice())
        writer.reset()
      }
      writer.session(id)
      writer.u32(timeoutMs)
      writer.u8(peer)
      writer.safe(attachment)
    }
    chunks.push(writer.view().slice())
    return chunks
  }
}

/** What `encode` gave, chunk by chunk, back to a table. @throws AntiphonError CORRUPT */
export class SessionTableDecoder {
  readonly #table = new SessionTable()
  readonly #reader = new ByteReader()
  /** Null before the first chunk. */
  #rows: number | null = null

  push(chunk: Uint8Array): void {
    const reader = this.#reader
    reader.open(chunk)
    if (this.#rows === null) {
      for (let rest = bounded(reader.u32(), 256); rest > 0; rest--) this.#table.raise(reader.session())
      this.#rows = reader.u32()
    }
    while (reader.at < reader.end) {
      if (this.#rows-- === 0) throw corrupt('a snapshot has more sessions than it says')
      const [id, timeoutMs, peer, attachment] = [reader.session(), reader.u32(), reader.u8(), reader.zxid()]
      if (this.#table.get(id) !== undefined) throw corrupt('a snapshot has a session twice')
      this.#table.open(id, peer, timeoutMs, attachment)
    }
    reader.close()
  }

  finish(): SessionTable {
    if (this.#rows !== 0) throw corrupt('a snapshot lacks sessions')
    return this.#table
  }
}

function bounded(count: number, max: number): number {
  if (count > max) throw corrupt(`${count} are claimed of at most ${max}`)
  return count
}

function digestOf({ id, timeoutMs, peer, attachment }: Session): bigint {
  return hash(Number(id >> 32n), Number(id & 0xffff_ffffn), timeoutMs, peer, Math.floor(attachment / 0x1_0000_0000), attachment >>> 0)
}

function digestOfHighest(id: SessionId): bigint {
  return hash(Number(id >> 32n), Number(id & 0xffff_ffffn))
}

function hash(...words: number[]): bigint {
  return (BigInt(lane(words, 0x2545f491)) << 32n) | BigInt(lane(words, 0x9e3779b9))
}

/** MurmurHash3, 32 bits. */
function lane(words: readonly number[], seed: number): number {
  let hash = seed
  for (const word of words) {
    const mixed = Math.imul(word, 0xcc9e2d51)
    hash ^= Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  hash ^= words.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
