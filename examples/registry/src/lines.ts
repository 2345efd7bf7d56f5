import type { Readable } from 'node:stream'

/** Lines that are kept ahead of who takes them. */
const AHEAD_LINES = 50_000

export interface Line {
  readonly number: number
  /** Null: longer than the limit. */
  readonly text: string | null
}

/** Cuts a stream into lines. What is not taken holds the stream back; a line above the limit is skipped without being kept. */
export class Lines {
  readonly #stream: Readable
  readonly #bytesMax: number
  #waiting: Line[] = []
  #at = 0
  #parts: Buffer[] = []
  #partBytes = 0
  #number = 0
  #ended = false
  readonly #onFirst: () => void

  /** `onFirst`: there is a line, or there will be none. */
  constructor(stream: Readable, bytesMax: number, onFirst: () => void) {
    this.#stream = stream
    this.#bytesMax = bytesMax
    this.#onFirst = onFirst
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('error', () => this.#end())
    stream.on('end', () => this.#end())
  }

  get isEmpty(): boolean {
    return this.#at === this.#waiting.length
  }
  get isOver(): boolean {
    return this.#ended && this.isEmpty
  }
  /** How many lines there are in all; null while more may come. */
  get total(): number | null {
    return this.#ended ? this.#number : null
  }

  next(): Line | null {
    const line = this.#waiting[this.#at]
    if (line === undefined) return null
    this.#at++
    if (this.#at === this.#waiting.length || this.#at === AHEAD_LINES / 2) {
      this.#waiting = this.#waiting.slice(this.#at)
      this.#at = 0
      this.#stream.resume()
    }
    return line
  }

  #take(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end))
      this.#finish()
      from = end + 1
    }
    this.#keep(chunk.subarray(from))
    if (this.#waiting.length >= AHEAD_LINES) this.#stream.pause()
  }

  #keep(part: Buffer): void {
    this.#partBytes += part.length
    if (this.#partBytes > this.#bytesMax) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  #finish(): void {
    this.#waiting.push({ number: ++this.#number, text: this.#partBytes > this.#bytesMax ? null : Buffer.concat(this.#parts).toString('utf8') })
    this.#parts = []
    this.#partBytes = 0
    if (this.#number === 1) this.#onFirst()
  }

  #end(): void {
    if (this.#partBytes > 0) this.#finish()
    this.#ended = true
    this.#onFirst()
  }
}
