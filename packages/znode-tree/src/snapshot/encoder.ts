import { type AclNumber, EPHEMERAL, TTL } from '../data-tree-types.ts'
import { OPEN } from '../store/acl-table.ts'
import { ACL, AVERSION, CREATED, CTIME, CZXID, MTIME, MZXID, OWNER_HIGH, OWNER_LOW, PZXID, VERSION } from '../store/records.ts'
import { ByteSink, bytesOfText, bytesOfUnit, writeText } from './byte-sink.ts'
import type { TreeView } from './view.ts'

/** Every chunk but the last has exactly this length. */
export const CHUNK_BYTES: number = 64 * 1024
/** `znod` and the format's number. */
export const MAGIC = 0x7a6e6f64
export const FORMAT = 1
export const HAS_DATA = 4

/**
 * The view as bytes, made as the chunks are asked for; the same bytes wherever the tree is the same. `extra`: what else belongs to the state, fixed by the caller; each piece comes back as one from
 * `TreeDecoder`. Empty pieces are left out.
 *
 *     head     u32 MAGIC, u8 FORMAT
 *     extra    of each piece: varint length above 0, bytes; at the end varint 0
 *     nodes    varint count; then each in pre-order, siblings as they were made:
 *              varint levels up from the previous node to its parent (its child: 0), text name (of `/`: empty), u8 kind and HAS_DATA,
 *              u64 czxid, mzxid, pzxid, ctime, mtime, i32 version, children created, aversion, u64 owner of an ephemeral and TTL,
 *              varint ACL (0: open to everybody; numbered anew by first use, and where it is used first its entries follow: varint count; i32 perms, text scheme, text id),
 *              data: varint length, bytes
 *     tail     u64 the tree's digest
 *
 * A text is a varint of bytes and UTF-8.
 */
export function snapshotChunks(view: TreeView, extra: Iterable<Uint8Array> = []): IterableIterator<Uint8Array> {
  return chunked(write(view, extra), view)
}

/** What `write` has put into its sink, in chunks. `write` yields its sink whenever it can be emptied. */
export function chunked(source: Generator<ByteSink, void, undefined>, view: TreeView): IterableIterator<Uint8Array> {
  let sink: ByteSink | null = null
  let done = false
  const end = (): IteratorResult<Uint8Array> => {
    done = true
    view.close()
    return { done: true, value: undefined }
  }
  return {
    [Symbol.iterator]() {
      return this
    },
    next() {
      if (done) return end()
      while (sink === null || sink.length < CHUNK_BYTES) {
        const step = source.next()
        if (step.done === true) return sink === null || sink.length === 0 ? end() : { done: false, value: sink.take(sink.length) }
        sink = step.value
      }
      return { done: false, value: sink.take(CHUNK_BYTES) }
    },
    return() {
      source.return()
      return end()
    },
  }
}

function* write(view: TreeView, extra: Iterable<Uint8Array>): Generator<ByteSink, void, undefined> {
  const sink = new ByteSink(CHUNK_BYTES + CHUNK_BYTES / 4)
  sink.int32(MAGIC)
  sink.byte(FORMAT)
  for (const piece of extra) {
    if (piece.length === 0) continue
    sink.varint(piece.length)
    sink.bytes(piece, 0, piece.length)
    if (sink.length >= CHUNK_BYTES) yield sink
  }
  sink.varint(0)
  sink.varint(view.size)
  const numbers = new Map<AclNumber, number>([[OPEN, 0]])
  for (let depth = -1; view.advance(); ) {
    sink.varint(depth + 1 - view.depth)
    depth = view.depth
    writeNode(view, sink, numbers)
    if (sink.length >= CHUNK_BYTES) yield sink
  }
  sink.int64(view.digest)
  yield sink
}

function writeNode(view: TreeView, sink: ByteSink, numbers: Map<AclNumber, number>): void {
  const { words, doubles, at, kind, isNull } = view
  const first = at >>> 1
  const length = view.nameLength
  let nameBytes = 0
  for (let i = 0; i < length; i++) nameBytes += bytesOfUnit(view.nameUnit(i))
  sink.varint(nameBytes)
  for (let i = 0; i < length; i++) sink.unit(view.nameUnit(i))
  sink.byte(isNull ? kind : kind | HAS_DATA)
  sink.integer(doubles[first + CZXID]!)
  sink.integer(doubles[first + MZXID]!)
  sink.integer(doubles[first + PZXID]!)
  sink.integer(doubles[first + CTIME]!)
  sink.integer(doubles[first + MTIME]!)
  sink.int32(words[at + VERSION]!)
  sink.int32(words[at + CREATED]!)
  sink.int32(words[at + AVERSION]!)
  if (kind === EPHEMERAL || kind === TTL) {
    sink.int32(words[at + OWNER_HIGH]!)
    sink.int32(words[at + OWNER_LOW]!)
  }
  writeAcl(view, words[at + ACL]!, sink, numbers)
  if (isNull) return
  const dataLength = view.dataLength
  sink.varint(dataLength)
  if (dataLength > 0) sink.bytes(view.memory, view.dataAt, view.dataAt + dataLength)
}

function writeAcl(view: TreeView, number: AclNumber, sink: ByteSink, numbers: Map<AclNumber, number>): void {
  const known = numbers.get(number)
  sink.varint(known ?? numbers.size)
  if (known !== undefined) return
  numbers.set(number, numbers.size)
  const acl = view.aclOf(number)
  sink.varint(acl.length)
  for (const { perms, scheme, id } of acl) {
    sink.int32(perms)
    sink.varint(bytesOfText(scheme))
    writeText(sink, scheme)
    sink.varint(bytesOfText(id))
    writeText(sink, id)
  }
}
