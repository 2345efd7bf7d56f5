import type { Zxid } from '@antiphon/ports'
import { NO_NODE, type NodeIndex } from '../data-tree-types.ts'
import { AclTable } from './acl-table.ts'
import { Arena, type Block, NO_BLOCK, offsetOf, pageOf } from './arena.ts'
import { crcOfText } from './path-crc.ts'
import { PathIndex } from './path-index.ts'
import {
  BLOCK,
  chunkOf,
  DATA_LENGTH,
  FLAGS,
  LAST_CHILD,
  LIVE,
  NAME,
  NAME_LENGTH_MAX,
  NAME_SHIFT,
  NAME_WORDS,
  NULL_DATA,
  PARENT,
  PATH_CRC,
  PREVIOUS,
  Records,
  WIDE_NAME,
  wordsAt,
} from './records.ts'
import { Versions } from './versions.ts'

export const ROOT: NodeIndex = 0
const SLASH = 0x2f
/** Below this many bytes a loop beats `set` and the view that it needs. */
const LOOP_BYTES_MAX = 48
const ARGUMENTS_MAX = 4096

/** Records, their bytes, and the way from a path to a record. What a node means is left to the tree above. */
export class NodeStore {
  readonly records: Records = new Records()
  readonly arena: Arena = new Arena()
  readonly index: PathIndex = new PathIndex(this.records)
  /** By path, what its bucket of the index has no room for. Strings are hashed with a seed that the engine draws: nobody can think up paths that meet here again. */
  readonly #crowded = new Map<string, NodeIndex>()
  readonly versions: Versions = new Versions(this.records, this.arena)
  readonly acls: AclTable = new AclTable()
  readonly words: readonly Int32Array[] = this.records.words
  readonly doubles: readonly Float64Array[] = this.records.doubles
  #scratch = new Uint16Array(256)

  word(record: NodeIndex, word: number): number {
    return this.words[chunkOf(record)]![wordsAt(record) + word]!
  }

  setWord(record: NodeIndex, word: number, value: number): void {
    this.words[chunkOf(record)]![wordsAt(record) + word] = value
  }

  double(record: NodeIndex, double: number): number {
    return this.doubles[chunkOf(record)]![(wordsAt(record) >>> 1) + double]!
  }

  setDouble(record: NodeIndex, double: number, value: number): void {
    this.doubles[chunkOf(record)]![(wordsAt(record) >>> 1) + double] = value
  }

  zxid(record: NodeIndex, double: number): Zxid {
    return this.double(record, double) as Zxid
  }

  /** `path[0, end)`; NO_NODE: there is none, or this is no path. */
  find(path: string, end: number): NodeIndex {
    if (end < 2) return end === 1 && path.charCodeAt(0) === SLASH ? ROOT : NO_NODE
    return this.findHashed(path, end, crcOfText(path, 0, 0, end))
  }

