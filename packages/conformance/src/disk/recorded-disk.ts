import type { DiskImage, DiskOperation, FaultCode, FlatDisk, StoreDisk } from './flat-disk.ts'

/** Any flat disk, with what is done to it written down, and faults to order. */
export class RecordedDisk implements FlatDisk, StoreDisk {
  readonly initial: DiskImage
  readonly operations: DiskOperation[] = []
  failed = false
  readonly #disk: FlatDisk
  /** Number of the file behind each handle, and behind each name. */
  readonly #handles: Map<number, number> = new Map()
  readonly #names: Map<string, number> = new Map()
  #files = 0
  #fault: { countdown: number; readonly code: FaultCode } | null = null

  /** `disk` holds `initial` and nothing else. */
  constructor(disk: FlatDisk, initial: DiskImage) {
    this.#disk = disk
    this.initial = initial
  }

  fail(nth: number, code: FaultCode): void {
    this.failed = false
    this.#fault = { countdown: nth, code }
  }

  list(): readonly string[] {
    this.#meet('EIO', 'listing')
    return this.#disk.list()
  }

  open(name: string, mode: 'read' | 'write' | 'create'): number {
    this.#meet(mode === 'create' ? 'ENOSPC' : 'EIO', `opening of ${name}`)
    const handle = this.#disk.open(name, mode)
    let file = this.#names.get(name)
    if (file === undefined) {
      file = ++this.#files
      this.#names.set(name, file)
      this.operations.push({ op: mode === 'create' ? 'create' : 'open', name, file })
    }
    this.#handles.set(handle, file)
    return handle
  }

  close(handle: number): void {
    this.#disk.close(handle)
    this.#handles.delete(handle)
  }

  size(handle: number): number {
    this.#meet('EIO', 'measuring')
    return this.#disk.size(handle)
  }

  read(handle: number, into: Uint8Array, offset: number): number {
    this.#meet('EIO', 'reading')
    return this.#disk.read(handle, into, offset)
  }

  write(handle: number, bytes: Uint8Array, offset: number): void {
    try {
      this.#meet('ENOSPC', 'writing')
    } catch (error) {
      this.#write(handle, bytes.subarray(0, bytes.length >> 1), offset)
      throw error
    }
    this.#write(handle, bytes, offset)
  }

  #write(handle: number, bytes: Uint8Array, offset: number): void {
    this.#disk.write(handle, bytes, offset)
    this.operations.push({ op: 'write', file: this.#handles.get(handle)!, offset, bytes: bytes.slice() })
  }

  sync(handle: number): void {
    const file = this.#handles.get(handle)!
    try {
      this.#meet('ENOSPC', 'flushing')
      this.#disk.sync(handle)
    } catch (error) {
      this.operations.push({ op: 'sync', file, failed: true })
      throw error
    }
    this.operations.push({ op: 'sync', file, failed: false })
  }

  rename(from: string, to: string): void {
    this.#meet('ENOSPC', `renaming of ${from}`)
    this.#disk.rename(from, to)
    const file = this.#names.get(from)
    this.#names.delete(from)
    if (file === undefined) this.#names.delete(to)
    else this.#names.set(to, file)
    this.operations.push({ op: 'rename', from, to })
  }

  remove(name: string): void {
    this.#meet('EIO', `removal of ${name}`)
    this.#disk.remove(name)
    this.#names.delete(name)
    this.operations.push({ op: 'remove', name })
  }

  syncDirectory(): void {
    this.#meet('ENOSPC', 'flushing of the folder')
    this.#disk.syncDirectory()
    this.operations.push({ op: 'syncDirectory' })
  }

  /** `meets`: the narrower of the faults that this call can meet. */
  #meet(meets: FaultCode, operation: string): void {
    const fault = this.#fault
    if (fault === null || (fault.code === 'ENOSPC' && meets !== 'ENOSPC') || --fault.countdown > 0) return
    this.#fault = null
    this.failed = true
    throw Object.assign(new Error(`${fault.code}: ${operation}`), { code: fault.code })
  }
}
