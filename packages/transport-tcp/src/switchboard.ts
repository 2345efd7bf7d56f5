import { connect, type Socket } from 'node:net'
import { type Address, AntiphonError, FRAME_BYTES_MAX, type Lane, type PeerId, peerId } from '@antiphon/ports'
import { parseAddress } from './address.ts'
import { Connection, type ConnectionOwner, type ConnectionSettings } from './connection.ts'
import { encodeHello, type Hello, LANES, PROTOCOL_VERSION, REFUSAL, SIGNAL } from './framing.ts'
import type { Guard } from './guard.ts'
import { invalidSettings, type TcpSettings } from './options.ts'
import * as trouble from './trouble.ts'

/** Handshakes under way with one peer: who takes a peer's name must not fill the memory either. */
const ANSWERED_MAX = 4

interface Peer {
  readonly id: PeerId
  address: Address
  /** The connection that is up, or was and whose `down` is owed. */
  live: Connection | null
  dialling: Connection | null
  /** Incoming ones that we have answered: the peer, whose id is higher, decides among them. */
  readonly answered: Set<Connection>
  /** An incoming one that waits for `live` to prove that it lives, or not. */
  candidate: Connection | null
  probe: NodeJS.Timeout | null
  redial: NodeJS.Timeout | null
  /** Attempts since a connection last lasted. */
  failures: number
  /** Codes of what was told since the peer was last up or its address changed: an attempt every two seconds is no news. */
  readonly told: Set<string>
}

/**
 * All connections of one transport, and who is connected to whom.
 *
 * Both peers dial, so that one that has restarted is back at once whatever the other one's back-off says. One of them decides which connection is used, always the one
 * with the higher id: it sends `accept`, and counts it as up from then on; the other one from its arrival. So both never settle for different ones.
 * A second connection never simply replaces one that is up: that one is asked whether it lives. If it answers, the second is a duplicate (a race, or another process with
 * the same id) and is refused; if it breaks or stays silent, it was half-open, and the second takes its place.
 */
export class Switchboard implements ConnectionOwner {
  readonly #self: PeerId
  readonly #greeting: Uint8Array
  readonly #incarnation: string
  readonly #guard: Guard
  readonly #settings: TcpSettings
  readonly #connectionSettings: ConnectionSettings
  /** Null before the first `setPeers`: then strangers cannot be told from peers, and are sent away without a word. */
  #peers: Map<number, Peer> | null = null
  readonly #connections: Set<Connection> = new Set()
  /** Incoming ones that have not said who they are, oldest first. */
  readonly #strangers: Set<Connection> = new Set()
  #numbers = 0
  #toFlush: Connection[] = []
  #onEmpty: (() => void) | null = null

  constructor(self: PeerId, greeting: Uint8Array, guard: Guard, settings: TcpSettings) {
    this.#self = self
    this.#greeting = greeting
    this.#incarnation = [settings.random.uint32(), settings.random.uint32()].map((half) => half.toString(16).padStart(8, '0')).join('')
    this.#guard = guard
    this.#settings = settings
    this.#connectionSettings = { ...settings, flushSoon: (connection) => this.#flushSoon(connection) }
  }

  get #closing(): boolean {
    return this.#onEmpty !== null
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    this.#peers ??= new Map()
    for (const peer of this.#peers.values()) if (!peers.has(peer.id)) this.#forget(peer)
    for (const [id, address] of peers) if (id !== this.#self) this.#remember(id, address)
  }

  #remember(id: PeerId, address: Address): void {
    const known = this.#peers?.get(id)
    if (known?.address === address) return
    const peer: Peer = known ?? {
      id,
      address,
      live: null,
      dialling: null,
      answered: new Set(),
      candidate: null,
      probe: null,
      redial: null,
      failures: 0,
      told: new Set(),
    }
    this.#peers?.set(id, peer)
    peer.address = address
    peer.failures = 0
    peer.told.clear()
    peer.dialling?.close('the address has changed')
    peer.dialling = null
    this.#redialIn(peer, 0)
  }

