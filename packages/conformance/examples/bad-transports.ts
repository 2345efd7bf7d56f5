import type { Lane, PeerId } from '@antiphon/ports'
import { ExchangeTransport, type Line, type Waiting } from './exchange-transport.ts'

export class ReordersFrames extends ExchangeTransport {
  #frames = 0

  protected override enqueue(line: Line, frame: Waiting): void {
    super.enqueue(line, frame)
    if (++this.#frames % 2 === 0) line.queue.push(line.queue.shift()!)
  }
}

export class Duplicates extends ExchangeTransport {
  override deliver(line: Line, lane: Lane, bytes: Uint8Array): void {
    super.deliver(line, lane, bytes)
    super.deliver(line, lane, bytes.slice())
  }
}

export class CallsBackFromInside extends ExchangeTransport {
  protected override enqueue(line: Line, { lane, bytes }: Waiting): void {
    line.queued[lane] -= bytes.length
    if (line.other !== null) line.other.owner.deliver(line.other, lane, bytes)
    this.handler?.drain(line.peer, line.number)
  }
}

/** Queues whatever comes. */
export class NoBound extends ExchangeTransport {
  protected override laneBytes(): number {
    return Number.POSITIVE_INFINITY
  }
}

/** Says that nothing was taken, and sends it nevertheless. */
export class TakesAndRefuses extends ExchangeTransport {
  override send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    if (super.send(to, pieces, lane)) return true
    const line = this.lines.get(to)
    if (line !== undefined) this.enqueue(line, { lane, bytes: pieces[0]!.slice() })
    return false
  }
}

/** Hands out the same memory for every frame. */
export class ReusesMemory extends ExchangeTransport {
  readonly #memory = new Uint8Array(1 << 16)

  override deliver(line: Line, lane: Lane, bytes: Uint8Array): void {
    this.#memory.set(bytes)
    super.deliver(line, lane, this.#memory.subarray(0, bytes.length))
  }
}

/** A turn of the loop lies between the wire and the handler: the connection may be gone by then. */
export class DeliversLate extends ExchangeTransport {
  override deliver(line: Line, lane: Lane, bytes: Uint8Array): void {
    setTimeout(() => super.deliver(line, lane, bytes), 3)
  }
}

export class NeverSaysDown extends ExchangeTransport {
  override hangUp(line: Line, reason: string): void {
    const { handler } = this
    this.handler = null
    super.hangUp(line, reason)
    this.handler = handler
  }
}

export class BelievesAnybody extends ExchangeTransport {
  protected override recognises(): boolean {
    return true
  }
}

export class ThrowsWhenAway extends ExchangeTransport {
  override send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    if (!this.lines.has(to)) throw new Error(`peer ${to} is away`)
    return super.send(to, pieces, lane)
  }
}