  /** `crc` is that of `path[0, end)`. */
  findHashed(path: string, end: number, crc: number): NodeIndex {
    if (end < 2) return this.find(path, end)
    let record = this.index.candidate(crc, NO_NODE)
    while (record !== NO_NODE && !this.#isAt(record, path, end)) record = this.index.candidate(crc, record)
    return record === NO_NODE && this.#crowded.size > 0 ? this.#findCrowded(path.slice(0, end)) : record
  }

  /** The child whose name is `path[start, end)`, which has no slash. */
  findChild(parent: NodeIndex, path: string, start: number, end: number): NodeIndex {
    const crc = this.childCrc(parent, path, start, end)
    let record = this.index.candidate(crc, NO_NODE)
    while (record !== NO_NODE && (this.word(record, PARENT) !== parent || !this.#isNamed(record, path, start, end))) record = this.index.candidate(crc, record)
    return record === NO_NODE && this.#crowded.size > 0 ? this.#findCrowded(`${parent === ROOT ? '' : this.path(parent)}/${path.slice(start, end)}`) : record
  }

  childCrc(parent: NodeIndex, path: string, start: number, end: number): number {
    return crcOfText(path, crcOfText('/', this.word(parent, PATH_CRC), 0, 1), start, end)
  }

  /** A record with FLAGS (`flags`, and what the name asks for), PATH_CRC, BLOCK and DATA_LENGTH, in the index. The rest is the caller's. `start` is -1 for null data. */
  add(parent: NodeIndex, path: string, nameStart: number, nameEnd: number, flags: number, source: Uint8Array, start: number, end: number): NodeIndex {
    const nameLength = nameEnd - nameStart
    if (nameLength > NAME_LENGTH_MAX) throw new RangeError('a name is longer than 8,388,607 characters')
    let wide = 0
    for (let i = nameStart; i < nameEnd; i++) if (path.charCodeAt(i) > 0xff) wide = WIDE_NAME
    const nameBytes = wide === 0 ? nameLength : 2 * nameLength
    const length = start < 0 ? 0 : end - start
    const block = this.arena.allocate(nameBytes + length)
    if (block !== NO_BLOCK) {
      const bytes = this.arena.bytes[pageOf(block)]!
      let to = offsetOf(block)
      for (let i = nameStart; i < nameEnd; i++) {
        const unit = path.charCodeAt(i)
        bytes[to++] = unit
        if (wide !== 0) bytes[to++] = unit >>> 8
      }
      copy(source, start, bytes, to, length)
    }
    const record = this.records.allocate()
    const words = this.words[chunkOf(record)]!
    const at = wordsAt(record)
    words[at + PARENT] = parent
    words[at + FLAGS] = flags | wide | LIVE | (nameLength << NAME_SHIFT)
    words[at + PATH_CRC] = parent === NO_NODE ? 0 : this.childCrc(parent, path, nameStart, nameEnd)
    words[at + BLOCK] = block
    words[at + DATA_LENGTH] = start < 0 ? NULL_DATA : length
    for (let word = 0; word < NAME_WORDS; word++)
      words[at + NAME + word] = packed(path, Math.min(nameEnd, nameStart + 4 * word), Math.min(nameEnd, nameStart + 4 * word + 4))
    if (parent !== NO_NODE && !this.index.add(record)) this.#crowded.set(this.path(record), record)
    if (this.versions.busy) this.versions.created(record)
    return record
  }

  /** Before `parent` gets another last child. */
  touchForInsert(parent: NodeIndex): void {
    if (!this.versions.busy) return
    this.versions.touch(parent)
    const last = this.word(parent, LAST_CHILD)
    if (last !== NO_NODE) this.versions.touch(last)
  }

  /** Before `node` leaves its siblings. Nobody goes backwards along them in a view. */
  touchForRemove(node: NodeIndex): void {
    if (!this.versions.busy) return
    this.versions.touch(node)
    this.versions.touch(this.word(node, PARENT))
    const previous = this.word(node, PREVIOUS)
    if (previous !== NO_NODE) this.versions.touch(previous)
  }

  /** The caller has touched and unlinked it. */
  remove(record: NodeIndex): void {
    const words = this.words[chunkOf(record)]!
    const at = wordsAt(record)
    if (!this.index.remove(record)) this.#crowded.delete(this.path(record))
    if (this.versions.busy) this.versions.replaced(record, words[at + BLOCK]!)
    else this.arena.release(words[at + BLOCK]!)
    this.records.release(record)
  }

  /** The caller has touched it. `source` may lie in the arena itself. */
  setData(record: NodeIndex, source: Uint8Array, start: number, end: number): void {
    const words = this.words[chunkOf(record)]!
    const at = wordsAt(record)
    const length = start < 0 ? 0 : end - start
    const nameBytes = nameBytesOf(words[at + FLAGS]!)
    const { arena, versions } = this
    const old: Block = words[at + BLOCK]!
    words[at + DATA_LENGTH] = start < 0 ? NULL_DATA : length
    if (arena.fits(old, nameBytes + length) && (!versions.busy || versions.ownsBlock(record))) {
      if (length > 0) copy(source, start, arena.bytes[pageOf(old)]!, offsetOf(old) + nameBytes, length)
      return
    }
    const block = arena.allocate(nameBytes + length)
    if (block !== NO_BLOCK) {
      const bytes = arena.bytes[pageOf(block)]!
      const to = offsetOf(block)
      if (nameBytes > 0) copy(arena.bytes[pageOf(old)]!, offsetOf(old), bytes, to, nameBytes)
      copy(source, start, bytes, to + nameBytes, length)
    }
    words[at + BLOCK] = block
    if (versions.busy) versions.replaced(record, old)
    else arena.release(old)
  }

  /** A view of the arena. */
  data(record: NodeIndex): Uint8Array | null {
    const words = this.words[chunkOf(record)]!
    const at = wordsAt(record)
    const length = words[at + DATA_LENGTH]!
    if (length <= 0) return length === NULL_DATA ? null : new Uint8Array(0)
    const block = words[at + BLOCK]!
    return new Uint8Array(this.arena.buffers[pageOf(block)]!, offsetOf(block) + nameBytesOf(words[at + FLAGS]!), length)
  }

  name(record: NodeIndex): string {
    const words = this.words[chunkOf(record)]!
    const at = wordsAt(record)
    const flags = words[at + FLAGS]!
    const length = flags >>> NAME_SHIFT
    if (length === 0) return ''
    const bytes = this.arena.bytes[pageOf(words[at + BLOCK]!)]!
    const from = offsetOf(words[at + BLOCK]!)
    if ((flags & WIDE_NAME) === 0) return text(bytes, from, from + length)
    this.#room(length)
    for (let i = 0; i < length; i++) this.#scratch[i] = unitAt(bytes, from, i, true)
    return text(this.#scratch, 0, length)
  }

  path(record: NodeIndex): string {
    if (record === ROOT) return '/'
    let length = 0
    for (let node = record; node !== ROOT; node = this.word(node, PARENT)) length += 1 + (this.word(node, FLAGS) >>> NAME_SHIFT)
    this.#room(length)
    const units = this.#scratch
    let to = length
    for (let node = record; node !== ROOT; ) {
      const words = this.words[chunkOf(node)]!
      const at = wordsAt(node)
      const flags = words[at + FLAGS]!
      const block = words[at + BLOCK]!
      const bytes = this.arena.bytes[pageOf(block)]!
      const from = offsetOf(block)
      const wide = (flags & WIDE_NAME) !== 0
      for (let i = (flags >>> NAME_SHIFT) - 1; i >= 0; i--) units[--to] = unitAt(bytes, from, i, wide)
      units[--to] = SLASH
      node = words[at + PARENT]!
    }
    return text(units, 0, length)
  }

  #findCrowded(path: string): NodeIndex {
    return this.#crowded.get(path) ?? NO_NODE
  }

  #room(length: number): void {
    if (this.#scratch.length < length) this.#scratch = new Uint16Array(2 * length)
  }

  #isAt(record: NodeIndex, path: string, end: number): boolean {
    let to = end
    for (let node = record; node !== ROOT; ) {
      const words = this.words[chunkOf(node)]!
      const at = wordsAt(node)
      const start = to - (words[at + FLAGS]! >>> NAME_SHIFT)
      if (start < 1 || path.charCodeAt(start - 1) !== SLASH || !this.#isNamed(node, path, start, to)) return false
      to = start - 1
      node = words[at + PARENT]!
    }
    return to === 0
  }

  #isNamed(record: NodeIndex, path: string, start: number, end: number): boolean {
    const words = this.words[chunkOf(record)]!
    const at = wordsAt(record)
    const flags = words[at + FLAGS]!
    const length = end - start
    if (flags >>> NAME_SHIFT !== length) return false
    if ((flags & WIDE_NAME) === 0 && length <= 4 * NAME_WORDS) return isShort(words, at + NAME, path, start, end)
    const block = words[at + BLOCK]!
    const bytes = this.arena.bytes[pageOf(block)]!
    const from = offsetOf(block)
    if ((flags & WIDE_NAME) === 0) {
      for (let i = 0; i < length; i++) if (bytes[from + i] !== path.charCodeAt(start + i)) return false
      return true
    }
    for (let i = 0; i < length; i++) if (unitAt(bytes, from, i, true) !== path.charCodeAt(start + i)) return false
    return true
  }
}

/** `text[start, end)`, four characters at most, as the words from NAME have them. */
function packed(text: string, start: number, end: number): number {
  let word = 0
  for (let at = end - 1; at >= start; at--) word = (word << 8) | (text.charCodeAt(at) & 0xff)
  return word
}

/** `words` from `at` on are those of a name as long as `path[start, end)`. */
function isShort(words: Int32Array, at: number, path: string, start: number, end: number): boolean {
  let word = at
  let from = start
  for (; from < end - 3; from += 4) {
    const a = path.charCodeAt(from)
    const b = path.charCodeAt(from + 1)
    const c = path.charCodeAt(from + 2)
    const d = path.charCodeAt(from + 3)
    if ((a | b | c | d) > 0xff || (a | (b << 8) | (c << 16) | (d << 24)) !== words[word++]) return false
  }
  if (from === end) return true
  const rest = words[word]!
  for (let shift = 0; from < end; from++, shift += 8) if (path.charCodeAt(from) !== ((rest >>> shift) & 0xff)) return false
  return true
}

export function nameBytesOf(flags: number): number {
  const length = flags >>> NAME_SHIFT
  return (flags & WIDE_NAME) === 0 ? length : 2 * length
}

function unitAt(bytes: Uint8Array, from: number, index: number, wide: boolean): number {
  if (!wide) return bytes[from + index]!
  const at = from + 2 * index
  return bytes[at]! | (bytes[at + 1]! << 8)
}

function copy(source: Uint8Array, start: number, target: Uint8Array, to: number, length: number): void {
  if (length > LOOP_BYTES_MAX) target.set(source.subarray(start, start + length), to)
  else if (source !== target || start >= to) for (let i = 0; i < length; i++) target[to + i] = source[start + i]!
  else target.copyWithin(to, start, start + length)
}

function text(units: Uint8Array | Uint16Array, start: number, end: number): string {
  if (end - start <= ARGUMENTS_MAX) return String.fromCharCode.apply(null, units.subarray(start, end) as unknown as number[])
  let whole = ''
  for (let at = start; at < end; at += ARGUMENTS_MAX) {
    whole += String.fromCharCode.apply(null, units.subarray(at, Math.min(end, at + ARGUMENTS_MAX)) as unknown as number[])
  }
  return whole
}
