/**
 * What happens in a run, as a hash over every fact, and as lines for people when somebody wants them. A run repeats to the byte, so the first one needs no lines: a
 * failing seed is simply run again with them.
 */
export class Trace {
  readonly #say: ((line: string) => void) | null
  #low = 0x811c9dc5
  #high = 0x9747b28c
  #facts = 0

  /** `say` is given each line as it happens; null: nobody reads them. */
  constructor(say: ((line: string) => void) | null) {
    this.#say = say
  }

  get facts(): number {
    return this.#facts
  }

  /** False: what makes a line need not even be made. */
  get isRead(): boolean {
    return this.#say !== null
  }

  /** `a`, `b` and `c` enter the hash; `tell` makes the line, at once or never: null where that is known to be never. `member` 0 is the world outside. */
  add(at: number, member: number, a: number, b: number, c: number, tell: (() => string) | null): void {
    this.#facts++
    this.#mix(Math.floor(at * 1000))
    this.#mix(member)
    this.#mix(a)
    this.#mix(b)
    this.#mix(c)
    if (this.#say !== null && tell !== null) this.#say(`${at.toFixed(3).padStart(11)}  ${member === 0 ? '-' : member}  ${tell()}`)
  }

  /** 16 hexadecimal digits over every fact so far. */
  hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  #mix(value: number): void {
    const low = value | 0
    const high = Math.floor(value / 0x1_0000_0000) | 0
    this.#low = Math.imul(this.#low ^ low, 0x85ebca6b) ^ (this.#low >>> 13)
    this.#high = Math.imul(this.#high ^ low ^ high, 0xc2b2ae35) ^ (this.#high >>> 16) ^ this.#low
  }
}

/** The last `length` of what was pushed. */
export class Ring<T> {
  readonly #items: T[] = []
  readonly #length: number
  #next = 0

  constructor(length: number) {
    this.#length = length
  }

  push(item: T): void {
    this.#items[this.#next] = item
    this.#next = (this.#next + 1) % this.#length
  }

  /** Oldest first. */
  items(): T[] {
    return [...this.#items.slice(this.#next), ...this.#items.slice(0, this.#next)]
  }
}

/** A number for a hash out of a text (FNV-1a, 32 bits). */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
