import type { Disk, FileHandle } from '@antiphon/storage-kit'
import { MARKER_NAME, parseName } from './format.ts'
import { DiskFault } from './memory-disk.ts'

interface Layer {
  /** Held here: it was being written when the disk was looked at, or was written here. Null: all of it is read from below. */
  bytes: Uint8Array | null
  size: number
  /** Null: made here. */
  readonly below: FileHandle | null
}

/** What is copied in one piece is never half of one batch and half of the next but one: they are a flush apart. */
const PAGE_BYTES = 4096
const LOOKS_MAX = 50

/**
 * A folder as it stands at one moment, also while a store writes to it: reads come from the disk below, writes are kept in memory, so that a whole engine can run on it and
 * changes nothing. Costs the memory of the segments that may still grow, and of what is written.
 *
 * What is seen is a prefix of what was written: names first; then every file is opened, so that one that is removed stays readable; then the growing segments are copied, the
 * newest first and each from its end to its begin. A batch is written after the flush of the one before, so whatever was seen of a batch, all of the earlier ones is seen later.
 */
export class OverlayDisk implements Disk {
  readonly #below: Disk
  readonly #files = new Map<string, Layer>()
  readonly #opened: FileHandle[] = []
  readonly #handles = new Map<FileHandle, Layer>()
  #nextHandle = 1

  constructor(below: Disk) {
    this.#below = below
    try {
      this.#look()
    } catch (error) {
      this.end()
      throw error
    }
  }

  /** Gives the files below back. Nothing is read afterwards. */
  end(): void {
    for (const file of this.#opened.splice(0)) this.#below.close(file)
    this.#files.clear()
    this.#handles.clear()
  }

  list(): readonly string[] {
    return [...this.#files.keys()]
  }

  open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    let layer = this.#files.get(name)
    if (mode === 'create') {
      if (layer !== undefined) throw new DiskFault('EEXIST', `${name} is there`)
      layer = { bytes: new Uint8Array(0), size: 0, below: null }
      this.#files.set(name, layer)
    } else if (layer === undefined) {
      throw new DiskFault('ENOENT', `${name} is not there`)
    }
    const handle = this.#nextHandle++
    this.#handles.set(handle, layer)
    return handle
  }

  close(file: FileHandle): void {
    this.#of(file)
    this.#handles.delete(file)
  }

  size(file: FileHandle): number {
    return this.#of(file).size
  }

  read(file: FileHandle, into: Uint8Array, offset: number): number {
    const { bytes, size, below } = this.#of(file)
    const count = Math.max(0, Math.min(into.length, size - offset))
    if (bytes === null) return this.#below.read(below!, into.subarray(0, count), offset)
    into.set(bytes.subarray(offset, offset + count))
    return count
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number): void {
    const layer = this.#of(file)
    const end = offset + bytes.length
    let held = (layer.bytes ??= this.#copied(layer))
    if (end > held.length) {
      held = new Uint8Array(Math.max(end, held.length * 2))
      held.set(layer.bytes)
      layer.bytes = held
    }
    held.set(bytes, offset)
    layer.size = Math.max(layer.size, end)
  }

  sync(file: FileHandle): void {
    this.#of(file)
  }

  rename(from: string, to: string): void {
    const layer = this.#files.get(from)
    if (layer === undefined) throw new DiskFault('ENOENT', `${from} is not there`)
    this.#files.delete(from)
    this.#files.set(to, layer)
  }

  remove(name: string): void {
    if (!this.#files.delete(name)) throw new DiskFault('ENOENT', `${name} is not there`)
  }

  syncDirectory(): void {}

  #look(): void {
    for (let looks = 1; ; looks++) {
      if (this.#openAll()) break
      this.end()
      if (looks === LOOKS_MAX) throw new DiskFault('EBUSY', `the folder's files changed ${LOOKS_MAX} times while they were being opened`)
    }
    for (const layer of this.#growing()) layer.bytes = this.#copied(layer)
  }

  /** False: files came or went meanwhile. */
  #openAll(): boolean {
    const names = this.#below.list().filter(isOurs)
    for (const name of names) {
      try {
        const file = this.#below.open(name, 'read')
        this.#opened.push(file)
        this.#files.set(name, { bytes: null, size: this.#below.size(file), below: file })
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ENOENT') return false
        throw error
      }
    }
    const again = new Set(this.#below.list().filter(isOurs))
    return again.size === names.length && names.every((name) => again.has(name))
  }

  /** Newest first: of each generation the last segment that has been begun, and what is behind it. Those before it were left for good. */
  #growing(): Layer[] {
    const logs = [...this.#files].flatMap(([name, layer]) => {
      const parsed = parseName(name)
      return parsed?.kind === 'log' ? [{ layer, generation: parsed.generation, number: parsed.number }] : []
    })
    logs.sort((a, b) => b.number - a.number)
    const begun = new Set<number>()
    const growing: Layer[] = []
    for (const { layer, generation } of logs) {
      if (begun.has(generation)) continue
      growing.push(layer)
      if (this.#isBegun(layer)) begun.add(generation)
    }
    return growing
  }

  #isBegun({ below }: Layer): boolean {
    const start = new Uint8Array(4)
    this.#below.read(below!, start, 0)
    return start.some((byte) => byte !== 0)
  }

  #copied({ size, below }: Layer): Uint8Array {
    const bytes = new Uint8Array(size)
    for (let at = size - (size % PAGE_BYTES); at >= 0; at -= PAGE_BYTES) this.#below.read(below!, bytes.subarray(at, at + PAGE_BYTES), at)
    return bytes
  }

  #of(file: FileHandle): Layer {
    const layer = this.#handles.get(file)
    if (layer === undefined) throw new DiskFault('EBADF', `handle ${file} is not open`)
    return layer
  }
}

/** What counts: the rest is somebody else's, or not yet whole. */
function isOurs(name: string): boolean {
  return name === MARKER_NAME || parseName(name)?.aside === false
}
