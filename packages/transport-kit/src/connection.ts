import type { Cancel, Clock, Lane, PeerId } from '@antiphon/ports'
import { encodeSignal, FrameReader, LANES, SIGNAL } from './framing.ts'
import { encodeHello, encodeIntroduction, HandshakeReader, type Hello, type Introduction, PROOF_BYTES } from './handshake.ts'
import type { Prover } from './host-hmac.ts'
import { Outbox } from './outbox.ts'
import type { Pipe } from './pipe.ts'

/** Bytes handed to the pipe at a time: what a heartbeat waits behind at most, besides the kernel's own buffers. */
const WINDOW_BYTES = 256 * 1024
/** A kernel that takes everything at once must not keep the loop for longer than this many windows. */
const WINDOWS_PER_TURN = 16
/** What may come while a proof is checked: a refusal. */
const HELD_BYTES_MAX = 256
/** Of a proof, so that neither side's can be given back as the other's. */
const SIDES = { dialling: 1, listening: 2 } as const

/** Who decides about connections. Called from the event loop, never from inside a call to the connection. */
export interface ConnectionOwner {
  /** A dialled connection is there: time for our hello. */
  opened(connection: Connection): void
  /** The other side says who it is; nothing is proved yet. */
  hello(connection: Connection, hello: Hello): void
  /** It has introduced itself, and its proof is right. */
  introduced(connection: Connection): void
  /** It has introduced itself with a wrong proof; the connection is still there for a last word. */
  unproven(connection: Connection): void
  /** The lower id, which dialled, waits for our decision. */
  ready(connection: Connection): void
  /** The other side, which decides, wants this connection. */
  accepted(connection: Connection): void
  /** The other side has refused; the connection is closed. */
  refused(connection: Connection, refusal: number): void
  /** The answer to `probe`. */
  alive(connection: Connection): void
  frame(connection: Connection, lane: Lane, bytes: Uint8Array): void
  drained(connection: Connection): void
  /** What came is not our protocol; the connection is closed. */
  garbage(connection: Connection, what: string): void
  /** The pipe is gone. Once, whoever closed it. */
  closed(connection: Connection): void
}

export interface ConnectionSettings {
  readonly clock: Clock
  readonly laneBytesMax: readonly number[]
  readonly handshakeTimeoutMs: number
  /** Null: there is no secret. */
  readonly prover: Prover | null
  /** Has the connection's `flush` called once, at the end of this turn of the loop. */
  readonly flushSoon: (connection: Connection) => void
}

/**
 * One pipe, from connecting to its end: hellos, introductions (`handshake.ts`), then frames both ways.
 *
 *   dialled:   our hello ->, <- theirs, our introduction ->, <- theirs, `ready` or `accept` ->
 *   accepted:  <- their hello, our hello ->, <- their introduction, our introduction ->
 *   and then the higher id sends `accept` and is up; the lower id is up when it arrives.
 */
export class Connection {
  readonly pipe: Pipe
  readonly dialled: boolean
  /** Whom we dialled, or who said hello; null before. */
  peer: PeerId | null
  hello: Hello | null = null
  greeting: Uint8Array | null = null
  /** We have introduced ourselves. */
  isIntroduced = false
  /** The transport's number for it; 0 before it is up. */
  number = 0
  upAt = 0
  /** The handler was told `up`, and not yet `down`. */
  owesDown = false
  /** Why it ended; null while it has not. From then on nothing is read or written. */
  reason: string | null = null
  /** What the pipe said, when that is why it ended. */
  error: Error | null = null
  readonly #owner: ConnectionOwner
  readonly #settings: ConnectionSettings
  readonly #outbox: Outbox
  readonly #batch: Uint8Array[] = []
  readonly #onTaken: () => void
  readonly #cancelHandshake: Cancel
  readonly #handshake: HandshakeReader
  readonly #frames: FrameReader
  #ourHello: Uint8Array | null = null
  #theirHello: Uint8Array | null = null
  /** Came while a proof was checked; null when none is. */
  #held: Uint8Array[] | null = null
  #scheduled = false

