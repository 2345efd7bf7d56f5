import type { Lane, PeerId } from '@antiphon/ports'
import { ExchangeTransport, LANE_BYTES, type Line, type Waiting } from './exchange-transport.ts'

// Frames.

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

/** Uses the caller's memory for its own ends. */
export class ChangesPieces extends ExchangeTransport {
  override send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    const taken = super.send(to, pieces, lane)
    for (const piece of pieces) if (piece.length > 1000) piece[0]! ^= 1
    return taken
  }
}

export class CallsBackFromInside extends ExchangeTransport {
  protected override enqueue(line: Line, { lane, bytes }: Waiting): void {
    line.queued[lane] -= bytes.length
    if (line.other !== null) line.other.owner.deliver(line.other, lane, bytes)
    this.handler?.drain(line.peer, line.number)
  }
}

/** Hands out the same memory for every frame. */
export class ReusesMemory extends ExchangeTransport {
  readonly #memory = new Uint8Array(1 << 21)

  override deliver(line: Line, lane: Lane, bytes: Uint8Array): void {
    this.#memory.set(bytes)
    super.deliver(line, lane, this.#memory.subarray(0, bytes.length))
  }
}

/** What is for one is sent to all. */
export class Broadcasts extends ExchangeTransport {
  protected override enqueue(_: Line, frame: Waiting): void {
    for (const line of this.lines.values()) super.enqueue(line, frame)
  }
}

export class SmallFrames extends ExchangeTransport {
  override send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    return pieces.reduce((sum, piece) => sum + piece.length, 0) <= 512 * 1024 && super.send(to, pieces, lane)
  }
}

// Room.

/** Queues whatever comes. */
export class NoBound extends ExchangeTransport {
  protected override hasRoom(): boolean {
    return true
  }
}

/** Takes what it likes once the connection is dead. */
export class FeedsTheVoid extends ExchangeTransport {
  protected override hasRoom(line: Line, lane: Lane, length: number): boolean {
    return line.isCut || super.hasRoom(line, lane, length)
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

export class NeverDrains extends ExchangeTransport {
  protected override drained(): void {}
}

/** Once one lane is full, all are. */
export class OneQueue extends ExchangeTransport {
  protected override hasRoom(line: Line, lane: Lane, length: number): boolean {
    return !line.refused && super.hasRoom(line, lane, length)
  }
}

/** Never mind the lane: first come, first served. */
export class OneOrder extends ExchangeTransport {
  protected override enqueue(line: Line, frame: Waiting): void {
    super.enqueue(line, frame)
    const [last] = line.queue.splice(line.queue.indexOf(frame), 1)
    line.queue.push(last!)
  }
}

/** One bound for all peers. */
export class OneBudget extends ExchangeTransport {
  protected override hasRoom(line: Line, lane: Lane, length: number): boolean {
    const others = [...this.lines.values()].filter((other) => other !== line).reduce((sum, other) => sum + other.queued[lane], 0)
    return super.hasRoom(line, lane, length) && others + length <= LANE_BYTES / 2
  }
}

export class ThrowsWhenAway extends ExchangeTransport {
  override send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    if (!this.lines.has(to)) throw new Error(`peer ${to} is away`)
    return super.send(to, pieces, lane)
  }
}

export class TakesForAnybody extends ExchangeTransport {
  override send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    return super.send(to, pieces, lane) || !this.lines.has(to)
  }
}

// Connections.

