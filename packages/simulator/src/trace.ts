/**
 * What happened in a run: a hash over everything, and the last lines for people. Facts are kept unformatted, because almost all of them are never read.
 */
export class Trace {
  readonly #ring: (Fact | undefined)[]
  readonly #echo: ((line: string) => void) | null
  #next = 0
  #low = 0x811c9dc5
  #high = 0x9747b28c
  #facts = 0

  constructor(keep: number, echo: ((line: string) => void) | null = null) {
    this.#ring = new Array<Fact | undefined>(keep)
    this.#echo = echo
  }

  get facts(): number {
    return this.#facts
  }

  /** `a`, `b`, `c` enter the hash; `tell` makes the line, and is called only when somebody reads it. */
  add(at: number, member: number, a: number, b: number, c: number, tell: () => string): void {
    this.#facts++
    this.#mix(Math.floor(at * 1000))
    this.#mix(member)
    this.#mix(a)
    this.#mix(b)
    this.#mix(c)
    if (this.#echo !== null) this.#echo(line(at, member, tell()))
    else {
      this.#ring[this.#next] = { at, member, tell }
      this.#next = (this.#next + 1) % this.#ring.length
    }
  }

  /** 16 hexadecimal digits over every fact so far. */
  hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  /** The last facts, oldest first. */
  lines(): string[] {
    const lines: string[] = []
    for (let i = 0; i < this.#ring.length; i++) {
      const fact = this.#ring[(this.#next + i) % this.#ring.length]
      if (fact !== undefined) lines.push(line(fact.at, fact.member, fact.tell()))
    }
    return lines
  }

  #mix(value: number): void {
    const low = value | 0
    const high = Math.floor(value / 0x1_0000_0000) | 0
    this.#low = Math.imul(this.#low ^ low, 0x85ebca6b) ^ (this.#low >>> 13)
    this.#high = Math.imul(this.#high ^ low ^ high, 0xc2b2ae35) ^ (this.#high >>> 16) ^ this.#low
  }
}

interface Fact {
  readonly at: number
  readonly member: number
  readonly tell: () => string
}

function line(at: number, member: number, text: string): string {
  return `${at.toFixed(3).padStart(11)}  ${member === 0 ? '-' : String(member)}  ${text}`
}

/** A number for the hash out of a text. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
