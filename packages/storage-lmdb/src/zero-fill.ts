import type { CheckedDisk, FileHandle } from '@antiphon/storage-kit'
import { DATA_NAME } from './format.ts'

const STEP_BYTES = 512 * 1024
/** What a commit may take of the file beside its entries at most: pages that are copied, and lists of free ones. */
const COMMIT_BYTES = 128 * 1024

/**
 * Keeps the environment's file zero-filled some way behind LMDB's last page: a flush that has no new size and no new blocks to note is cheaper. The file only ever grows here; what
 * LMDB has written is not touched. For the thread that writes the environment.
 *
 * Every commit finds its room in the file: LMDB 3.5.6 may end the process when one of its own writes is cut short, because it puts what it says of that into too small a piece of memory.
 */
export class ZeroFill {
  readonly #disk: CheckedDisk
  readonly #aheadBytes: number
  readonly #step: Uint8Array
  #file: FileHandle | null = null
  #filled = 0
  /** What may have been used since it was looked, at most. */
  #used = 0
  /** Of the file, behind LMDB's last page, when it was looked. */
  #room = 0
  #full = false

  constructor(disk: CheckedDisk, aheadBytes: number) {
    this.#disk = disk
    this.#aheadBytes = aheadBytes
    this.#step = new Uint8Array(Math.min(STEP_BYTES, aheadBytes))
  }

  /** Before each commit; `bytes` of entries, and of lists. `end` tells where LMDB's pages end. @throws AntiphonError DISK_FULL, DISK_FAILED */
  reserve(bytes: number, end: () => number): void {
    const needed = 2 * bytes + COMMIT_BYTES
    if (this.#used + needed > this.#room) {
      this.#look(end())
      if (this.#room < needed) this.#grow(new Uint8Array(needed - this.#room))
    }
    this.#used += needed
  }

  /** One step, flushed; false when none is due. `end` tells where LMDB's pages end. @throws AntiphonError DISK_FAILED, DISK_FULL: the store has failed, since a flush is not tried again. */
  step(end: () => number): boolean {
    const bytes = this.#step.length
    // In whole steps: topping up behind every commit would cost each of them another flush.
    if (bytes === 0 || this.#full || this.#room - this.#used > this.#aheadBytes - bytes) return false
    this.#look(end())
    if (this.#room > this.#aheadBytes - bytes) return false
    try {
      this.#grow(this.#step)
    } catch {
      // No fault here: it is one when a commit finds no room.
      this.#full = true
      return false
    }
    this.#disk.sync(this.#file!)
    return true
  }

  #look(used: number): void {
    this.#file ??= this.#disk.open(DATA_NAME, 'write')
    this.#filled = this.#disk.size(this.#file)
    this.#room = Math.max(0, this.#filled - used)
    this.#used = 0
  }

  #grow(zeros: Uint8Array): void {
    this.#disk.write(this.#file!, zeros, this.#filled)
    this.#filled += zeros.length
    this.#room += zeros.length
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