/** Each hears its own greeting. */
export class EchoesGreetings extends ExchangeTransport {
  protected override told(line: Line): boolean {
    return super.told(line, this.greeting)
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

/** Numbers begin anew with each connection. */
export class UsesNumbersAgain extends ExchangeTransport {
  protected override told(line: Line, greeting: Uint8Array): boolean {
    Object.assign(line, { number: 1 })
    return super.told(line, greeting)
  }
}

export class ClosesWhateverIsThere extends ExchangeTransport {
  override disconnect(peer: PeerId): void {
    const line = this.lines.get(peer)
    if (line !== undefined) setTimeout(() => this.hangUp(line, 'closed here'), 0)
  }
}

/** A connection that the network breaks is noticed by one of its ends. */
export class SeesHalfOfABreak extends ExchangeTransport {
  override sever(peer: PeerId): void {
    const line = this.lines.get(peer)
    if (line?.other == null) return
    this.lines.delete(peer)
    this.handler?.down(peer, line.number, 'the network broke it')
    line.other.other = null
    line.other = null
  }
}

export class TakesNoRefusal extends ExchangeTransport {
  protected override told(line: Line, greeting: Uint8Array): boolean {
    super.told(line, greeting)
    return true
  }
}

/** Whoever did not want us at the first attempt is not asked again. */
export class DialsOnce extends ExchangeTransport {
  readonly #tried = new Set<PeerId>()
  readonly #met = new Set<PeerId>()

  protected override dials(peer: PeerId): boolean {
    if (this.#tried.has(peer) && !this.#met.has(peer)) return false
    this.#tried.add(peer)
    return true
  }
  protected override told(line: Line, greeting: Uint8Array): boolean {
    this.#met.add(line.peer)
    return super.told(line, greeting)
  }
  override setPeers(peers: ReadonlyMap<PeerId, string>): void {
    this.#tried.clear()
    super.setPeers(peers)
  }
}

/** Whoever was hung up on is not dialled again. */
export class NeverComesBack extends ExchangeTransport {
  readonly #left = new Set<PeerId>()

  override disconnect(peer: PeerId, connection: number): void {
    if (this.lines.get(peer)?.number === connection) this.#left.add(peer)
    super.disconnect(peer, connection)
  }
  protected override dials(peer: PeerId): boolean {
    return !this.#left.has(peer)
  }
}

/** An address is learnt once. */
export class NeverMoves extends ExchangeTransport {
  readonly #learnt = new Map<PeerId, string>()

  override setPeers(peers: ReadonlyMap<PeerId, string>): void {
    for (const [peer, address] of peers) if (!this.#learnt.has(peer)) this.#learnt.set(peer, address)
    super.setPeers(new Map([...peers.keys()].map((peer) => [peer, this.#learnt.get(peer)!])))
  }
}

/** Whoever is connected stays. */
export class DropsNobody extends ExchangeTransport {
  #all: Map<PeerId, string> = new Map()

  override setPeers(peers: ReadonlyMap<PeerId, string>): void {
    this.#all = new Map([...this.#all, ...peers])
    super.setPeers(this.#all)
  }
}

export class LeavesSilently extends ExchangeTransport {
  override async close(): Promise<void> {
    for (const line of this.lines.values()) if (line.other !== null) line.other = null
    this.lines.clear()
    await super.close()
  }
}

export class TalksAfterItsEnd extends ExchangeTransport {
  override async close(): Promise<void> {
    const { handler } = this
    const [peer] = this.lines.keys()
    await super.close()
    if (peer !== undefined) setTimeout(() => handler?.up(peer, 1_000_000, new Uint8Array(0)), 1)
  }
}

export class BelievesAnybody extends ExchangeTransport {
  protected override recognises(): boolean {
    return true
  }
}

export class TakesLongGreetings extends ExchangeTransport {
  protected override fits(): boolean {
    return true
  }
}

// Half-open connections.

/** A connection is believed in until it says that it ends: whoever calls is called a duplicate. */
export class BelievesInTheDead extends ExchangeTransport {
  protected override isFree(there: ExchangeTransport): boolean {
    return !this.isConnected(there)
  }
}

/** Who dials never doubts its own end. */
export class BelievesInItsOwn extends ExchangeTransport {
  protected override dials(peer: PeerId): boolean {
    return !this.lines.has(peer)
  }
}

/** Waits for the other end before it says that a connection is down. */
export class ClosesByAgreement extends ExchangeTransport {
  override disconnect(peer: PeerId, connection: number): void {
    if (this.lines.get(peer)?.isCut !== true) super.disconnect(peer, connection)
  }
}

// Endurance.

/** A peer that has come and gone too often is left alone. */
export class LosesPatience extends ExchangeTransport {
  readonly #times = new Map<PeerId, number>()

  protected override told(line: Line, greeting: Uint8Array): boolean {
    const times = (this.#times.get(line.peer) ?? 0) + 1
    this.#times.set(line.peer, times)
    return times < 8 && super.told(line, greeting)
  }
}

/** A timer for each connection, never cleared. */
export class LeaksTimers extends ExchangeTransport {
  static readonly timers: ReturnType<typeof setInterval>[] = []

  protected override told(line: Line, greeting: Uint8Array): boolean {
    LeaksTimers.timers.push(setInterval(() => {}, 60_000))
    return super.told(line, greeting)
  }
}

/** Remembers every connection, with what a connection has. */
export class LeaksMemory extends ExchangeTransport {
  readonly #past: { readonly line: Line; readonly buffer: number[] }[] = []

  protected override told(line: Line, greeting: Uint8Array): boolean {
    this.#past.push({ line, buffer: Array.from({ length: 200 }, (_, index) => index + this.#past.length) })
    return super.told(line, greeting)
  }
}
