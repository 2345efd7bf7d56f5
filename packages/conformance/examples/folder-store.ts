import { corrupt, type Run, type Zxid } from '@antiphon/ports'
import { crc32, runFromBytes } from '@antiphon/wire'
import type { FlatDisk } from '../src/index.ts'
import { ArrayStore, type Content, type Shelf } from './array-store.ts'

const NAME = 'sheet'
const HEAD_BYTES = 4

/** The same on a disk: every flush writes everything to a new file, which then takes the place of the one before. Slow, and never half-written. */
export class FolderStore extends ArrayStore {
  static readonly nothing: Content = {
    storeId: null,
    founding: null,
    epochs: { accepted: 0, acceptedFrom: null, current: 0 },
    snapshots: [],
    base: { zxid: 0 as Zxid, checksum: 0, endPoints: [], time: 0 },
    runs: [],
  }
  protected readonly disk: FlatDisk

  /** `shelf` knows who uses the folder. */
  constructor(shelf: Shelf, disk: FlatDisk) {
    super(shelf)
    this.disk = disk
  }

  protected override load(): Content {
    const names = this.disk.list()
    if (names.includes(`${NAME}.new`)) this.disk.remove(`${NAME}.new`)
    if (!names.includes(NAME)) return FolderStore.nothing
    const file = this.disk.open(NAME, 'read')
    try {
      const bytes = new Uint8Array(this.disk.size(file))
      this.disk.read(file, bytes, 0)
      const content = this.decode(bytes)
      // Its name may not be durable: what is reported must be.
      this.flushNames()
      return content
    } finally {
      this.disk.close(file)
    }
  }

  protected override keep(content: Content): void {
    const name = `${NAME}.new`
    const file = this.disk.open(name, this.disk.list().includes(name) ? 'write' : 'create')
    try {
      this.disk.write(file, this.encode(content), 0)
      this.flush(file)
    } finally {
      this.disk.close(file)
    }
    this.disk.rename(name, NAME)
    this.flushNames()
  }

  protected flush(file: number): void {
    this.disk.sync(file)
  }

  protected flushNames(): void {
    this.disk.syncDirectory()
  }

  protected encode(content: Content, blanks = 0): Uint8Array {
    const runs = content.runs.map(({ previous, previousChecksum, bytes }) => ({ previous, previousChecksum, bytes }))
    const text = JSON.stringify({ ...content, runs }, (_, value: unknown) =>
      value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value,
    )
    const body = new TextEncoder().encode(text + ' '.repeat(blanks))
    const bytes = new Uint8Array(HEAD_BYTES + body.length)
    new DataView(bytes.buffer).setUint32(0, crc32(body, 0, 0, body.length))
    bytes.set(body, HEAD_BYTES)
    return bytes
  }

  protected decode(bytes: Uint8Array): Content {
    const body = bytes.subarray(HEAD_BYTES)
    if (bytes.length < HEAD_BYTES || new DataView(bytes.buffer).getUint32(0) !== crc32(body, 0, 0, body.length))
      throw corrupt(`${NAME}: the checksum does not hold`)
    return this.parse(body)
  }

  protected parse(body: Uint8Array): Content {
    const content = JSON.parse(new TextDecoder().decode(body), (_, value: unknown) =>
      isBytes(value) ? Uint8Array.from(Buffer.from(value.base64, 'base64')) : value,
    ) as Content
    return { ...content, runs: content.runs.map((run: Run) => runFromBytes(run.bytes, run.previous, run.previousChecksum)) }
  }
}

function isBytes(value: unknown): value is { base64: string } {
  return typeof value === 'object' && value !== null && 'base64' in value
}
