import type { Address, Cancel, Lane, PeerId } from '@antiphon/ports'
import { type Link, Pipe, type PipeEnd } from './pipe.ts'

/** The endpoint that a side belongs to. */
export interface Owner {
  readonly address: Address
  deliver(side: Side, lane: Lane, frame: Uint8Array): void
  drained(side: Side): void
  /** The network says that the connection is over. Called in a turn of its own. */
  lost(side: Side, reason: string): void
  /** The side has been closed, possibly in the middle of a call from above: nobody above may be told before the next turn. */
  ended(side: Side, wasUp: boolean, reason: string): void
}

/** One peer's end of a connection. */
export class Side implements PipeEnd {
  readonly owner: Owner
  readonly peer: PeerId
  /** The endpoint's own number for the connection. */
  readonly number: number
  /** The other peer's. */
  readonly greeting: Uint8Array
  /** `opening`: the endpoint has not heard `up` yet, and frames for it wait. Nothing is delivered to a closed side, nor taken from it. */
  state: 'opening' | 'up' | 'closed' = 'opening'
  /** Takes back the `up` that is on its way. */
  opening: Cancel | null = null
  upAt = 0
  /** Set once, by the connection. */
  connection!: Connection

  constructor(owner: Owner, peer: PeerId, number: number, greeting: Uint8Array) {
    this.owner = owner
    this.peer = peer
    this.number = number
    this.greeting = greeting
  }

  get other(): Side {
    const [first, second] = this.connection.sides
    return first === this ? second : first
  }

  deliver(lane: Lane, frame: Uint8Array): void {
    this.owner.deliver(this, lane, frame)
  }

  drained(): void {
    this.owner.drained(this)
  }

  lost(reason: string): void {
    this.owner.lost(this, reason)
  }
}

export class Connection {
  readonly sides: readonly [Side, Side]
  /** `pipes[i]` leads away from `sides[i]`. */
  readonly pipes: readonly [Pipe, Pipe]

  constructor(dialler: Side, listener: Side, there: Link, back: Link) {
    this.sides = [dialler, listener]
    this.pipes = [new Pipe(dialler, listener, there), new Pipe(listener, dialler, back)]
    dialler.connection = this
    listener.connection = this
  }

  pipeFrom(side: Side): Pipe {
    return this.pipes[side === this.sides[0] ? 0 : 1]
  }

  pipeTo(side: Side): Pipe {
    return this.pipes[side === this.sides[0] ? 1 : 0]
  }

  /** One side has given it up, and the other may not know. */
  get halfOpen(): boolean {
    return this.sides[0].state === 'closed' || this.sides[1].state === 'closed'
  }

  /** `side` hears and says nothing from now on. The other side is not told. */
  abandon(side: Side): void {
    side.state = 'closed'
    side.opening?.()
    side.opening = null
    this.pipeTo(side).discard()
    if (this.sides[0].state !== 'closed' || this.sides[1].state !== 'closed') return
    for (const pipe of this.pipes) pipe.link.pipes.delete(pipe)
  }

  /** `side` gives it up at once. A part of what it had sent still arrives; then the other side is told. */
  leave(side: Side, reason: string): void {
    this.abandon(side)
    this.pipeFrom(side).finish(reason)
  }

  /** The network breaks it: a part of what is under way still arrives on both sides, then they are told. */
  sever(reason: string): void {
    for (const pipe of this.pipes) pipe.finish(reason)
  }

  /** It ends here and now; both sides are told in the next turn. */
  snap(reason: string): void {
    for (const side of this.sides) {
      const wasUp = side.state === 'up'
      if (side.state === 'closed') continue
      this.abandon(side)
      side.owner.ended(side, wasUp, reason)
    }
  }
}
