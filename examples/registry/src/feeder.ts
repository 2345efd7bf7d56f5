import type { Ensemble } from './ensemble.ts'
import type { Refused } from './messages.ts'
import type { Write } from './registry.ts'
import type { Source } from './source.ts'

const TICK_MS = 10
/** Writes under way at a time: below the replica's own window. */
const UNDER_WAY_MAX = 4096

/** Feeds one member at an even rate, and keeps account of every write. */
export class Feeder {
  readonly #ensemble: Ensemble
  readonly #source: Source
  readonly #rate: number
  readonly #onRefused: (write: Write, refused: Refused) => void
  readonly #underWay = new Map<number, Write>()
  /** Rejected before anything happened: to be sent again. */
  readonly #again: Write[] = []
  readonly #acknowledged: [number, number][] = []
  #member = 0
  #nextId = 1
  #began = 0
  #halfMs = 0
  #isHeld = false
  #paused = 0
  #pausedAt: number | null = null
  #sent = 0
  #timer: NodeJS.Timeout | null = null
  #onHalf: (() => void) | null = null
  #mark: { firstId: number; resolve: (at: number) => void } | null = null
  acknowledgedCount = 0
  /** Neither acknowledged nor known not to have happened. */
  unknown = 0
  refused = 0

  constructor(ensemble: Ensemble, source: Source, rate: number, onRefused: (write: Write, refused: Refused) => void) {
    this.#ensemble = ensemble
    this.#source = source
    this.#rate = rate
    this.#onRefused = onRefused
  }

  get member(): number {
    return this.#member
  }
  get underWay(): number {
    return this.#underWay.size
  }
  get isDone(): boolean {
    return this.#source.isOver && this.#underWay.size === 0 && this.#again.length === 0
  }
  /** Ranges of ids. */
  get acknowledged(): readonly (readonly [number, number])[] {
    return this.#acknowledged
  }

  /** `onHalf` is called between the first half of the writes and the second, which waits for `goOn`; when nobody knows where that is, after `halfMs`. */
  start(member: number, halfMs: number, onHalf: () => void): void {
    this.#member = member
    this.#halfMs = halfMs
    this.#onHalf = onHalf
    this.#began = performance.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  goOn(): void {
    this.#isHeld = false
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Another member is fed, once what is under way has settled. */
  async moveTo(member: number, until: (condition: () => boolean) => Promise<void>): Promise<void> {
    this.#pausedAt = performance.now()
    await until(() => this.#underWay.size === 0)
    this.#member = member
    this.#paused += performance.now() - this.#pausedAt
    this.#pausedAt = null
  }

  /** When the first write is acknowledged that is not sent yet. */
  nextAcknowledgement(): Promise<number> {
    return new Promise((resolve) => {
      this.#mark = { firstId: this.#nextId, resolve }
    })
  }

  settle(acknowledged: readonly number[], refused: readonly Refused[]): void {
    for (const id of acknowledged) {
      if (!this.#underWay.delete(id)) continue
      this.acknowledgedCount++
      this.#note(id)
      if (this.#mark !== null && id >= this.#mark.firstId) {
        this.#mark.resolve(performance.now())
        this.#mark = null
      }
    }
    for (const one of refused) {
      const write = this.#underWay.get(one.id)
      if (write === undefined) continue
      this.#underWay.delete(one.id)
      if (one.isRejected && (one.code === 'OVERLOADED' || one.code === 'NOT_READY')) {
        this.#again.push(write)
        continue
      }
      if (one.isRejected) this.refused++
      else this.unknown++
      this.#onRefused(write, one)
    }
  }

  #note(id: number): void {
    const last = this.#acknowledged.at(-1)
    if (last !== undefined && last[1] === id - 1) last[1] = id
    else this.#acknowledged.push([id, id])
  }

  #tick(): void {
    if (this.#pausedAt !== null || this.#isHeld) return
    const due = Math.floor(((performance.now() - this.#began - this.#paused) / 1000) * this.#rate) - this.#sent
    const writes: Write[] = []
    while (writes.length < due && this.#underWay.size < UNDER_WAY_MAX) {
      if (this.#onHalf !== null && this.#isPastHalf) break
      const write = this.#again.pop() ?? this.#fresh()
      if (write === null) break
      this.#underWay.set(write.id, write)
      writes.push(write)
    }
    // What could not be sent in time is not made up for in one burst.
    this.#sent += Math.max(writes.length, due - Math.ceil(this.#rate / 10))
    if (writes.length > 0) this.#ensemble.put(this.#member, writes)
    if (this.#onHalf !== null && this.#isPastHalf) {
      const onHalf = this.#onHalf
      this.#onHalf = null
      this.#isHeld = true
      onHalf()
    }
  }

  get #isPastHalf(): boolean {
    return this.#source.isPastHalf ?? performance.now() - this.#began > this.#halfMs
  }

  #fresh(): Write | null {
    if (this.#source.isOver) return null
    const entry = this.#source.next()
    return entry === null ? null : { id: this.#nextId++, ...entry }
  }
}
