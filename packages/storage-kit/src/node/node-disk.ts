import * as fs from 'node:fs'
import { join } from 'node:path'
import type { Disk, FileHandle } from '../index.ts'

const FLAGS = { read: 'r', write: 'r+', create: 'wx+' } as const

/** A folder of this machine, by synchronous calls. */
export class NodeDisk implements Disk {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  list(): readonly string[] {
    return fs.readdirSync(this.#folder)
  }

  open(name: string, mode: 'read' | 'write' | 'create'): FileHandle {
    return fs.openSync(join(this.#folder, name), FLAGS[mode], 0o644)
  }

  close(file: FileHandle): void {
    fs.closeSync(file)
  }

  size(file: FileHandle): number {
    return fs.fstatSync(file).size
  }

  read(file: FileHandle, into: Uint8Array, offset: number): number {
    let done = 0
    while (done < into.length) {
      const count = fs.readSync(file, into, done, into.length - done, offset + done)
      if (count === 0) break
      done += count
    }
    return done
  }

  write(file: FileHandle, bytes: Uint8Array, offset: number): void {
    for (let done = 0; done < bytes.length; ) done += fs.writeSync(file, bytes, done, bytes.length - done, offset + done)
  }

  sync(file: FileHandle): void {
    fs.fdatasyncSync(file)
  }

  rename(from: string, to: string): void {
    fs.renameSync(join(this.#folder, from), join(this.#folder, to))
  }

  remove(name: string): void {
    fs.unlinkSync(join(this.#folder, name))
  }

  syncDirectory(): void {
    // Windows has no flush of a folder: NTFS journals its names by itself.
    if (process.platform === 'win32') return
    const file = fs.openSync(this.#folder, 'r')
    try {
      fs.fsyncSync(file)
    } finally {
      fs.closeSync(file)
    }
  }
}
