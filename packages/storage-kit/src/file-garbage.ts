import type { Disk } from './disk.ts'

/** Files that nothing refers to any more: to be removed one by one, in idle moments. */
export class FileGarbage {
  readonly #disk: Disk
  readonly #names: string[] = []

  constructor(disk: Disk) {
    this.#disk = disk
  }

  add(...names: readonly string[]): void {
    this.#names.push(...names)
  }

  /** False when there is none. */
  removeOne(): boolean {
    const name = this.#names.pop()
    if (name === undefined) return false
    try {
      this.#disk.remove(name)
    } catch {
      // It is in nobody's way, and removed when the store is opened.
    }
    return true
  }

  /** What cannot be removed is thrown. @throws AntiphonError DISK_FAILED */
  removeAll(): void {
    for (let name = this.#names.pop(); name !== undefined; name = this.#names.pop()) this.#disk.remove(name)
  }
}
