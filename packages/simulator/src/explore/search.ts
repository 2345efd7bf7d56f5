import { BOUNDS, type Bounds } from './bounds.ts'
import type { CoreClass } from './cores.ts'
import type { Event } from './events.ts'
import { SLOTS, type State } from './layout.ts'
import { Breach, Model } from './model.ts'
import { begin } from './start.ts'
import { type Hashes, Visited } from './visited.ts'

export interface ExploreOptions extends Partial<Bounds> {
  /** The core under test; the product's own. */
  readonly core?: CoreClass
  /** Events behind the start, at most. */
  readonly depth?: number
  /** Distinct states, about: the one under way is finished. */
  readonly states?: number
  /** Bytes of states, hashes and paths, about. */
  readonly memory?: number
  /** The exploration ends behind so many. */
  readonly violations?: number
  /** Asked now and then; false ends the exploration. */
  readonly goOn?: (progress: Progress) => boolean
}

export interface Progress {
  readonly states: number
  readonly depth: number
}

export interface ExploreViolation {
  readonly message: string
  /** Events behind the start. */
  readonly depth: number
  /** The whole path, with what led to the start, and what each core made of it. */
  readonly trace: readonly string[]
}

export interface Exploration extends Progress {
  /** Every path of so many events was followed; when exhausted, there is none longer that leads to a new state. */
  readonly depth: number
  readonly transitions: number
  /** Nothing within the bounds was left out. */
  readonly exhausted: boolean
  readonly violations: readonly ExploreViolation[]
  readonly cores: number
  readonly bytes: number
  /** Of the states: equal states of different explorations have equal ones. */
  readonly hashes: Hashes
}

const ASK_EVERY = 1024

/** A growing column of numbers. */
class Column {
  #numbers = new Int32Array(1 << 16)
  #length = 0

  get length(): number {
    return this.#length
  }

  get bytes(): number {
    return this.#numbers.byteLength
  }

  push(number: number): void {
    if (this.#length === this.#numbers.length) this.#grow(1)
    this.#numbers[this.#length++] = number
  }

  pushAll(numbers: Int32Array): void {
    if (this.#length + numbers.length > this.#numbers.length) this.#grow(numbers.length)
    this.#numbers.set(numbers, this.#length)
    this.#length += numbers.length
  }

  at(index: number): number {
    return this.#numbers[index]!
  }

  view(from: number, count: number): Int32Array {
    return this.#numbers.subarray(from, from + count)
  }

  clear(): void {
    this.#length = 0
  }

  #grow(by: number): void {
    const grown = new Int32Array(Math.max(this.#length + by, Math.ceil(this.#numbers.length * 1.5)))
    grown.set(this.#numbers)
    this.#numbers = grown
  }
}

/** Breadth first: the first violation has the shortest path. */
export function explore(options: ExploreOptions = {}): Exploration {
  return new Search(options).run()
}

class Search {
  readonly #options: ExploreOptions
  readonly #bounds: Bounds
  readonly #model: Model
  readonly #visited = new Visited()
  /** Of each state, by its number: the state before it, and the event between. */
  readonly #parents = new Column()
  readonly #events = new Column()
  #frontier = new Column()
  #next = new Column()
  readonly #violations: ExploreViolation[] = []
  readonly #told = new Set<string>()
  #transitions = 0
  #depth = 0

  constructor(options: ExploreOptions) {
    this.#options = options
    this.#bounds = { ...BOUNDS, ...options }
    this.#model = new Model(this.#bounds, options.core)
  }

  run(): Exploration {
    let exhausted = false
    try {
      this.#take(begin(this.#model, this.#bounds.start).state, -1, 0)
    } catch (error) {
      if (!(error instanceof Breach)) throw error
      this.#violations.push({ message: error.message, depth: 0, trace: [] })
      return this.#result(false)
    }
    for (let first = 0; ; this.#depth++) {
      ;[this.#frontier, this.#next] = [this.#next, this.#frontier]
      this.#next.clear()
      const count = this.#frontier.length / SLOTS
      if (count === 0) {
        exhausted = this.#violations.length === 0
        this.#depth--
        break
      }
      if (this.#depth >= (this.#options.depth ?? Number.POSITIVE_INFINITY) || !this.#expandLevel(first, count)) break
      first += count
    }
    return this.#result(exhausted)
  }

  #result(exhausted: boolean): Exploration {
    return {
      states: this.#visited.size,
      depth: this.#depth,
      exhausted,
      transitions: this.#transitions,
      violations: this.#violations,
      cores: this.#model.cores.size,
      bytes: this.#bytes,
      hashes: this.#visited.all(),
    }
  }

  get #bytes(): number {
    // A step that is known takes about 600 bytes besides the core that it leads to.
    const { bytes, stepsKnown } = this.#model.cores
    return bytes + stepsKnown * 600 + this.#visited.bytes + this.#parents.bytes + this.#events.bytes + this.#frontier.bytes + this.#next.bytes
  }

  /** False when the exploration ends within the level. */
  #expandLevel(first: number, count: number): boolean {
    const scratch: State = new Int32Array(SLOTS)
    const events: Event[] = []
    for (let i = 0; i < count; i++) {
      if (i % ASK_EVERY === 0 && !this.#mayGoOn()) return false
      const state = this.#frontier.view(i * SLOTS, SLOTS)
      events.length = 0
      this.#model.events(state, events)
      for (const event of events) {
        scratch.set(state)
        this.#transitions++
        if (!this.#happens(scratch, first + i, event)) return false
      }
    }
    return true
  }

  #mayGoOn(): boolean {
    const { states = Number.POSITIVE_INFINITY, memory = Number.POSITIVE_INFINITY, goOn } = this.#options
    if (this.#visited.size >= states || this.#bytes >= memory) return false
    return goOn === undefined || goOn({ states: this.#visited.size, depth: this.#depth })
  }

  #happens(state: State, parent: number, event: Event): boolean {
    try {
      this.#model.apply(state, event)
    } catch (error) {
      if (!(error instanceof Breach)) throw error
      // One defect shows itself on many paths: the first is the shortest.
      if (!this.#told.has(error.message)) this.#violations.push({ message: error.message, depth: this.#depth + 1, trace: this.#traceOf(parent, event) })
      this.#told.add(error.message)
      return this.#violations.length < (this.#options.violations ?? 1)
    }
    if (!this.#model.beyond) this.#take(state, parent, event)
    return true
  }

  #take(state: State, parent: number, event: Event): void {
    const { high, low } = this.#model.hash(state)
    if (!this.#visited.add(high, low)) return
    this.#parents.push(parent)
    this.#events.push(event)
    this.#next.pushAll(state)
  }

  #traceOf(parent: number, last: Event): string[] {
    const path = [last]
    for (let at = parent; this.#parents.at(at) >= 0; at = this.#parents.at(at)) path.unshift(this.#events.at(at))
    const lines: string[] = []
    const model = new Model(this.#bounds, this.#options.core)
    model.trace = (line) => lines.push(line)
    const { state } = begin(model, this.#bounds.start)
    lines.push(`-- ${this.#bounds.start}: the exploration begins here`)
    try {
      for (const event of path) model.apply(state, event)
    } catch (error) {
      lines.push(`VIOLATION: ${(error as Error).message}`)
    }
    return lines
  }
}
