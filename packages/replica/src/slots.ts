import type { Request } from '@antiphon/consensus-core'
import type { AntiphonError, Millis } from '@antiphon/ports'

const NO_BYTES = new Uint8Array(0)
/** What a waiting request costs besides its payload. */
export const SLOT_BYTES = 128

/** One request of ours from `propose` to its result. Objects are used again and again: nobody keeps one beyond its request. */
export class Slot implements Request {
  machine = 0
  payload: Uint8Array = NO_BYTES
  /** The number under which it is asked; 0 before it got one. */
  sequence = 0
  /** Null: nobody waits. Of a numbered request the result will be dropped; an unnumbered one is a hole. */
  resolve: ((result: unknown) => void) | null = null
  reject: ((error: AntiphonError) => void) | null = null
  /** Monotonic; Infinity without a timeout. */
  deadline: Millis = Number.POSITIVE_INFINITY
  signal: AbortSignal | null = null
  onAbort: (() => void) | null = null
}

/**
 * The requests of this replica, in the order in which they were made, in a ring:
 *
 * ```
 *   first ... numbered ... end
 *   |  under way  | waiting  |
 * ```
 *
 * What is under way has a number; its result comes by its own entry, in order. What waits has none, and can still be taken back.
 * `sequence = position - base` for everything under way.
 */
export class Slots {
  #ring: Slot[] = []
  #mask = -1
  /** first <= numbered <= end always. Positions only grow. */
  #first = 0
  #numbered = 0
  #end = 0
  #base = -1
  #holes = 0
  #bytes = 0
  #deadlines = 0

  /** Under way and waiting. */
  get length(): number {
    return this.#end - this.#first - this.#holes
  }
  get underWay(): number {
    return this.#numbered - this.#first
  }
  get waiting(): number {
    return this.#end - this.#numbered - this.#holes
  }
  /** Payloads and what keeping them costs. */
  get bytes(): number {
    return this.#bytes
  }
  /** Every number up to here has its result. */
  get confirmed(): number {
    return this.#first - this.#base - 1
  }
  /** The last number given. */
  get lastNumber(): number {
    return this.#numbered - this.#base - 1
  }

  /** The caller sets `resolve`, `reject`, `signal` and `onAbort` of what it gets. */
  take(machine: number, payload: Uint8Array, deadline: Millis): Slot {
    if (this.#end - this.#first > this.#mask) this.#grow()
    const slot = this.#ring[this.#end++ & this.#mask]!
    slot.machine = machine
    slot.payload = payload
    slot.sequence = 0
    slot.deadline = deadline
    if (deadline !== Number.POSITIVE_INFINITY) this.#deadlines++
    this.#bytes += payload.length + SLOT_BYTES
    return slot
  }

  /** Gives the next waiting request its number; null when none waits. */
  number(): Slot | null {
    if (this.#holes > 0) this.#closeHoles()
    if (this.#numbered === this.#end) return null
    const slot = this.#ring[this.#numbered & this.#mask]!
    slot.sequence = this.#numbered++ - this.#base
    return slot
  }

  /** The request under way with this number, or null when its result is in or the number was not given. */
  at(sequence: number): Slot | null {
    const position = sequence + this.#base
    return position >= this.#first && position < this.#numbered ? this.#ring[position & this.#mask]! : null
  }

  resolve(sequence: number, result: unknown): void {
    const slot = this.at(sequence)
    if (slot === null || slot.resolve === null) return
    const { resolve } = slot
    this.#leave(slot)
    resolve(result)
  }

  reject(slot: Slot, error: AntiphonError): void {
    const { reject } = slot
    if (reject === null) return
    this.#leave(slot)
    if (slot.sequence === 0) this.#makeHole(slot)
    reject(error)
  }

  #makeHole(slot: Slot): void {
    this.#holes++
    this.#bytes -= slot.payload.length + SLOT_BYTES
    slot.payload = NO_BYTES
  }

  /** The entries of everything up to `sequence` have gone by: their slots are free. Each that is still waited for was resolved or rejected before. */
  settleUpTo(sequence: number): void {
    const upTo = Math.min(sequence + this.#base + 1, this.#numbered)
    while (this.#first < upTo) {
      const slot = this.#ring[this.#first++ & this.#mask]!
      this.#bytes -= slot.payload.length + SLOT_BYTES
      slot.payload = NO_BYTES
    }
  }

  /** The numbers from `from` on are taken back: their requests wait again, in their order. They must stand nowhere, and nobody may ever take them. */
  takeBack(from: number): void {
    const first = Math.max(from + this.#base, this.#first)
    for (let position = first; position < this.#numbered; position++) {
      const slot = this.#ring[position & this.#mask]!
      slot.sequence = 0
      if (slot.resolve === null) this.#makeHole(slot)
    }
    this.#numbered = Math.min(this.#numbered, first)
  }

  /** A new row: numbers begin with 1 again. Nothing may be under way. */
  renumber(): void {
    this.#base = this.#first - 1
  }

  /** Calls `visit` for everything that is waited for, numbered or not. `visit` may reject it. */
  forEach(visit: (slot: Slot) => void): void {
    for (let position = this.#first; position < this.#end; position++) {
      const slot = this.#ring[position & this.#mask]!
      if (slot.resolve !== null) visit(slot)
    }
  }

  /** Calls `visit` for everything whose deadline has come. */
  expire(now: Millis, visit: (slot: Slot) => void): void {
    if (this.#deadlines === 0) return
    this.forEach((slot) => {
      if (slot.deadline <= now) visit(slot)
    })
  }

  #leave(slot: Slot): void {
    slot.resolve = null
    slot.reject = null
    if (slot.deadline !== Number.POSITIVE_INFINITY) {
      slot.deadline = Number.POSITIVE_INFINITY
      this.#deadlines--
    }
    if (slot.signal !== null) {
      slot.signal.removeEventListener('abort', slot.onAbort!)
      slot.signal = null
      slot.onAbort = null
    }
  }

  #closeHoles(): void {
    const ring = this.#ring
    let to = this.#numbered
    for (let from = this.#numbered; from < this.#end; from++) {
      const slot = ring[from & this.#mask]!
      if (slot.resolve === null) continue
      ring[from & this.#mask] = ring[to & this.#mask]!
      ring[to & this.#mask] = slot
      to++
    }
    this.#end = to
    this.#holes = 0
  }

  #grow(): void {
    if (this.#holes > 0) {
      this.#closeHoles()
      if (this.#end - this.#first <= this.#mask) return
    }
    const grown: Slot[] = []
    const length = Math.max(64, (this.#mask + 1) * 2)
    for (let i = 0; i < length; i++) grown.push(new Slot())
    for (let position = this.#first; position < this.#end; position++) grown[position & (length - 1)] = this.#ring[position & this.#mask]!
    this.#ring = grown
    this.#mask = length - 1
  }
}
