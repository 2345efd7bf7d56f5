import type { Cancel, Lane } from '@antiphon/ports'
import { Arena } from './arena.ts'
import { type Delay, LANES, type NetworkSettings, sampleDelay } from './options.ts'

/** What a pipe knows of the sides that it joins. */
export interface PipeEnd {
  readonly state: 'opening' | 'up' | 'closed'
  readonly connection: { sever(reason: string): void; snap(reason: string): void }
  deliver(lane: Lane, frame: Uint8Array): void
  /** A lane that had refused takes frames again. */
  drained(): void
  /** The other side, or the network, has ended the connection. */
  lost(reason: string): void
}

/** What pipes share: settings, memory, and the list of those that have something for the next turn. */
export class Turns {
  readonly settings: NetworkSettings
  readonly arena: Arena = new Arena()
  #ready: Pipe[] = []
  #spare: Pipe[] = []
  #scheduled = false
  readonly #run: () => void

  constructor(settings: NetworkSettings) {
    this.settings = settings
    this.#run = () => this.#turn()
  }

  /** One deferred call for the whole network, however much is sent in a turn. */
  pumpSoon(pipe: Pipe): void {
    if (pipe.scheduled) return
    pipe.scheduled = true
    this.#ready.push(pipe)
    if (this.#scheduled) return
    this.#scheduled = true
    this.settings.clock.defer(this.#run)
  }

  #turn(): void {
    this.#scheduled = false
    const pipes = this.#ready
    this.#ready = this.#spare
    this.#spare = pipes
    const now = this.settings.clock.monotonic()
    for (let i = 0; i < pipes.length; i++) {
      const pipe = pipes[i] as Pipe
      pipe.scheduled = false
      pipe.pump(now)
    }
    pipes.length = 0
  }
}

/** The way from one address to another, whatever connections use it. */
export class Link {
  readonly turns: Turns
  delay: Delay
  /** `held`: frames wait. `cut`: frames are lost, and a connection that lost any is void. */
  state: 'open' | 'held' | 'cut' = 'open'
  readonly pipes: Set<Pipe> = new Set()

  constructor(turns: Turns, delay: Delay) {
    this.turns = turns
    this.delay = delay
  }
}

/** Frames under way on one lane. `frames[i]` may be delivered from `dues[i]` on; dues never decrease, which keeps the lane in order. */
class LaneQueue {
  readonly bytesMax: number
  readonly frames: Uint8Array[] = []
  readonly dues: number[] = []
  head = 0
  /** Of frames that were taken and not delivered; frames lost in a cut count until the connection ends, as they would in a socket. */
  bytes = 0
  refused = false

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  get waiting(): number {
    return this.frames.length - this.head
  }

  take(): Uint8Array {
    const frame = this.frames[this.head] as Uint8Array
    this.frames[this.head] = NOTHING
    this.head += 1
    this.bytes -= frame.length
    return frame
  }

  trim(): void {
    if (this.head === this.frames.length) this.keep(0)
    else if (this.head > 4096 && this.head * 2 > this.frames.length) {
      this.frames.splice(0, this.head)
      this.dues.splice(0, this.head)
      this.head = 0
    }
  }

  /** Forgets all but the first `count` that wait. */
  keep(count: number): void {
    this.frames.length = this.head + count
    this.dues.length = this.head + count
    if (count > 0) return
    this.frames.length = 0
    this.dues.length = 0
    this.head = 0
  }
}

/** One direction of a connection. */
export class Pipe {
  readonly from: PipeEnd
  readonly to: PipeEnd
  readonly link: Link
  /** Stands in the list for the next turn. */
  scheduled = false
  /** Frames were lost: nothing may be delivered any more, or there would be a gap. Ends when the link heals. */
  broken = false
  readonly #turns: Turns
  readonly #lanes: readonly LaneQueue[]
  /** Why the connection ends once what is left has arrived, but not before `#finishDue`. */
  #finishing: string | null = null
  #finishDue = 0
  #timer: Cancel | null = null
  #timerDue = 0

  constructor(from: PipeEnd, to: PipeEnd, link: Link) {
    this.from = from
    this.to = to
    this.link = link
    this.#turns = link.turns
    this.#lanes = this.#turns.settings.laneBytesMax.map((bytesMax) => new LaneQueue(bytesMax))
    link.pipes.add(this)
  }

