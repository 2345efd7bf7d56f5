import type { PeerId } from '@antiphon/ports'
import type { Happening, Timeline } from './timeline.ts'

/** One member's event loop. */
interface Loop {
  /** It stands still; what waits for it then is in `waiting`. */
  paused: boolean
  waiting: Happening[]
  /** How long it takes for everything that happens on it; 0: no time at all. */
  costMs: number
  /** Waits for its turn on a slow loop. */
  readonly queue: Happening[]
  busyUntil: number
  draining: boolean
  /** When it last was as quick as it should be, again. */
  lateUntil: number
}

/** What happens next, as the members' event loops let it: one that stands still takes nothing, a slow one takes one thing after another. */
export class EventLoops {
  readonly #timeline: Timeline
  readonly #loops = new Map<number, Loop>()
  /** What has waited long enough. */
  readonly #backlog: Happening[] = []

  constructor(timeline: Timeline) {
    this.#timeline = timeline
  }

  /** Null when nothing is left that could happen. */
  take(): Happening | null {
    for (;;) {
      const late = this.#backlog.length === 0 ? undefined : this.#backlog.shift()
      const happening = late ?? this.#timeline.take()
      const loop = happening === null ? undefined : this.#loops.get(happening.owner)
      if (happening === null || loop === undefined) return happening
      if (loop.paused) loop.waiting.push(happening)
      else if (loop.costMs > 0 && late === undefined) {
        loop.queue.push(happening)
        this.#drainLater(loop)
      } else return happening
    }
  }

  /** False when it stands still already. */
  pause(member: PeerId, ms: number): boolean {
    const loop = this.#loop(member)
    if (loop.paused) return false
    const waiting: Happening[] = []
    loop.paused = true
    loop.waiting = waiting
    this.#timeline.after(ms, 0, () => {
      if (loop.waiting === waiting) this.#resume(loop)
    })
    return true
  }

  /** Everything takes `costMs`, for `ms`. */
  slow(member: PeerId, ms: number, costMs: number): boolean {
    const loop = this.#loop(member)
    if (loop.costMs > 0) return false
    loop.costMs = costMs
    loop.busyUntil = this.#timeline.now
    this.#timeline.after(ms, 0, () => this.#quicken(loop))
    return true
  }

  /** A process is gone: what waited for its loop is void. The machine stays as slow as it is. */
  stopped(member: PeerId): void {
    const loop = this.#loops.get(member)
    if (loop === undefined) return
    loop.paused = false
    loop.waiting = []
    loop.queue.length = 0
    for (let i = this.#backlog.length - 1; i >= 0; i--) if (this.#backlog[i]!.owner === member) this.#backlog.splice(i, 1)
  }

  /** All are as quick as they should be, from here on. */
  calm(): void {
    for (const loop of this.#loops.values()) {
      if (loop.paused) this.#resume(loop)
      this.#quicken(loop)
    }
  }

  /** Was it late with anything within the last `ms`? */
  wasLate(member: PeerId, ms: number): boolean {
    const loop = this.#loops.get(member)
    return loop !== undefined && (loop.paused || loop.costMs > 0 || this.#timeline.now - loop.lateUntil < ms)
  }

  #loop(member: PeerId): Loop {
    let loop = this.#loops.get(member)
    if (loop === undefined) {
      loop = { paused: false, waiting: [], costMs: 0, queue: [], busyUntil: 0, draining: false, lateUntil: Number.NEGATIVE_INFINITY }
      this.#loops.set(member, loop)
    }
    return loop
  }

  #resume(loop: Loop): void {
    this.#backlog.push(...loop.waiting)
    loop.paused = false
    loop.waiting = []
    loop.lateUntil = this.#timeline.now
  }

  #quicken(loop: Loop): void {
    if (loop.costMs === 0) return
    this.#backlog.push(...loop.queue)
    loop.queue.length = 0
    loop.costMs = 0
    loop.lateUntil = this.#timeline.now
  }

  #drainLater(loop: Loop): void {
    if (loop.draining) return
    loop.draining = true
    this.#timeline.at(loop.busyUntil, 0, () => {
      loop.draining = false
      let next = loop.queue.shift()
      // What was called off costs nothing.
      while (next?.run === null) next = loop.queue.shift()
      if (next === undefined) return
      this.#backlog.push(next)
      loop.busyUntil = this.#timeline.now + loop.costMs
      if (loop.queue.length > 0) this.#drainLater(loop)
    })
  }
}
