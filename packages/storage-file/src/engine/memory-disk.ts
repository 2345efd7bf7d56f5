import type { Random } from '@antiphon/ports'
import type { Disk, FileHandle } from '@antiphon/storage-kit'

const SECTOR_BYTES = 512

/** What a disk throws, in the shape of `node:fs`. */
export class DiskFault extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.code = code
  }
}

interface Written {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** A file's content: as a program reads it, and as a crash of the machine would leave it. */
class Content {
  current: Uint8Array = new Uint8Array(0)
  size = 0
  durable: Uint8Array = new Uint8Array(0)
  durableSize = 0
  /** Not yet synced, in order. */
  unsynced: Written[] = []

  write(bytes: Uint8Array, offset: number): void {
    this.current = put(this.current, bytes, offset)
    this.size = Math.max(this.size, offset + bytes.length)
    this.unsynced.push({ offset, bytes: bytes.slice() })
  }

  sync(): void {
    for (const written of this.unsynced) this.#keep(written)
    this.unsynced = []
  }

  /** The system has given up on these pages: they can be read, and no later flush writes them. */
  giveUp(): void {
    this.unsynced = []
  }

  crash(random: Random): void {
    for (const { offset, bytes } of this.unsynced) {
      const fate = random.uint32() % 4
      if (fate === 0) continue
      if (fate === 1) this.#keep({ offset, bytes })
      else if (fate === 2) this.#keep({ offset, bytes: bytes.subarray(0, random.uint32() % (bytes.length + 1)) })
      else this.#keepSectors(offset, bytes, random)
    }
    this.unsynced = []
    this.current = this.durable.slice()
    this.size = this.durableSize
  }

  #keepSectors(offset: number, bytes: Uint8Array, random: Random): void {
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES))
      if (random.uint32() % 2 === 0) this.#keep({ offset: offset + at, bytes: bytes.subarray(at, end) })
      at = end
    }
  }

  #keep({ offset, bytes }: Written): void {
    if (bytes.length === 0) return
    this.durable = put(this.durable, bytes, offset)
    this.durableSize = Math.max(this.durableSize, offset + bytes.length)
  }
}

function put(memory: Uint8Array, bytes: Uint8Array, offset: number): Uint8Array {
  let into = memory
  if (offset + bytes.length > memory.length) {
    into = new Uint8Array(Math.max(offset + bytes.length, memory.length * 2))
    into.set(memory)
  }
  into.set(bytes, offset)
  return into
}

type NameChange = (names: Map<string, Content>) => void

/**
 * A disk in memory that fails as disks do. `crash` stops the machine: of what was not flushed it keeps any part, of files torn at any byte, of names any subset.
 * `kill` stops the process alone: the system still has what was written. Both make every open handle void.
 */
export class MemoryDisk implements Disk {
  #names = new Map<string, Content>()
  #durableNames = new Map<string, Content>()
  #changes: NameChange[] = []
  #files = new Map<FileHandle, Content>()
  #handles = 0
  #operations = 0
  #faultAt = Number.POSITIVE_INFINITY
  #fault: 'ENOSPC' | 'EIO' | 'power' = 'EIO'
  #off = false

  /** Calls so far, failed ones included. */
  get operations(): number {
    return this.#operations
  }

  /** The call number `operation` (from 1, counted as `operations`) fails: `ENOSPC` and `EIO` once, with part of a write done; at `power` the machine is off until `crash`. */
  failAt(operation: number, fault: 'ENOSPC' | 'EIO' | 'power'): void {
    this.#faultAt = operation
    this.#fault = fault
  }

  crash(random: Random): void {
    for (const change of this.#changes) if (random.uint32() % 2 === 0) change(this.#durableNames)
    const contents = new Set([...this.#durableNames.values(), ...this.#names.values()])
    for (const content of contents) content.crash(random)
    this.#names = new Map(this.#durableNames)
    this.#changes = []
    this.kill()
  }

  kill(): void {
    this.#off = false
    this.#files = new Map()
    this.#faultAt = Number.POSITIVE_INFINITY
  }

  /** Turns one bit, on the platter and in memory. */
  flip(name: string, offset: number, bit: number): void {
    const content = this.#find(name)
    for (const memory of [content.current, content.durable]) if (offset < memory.length) memory[offset]! ^= 1 << bit
  }

  /** A file as it reads. */
  contents(name: string): Uint8Array {
    const content = this.#find(name)
    return content.current.slice(0, content.size)
  }

  list(): readonly string[] {
    this.#step('listing')
    return [...this.#names.keys()]
  }

  open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    this.#step(`opening of ${name}`)
    if (mode === 'create') {
      if (this.#names.has(name)) throw new DiskFault('EEXIST', name)
      const content = new Content()
      this.#change((names) => names.set(name, content))
    }
    const file = ++this.#handles
    this.#files.set(file, this.#find(name))
    return file
  }

  close(file: FileHandle): void {
    this.#content(file)
    this.#files.delete(file)
  }

  size(file: FileHandle): number {
    this.#step('measuring')
    return this.#content(file).size
  }

  read(file: FileHandle, into: Uint8Array, offset: number): number {
    this.#step('reading')
    const { current, size } = this.#content(file)
    const count = Math.max(0, Math.min(into.length, size - offset))
    into.set(current.subarray(offset, offset + count))
    return count
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number): void {
    const content = this.#content(file)
    try {
      this.#step('writing')
    } catch (error) {
      content.write(bytes.subarray(0, bytes.length >> 1), offset)
      throw error
    }
    content.write(bytes, offset)
  }

  sync(file: FileHandle): void {
    const content = this.#content(file)
    try {
      this.#step('flushing')
    } catch (error) {
      if (!this.#off) content.giveUp()
      throw error
    }
    content.sync()
  }

  rename(from: string, to: string): void {
    this.#step(`renaming of ${from}`)
    const content = this.#find(from)
    this.#change((names) => {
      names.delete(from)
      names.set(to, content)
    })
  }

  remove(name: string): void {
    this.#step(`removal of ${name}`)
    this.#find(name)
    this.#change((names) => names.delete(name))
  }

  syncDirectory(): void {
    this.#step('flushing of the folder')
    for (const change of this.#changes) change(this.#durableNames)
    this.#changes = []
  }

  #change(change: NameChange): void {
    change(this.#names)
    this.#changes.push(change)
  }

  #find(name: string): Content {
    const content = this.#names.get(name)
    if (content === undefined) throw new DiskFault('ENOENT', name)
    return content
  }

  #content(file: FileHandle): Content {
    const content = this.#files.get(file)
    if (content === undefined) throw new DiskFault('EBADF', `handle ${file}`)
    return content
  }

  #step(operation: string): void {
    if (this.#off) throw new DiskFault('EIO', `the machine is off: ${operation}`)
    if (++this.#operations !== this.#faultAt) return
    this.#off = this.#fault === 'power'
    throw new DiskFault(this.#fault === 'power' ? 'EIO' : this.#fault, operation)
  }
}
