import type { CheckedDisk, FileHandle } from '@antiphon/storage-kit'
import { DATA_NAME } from './format.ts'

const STEP_BYTES = 512 * 1024
/** What a commit may take of the file beside its entries: pages that are copied. */
const COMMIT_BYTES = 32 * 1024

/**
 * Keeps the environment's file zero-filled some way behind LMDB's last page: a flush that has no new size and no new blocks to note is cheaper. The file only ever grows here; what
 * LMDB has written is not touched. For the thread that writes the environment.
 */
export class ZeroFill {
  readonly #disk: CheckedDisk
  readonly #aheadBytes: number
  readonly #step: Uint8Array
  #file: FileHandle | null = null
  #filled = 0
  /** About how much may have been used since it was looked. */
  #used: number
  #full = false

  constructor(disk: CheckedDisk, aheadBytes: number) {
    this.#disk = disk
    this.#aheadBytes = aheadBytes
    this.#step = new Uint8Array(Math.min(STEP_BYTES, aheadBytes))
    this.#used = this.#step.length
  }

  committed(bytes: number): void {
    this.#used += bytes + COMMIT_BYTES
  }

  /** One step, flushed; false when none is due. `end` tells where LMDB's pages end. @throws AntiphonError DISK_FAILED, DISK_FULL: the store has failed, since a flush is not tried again. */
  step(end: () => number): boolean {
    const bytes = this.#step.length
    // In whole steps: topping up behind every commit would cost each of them another flush.
    if (bytes === 0 || this.#full || this.#used < bytes) return false
    const used = end()
    this.#file ??= this.#disk.open(DATA_NAME, 'write')
    this.#filled = Math.max(this.#filled, this.#disk.size(this.#file))
    if (used + this.#aheadBytes - this.#filled < bytes) {
      this.#used = 0
      return false
    }
    try {
      this.#disk.write(this.#file, this.#step, this.#filled)
    } catch {
      // No fault here: it is one when a commit finds no room.
      this.#full = true
      return false
    }
    this.#disk.sync(this.#file)
    this.#filled += bytes
    return true
  }

  /** Never throws. */
  close(): void {
    if (this.#file === null) return
    try {
      this.#disk.close(this.#file)
    } catch {}
    this.#file = null
  }
}
