import {
  type Address,
  AntiphonError,
  FRAME_BYTES_MAX,
  GREETING_BYTES_MAX,
  invalidArgument,
  type Lane,
  type PeerId,
  type Transport,
  type TransportHandler,
} from '@antiphon/ports'

/** Bytes that a lane holds before it refuses. */
export const LANE_BYTES = 8 * 1024 * 1024
const REDIAL_MS = 5

export interface Waiting {
  readonly lane: Lane
  readonly bytes: Uint8Array
}

/** One end of a connection. */
export interface Line {
  readonly owner: ExchangeTransport
  readonly peer: PeerId
  readonly number: number
  other: Line | null
  /** Sent from this end and not yet delivered at the other. */
  readonly queue: Waiting[]
  readonly queued: Record<Lane, number>
  refused: boolean
  pumping: boolean
  /** Nothing that is sent arrives, and nobody knows. */
  isCut: boolean
}

/** Where transports of one process find each other. */
export class Exchange {
  readonly #listening: Map<Address, ExchangeTransport> = new Map()
  #addresses = 0

  transport(kind: typeof ExchangeTransport = ExchangeTransport): ExchangeTransport {
    return new kind(this, `line-${++this.#addresses}`)
  }
  listen(transport: ExchangeTransport): void {
    this.#listening.set(transport.address, transport)
  }
  leave(transport: ExchangeTransport): void {
    this.#listening.delete(transport.address)
  }
  at(address: Address): ExchangeTransport | null {
    return this.#listening.get(address) ?? null
  }
}

/** A third party's transport, within one process: the lower id dials, a turn of the loop is the way. */
export class ExchangeTransport implements Transport {
  readonly address: Address
  protected readonly exchange: Exchange
  protected readonly lines: Map<PeerId, Line> = new Map()
  protected handler: TransportHandler | null = null
  self: PeerId | null = null
  greeting: Uint8Array = new Uint8Array(0)
  #peers: ReadonlyMap<PeerId, Address> = new Map()
  #numbers = 0
  #redial: ReturnType<typeof setInterval> | null = null
  #told: Set<PeerId> = new Set()

  constructor(exchange: Exchange, address: Address) {
    this.exchange = exchange
    this.address = address
  }

  async start(self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void> {
    if (!this.fits(greeting)) throw invalidArgument(`a greeting of ${greeting.length} bytes`)
    this.self = self
    this.greeting = greeting
    this.handler = handler
    this.exchange.listen(this)
    this.#redial = setInterval(() => this.#dial(), REDIAL_MS)
  }

  protected fits(greeting: Uint8Array): boolean {
    return greeting.length <= GREETING_BYTES_MAX
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    this.#peers = peers
    this.#told.clear()
    for (const line of [...this.lines.values()]) if (!peers.has(line.peer)) setTimeout(() => this.hangUp(line, 'no longer a peer'), 0)
  }

  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    const line = this.lines.get(to)
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (line === undefined || length > FRAME_BYTES_MAX) return false
    if (!this.hasRoom(line, lane, length)) {
      line.refused = true
      return false
    }
    const bytes = new Uint8Array(length)
    let at = 0
    for (const piece of pieces) {
      bytes.set(piece, at)
      at += piece.length
    }
    line.queued[lane] += length
    this.enqueue(line, { lane, bytes })
    return true
  }

  disconnect(peer: PeerId, connection: number): void {
    const line = this.lines.get(peer)
    if (line?.number === connection) setTimeout(() => this.hangUp(line, 'closed here'), 0)
  }

