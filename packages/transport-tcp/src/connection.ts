import type { Socket } from 'node:net'
import type { Lane, PeerId } from '@antiphon/ports'
import { encodeSignal, FrameReader, type Hello, HelloReader, LANES, SIGNAL } from './framing.ts'
import { Outbox } from './outbox.ts'

/** Bytes handed to the socket at a time: what a heartbeat waits behind at most, besides the kernel's own buffers. */
const WINDOW_BYTES = 256 * 1024
/** A kernel that takes everything at once must not keep the loop for longer than this many windows. */
const WINDOWS_PER_TURN = 16

/** Who decides about connections. Called from the event loop, never from inside a call to the connection. */
export interface ConnectionOwner {
  /** The other side has said who it is. */
  hello(connection: Connection, hello: Hello): void
  /** The other side, which decides, wants this connection. */
  accepted(connection: Connection): void
  /** The answer to `probe`. */
  alive(connection: Connection): void
  frame(connection: Connection, lane: Lane, bytes: Uint8Array): void
  drained(connection: Connection): void
  /** What came is not our protocol; the connection is closed. */
  garbage(connection: Connection, what: string): void
  /** The socket is gone. Once, whoever closed it. */
  closed(connection: Connection): void
}

export interface ConnectionSettings {
  readonly laneBytesMax: readonly number[]
  readonly handshakeTimeoutMs: number
  /** Has the connection's `flush` called once, at the end of this turn of the loop. */
  readonly flushSoon: (connection: Connection) => void
}

/**
 * One socket, from connecting to its end: hello, then frames both ways.
 *
 *   dialled:  connect, our hello ->, <- theirs          accepted:  <- their hello, our hello ->
 *   and then the higher id sends `accept` and is up; the lower id is up when it arrives.
 */
export class Connection {
  readonly socket: Socket
  readonly dialled: boolean
  /** The other end's address: kept, because a closed socket has forgotten it. */
  remote: string
  /** Whom we dialled, or who said hello; null before. */
  peer: PeerId | null
  hello: Hello | null = null
  /** The transport's number for it; 0 before it is up. */
  number = 0
  upAt = 0
  /** The handler was told `up`, and not yet `down`. */
  owesDown = false
  /** Why it ended; null while it has not. From then on nothing is read or written. */
  reason: string | null = null
  /** What the operating system said, when that is why it ended. */
  error: NodeJS.ErrnoException | null = null
  readonly #owner: ConnectionOwner
  readonly #outbox: Outbox
  readonly #flushSoon: (connection: Connection) => void
  readonly #batch: Uint8Array[] = []
  readonly #onWritten: () => void
  #reader: FrameReader | HelloReader = new HelloReader()
  readonly #handshake: NodeJS.Timeout
  #scheduled = false

  constructor(socket: Socket, peer: PeerId | null, settings: ConnectionSettings, owner: ConnectionOwner) {
    this.socket = socket
    this.dialled = peer !== null
    this.remote = remoteOf(socket)
    if (socket.connecting) {
      socket.once('connect', () => {
        this.remote = remoteOf(socket)
      })
    }
    this.peer = peer
    this.#owner = owner
    this.#outbox = new Outbox(settings.laneBytesMax)
    this.#flushSoon = settings.flushSoon
    this.#onWritten = () => this.#written()
    this.#handshake = setTimeout(() => this.close('the handshake took too long'), settings.handshakeTimeoutMs)
    this.#handshake.unref()
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('end', () => this.close('closed by the peer'))
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(error.code ?? error.message, error))
    socket.on('close', () => this.#gone())
  }

  get isUp(): boolean {
    return this.number > 0 && this.reason === null
  }

  // Writing.

  /** Straight to the socket: the hello, before any frame. */
  sayHello(hello: Uint8Array): void {
    if (this.reason === null) this.socket.write(hello)
  }

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
    this.#flushSoon(this)
  }

  /** The one write of the turn. While the socket still holds bytes, what is sent gathers here. */
  flush(): void {
    this.#scheduled = false
    if (this.reason !== null) return
    for (let windows = 0; windows < WINDOWS_PER_TURN && this.#canWrite; windows++) this.#writeWindow()
    if (this.#canWrite) this.#wantFlush()
    if (this.isUp && this.#outbox.takeDrained()) this.#owner.drained(this)
  }

  get #canWrite(): boolean {
    return this.socket.writableLength === 0 && !this.#outbox.empty
  }

  #writeWindow(): void {
    const { socket } = this
    const batch = this.#batch
    this.#outbox.take(batch, WINDOW_BYTES)
    const last = batch.length - 1
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i++) socket.write(batch[i] as Uint8Array)
    socket.write(batch[last] as Uint8Array, this.#onWritten)
    if (last > 0) socket.uncork()
    batch.length = 0
  }

  /** The kernel has taken what was written. */
  #written(): void {
    if (!this.#scheduled && !this.#outbox.empty) this.flush()
  }

  // Reading.

  #read(chunk: Buffer): void {
    if (this.reason !== null) return
    let rest: Uint8Array = chunk
    if (this.#reader instanceof HelloReader) {
      const taken = this.#reader.push(chunk)
      if (taken === null) return this.#reject('no hello of this protocol')
      const { hello } = this.#reader
      if (hello === null) return
      this.#reader = new FrameReader({ frame: (lane, bytes) => this.#frame(lane, bytes), signal: (signal) => this.#heard(signal) })
      this.hello = hello
      this.#owner.hello(this, hello)
      rest = chunk.subarray(taken)
      if (this.reason !== null) return
    }
    const wrong = this.#reader.push(rest)
    if (wrong !== null) this.#reject(wrong)
  }

  #frame(lane: number, bytes: Uint8Array): boolean {
    if (this.number === 0) this.#reject('a frame before the connection was accepted')
    else this.#owner.frame(this, LANES[lane as 0 | 1 | 2], bytes)
    return this.reason === null
  }

  #heard(signal: number): boolean {
    if (signal === SIGNAL.accept && this.number === 0) this.#owner.accepted(this)
    else if (signal === SIGNAL.accept || this.number === 0) this.#reject('a signal out of place')
    else if (signal === SIGNAL.probe) this.signal(SIGNAL.alive)
    else this.#owner.alive(this)
    return this.reason === null
  }

  #reject(what: string): void {
    this.close(what)
    this.#owner.garbage(this, what)
  }

  // Beginning and end.

  /** The handshake is done: frames may go both ways. */
  open(number: number, now: number): void {
    this.number = number
    this.upAt = now
    clearTimeout(this.#handshake)
  }

  /** Writes what the kernel takes at once; what it does not take is lost. */
  closeAfterFlush(reason: string): void {
    this.flush()
    this.close(reason)
  }

  /** Ends it with a last word. A peer that does not read it is not waited for. */
  refuse(hello: Uint8Array, reason: string): void {
    if (this.reason !== null) return
    this.reason = reason
    this.socket.end(hello)
    this.socket.destroySoon()
  }

  close(reason: string, error: NodeJS.ErrnoException | null = null): void {
    if (this.reason === null) {
      this.reason = reason
      this.error = error
    }
    this.socket.destroy()
  }

  #gone(): void {
    clearTimeout(this.#handshake)
    this.reason ??= 'closed'
    this.#owner.closed(this)
  }
}

function remoteOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? 'an unknown address' : `${remoteAddress}:${remotePort}`
}
