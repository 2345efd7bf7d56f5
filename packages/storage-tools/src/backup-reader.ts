import { type Checksum, type Run, ZERO, type Zxid } from '@antiphon/ports'
import { ByteReader, crc32, runFromBytes } from '@antiphon/wire'
import { damaged } from './errors.ts'
import {
  type BackupEnd,
  type BackupHead,
  checksumOf,
  decodeEnd,
  decodeHead,
  FIXED_HEAD_BYTES,
  FRAME_BYTES_MAX,
  FRAME_CHUNK,
  FRAME_END,
  FRAME_ENTRIES,
  FRAME_HEAD_BYTES,
  FRAME_TAIL_BYTES,
  headLength,
} from './format.ts'

interface Frame {
  readonly kind: number
  readonly bytes: Uint8Array
  /** In the backup. */
  readonly offset: number
}

/** Takes a backup apart, in the order in which it stands there: `chunks`, `runs`, `end`. Everything is verified as it comes. */
export class BackupReader {
  readonly head: BackupHead
  readonly #pieces: Pieces
  #checksum: Checksum
  /** Was read and belongs to the next part. */
  #next: Frame | null = null
  #chunks = 0
  #chunkBytes = 0
  #entries = 0
  #last: Zxid
  #lastChecksum: Checksum

  /** @throws AntiphonError CORRUPT, VERSION_MISMATCH */
  static async open(bytes: AsyncIterable<Uint8Array>): Promise<BackupReader> {
    const pieces = new Pieces(bytes[Symbol.asyncIterator]())
    const fixed = await pieces.take(FIXED_HEAD_BYTES)
    const rest = await pieces.take(headLength(fixed) - FIXED_HEAD_BYTES)
    const head = new Uint8Array(fixed.length + rest.length)
    head.set(fixed)
    head.set(rest, fixed.length)
    return new BackupReader(decodeHead(head), pieces, checksumOf(head))
  }

  private constructor(head: BackupHead, pieces: Pieces, checksum: Checksum) {
    this.head = head
    this.#pieces = pieces
    this.#checksum = checksum
    this.#last = head.snapshot?.zxid ?? ZERO
    this.#lastChecksum = head.snapshot?.checksum ?? 0
  }

  /** Of the snapshot, as they were saved. @throws AntiphonError CORRUPT */
  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { bytes, offset } of this.#frames(FRAME_CHUNK)) {
      if (this.head.snapshot === null) throw damaged('chunks of a snapshot that is not named', { offset })
      this.#chunks++
      this.#chunkBytes += bytes.length
      yield bytes
    }
  }

  /** Behind the snapshot. @throws AntiphonError CORRUPT */
  async *runs(): AsyncGenerator<Run, void, undefined> {
    for await (const { bytes } of this.#frames(FRAME_ENTRIES)) {
      const run = runFromBytes(bytes, this.#last, this.#lastChecksum)
      this.#entries += run.entries
      this.#last = run.last
      this.#lastChecksum = run.checksum
      yield run
    }
  }

  /** Behind both. @throws AntiphonError CORRUPT */
  async end(): Promise<BackupEnd> {
    const { kind, bytes, offset } = await this.#frame()
    if (kind !== FRAME_END) throw damaged(`a piece of kind ${kind} stands where the end is due`, { offset })
    const end = decodeEnd(bytes)
    const counted = { chunks: this.#chunks, chunkBytes: this.#chunkBytes, entries: this.#entries, last: this.#last, checksum: this.#lastChecksum }
    if (JSON.stringify(end) !== JSON.stringify(counted)) throw damaged('the backup does not hold what its end speaks of', { offset })
    await this.#pieces.expectEnd()
    return end
  }

  async *#frames(kind: number): AsyncGenerator<Frame, void, undefined> {
    for (;;) {
      const frame = await this.#frame()
      if (frame.kind !== kind) {
        this.#next = frame
        return
      }
      yield frame
    }
  }

  async #frame(): Promise<Frame> {
    const next = this.#next
    this.#next = null
    if (next !== null) return next
    const offset = this.#pieces.at
    const head = await this.#pieces.take(FRAME_HEAD_BYTES)
    const fields = new ByteReader(head, 0, head.length, damaged)
    const length = fields.u32()
    const kind = fields.u32()
    if (length > FRAME_BYTES_MAX) throw damaged(`a piece claims ${length} bytes`, { offset })
    const bytes = await this.#pieces.take(length)
    const tail = await this.#pieces.take(FRAME_TAIL_BYTES)
    this.#checksum = crc32(bytes, crc32(head, this.#checksum))
    if (this.#checksum !== checksumOf(tail)) throw damaged('the checksum of a piece does not match', { offset })
    return { kind, bytes, offset }
  }
}

/** Bytes that come in pieces of any size. Holds no more than one piece and what was asked for, of which nothing is allocated before it has come. */
class Pieces {
  readonly #pieces: AsyncIterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  #from = 0
  /** So many bytes were taken. */
  at = 0

  constructor(pieces: AsyncIterator<Uint8Array>) {
    this.#pieces = pieces
  }

  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let missing = count
    while (missing > 0) {
      if (this.#from === this.#piece.length && !(await this.#more())) throw damaged('the backup is cut off', { offset: this.at })
      const part = this.#piece.subarray(this.#from, this.#from + missing)
      this.#from += part.length
      this.at += part.length
      missing -= part.length
      parts.push(part)
    }
    if (parts.length === 1) return parts[0]!
    const whole = new Uint8Array(count)
    let at = 0
    for (const part of parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  async expectEnd(): Promise<void> {
    if (this.#from < this.#piece.length || (await this.#more())) throw damaged('bytes follow the end of the backup', { offset: this.at })
  }

  async #more(): Promise<boolean> {
    do {
      const next = await this.#pieces.next()
      if (next.done === true) return false
      this.#piece = next.value
      this.#from = 0
    } while (this.#piece.length === 0)
    return true
  }
}