  /** Takes one frame, or nothing at all. */
  push(pieces: readonly Uint8Array[], length: number, lane: number): boolean {
    const queue = this.#lanes[lane] as LaneQueue
    if (queue.bytes > 0 && queue.bytes + length > queue.bytesMax) {
      queue.refused = true
      return false
    }
    queue.bytes += length
    if (this.#finishing !== null) return true
    if (this.broken || this.link.state === 'cut') {
      this.broken = true
      return true
    }
    const due = this.#dueBehind(queue)
    queue.frames.push(pieces.length === 1 ? (pieces[0] as Uint8Array) : this.#turns.arena.join(pieces, length))
    queue.dues.push(due)
    if (due === 0) this.wake()
    else this.#arm(due)
    return true
  }

  #dueBehind(queue: LaneQueue): number {
    const last = queue.waiting === 0 ? 0 : (queue.dues[queue.dues.length - 1] as number)
    const { clock, random } = this.#turns.settings
    const delay = sampleDelay(this.link.delay, random)
    return delay === 0 ? last : Math.max(last, clock.monotonic() + delay)
  }

  /** In the next turn: delivers what is due, if the link is open and the receiver has heard `up`. */
  wake(): void {
    this.#turns.pumpSoon(this)
  }

  /** Delivers what is due at `now`, highest priority first. What its handlers send meanwhile waits for a later turn. */
  pump(now: number): void {
    if (!this.#open) return
    for (let lane = 0; lane < LANES.length; lane++) if (!this.#deliver(lane, now)) return
    this.#tellDrained()
    this.#settle(now)
  }

  get #open(): boolean {
    return this.to.state === 'up' && this.link.state === 'open' && !this.broken
  }

  /** False when a handler closed, held or cut this pipe meanwhile. */
  #deliver(lane: number, now: number): boolean {
    const queue = this.#lanes[lane] as LaneQueue
    const end = queue.frames.length
    while (queue.head < end && (queue.dues[queue.head] as number) <= now) {
      this.to.deliver(LANES[lane as 0 | 1 | 2], queue.take())
      if (!this.#open) return false
    }
    queue.trim()
    return true
  }

  #tellDrained(): void {
    let drained = false
    for (const queue of this.#lanes) {
      if (!queue.refused || queue.bytes * 2 > queue.bytesMax) continue
      queue.refused = false
      drained = true
    }
    if (drained && this.#finishing === null) this.from.drained()
  }

  /** Waits for what is due later, or ends the connection when it was the last. */
  #settle(now: number): void {
    let next = Number.POSITIVE_INFINITY
    for (const queue of this.#lanes) if (queue.waiting > 0) next = Math.min(next, queue.dues[queue.head] as number)
    if (next !== Number.POSITIVE_INFINITY) {
      if (next <= now) this.wake()
      else this.#arm(next)
    } else if (this.#finishing !== null) {
      if (this.#finishDue <= now) this.to.lost(this.#finishing)
      else this.#arm(this.#finishDue)
    }
  }

  /** One timer, for what is due first. It carries its own due: a clock that rounds must not make it fire for ever a little too early. */
  #arm(due: number): void {
    if (this.#timer !== null) {
      if (this.#timerDue <= due) return
      this.#timer()
    }
    const { clock } = this.#turns.settings
    this.#timerDue = due
    this.#timer = clock.schedule(Math.max(0, due - clock.monotonic()), () => {
      this.#timer = null
      this.pump(Math.max(due, clock.monotonic()))
    })
  }

  /** What is under way on a link that has just been cut is lost. */
  cut(): void {
    for (const queue of this.#lanes) {
      if (queue.waiting === 0) continue
      queue.keep(0)
      if (this.#finishing === null) this.broken = true
    }
  }

  /** The end of the connection follows a part of what is under way; how much of each lane, `random` says. What is sent from now on is lost. */
  finish(reason: string): void {
    if (this.to.state === 'closed' || this.#finishing !== null) return
    const { clock, random } = this.#turns.settings
    for (const queue of this.#lanes) if (queue.waiting > 0) queue.keep(random.uint32() % (queue.waiting + 1))
    const delay = sampleDelay(this.link.delay, random)
    this.#finishing = reason
    this.#finishDue = delay === 0 ? 0 : clock.monotonic() + delay
    this.broken = false
    this.wake()
  }

  /** The receiver is gone. */
  discard(): void {
    this.#timer?.()
    this.#timer = null
    for (const queue of this.#lanes) queue.keep(0)
  }
}

const NOTHING = new Uint8Array(0)
