import { type Database, open, type RootDatabase } from 'lmdb'

const SEGMENT_BYTES = 64 * 1024 * 1024
const BINARY = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const

/** The least that a log in LMDB can do: a put, a commit, its two flushes. Parts of the log are databases of their own, dropped when two newer ones are there. */
export class BareLmdb {
  readonly #root: RootDatabase<Buffer, Buffer>
  #part: Database<Buffer, Buffer>
  #before: Database<Buffer, Buffer> | null = null
  readonly #key: Buffer = Buffer.alloc(8)
  #number = 0
  #parts = 0
  #partBytes = 0

  constructor(path: string) {
    this.#root = open<Buffer, Buffer>({ path, noSubdir: true, overlappingSync: false, maxDbs: 4096, mapSize: 256 * 1024 * 1024, ...BINARY })
    this.#part = this.#begin()
  }

  /** Durable on return. */
  append(bytes: Uint8Array): void {
    if (this.#partBytes > SEGMENT_BYTES) {
      const old = this.#before
      this.#before = this.#part
      this.#part = this.#begin()
      if (old !== null) this.#root.transactionSync(() => old.dropSync())
    }
    this.#key.writeUInt32BE(++this.#number, 4)
    let taken: unknown = false
    this.#root.transactionSync(() => (taken = this.#part.putSync(this.#key, bytes as Buffer, { append: true })))
    if (taken !== true) throw new Error('LMDB took no value')
    this.#partBytes += bytes.length
  }

  async close(): Promise<void> {
    await this.#root.close()
  }

  #begin(): Database<Buffer, Buffer> {
    this.#partBytes = 0
    return this.#root.openDB<Buffer, Buffer>(`log-${this.#parts++}`, BINARY)
  }
}
