import type { DiskImage, FlatDisk } from './flat-disk.ts'

interface File {
  bytes: Uint8Array
}

/** A flat disk in memory that never fails by itself: put a `RecordedDisk` around it. */
export class MemoryFolder implements FlatDisk {
  readonly #names: Map<string, File> = new Map()
  readonly #handles: Map<number, File> = new Map()
  #opened = 0

  constructor(files: DiskImage = new Map()) {
    for (const [name, bytes] of files) this.#names.set(name, { bytes: bytes.slice() })
  }

  list(): readonly string[] {
    return [...this.#names.keys()]
  }

  open(name: string, mode: 'read' | 'write' | 'create'): number {
    if (mode === 'create') {
      if (this.#names.has(name)) throw fault('EEXIST', name)
      this.#names.set(name, { bytes: new Uint8Array(0) })
    }
    this.#handles.set(++this.#opened, this.#named(name))
    return this.#opened
  }

  close(handle: number): void {
    if (!this.#handles.delete(handle)) throw fault('EBADF', String(handle))
  }

  size(handle: number): number {
    return this.#open(handle).bytes.length
  }

  read(handle: number, into: Uint8Array, offset: number): number {
    const { bytes } = this.#open(handle)
    const found = bytes.subarray(offset, offset + into.length)
    into.set(found)
    return found.length
  }

  write(handle: number, bytes: Uint8Array, offset: number): void {
    const file = this.#open(handle)
    file.bytes = written(file.bytes, bytes, offset)
  }

  sync(handle: number): void {
    this.#open(handle)
  }

  rename(from: string, to: string): void {
    const file = this.#named(from)
    this.#names.delete(from)
    this.#names.set(to, file)
  }

  remove(name: string): void {
    this.#named(name)
    this.#names.delete(name)
  }

  syncDirectory(): void {}

  #named(name: string): File {
    const file = this.#names.get(name)
    if (file === undefined) throw fault('ENOENT', name)
    return file
  }

  #open(handle: number): File {
    const file = this.#handles.get(handle)
    if (file === undefined) throw fault('EBADF', String(handle))
    return file
  }
}

/** `bytes` at `offset` of `content`, in its own memory where it fits. */
export function written(content: Uint8Array, bytes: Uint8Array, offset: number): Uint8Array {
  const end = offset + bytes.length
  let into = content
  if (end > content.length) {
    into = new Uint8Array(end)
    into.set(content)
  }
  into.set(bytes, offset)
  return into
}

function fault(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}