  async close(): Promise<void> {
    if (this.#redial !== null) clearInterval(this.#redial)
    this.exchange.leave(this)
    for (const line of [...this.lines.values()]) this.hangUp(line, 'the transport is closed')
    this.handler = null
  }

  protected hasRoom(line: Line, lane: Lane, length: number): boolean {
    return line.queued[lane] === 0 || line.queued[lane] + length <= LANE_BYTES
  }

  protected enqueue(line: Line, frame: Waiting): void {
    // Control overtakes what lies in the other lanes, and entries overtake bulk.
    const rank = ['control', 'entries', 'bulk']
    const place = line.queue.findLastIndex((waiting) => rank.indexOf(waiting.lane) <= rank.indexOf(frame.lane))
    line.queue.splice(place + 1, 0, frame)
    if (line.pumping) return
    line.pumping = true
    setTimeout(() => this.#pump(line), 0)
  }

  #pump(line: Line): void {
    line.pumping = false
    while (line.other !== null && !line.isCut && line.queue.length > 0) {
      const { lane, bytes } = line.queue.shift()!
      line.queued[lane] -= bytes.length
      line.other.owner.deliver(line.other, lane, bytes)
    }
    if (line.other === null || line.isCut || !line.refused) return
    line.refused = false
    this.drained(line)
  }

  protected drained(line: Line): void {
    this.handler?.drain(line.peer, line.number)
  }

  deliver(line: Line, lane: Lane, bytes: Uint8Array): void {
    this.handler?.frame(line.peer, line.number, lane, bytes)
  }

  /** Ends a connection at both ends. */
  hangUp(line: Line, reason: string): void {
    const { other } = line
    if (other === null) return
    line.other = null
    other.other = null
    for (const end of [line, other]) {
      end.owner.lines.delete(end.peer)
      end.owner.handler?.down(end.peer, end.number, reason)
    }
  }

  sever(peer: PeerId): void {
    const line = this.lines.get(peer)
    if (line !== undefined) this.hangUp(line, 'the network broke it')
  }

  /** This process is gone without a word: whoever is connected goes on believing in it. */
  vanish(): void {
    if (this.#redial !== null) clearInterval(this.#redial)
    this.exchange.leave(this)
    this.handler = null
    for (const line of this.lines.values()) {
      line.isCut = true
      if (line.other !== null) line.other.isCut = true
    }
  }

  #dial(): void {
    for (const [peer, address] of this.#peers) {
      const there = this.exchange.at(address)
      const known = this.lines.get(peer)
      if (this.self === null || !this.dials(peer) || there?.self == null || peer <= this.self || known?.isCut === false) continue
      if (known !== undefined) this.hangUp(known, 'it had died unnoticed')
      if (!this.recognises(there.self, peer)) this.#tell(peer, there.self)
      else if (there.#peers.has(this.self) && this.isFree(there)) this.connect(there, peer)
    }
  }

  /** Whether there is no connection to us, or one that has died unnoticed. */
  protected isFree(there: ExchangeTransport): boolean {
    const known = there.lines.get(this.self!)
    if (known?.isCut === true) there.hangUp(known, 'its peer has connected anew')
    return !this.isConnected(there)
  }

  protected isConnected(there: ExchangeTransport): boolean {
    return there.lines.has(this.self!)
  }

  /** Asked at each attempt. */
  protected dials(_: PeerId): boolean {
    return true
  }

  protected recognises(found: PeerId, peer: PeerId): boolean {
    return found === peer
  }

  protected connect(there: ExchangeTransport, peer: PeerId): void {
    const [mine, theirs] = [this.#line(peer), there.#line(this.self!)]
    if (!this.told(mine, there.greeting)) return
    this.#join(mine, theirs)
    if (there.told(theirs, this.greeting)) return
    // The other end was never told of it.
    mine.other = null
    this.lines.delete(peer)
    there.lines.delete(this.self!)
    this.handler!.down(peer, mine.number, 'refused there')
  }

  /** Whether the handler takes the connection. */
  protected told(line: Line, greeting: Uint8Array): boolean {
    return this.handler?.up(line.peer, line.number, greeting) ?? false
  }

  #join(mine: Line, theirs: Line): void {
    mine.other = theirs
    theirs.other = mine
    mine.owner.lines.set(mine.peer, mine)
    theirs.owner.lines.set(theirs.peer, theirs)
  }

  #line(peer: PeerId): Line {
    return {
      owner: this,
      peer,
      number: ++this.#numbers,
      other: null,
      queue: [],
      queued: { control: 0, entries: 0, bulk: 0 },
      refused: false,
      pumping: false,
      isCut: false,
    }
  }

  #tell(peer: PeerId, found: PeerId): void {
    if (this.#told.has(peer)) return
    this.#told.add(peer)
    this.handler?.trouble(
      new AntiphonError('UNKNOWN_PEER', `peer ${found} answers at the address of peer ${peer}`, { remedy: 'Correct the addresses in the settings.' }),
      peer,
    )
  }
}