  constructor(pipe: Pipe, peer: PeerId | null, settings: ConnectionSettings, owner: ConnectionOwner) {
    this.pipe = pipe
    this.dialled = peer !== null
    this.peer = peer
    this.#owner = owner
    this.#settings = settings
    this.#outbox = new Outbox(settings.laneBytesMax)
    this.#onTaken = () => this.#taken()
    this.#cancelHandshake = settings.clock.schedule(settings.handshakeTimeoutMs, () => this.close('the handshake took too long'))
    this.#handshake = new HandshakeReader({
      hello: (hello, bytes) => this.#onHello(hello, bytes),
      introduction: (introduction) => this.#onIntroduction(introduction),
      signal: (signal) => this.#heard(signal),
    })
    this.#frames = new FrameReader({ frame: (lane, bytes) => this.#frame(lane, bytes), signal: (signal) => this.#heard(signal) })
    pipe.start({
      opened: () => this.#owner.opened(this),
      data: (chunk) => this.#read(chunk),
      closed: (reason, error) => this.#gone(reason, error),
    })
  }

  get isUp(): boolean {
    return this.number > 0 && this.reason === null
  }

  get remote(): string {
    return this.pipe.remote
  }

  // The handshake.

  sayHello(hello: Hello): void {
    if (this.reason !== null) return
    this.#ourHello = encodeHello(hello)
    this.pipe.write([this.#ourHello], null)
  }

  /** Ours, with its proof; `then` unless the connection has ended meanwhile. */
  introduce(greeting: Uint8Array, then: () => void): void {
    const say = (proof: Uint8Array): void => {
      if (this.reason !== null) return
      this.pipe.write([encodeIntroduction({ proof, greeting })], null)
      this.isIntroduced = true
      then()
    }
    const { prover } = this.#settings
    if (prover === null) return say(new Uint8Array(PROOF_BYTES))
    prover.prove(this.#statement(this.dialled, greeting)).then(say, () => this.close('no proof could be made'))
  }

  #onHello(hello: Hello, bytes: Uint8Array): boolean {
    this.hello = hello
    this.#theirHello = bytes
    this.#owner.hello(this, hello)
    return this.reason === null
  }

  #onIntroduction({ proof, greeting }: Introduction): boolean {
    this.greeting = greeting
    const { prover } = this.#settings
    if (this.#ourHello === null) {
      this.#reject('an introduction out of turn')
    } else if (prover === null) {
      this.#owner.introduced(this)
    } else {
      this.#held = []
      prover.verify(proof, this.#statement(!this.dialled, greeting)).then(
        (right) => this.#judge(right),
        () => this.#judge(false),
      )
    }
    return this.reason === null
  }

  #judge(right: boolean): void {
    const held = this.#held ?? []
    this.#held = null
    if (this.reason !== null) return
    if (right) this.#owner.introduced(this)
    else this.#owner.unproven(this)
    for (const chunk of held) this.#read(chunk)
  }

  /** What a proof is over. */
  #statement(byDialling: boolean, greeting: Uint8Array): Uint8Array {
    const [dialling, listening] = this.dialled ? [this.#ourHello!, this.#theirHello!] : [this.#theirHello!, this.#ourHello!]
    const text = new Uint8Array(1 + dialling.length + listening.length + greeting.length)
    text[0] = byDialling ? SIDES.dialling : SIDES.listening
    text.set(dialling, 1)
    text.set(listening, 1 + dialling.length)
    text.set(greeting, 1 + dialling.length + listening.length)
    return text
  }

  // Writing.

  signal(signal: number): void {
    this.#outbox.signal(encodeSignal(signal))
    this.#wantFlush()
  }

  /** Takes one frame, or nothing at all. It leaves with everything else that is sent in this turn. */
  send(pieces: readonly Uint8Array[], length: number, lane: number): boolean {
    if (!this.#outbox.push(pieces, length, lane)) return false
    this.#wantFlush()
    return true
  }

  #wantFlush(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#settings.flushSoon(this)
  }

  /** The one write of the turn. While the pipe still holds bytes, what is sent gathers here. */
  flush(): void {
    this.#scheduled = false
    if (this.reason !== null) return
    for (let windows = 0; windows < WINDOWS_PER_TURN && this.#canWrite; windows++) {
      this.#outbox.take(this.#batch, WINDOW_BYTES)
      this.pipe.write(this.#batch, this.#onTaken)
      this.#batch.length = 0
    }
    if (this.#canWrite) this.#wantFlush()
    if (this.isUp && this.#outbox.takeDrained()) this.#owner.drained(this)
  }

  get #canWrite(): boolean {
    return !this.pipe.busy && !this.#outbox.empty
  }

  #taken(): void {
    if (!this.#scheduled && !this.#outbox.empty) this.flush()
  }

  // Reading.

  #read(chunk: Uint8Array): void {
    if (this.reason !== null) return
    if (this.#held !== null) return this.#hold(chunk)
    let rest = chunk
    if (!this.#handshake.done) {
      const taken = this.#handshake.push(chunk)
      if (typeof taken === 'string') return this.#reject(taken)
      if (taken === chunk.length || this.reason !== null) return
      rest = chunk.subarray(taken)
      if (this.#held !== null) return this.#hold(rest)
    }
    const wrong = this.#frames.push(rest)
    if (wrong !== null) this.#reject(wrong)
  }

  #hold(chunk: Uint8Array): void {
    const held = this.#held!
    held.push(chunk)
    if (held.reduce((sum, { length }) => sum + length, 0) > HELD_BYTES_MAX) this.#reject('bytes out of turn')
  }

  #frame(lane: number, bytes: Uint8Array): boolean {
    if (this.number === 0) this.#reject('a frame before the connection was accepted')
    else this.#owner.frame(this, LANES[lane as 0 | 1 | 2], bytes)
    return this.reason === null
  }

  #heard(signal: number): boolean {
    const isUp = this.number > 0
    if (signal >= SIGNAL.refusal) {
      this.close('refused')
      this.#owner.refused(this, signal - SIGNAL.refusal)
    } else if (signal === SIGNAL.accept && !isUp) this.#owner.accepted(this)
    else if (signal === SIGNAL.ready && !isUp) this.#owner.ready(this)
    else if (signal === SIGNAL.probe && isUp) this.signal(SIGNAL.alive)
    else if (signal === SIGNAL.alive && isUp) this.#owner.alive(this)
    else this.#reject('a signal out of place')
    return this.reason === null
  }

  #reject(what: string): void {
    this.close(what)
    this.#owner.garbage(this, what)
  }

  // Beginning and end.

  /** The handshake is done: frames may go both ways. */
  open(number: number): void {
    this.number = number
    this.upAt = this.#settings.clock.monotonic()
    this.#cancelHandshake()
  }

  /** Writes what the kernel takes at once; what it does not take is lost. */
  closeAfterFlush(reason: string): void {
    this.flush()
    this.close(reason)
  }

  /** Ends it with a last word, behind our hello if that was not said yet. A peer that does not read it is not waited for. */
  refuse(refusal: number, hello: Hello | null, reason: string): void {
    if (this.reason !== null) return
    if (hello !== null && this.#ourHello === null) this.sayHello(hello)
    this.reason = reason
    this.pipe.write([encodeSignal(SIGNAL.refusal + refusal)], null)
    this.pipe.end()
  }

  close(reason: string, error: Error | null = null): void {
    if (this.reason === null) {
      this.reason = reason
      this.error = error
    }
    this.pipe.destroy()
  }

  #gone(reason: string, error: Error | null): void {
    this.#cancelHandshake()
    this.error ??= this.reason === null ? error : null
    this.reason ??= reason
    this.#owner.closed(this)
  }
}
