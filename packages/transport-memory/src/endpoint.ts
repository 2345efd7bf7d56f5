import {
  type Address,
  AntiphonError,
  type Cancel,
  FRAME_BYTES_MAX,
  GREETING_BYTES_MAX,
  invalidArgument,
  type Lane,
  type PeerId,
  type Transport,
  type TransportHandler,
} from '@antiphon/ports'
import { Connection, type Owner, Side } from './connection.ts'
import { invalid } from './options.ts'
import type { Link, Turns } from './pipe.ts'

/** What an endpoint asks of its network. */
export interface Neighbourhood {
  readonly turns: Turns
  listening(address: Address): MemoryTransport | null
  listen(address: Address, endpoint: MemoryTransport): boolean
  unlisten(address: Address, endpoint: MemoryTransport): void
  link(from: Address, to: Address): Link
  /** Calls back once a message has travelled the link. */
  travel(link: Link, callback: () => void): Cancel
}

interface Peer {
  readonly id: PeerId
  address: Address
  side: Side | null
  dialling: Cancel | null
  failures: number
  redial: Cancel | null
}

/** One replica's place in a `MemoryNetwork`. */
export class MemoryTransport implements Transport, Owner {
  readonly address: Address
  readonly #network: Neighbourhood
  #state: 'idle' | 'started' | 'closed' = 'idle'
  #self = 0
  #greeting: Uint8Array = new Uint8Array(0)
  #handler: TransportHandler | null = null
  /** Null before the first `setPeers`: then strangers cannot be told from peers, and are sent away without a word. */
  #peers: Map<number, Peer> | null = null
  #connections = 0
  /** Connections that are over, and whose `down` has not been told. */
  readonly #over: { side: Side; reason: string }[] = []

  constructor(address: Address, network: Neighbourhood) {
    this.address = address
    this.#network = network
  }

  async start(self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void> {
    if (this.#state !== 'idle')
      throw new AntiphonError('CLOSED', `the transport at ${this.address} was started before`, { remedy: 'Ask the network for a new transport.' })
    if (greeting.length > GREETING_BYTES_MAX) throw invalidArgument(`a greeting of ${greeting.length} bytes is longer than ${GREETING_BYTES_MAX}`)
    if (!this.#network.listen(this.address, this))
      throw invalid(`another transport is started at ${this.address}`, 'Give each replica an address of its own, or close the other transport first.')
    this.#state = 'started'
    this.#self = self
    this.#greeting = greeting.slice()
    this.#handler = handler
    this.#peers?.delete(self)
    for (const peer of this.#peers?.values() ?? []) this.#dialSoon(peer)
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    if (this.#state === 'closed') return
    this.#peers ??= new Map()
    for (const peer of this.#peers.values()) {
      if (peers.has(peer.id)) continue
      this.#peers.delete(peer.id)
      peer.redial?.()
      peer.dialling?.()
      if (peer.side !== null) this.#leave(peer.side, 'no longer a peer')
    }
    for (const [id, address] of peers) {
      if (id === this.#self) continue
      const known = this.#peers.get(id)
      if (known !== undefined) known.address = address
      else this.#addPeer(id, address)
    }
  }

  #addPeer(id: PeerId, address: Address): void {
    const peer: Peer = { id, address, side: null, dialling: null, failures: 0, redial: null }
    this.#peers?.set(id, peer)
    if (this.#state === 'started') this.#dialSoon(peer)
  }

  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    const side = this.#peers?.get(to)?.side
    if (side === undefined || side === null || side.state !== 'up') return false
    let length = 0
    for (let i = 0; i < pieces.length; i++) length += (pieces[i] as Uint8Array).length
    if (length > FRAME_BYTES_MAX) return this.#refuseFrame(side, length)
    return side.connection.pipeFrom(side).push(pieces, length, lane === 'control' ? 0 : lane === 'entries' ? 1 : 2)
  }

  /** The port promises `drain` or `down` after a refusal, and no drain makes this frame fit. */
  #refuseFrame(side: Side, length: number): false {
    const error = new AntiphonError('TOO_LARGE', `a frame of ${length} bytes is longer than ${FRAME_BYTES_MAX}`, {
      remedy: 'Split it: see the limits of runs and chunks.',
    })
    this.#defer(() => {
      this.#trouble(error, side.peer)
      this.disconnect(side.peer, side.number)
    })
    return false
  }

  disconnect(peer: PeerId, connection: number): void {
    const side = this.#peers?.get(peer)?.side
    if (side?.number === connection) this.#leave(side, 'closed on this side')
  }

  async close(): Promise<void> {
    this.#end((side) => side.connection.leave(side, 'closed by the peer'))
  }

  /** Ends without a word to anybody. */
  crash(): void {
    this.#end((side) => side.connection.abandon(side))
  }

  /** Closes this side alone; the other one is not told. */
  forsake(other: Address): void {
    for (const { side } of this.#peers?.values() ?? []) {
      if (side === null || side.state === 'closed') continue
      if (side.other.owner.address !== other) continue
      const wasUp = side.state === 'up'
      side.connection.abandon(side)
      this.ended(side, wasUp, 'dropped')
    }
  }

  #end(leave: (side: Side) => void): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#handler = null
    this.#over.length = 0
    this.#network.unlisten(this.address, this)
    for (const peer of this.#peers?.values() ?? []) {
      peer.redial?.()
      peer.dialling?.()
      if (peer.side !== null) leave(peer.side)
    }
    this.#peers?.clear()
  }

  // Dialling. Both sides do; the first to arrive makes the connection, and the other one finds it made.

  #dialSoon(peer: Peer): void {
    this.#defer(() => this.#dial(peer))
  }