  #forget(peer: Peer): void {
    this.#peers?.delete(peer.id)
    clearTimeout(peer.redial ?? undefined)
    clearTimeout(peer.probe ?? undefined)
    for (const connection of [peer.live, peer.dialling, peer.candidate, ...peer.answered]) connection?.close('no longer a peer')
  }

  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    const connection = this.#peers?.get(to)?.live
    if (connection === undefined || connection === null || !connection.isUp) return false
    let length = 0
    for (let i = 0; i < pieces.length; i++) length += (pieces[i] as Uint8Array).length
    if (length > FRAME_BYTES_MAX) return this.#refuseFrame(connection, length)
    return connection.send(pieces, length, lane === LANES[0] ? 0 : lane === LANES[1] ? 1 : 2)
  }

  /** The port promises `drain` or `down` after a refusal, and no drain makes this frame fit. */
  #refuseFrame(connection: Connection, length: number): false {
    setImmediate(() => {
      if (!connection.isUp) return
      this.#guard.trouble(trouble.frameTooLong(length), connection.peer)
      connection.close('a frame was too long')
    })
    return false
  }

  disconnect(id: PeerId, number: number): void {
    const connection = this.#peers?.get(id)?.live
    if (connection?.number === number) connection.close('closed on this side')
  }

  /** Resolves when no socket is left. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve
      for (const peer of this.#peers?.values() ?? []) {
        clearTimeout(peer.redial ?? undefined)
        clearTimeout(peer.probe ?? undefined)
      }
      for (const connection of this.#connections) connection.closeAfterFlush('the transport is closed')
      if (this.#connections.size === 0) resolve()
    })
  }

  /** One write per peer and turn: everything that the turn sent has been sent when this runs. */
  #flushSoon(connection: Connection): void {
    if (this.#toFlush.push(connection) > 1) return
    setImmediate(() => {
      const connections = this.#toFlush
      this.#toFlush = []
      for (const each of connections) each.flush()
    })
  }

  // Dialling.

  #redialLater(peer: Peer): void {
    const { redialMs, random } = this.#settings
    const ceiling = Math.min(redialMs.max, redialMs.min * 2 ** Math.min(peer.failures, 30))
    this.#redialIn(peer, ceiling * (0.5 + random.uint32() / 2 ** 33))
  }

  #redialIn(peer: Peer, delayMs: number): void {
    if (this.#closing || this.#peers?.get(peer.id) !== peer || peer.live !== null || peer.dialling !== null) return
    if (peer.redial !== null && delayMs > 0) return
    clearTimeout(peer.redial ?? undefined)
    peer.redial = setTimeout(() => this.#dial(peer), delayMs).unref()
  }

  #dial(peer: Peer): void {
    peer.redial = null
    if (peer.live !== null || peer.dialling !== null) return
    peer.failures += 1
    const socket = this.#connect(peer)
    if (socket === null) return
    const connection = new Connection(socket, peer.id, this.#connectionSettings, this)
    socket.once('connect', () => connection.sayHello(this.#helloTo(peer.id)))
    this.#connections.add(connection)
    peer.dialling = connection
  }

  /** Null when the address makes no sense: only another one helps. */
  #connect(peer: Peer): Socket | null {
    try {
      const { host, port } = parseAddress(peer.address)
      if (port === 0) throw invalidSettings(`peer ${peer.id} has port 0`, 'Give the port on which it listens.')
      return connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: this.#settings.keepAliveMs })
    } catch (error) {
      this.#tellOnce(peer, error instanceof AntiphonError ? error : trouble.unreachable(peer.address, peer.id, error as Error))
      return null
    }
  }

  #helloTo(id: number, refusal: number = REFUSAL.none): Uint8Array {
    const greeting = refusal === REFUSAL.none ? this.#greeting : new Uint8Array(0)
    return encodeHello({ version: PROTOCOL_VERSION, from: this.#self, to: id, refusal, incarnation: this.#incarnation, greeting })
  }

  // Handshakes.

  /** A socket from the server. */
  incoming(socket: Socket): void {
    if (this.#closing) return void socket.destroy()
    const connection = new Connection(socket, null, this.#connectionSettings, this)
    this.#connections.add(connection)
    this.#strangers.add(connection)
    if (this.#strangers.size <= this.#settings.strangersMax) return
    for (const oldest of this.#strangers) {
      this.#strangers.delete(oldest)
      oldest.close('too many strangers')
      break
    }
  }

  hello(connection: Connection, hello: Hello): void {
    this.#strangers.delete(connection)
    if (connection.dialled) this.#answered(connection, hello)
    else this.#asked(connection, hello)
  }

  /** A stranger says who it is. */
  #asked(connection: Connection, hello: Hello): void {
    const { from, to } = hello
    const address = connection.remote
    const refuse = (refusal: number, error: AntiphonError | null): void => {
      connection.refuse(this.#helloTo(from, refusal), 'refused')
      if (error !== null) this.#guard.strangersTrouble(error, from > 0 ? peerId(from) : null)
    }
    const peer = this.#peers?.get(from)
    if (hello.version !== PROTOCOL_VERSION) refuse(REFUSAL.version, trouble.otherVersion(address, hello.version))
    else if (this.#peers === null) refuse(REFUSAL.busy, null)
    else if (from === this.#self && hello.incarnation === this.#incarnation) refuse(REFUSAL.wrongPeer, null)
    else if (from === this.#self) refuse(REFUSAL.unknownPeer, trouble.ourOwnId(address, from))
    else if (to !== this.#self) refuse(REFUSAL.wrongPeer, trouble.lookingForAnother(address, from, to, this.#self))
    else if (peer === undefined) refuse(REFUSAL.unknownPeer, trouble.stranger(address, from))
    else {
      connection.peer = peer.id
      this.#admit(connection, peer)
    }
  }

  #admit(connection: Connection, peer: Peer): void {
    if (peer.live?.isUp === true) return this.#compare(connection, peer, peer.live)
    if (this.#self > peer.id) return this.#open(connection, peer)
    for (const oldest of peer.answered) if (peer.answered.size >= ANSWERED_MAX && peer.answered.delete(oldest)) oldest.close('replaced by a newer connection')
    peer.answered.add(connection)
    connection.sayHello(this.#helloTo(peer.id))
  }

  #compare(connection: Connection, peer: Peer, live: Connection): void {
    peer.candidate?.close('replaced by a newer connection')
    peer.candidate = connection
    live.signal(SIGNAL.probe)
    clearTimeout(peer.probe ?? undefined)
    peer.probe = setTimeout(() => live.close('no sign of life, and the peer has connected anew'), this.#settings.probeTimeoutMs).unref()
  }

  alive(live: Connection): void {
    const peer = this.#peerOf(live)
    if (peer?.live !== live || peer.candidate === null) return
    const { candidate } = peer
    this.#dropCandidate(peer)
    if (candidate.hello?.incarnation !== live.hello?.incarnation) this.#guard.strangersTrouble(trouble.twins(candidate.remote, peer.id), peer.id)
    candidate.refuse(this.#helloTo(peer.id, REFUSAL.duplicate), 'a duplicate')
  }

  #dropCandidate(peer: Peer): void {
    clearTimeout(peer.probe ?? undefined)
    peer.probe = null
    peer.candidate = null
  }

  /** Whoever we dialled says who it is. */
  #answered(connection: Connection, hello: Hello): void {
    const peer = this.#peerOf(connection)
    if (peer === undefined) return connection.close('no longer a peer')
    const objection = this.#objection(peer, hello)
    if (objection !== null) {
      connection.close('refused')
      if (objection !== 'quiet') this.#tellOnce(peer, objection)
    } else if (this.#self > peer.id) {
      if (peer.live?.isUp === true) connection.close('a duplicate')
      else this.#open(connection, peer)
    }
  }

  #objection(peer: Peer, hello: Hello): AntiphonError | 'quiet' | null {
    if (hello.version !== PROTOCOL_VERSION) return trouble.otherVersion(peer.address, hello.version)
    if (hello.from !== peer.id) return trouble.wrongAnswer(peer.address, peer.id, hello.from, hello.incarnation === this.#incarnation)
    if (hello.refusal === REFUSAL.unknownPeer) return trouble.notKnownThere(peer.address, peer.id, this.#self)
    return hello.refusal === REFUSAL.none && hello.to === this.#self ? null : 'quiet'
  }

  accepted(connection: Connection): void {
    const peer = this.#peerOf(connection)
    if (peer === undefined) connection.close('no longer a peer')
    else if (this.#self < peer.id && (connection.dialled || peer.answered.has(connection))) this.#open(connection, peer)
    else {
      connection.close('accepted out of turn')
      this.garbage(connection, 'accepted out of turn')
    }
  }

  #open(connection: Connection, peer: Peer): void {
    if (peer.live !== null) peer.live.close('replaced by a newer connection')
    for (const other of this.#connections) if (other !== connection && other.peer === peer.id) this.#tellDown(other, 'replaced by a newer connection')
    clearTimeout(peer.redial ?? undefined)
    peer.redial = null
    if (peer.dialling === connection) peer.dialling = null
    peer.answered.delete(connection)
    peer.told.clear()
    this.#numbers += 1
    connection.open(this.#numbers, performance.now())
    peer.live = connection
    connection.owesDown = true
    if (!this.#guard.up(peer.id, connection.number, (connection.hello as Hello).greeting)) return this.#decline(connection, peer)
    for (const other of [peer.dialling, peer.candidate, ...peer.answered]) other?.close('a duplicate')
    if (this.#self < peer.id || connection.reason !== null) return
    if (!connection.dialled) connection.sayHello(this.#helloTo(peer.id))
    connection.signal(SIGNAL.accept)
  }

  #decline(connection: Connection, peer: Peer): void {
    connection.owesDown = false
    if (this.#self > peer.id && !connection.dialled) connection.refuse(this.#helloTo(peer.id, REFUSAL.declined), 'declined')
    else connection.close('declined')
  }

  // What connections report.

  frame(connection: Connection, lane: Lane, bytes: Uint8Array): void {
    if (!this.#guard.frame(connection.peer as PeerId, connection.number, lane, bytes)) connection.close('the handler failed')
  }

  drained(connection: Connection): void {
    if (!this.#guard.drain(connection.peer as PeerId, connection.number)) connection.close('the handler failed')
  }

  garbage(connection: Connection, what: string): void {
    this.#guard.strangersTrouble(trouble.garbageFrom(connection.remote, what), connection.peer)
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection)
    this.#strangers.delete(connection)
    this.#tellDown(connection, connection.reason as string)
    const peer = this.#peerOf(connection)
    if (peer !== undefined) this.#detach(connection, peer)
    if (this.#connections.size === 0) this.#onEmpty?.()
  }

  #tellDown(connection: Connection, reason: string): void {
    if (!connection.owesDown) return
    connection.owesDown = false
    this.#guard.down(connection.peer as PeerId, connection.number, reason)
  }

  #detach(connection: Connection, peer: Peer): void {
    peer.answered.delete(connection)
    if (peer.candidate === connection) this.#dropCandidate(peer)
    if (peer.dialling === connection) {
      peer.dialling = null
      this.#tellUnreachable(connection, peer)
    }
    if (peer.live === connection) {
      peer.live = null
      if (performance.now() - connection.upAt >= this.#settings.redialMs.max) peer.failures = 0
      const { candidate } = peer
      this.#dropCandidate(peer)
      if (candidate !== null) this.#admit(candidate, peer)
    }
    this.#redialLater(peer)
  }

  /** A peer that is not there is no trouble; a name that nobody knows is. */
  #tellUnreachable({ error }: Connection, peer: Peer): void {
    if (error !== null && ['ENOTFOUND', 'EADDRNOTAVAIL', 'EACCES', 'EPERM', 'EINVAL'].includes(error.code ?? '')) {
      this.#tellOnce(peer, trouble.unreachable(peer.address, peer.id, error))
    }
  }

  #tellOnce(peer: Peer, error: AntiphonError): void {
    if (peer.told.has(error.code)) return
    peer.told.add(error.code)
    this.#guard.trouble(error, peer.id)
  }

  #peerOf(connection: Connection): Peer | undefined {
    return connection.peer === null ? undefined : this.#peers?.get(connection.peer)
  }
}
