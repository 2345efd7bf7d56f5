import { type Address, AntiphonError, type Cancel, FRAME_BYTES_MAX, type Lane, type PeerId, peerId } from '@antiphon/ports'
import { Connection, type ConnectionOwner, type ConnectionSettings } from './connection.ts'
import { LANES, REFUSAL, SIGNAL } from './framing.ts'
import type { Guard } from './guard.ts'
import { type Hello, NONCE_BYTES, PROTOCOL_VERSION } from './handshake.ts'
import type { Pipe } from './pipe.ts'
import type { Dial, LinkSettings } from './settings.ts'
import * as trouble from './trouble.ts'

/** Handshakes under way with one peer: who takes a peer's name must not fill the memory either. */
const ANSWERED_MAX = 4

interface Peer {
  readonly id: PeerId
  /** Null: it is not dialled, it dials. */
  address: Address | null
  /** The connection that is up, or was and whose `down` is owed. */
  live: Connection | null
  dialling: Connection | null
  /** Incoming ones whose proof was right: the higher id decides among them. */
  readonly answered: Set<Connection>
  /** An incoming one that waits for `live` to prove that it lives, or not. */
  candidate: Connection | null
  cancelProbe: Cancel | null
  cancelRedial: Cancel | null
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
  readonly #settings: LinkSettings
  readonly #dialPipe: Dial
  readonly #connectionSettings: ConnectionSettings
  /** Null before the first `setPeers`: then strangers cannot be told from peers, and are sent away without a word. */
  #peers: Map<number, Peer> | null = null
  readonly #connections: Set<Connection> = new Set()
  /** Incoming ones that have not proved who they are, oldest first. */
  readonly #strangers: Set<Connection> = new Set()
  #numbers = 0
  #toFlush: Connection[] = []
  #onEmpty: (() => void) | null = null

  constructor(self: PeerId, greeting: Uint8Array, guard: Guard, settings: LinkSettings, dial: Dial) {
    this.#self = self
    this.#greeting = greeting
    this.#incarnation = [settings.random.uint32(), settings.random.uint32()].map((half) => half.toString(16).padStart(8, '0')).join('')
    this.#guard = guard
    this.#settings = settings
    this.#dialPipe = dial
    this.#connectionSettings = { ...settings, flushSoon: (connection) => this.#flushSoon(connection) }
  }

  get #closing(): boolean {
    return this.#onEmpty !== null
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    this.#peers ??= new Map()
    for (const peer of this.#peers.values()) if (!peers.has(peer.id)) this.#forget(peer)
    for (const [id, address] of peers) if (id !== this.#self) this.#remember(id, address === '' ? null : address)
  }

  #remember(id: PeerId, address: Address | null): void {
    const known = this.#peers?.get(id)
    if (known !== undefined && known.address === address) return
    const peer: Peer = known ?? {
      id,
      address,
      live: null,
      dialling: null,
      answered: new Set(),
      candidate: null,
      cancelProbe: null,
      cancelRedial: null,
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
    peer.cancelRedial?.()
    peer.cancelProbe?.()
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
    this.#settings.clock.defer(() => {
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
        peer.cancelRedial?.()
        peer.cancelProbe?.()
      }
      for (const connection of this.#connections) connection.closeAfterFlush('the transport is closed')
      if (this.#connections.size === 0) resolve()
    })
  }

  /** One write per peer and turn: everything that the turn sent has been sent when this runs. */
  #flushSoon(connection: Connection): void {
    if (this.#toFlush.push(connection) > 1) return
    this.#settings.clock.defer(() => {
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
    if (this.#closing || peer.address === null || this.#peers?.get(peer.id) !== peer || peer.live !== null || peer.dialling !== null) return
    if (peer.cancelRedial !== null && delayMs > 0) return
    peer.cancelRedial?.()
    peer.cancelRedial = this.#settings.clock.schedule(delayMs, () => this.#dial(peer))
  }

  #dial(peer: Peer): void {
    peer.cancelRedial = null
    if (peer.live !== null || peer.dialling !== null) return
    peer.failures += 1
    const pipe = this.#connect(peer)
    if (pipe === null) return
    const connection = new Connection(pipe, peer.id, this.#connectionSettings, this)
    this.#connections.add(connection)
    peer.dialling = connection
  }

  /** Null when the address makes no sense: only another one helps. */
  #connect(peer: Peer): Pipe | null {
    const address = peer.address as Address
    try {
      return this.#dialPipe(address, peer.id)
    } catch (error) {
      this.#tellOnce(peer, error instanceof AntiphonError ? error : trouble.unreachable(address, peer.id, error as Error))
      return null
    }
  }

