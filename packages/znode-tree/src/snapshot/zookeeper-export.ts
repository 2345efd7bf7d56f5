import type { Millis, Zxid } from '@antiphon/ports'
import { OPEN } from '../store/acl-table.ts'
import { ACL, AVERSION, CREATED, CTIME, CZXID, MTIME, MZXID, OWNER_HIGH, OWNER_LOW, PZXID, VERSION } from '../store/records.ts'
import type { Acl, SessionId } from '../types.ts'
import { adler32 } from './adler32.ts'
import { ByteSink, bytesOfText, bytesOfUnit, writeText } from './byte-sink.ts'
import { CHUNK_BYTES, chunked } from './encoder.ts'
import type { TreeView } from './view.ts'

/** `ZKSN`. */
export const SNAPSHOT_MAGIC = 0x5a4b534e
export const FILE_VERSION = 2
/** Number of the ACL that ZooKeeper does not store: everybody may do everything. */
export const OPEN_ACL_ID = -1n
export const DIGEST_VERSION = 2
/** What stands where a node's path would, after the last one. */
export const END_PATH = '/'

export interface ZooKeeperSession {
  readonly id: SessionId
  readonly timeoutMs: Millis
}

export interface ExportOptions {
  /** The last change that the view has in it. */
  readonly zxid: Zxid
  readonly sessions: Iterable<ZooKeeperSession>
}

/** The view in ZooKeeper's own format, as a server finds it in `version-2/snapshot.<zxid in hexadecimal>`: head, body, checksum, digest, checksum. */
export function zooKeeperSnapshotChunks(view: TreeView, options: ExportOptions): IterableIterator<Uint8Array> {
  return summed(chunked(write(view, options), view), view, options)
}

function* write(view: TreeView, { sessions }: ExportOptions): Generator<ByteSink, void, undefined> {
  const sink = new ByteSink(CHUNK_BYTES + CHUNK_BYTES / 4)
  sink.int32(SNAPSHOT_MAGIC)
  sink.int32(FILE_VERSION)
  sink.int64(-1n)
  const all = [...sessions]
  sink.int32(all.length)
  for (const { id, timeoutMs } of all) {
    sink.int64(id)
    sink.int32(timeoutMs)
    if (sink.length >= CHUNK_BYTES) yield sink
  }
  const acls = [...view.acls()].filter(([number]) => number !== OPEN)
  sink.int32(acls.length)
  for (const [number, acl] of acls) {
    sink.integer(number)
    writeAcl(sink, acl)
    if (sink.length >= CHUNK_BYTES) yield sink
  }
  const path = new PathBytes()
  while (view.advance()) {
    path.enter(view)
    writeNode(view, sink, path)
    if (sink.length >= CHUNK_BYTES) yield sink
  }
  writeString(sink, END_PATH)
  yield sink
}

function writeNode(view: TreeView, sink: ByteSink, path: PathBytes): void {
  const { words, doubles, at, isNull } = view
  const first = at >>> 1
  sink.int32(path.length)
  sink.bytes(path.bytes, 0, path.length)
  sink.int32(view.dataLength)
  if (!isNull && view.dataLength > 0) sink.bytes(view.memory, view.dataAt, view.dataAt + view.dataLength)
  if (words[at + ACL] === OPEN) sink.int64(OPEN_ACL_ID)
  else sink.integer(words[at + ACL]!)
  sink.integer(doubles[first + CZXID]!)
  sink.integer(doubles[first + MZXID]!)
  sink.integer(doubles[first + CTIME]!)
  sink.integer(doubles[first + MTIME]!)
  sink.int32(words[at + VERSION]!)
  sink.int32(words[at + CREATED]!)
  sink.int32(words[at + AVERSION]!)
  sink.int32(words[at + OWNER_HIGH]!)
  sink.int32(words[at + OWNER_LOW]!)
  sink.integer(doubles[first + PZXID]!)
}

function writeAcl(sink: ByteSink, acl: readonly Acl[]): void {
  sink.int32(acl.length)
  for (const { perms, scheme, id } of acl) {
    sink.int32(perms)
    writeString(sink, scheme)
    writeString(sink, id)
  }
}

function writeString(sink: ByteSink, text: string): void {
  sink.int32(bytesOfText(text))
  writeText(sink, text)
}

/** The chunks, and behind them the checksum of all, the digest, and the checksum of all that. */
function summed(chunks: IterableIterator<Uint8Array>, view: TreeView, { zxid }: ExportOptions): IterableIterator<Uint8Array> {
  let sum = 1
  let done = false
  return {
    [Symbol.iterator]() {
      return this
    },
    next() {
      if (done) return { done: true, value: undefined }
      const step = chunks.next()
      if (step.done === true) {
        done = true
        const tail = new ByteSink(64)
        seal(tail, sum)
        tail.integer(zxid)
        tail.int32(DIGEST_VERSION)
        tail.int64(view.digest)
        const first = tail.take(tail.length)
        seal(tail, adler32(first, sum, 0, first.length))
        return { done: false, value: Uint8Array.from([...first, ...tail.take(tail.length)]) }
      }
      sum = adler32(step.value, sum, 0, step.value.length)
      return step
    },
    return() {
      done = true
      chunks.return?.()
      return { done: true, value: undefined }
    },
  }
}

function seal(sink: ByteSink, sum: number): void {
  sink.integer(sum)
  writeString(sink, END_PATH)
}

/** The path of the node that a view has met, in UTF-8; that of the root is empty. */
class PathBytes {
  bytes: Uint8Array = new Uint8Array(1024)
  length = 0
  /** Where the path ends at each depth. */
  readonly #ends: number[] = []

  enter(view: TreeView): void {
    this.length = view.depth === 0 ? 0 : this.#ends[view.depth - 1]!
    if (view.depth > 0) {
      const sink = new ByteSink(64)
      sink.byte(0x2f)
      let length = 1
      for (let i = 0; i < view.nameLength; i++) {
        length += bytesOfUnit(view.nameUnit(i))
        sink.unit(view.nameUnit(i))
      }
      const needed = this.length + length
      if (needed > this.bytes.length) {
        const larger = new Uint8Array(2 * needed)
        larger.set(this.bytes)
        this.bytes = larger
      }
      this.bytes.set(sink.take(length), this.length)
      this.length = needed
    }
    this.#ends[view.depth] = this.length
  }
}