  #dial(peer: Peer): void {
    peer.redial = null
    if (!this.#wants(peer) || peer.dialling !== null) return
    const address = peer.address
    peer.dialling = this.#network.travel(this.#network.link(this.address, address), () => {
      peer.dialling = null
      if (this.#wants(peer) && !this.#reach(peer, address)) this.#redialLater(peer)
    })
  }

  #wants(peer: Peer): boolean {
    return this.#state === 'started' && this.#peers?.get(peer.id) === peer && peer.side === null
  }

  /** False: not now. */
  #reach(peer: Peer, address: Address): boolean {
    const there = this.#network.link(this.address, address)
    const back = this.#network.link(address, this.address)
    const target = this.#network.listening(address)
    if (target === null || there.state !== 'open' || back.state !== 'open') return false
    if (target.#self !== peer.id) {
      const remedy = 'Correct the address of this peer: every peer has an address of its own.'
      this.#trouble(new AntiphonError('UNKNOWN_PEER', `at ${address} answers peer ${target.#self}, not peer ${peer.id}`, { remedy }), peer.id)
      return false
    }
    const entry = target.#admit(this.#self as PeerId)
    if (entry === null) return false
    const side = new Side(this, peer.id, this.#nextNumber(), target.#greeting)
    const theirs = new Side(target, entry.id, target.#nextNumber(), this.#greeting)
    new Connection(side, theirs, there, back)
    peer.side = side
    entry.side = theirs
    target.#open(theirs)
    if (side.state !== 'opening') return true
    side.opening = this.#network.travel(back, () => {
      side.opening = null
      if (back.state === 'open') this.#open(side)
      else side.connection.snap('the greeting was lost')
    })
    return true
  }

  /** The peer that may connect now, if it is one. */
  #admit(id: PeerId): Peer | null {
    if (this.#peers === null) return null
    const peer = this.#peers.get(id)
    if (peer === undefined) {
      const remedy = 'Add it to the members here, or correct the addresses there.'
      this.#trouble(new AntiphonError('UNKNOWN_PEER', `peer ${id} connected, and is not one of ours`, { remedy }), id)
      return null
    }
    if (peer.side !== null) {
      if (!peer.side.connection.halfOpen) return null
      this.lost(peer.side, 'replaced by a newer connection')
    }
    return this.#peers.get(id) === peer && peer.side === null ? peer : null
  }

  #nextNumber(): number {
    this.#connections += 1
    return this.#connections
  }

  #open(side: Side): void {
    this.#tellOver()
    if (side.state !== 'opening') return
    side.state = 'up'
    side.upAt = this.#now()
    let taken = false
    try {
      taken = this.#handler?.up(side.peer, side.number, side.greeting.slice()) ?? false
    } catch (error) {
      this.#handlerFailed('up', error, side.peer)
    }
    if (taken) side.connection.pipeTo(side).wake()
    else this.#refuse(side)
  }

  #refuse(side: Side): void {
    const { connection } = side
    const over = this.#over.findIndex((each) => each.side === side)
    if (over >= 0) this.#over.splice(over, 1)
    if (side.state === 'closed') return
    connection.abandon(side)
    this.ended(side, false, '')
    if (side.other.state === 'opening') connection.snap('refused')
    else connection.pipeFrom(side).finish('refused by the peer')
  }

  #redialLater(peer: Peer): void {
    if (!this.#wants(peer) || peer.redial !== null) return
    const { redialMs, random, clock } = this.#network.turns.settings
    const ceiling = Math.min(redialMs.max, redialMs.min * 2 ** Math.min(peer.failures, 30))
    peer.failures += 1
    peer.redial = clock.schedule(ceiling * (0.5 + random.uint32() / 2 ** 33), () => this.#dial(peer))
  }

  // The ends of connections.

  #leave(side: Side, reason: string): void {
    if (side.state === 'closed') return
    const wasUp = side.state === 'up'
    side.connection.leave(side, 'closed by the peer')
    this.ended(side, wasUp, reason)
  }

  /** `down` follows in the next turn, and in any case before the next `up`. */
  ended(side: Side, wasUp: boolean, reason: string): void {
    if (this.#state !== 'started') return
    if (wasUp) {
      this.#over.push({ side, reason })
      this.#defer(() => this.#tellOver())
    }
    const peer = this.#peers?.get(side.peer)
    if (peer?.side !== side) return
    peer.side = null
    if (wasUp && this.#now() - side.upAt >= this.#network.turns.settings.redialMs.max) peer.failures = 0
    this.#redialLater(peer)
  }

  lost(side: Side, reason: string): void {
    if (side.state === 'closed') return
    const wasUp = side.state === 'up'
    side.connection.abandon(side)
    this.ended(side, wasUp, reason)
    this.#tellOver()
  }

  #tellOver(): void {
    for (let over = this.#over.shift(); over !== undefined; over = this.#over.shift()) {
      const { side, reason } = over
      try {
        this.#handler?.down(side.peer, side.number, reason)
      } catch (error) {
        this.#handlerFailed('down', error, side.peer)
      }
    }
  }

  // What the pipes bring.

  deliver(side: Side, lane: Lane, frame: Uint8Array): void {
    try {
      this.#handler?.frame(side.peer, side.number, lane, frame)
    } catch (error) {
      this.#handlerFailed('frame', error, side.peer)
      this.#leave(side, 'the handler failed')
    }
  }

  drained(side: Side): void {
    if (side.state !== 'up') return
    try {
      this.#handler?.drain(side.peer, side.number)
    } catch (error) {
      this.#handlerFailed('drain', error, side.peer)
      this.#leave(side, 'the handler failed')
    }
  }

  /** The handler broke its promise. It is told so, once more, and no peer suffers. */
  #handlerFailed(method: string, cause: unknown, peer: PeerId): void {
    const remedy = 'A defect in the code above the transport: please report it.'
    this.#trouble(new AntiphonError('ABORTED', `the transport's handler threw in ${method}()`, { outcome: 'unknown', remedy, cause }), peer)
  }

  #trouble(error: AntiphonError, peer: PeerId | null): void {
    try {
      this.#handler?.trouble(error, peer)
    } catch {
      // There is nobody left to tell.
    }
  }

  #defer(callback: () => void): void {
    this.#network.turns.settings.clock.defer(() => {
      if (this.#state === 'started') callback()
    })
  }

  #now(): number {
    return this.#network.turns.settings.clock.monotonic()
  }
}
