import { execFile } from 'node:child_process'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const MEBIBYTE = 1024 * 1024

/** A file system of a few megabytes in memory, that can be filled up. */
export class SmallDisk {
  readonly #mount: string
  readonly folder: string

  private constructor(mount: string) {
    this.#mount = mount
    this.folder = join(mount, 'member')
  }

  static mountIn(folder: string): string {
    return join(folder, 'small-disk')
  }

  /** Null, with the reason told, where mounting is not permitted. */
  static async mount(folder: string, mebibytes: number, say: (line: string) => void): Promise<SmallDisk | null> {
    const mount = SmallDisk.mountIn(folder)
    await mkdir(mount, { recursive: true })
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', mount])
    } catch (error) {
      say(`full disk: not done, since a tmpfs cannot be mounted here (${(error as { stderr?: string }).stderr?.trim() || (error as Error).message})`)
      return null
    }
    return new SmallDisk(mount)
  }

  async fill(): Promise<void> {
    const file = await open(join(this.#mount, 'ballast'), 'a')
    try {
      for (let bytes = MEBIBYTE; bytes >= 512; ) {
        try {
          const { bytesWritten } = await file.write(Buffer.alloc(bytes))
          if (bytesWritten < bytes) bytes >>= 1
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
          bytes >>= 1
        }
      }
    } finally {
      await file.close()
    }
  }

  async free(): Promise<void> {
    await rm(join(this.#mount, 'ballast'), { force: true })
  }

  async unmount(): Promise<void> {
    await run('umount', ['-l', this.#mount])
  }
}
