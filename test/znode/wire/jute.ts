/** Jute's encodings by hand, so that a mistake in a library of ours does not hide itself. */
export class JuteWriter {
  readonly #parts: Buffer[] = []

  byte(value: number): this {
    this.#parts.push(Buffer.from([value & 0xff]))
    return this
  }

  bool(value: boolean): this {
    return this.byte(value ? 1 : 0)
  }

  int(value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    this.#parts.push(bytes)
    return this
  }

  long(value: bigint): this {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(BigInt.asIntN(64, value))
    this.#parts.push(bytes)
    return this
  }

  buffer(value: Uint8Array | null): this {
    this.int(value === null ? -1 : value.length)
    if (value !== null) this.#parts.push(Buffer.from(value))
    return this
  }

  string(value: string | null): this {
    return this.buffer(value === null ? null : Buffer.from(value, 'utf8'))
  }

  vector<T>(items: readonly T[], write: (item: T) => void): this {
    this.int(items.length)
    for (const item of items) write(item)
    return this
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }

  /** With its length in front. */
  frame(): Buffer {
    const body = this.bytes()
    const length = Buffer.alloc(4)
    length.writeInt32BE(body.length)
    return Buffer.concat([length, body])
  }
}

export class JuteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#forward(1))
  }

  bool(): boolean {
    return this.byte() !== 0
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#forward(4))
  }

  long(): bigint {
    return this.#bytes.readBigInt64BE(this.#forward(8))
  }

  /** A ZXID or a time: below 2^53 in any test. */
  small(): number {
    return Number(this.long())
  }

  buffer(): Buffer | null {
    const length = this.int()
    if (length === -1) return null
    if (length < 0 || length > this.left) throw new Error(`a length of ${length} with ${this.left} bytes left`)
    const start = this.#forward(length)
    return this.#bytes.subarray(start, start + length)
  }

  string(): string {
    return this.buffer()?.toString('utf8') ?? ''
  }

  vector<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int()) }, read)
  }

  #forward(by: number): number {
    this.#at += by
    return this.#at - by
  }
}
