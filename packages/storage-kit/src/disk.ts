import { diskError } from './errors.ts'

/** An open file's number. */
export type FileHandle = number

/**
 * All that an engine on files knows of the world: one flat folder, synchronous. Any method may throw; what it throws carries `code` as `node:fs` has it (`ENOSPC`, `EIO`...).
 *
 * What a crash of the machine leaves: of a file, what stood in it at its last `sync`, and of what was written since any part, torn at any byte; of the folder, the names
 * as of the last `syncDirectory`, and of what was created, renamed and removed since any part.
 */
export interface Disk {
  /** Names of the files in the folder, in any order. */
  list(): readonly string[]
  /** `read`: an existing file; `write`: the same for reading and writing; `create`: a new one for reading and writing, refused when the name is taken. */
  open(name: string, mode: 'read' | 'write' | 'create'): FileHandle
  close(file: FileHandle): void
  size(file: FileHandle): number
  /** Fills `into` from `offset` on; how many bytes there were: fewer only at the file's end. */
  read(file: FileHandle, into: Uint8Array, offset: number): number
  /** All of `bytes`, or it throws. Beyond the end it grows the file; a hole reads as zeros. */
  write(file: FileHandle, bytes: Uint8Array, offset: number): void
  /** Makes the file's content durable (`fdatasync`). After it has thrown, nothing is known of what was written since the last one that did not. */
  sync(file: FileHandle): void
  /** Atomic; takes the place of a file that has the name already. */
  rename(from: string, to: string): void
  remove(name: string): void
  /** Makes the folder's names durable. */
  syncDirectory(): void
}

/** The disk with its errors translated. Keeps the name behind each handle, for the errors. */
export class CheckedDisk implements Disk {
  readonly #disk: Disk
  readonly #names = new Map<FileHandle, string>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  list(): readonly string[] {
    try {
      return this.#disk.list()
    } catch (error) {
      throw diskError(error, 'listing', 'the folder')
    }
  }

  open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    try {
      const file = this.#disk.open(name, mode)
      this.#names.set(file, name)
      return file
    } catch (error) {
      throw diskError(error, mode === 'create' ? 'creation' : 'opening', name)
    }
  }

  close(file: FileHandle): void {
    try {
      this.#disk.close(file)
    } catch (error) {
      throw diskError(error, 'closing', this.#name(file))
    } finally {
      this.#names.delete(file)
    }
  }

  size(file: FileHandle): number {
    try {
      return this.#disk.size(file)
    } catch (error) {
      throw diskError(error, 'measuring', this.#name(file))
    }
  }

  read(file: FileHandle, into: Uint8Array, offset: number): number {
    try {
      return this.#disk.read(file, into, offset)
    } catch (error) {
      throw diskError(error, 'reading', this.#name(file))
    }
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number): void {
    try {
      this.#disk.write(file, bytes, offset)
    } catch (error) {
      throw diskError(error, 'writing', this.#name(file))
    }
  }

  sync(file: FileHandle): void {
    try {
      this.#disk.sync(file)
    } catch (error) {
      throw diskError(error, 'flushing', this.#name(file))
    }
  }

  rename(from: string, to: string): void {
    try {
      this.#disk.rename(from, to)
    } catch (error) {
      throw diskError(error, 'renaming', from)
    }
  }

  remove(name: string): void {
    try {
      this.#disk.remove(name)
    } catch (error) {
      throw diskError(error, 'removing', name)
    }
  }

  syncDirectory(): void {
    try {
      this.#disk.syncDirectory()
    } catch (error) {
      throw diskError(error, 'flushing', 'the folder')
    }
  }

  #name(file: FileHandle): string {
    return this.#names.get(file) ?? `handle ${file}`
  }
}