  #helloTo(id: number): Hello {
    const { random, prover } = this.#settings
    const nonce = new Uint8Array(NONCE_BYTES)
    const words = new DataView(nonce.buffer)
    for (let at = 0; at < NONCE_BYTES; at += 4) words.setUint32(at, random.uint32())
    return { version: PROTOCOL_VERSION, from: this.#self, to: id, withSecret: prover !== null, incarnation: this.#incarnation, nonce }
  }

  // Handshakes.

  /** A pipe that came in. */
  incoming(pipe: Pipe): void {
    const connection = new Connection(pipe, null, this.#connectionSettings, this)
    this.#connections.add(connection)
    if (this.#closing) return connection.close('the transport is closed')
    this.#strangers.add(connection)
    if (this.#strangers.size <= this.#settings.strangersMax) return
    for (const oldest of this.#strangers) {
      this.#strangers.delete(oldest)
      oldest.close('too many strangers')
      break
    }
  }

  opened(connection: Connection): void {
    if (connection.peer !== null && connection.dialled) connection.sayHello(this.#helloTo(connection.peer))
  }

  hello(connection: Connection, hello: Hello): void {
    if (connection.dialled) this.#answered(connection, hello)
    else this.#asked(connection, hello)
  }

  /** A stranger says who it is: nothing of that is proved, unless by the pipe. */
  #asked(connection: Connection, hello: Hello): void {
    const { from, to } = hello
    const { remote } = connection
    const refuse = (refusal: number, error: AntiphonError | null): void => {
      connection.refuse(refusal, this.#helloTo(from), 'refused')
      if (error !== null) this.#guard.strangersTrouble(error, from > 0 ? peerId(from) : null)
    }
    const doubt = this.#doubt(connection, hello)
    const peer = this.#peers?.get(from)
    if (hello.version !== PROTOCOL_VERSION) refuse(REFUSAL.version, trouble.otherVersion(remote, hello.version))
    else if (doubt !== null) refuse(REFUSAL.unauthenticated, trouble.unauthenticated(remote, from, doubt))
    else if (this.#peers === null) refuse(REFUSAL.busy, null)
    else if (from === this.#self && hello.incarnation === this.#incarnation) refuse(REFUSAL.wrongPeer, null)
    else if (from === this.#self) refuse(REFUSAL.unknownPeer, trouble.ourOwnId(remote, from))
    else if (to !== this.#self) refuse(REFUSAL.wrongPeer, trouble.lookingForAnother(remote, from, to, this.#self))
    else if (peer === undefined) refuse(REFUSAL.unknownPeer, trouble.stranger(remote, from))
    else {
      connection.peer = peer.id
      connection.sayHello(this.#helloTo(from))
    }
  }

  /** What speaks against it being who it says, before any proof. */
  #doubt({ pipe }: Connection, hello: Hello): string | null {
    const { prover } = this.#settings
    if (hello.withSecret !== (prover !== null)) return prover === null ? 'wants a secret, and we have none' : 'has no secret'
    if (pipe.proven !== null && !pipe.proven.speaksFor(hello.from)) return `shows ${pipe.proven.description}, which does not name that id`
    return null
  }

  unproven(connection: Connection): void {
    this.#guard.strangersTrouble(trouble.unauthenticated(connection.remote, connection.peer as number, 'has another secret'), connection.peer)
    connection.refuse(REFUSAL.unauthenticated, null, 'unauthenticated')
  }

  introduced(connection: Connection): void {
    this.#strangers.delete(connection)
    const peer = this.#peerOf(connection)
    if (peer === undefined) connection.close('no longer a peer')
    else if (!connection.dialled) this.#admit(connection, peer)
    else if (this.#self < peer.id) connection.signal(SIGNAL.ready)
    else if (peer.live?.isUp === true) connection.close('a duplicate')
    else this.#open(connection, peer)
  }

  /** The peer has what it needs: the higher id decides next. */
  #await(connection: Connection, peer: Peer): void {
    for (const oldest of peer.answered) if (peer.answered.size >= ANSWERED_MAX && peer.answered.delete(oldest)) oldest.close('replaced by a newer connection')
    peer.answered.add(connection)
  }

  ready(connection: Connection): void {
    const peer = this.#peerOf(connection)
    if (peer === undefined) connection.close('no longer a peer')
    else if (this.#self > peer.id && peer.answered.delete(connection)) this.#admit(connection, peer)
    else this.#outOfTurn(connection)
  }

  /** A step further, unless another one is up: that one is asked first. */
  #admit(connection: Connection, peer: Peer): void {
    if (peer.live?.isUp === true) this.#compare(connection, peer, peer.live)
    else if (connection.isIntroduced) this.#open(connection, peer)
    else connection.introduce(this.#greeting, () => this.#await(connection, peer))
  }

  #compare(connection: Connection, peer: Peer, live: Connection): void {
    peer.candidate?.close('replaced by a newer connection')
    peer.candidate = connection
    live.signal(SIGNAL.probe)
    peer.cancelProbe?.()
    const { clock, probeTimeoutMs } = this.#settings
    peer.cancelProbe = clock.schedule(probeTimeoutMs, () => live.close('no sign of life, and the peer has connected anew'))
  }

  alive(live: Connection): void {
    const peer = this.#peerOf(live)
    if (peer?.live !== live || peer.candidate === null) return
    const { candidate } = peer
    this.#dropCandidate(peer)
    if (candidate.hello?.incarnation !== live.hello?.incarnation) this.#guard.strangersTrouble(trouble.twins(candidate.remote, peer.id), peer.id)
    candidate.refuse(REFUSAL.duplicate, null, 'a duplicate')
  }

  #dropCandidate(peer: Peer): void {
    peer.cancelProbe?.()
    peer.cancelProbe = null
    peer.candidate = null
  }

  /** Whoever we dialled says who it is. */
  #answered(connection: Connection, hello: Hello): void {
    const peer = this.#peerOf(connection)
    if (peer === undefined) return connection.close('no longer a peer')
    const objection = this.#objection(connection, peer, hello)
    if (objection === null) return connection.introduce(this.#greeting, () => undefined)
    connection.close('refused')
    this.#tellOnce(peer, objection)
  }

  #objection(connection: Connection, peer: Peer, hello: Hello): AntiphonError | null {
    const address = peer.address ?? connection.remote
    if (hello.version !== PROTOCOL_VERSION) return trouble.otherVersion(address, hello.version)
    if (hello.from !== peer.id) return trouble.wrongAnswer(address, peer.id, hello.from, hello.incarnation === this.#incarnation)
    const doubt = this.#doubt(connection, hello)
    return doubt === null ? null : trouble.unauthenticated(address, peer.id, doubt)
  }

  refused(connection: Connection, refusal: number): void {
    const peer = this.#peerOf(connection)
    if (peer === undefined || !connection.dialled) return
    const address = peer.address ?? connection.remote
    if (refusal === REFUSAL.unknownPeer) this.#tellOnce(peer, trouble.notKnownThere(address, peer.id, this.#self))
    else if (refusal === REFUSAL.unauthenticated) this.#tellOnce(peer, trouble.unauthenticated(address, peer.id, 'does not believe that we are who we say'))
  }

  accepted(connection: Connection): void {
    const peer = this.#peerOf(connection)
    if (peer === undefined) connection.close('no longer a peer')
    else if (this.#self < peer.id && connection.greeting !== null && (connection.dialled || peer.answered.has(connection))) this.#open(connection, peer)
    else this.#outOfTurn(connection)
  }

  #outOfTurn(connection: Connection): void {
    connection.close('a signal out of turn')
    this.garbage(connection, 'a signal out of turn')
  }

  #open(connection: Connection, peer: Peer): void {
    if (peer.live !== null) peer.live.close('replaced by a newer connection')
    for (const other of this.#connections) if (other !== connection && other.peer === peer.id) this.#tellDown(other, 'replaced by a newer connection')
    peer.cancelRedial?.()
    peer.cancelRedial = null
    if (peer.dialling === connection) peer.dialling = null
    peer.answered.delete(connection)
    peer.told.clear()
    this.#numbers += 1
    connection.open(this.#numbers)
    peer.live = connection
    connection.owesDown = true
    if (!this.#guard.up(peer.id, connection.number, connection.greeting as Uint8Array)) return this.#decline(connection, peer)
    for (const other of [peer.dialling, peer.candidate, ...peer.answered]) other?.close('a duplicate')
    if (this.#self > peer.id && connection.reason === null) connection.signal(SIGNAL.accept)
  }

  #decline(connection: Connection, peer: Peer): void {
    connection.owesDown = false
    if (this.#self > peer.id) connection.refuse(REFUSAL.declined, null, 'declined')
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
      if (this.#settings.clock.monotonic() - connection.upAt >= this.#settings.redialMs.max) peer.failures = 0
      const { candidate } = peer
      this.#dropCandidate(peer)
      if (candidate !== null) this.#admit(candidate, peer)
    }
    this.#redialLater(peer)
  }

  /** A peer that is not there is no trouble; a name that nobody knows is, and one that cannot prove itself. */
  #tellUnreachable({ error, remote }: Connection, peer: Peer): void {
    const code = (error as { code?: string } | null)?.code ?? ''
    const address = peer.address ?? remote
    if (error instanceof AntiphonError) this.#tellOnce(peer, error)
    else if (error !== null && ['ENOTFOUND', 'EADDRNOTAVAIL', 'EACCES', 'EPERM', 'EINVAL'].includes(code))
      this.#tellOnce(peer, trouble.unreachable(address, peer.id, error))
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
