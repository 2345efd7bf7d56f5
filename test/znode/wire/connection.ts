import { connect, type Socket } from 'node:net'
import { JuteReader, JuteWriter } from './jute.ts'

export interface ReplyHeader {
  readonly zxid: number
  /** CONNECTION_LOSS when the server closed the connection instead. */
  readonly code: number
}

export const CONNECTION_LOSS = -4
const NOTIFICATION = -1

/** Called where it stands in the stream: what a client sees, in the order in which it sees it. */
type Take = (header: ReplyHeader, body: JuteReader) => void

export interface Credentials {
  readonly session: bigint
  readonly password: Buffer
}

export const NOBODY: Credentials = { session: 0n, password: Buffer.alloc(16) }

/** One connection in ZooKeeper's client protocol, for tests: requests may be pipelined. */
export class Connection {
  /** Null: the server does not know the session, or not with this password. */
  credentials: Credentials | null = null
  readonly #socket: Socket
  readonly #event: (type: number, path: string) => void
  readonly #waiting: { readonly xid: number; readonly take: Take }[] = []
  #idle: (() => void)[] = []
  #greeted: (() => void) | null = null
  #received: Buffer = Buffer.alloc(0)
  #xid = 0
  #closed = false
  #fault: Error | null = null

  private constructor(socket: Socket, event: (type: number, path: string) => void) {
    this.#socket = socket
    this.#event = event
    socket.setNoDelay(true)
    socket.on('data', (bytes) => this.#receive(bytes))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#end())
  }

  static async open(port: number, as: Credentials, event: (type: number, path: string) => void): Promise<Connection> {
    const socket = connect(port, '127.0.0.1')
    const connection = new Connection(socket, event)
    const greeting = new JuteWriter().int(0).long(0n).int(40_000).long(as.session).buffer(as.password).bool(false).frame()
    await new Promise<void>((resolve) => {
      connection.#greeted = resolve
      socket.write(greeting)
    })
    return connection
  }

  request(type: number, body: Buffer, take: Take): void {
    if (this.#closed) return take({ zxid: 0, code: CONNECTION_LOSS }, new JuteReader(Buffer.alloc(0)))
    const xid = ++this.#xid
    this.#waiting.push({ xid, take })
    const head = Buffer.alloc(12)
    head.writeInt32BE(8 + body.length, 0)
    head.writeInt32BE(xid, 4)
    head.writeInt32BE(type, 8)
    this.#socket.write(Buffer.concat([head, body]))
  }

  /** All that was asked is answered. @throws what a `take` has thrown */
  async idle(): Promise<void> {
    if (this.#waiting.length > 0 && !this.#closed) await new Promise<void>((resolve) => this.#idle.push(resolve))
    if (this.#fault !== null) throw this.#fault
  }

  end(): void {
    this.#socket.destroy()
  }

  #receive(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes])
    while (this.#received.length >= 4) {
      const length = this.#received.readInt32BE(0)
      if (this.#received.length < 4 + length) return
      const frame = this.#received.subarray(4, 4 + length)
      this.#received = this.#received.subarray(4 + length)
      try {
        this.#take(new JuteReader(frame))
      } catch (error) {
        this.#fault = error as Error
        this.#socket.destroy()
        return
      }
    }
  }

  #take(frame: JuteReader): void {
    if (this.#greeted !== null) {
      frame.int()
      const timeoutMs = frame.int()
      const session = frame.long()
      const password = Buffer.from(frame.buffer() ?? [])
      this.credentials = timeoutMs <= 0 ? null : { session: BigInt.asUintN(64, session), password }
      this.#greeted()
      this.#greeted = null
      return
    }
    const xid = frame.int()
    const header = { zxid: frame.small(), code: frame.int() }
    if (xid === NOTIFICATION) {
      const type = frame.int()
      frame.int()
      return this.#event(type, frame.string())
    }
    const head = this.#waiting.shift()
    if (head === undefined || head.xid !== xid) throw new Error(`a reply to ${xid} where one to ${head?.xid} is due`)
    head.take(header, frame)
    if (this.#waiting.length === 0) this.#rest()
  }

  #end(): void {
    this.#closed = true
    this.#greeted?.()
    for (const { take } of this.#waiting.splice(0)) take({ zxid: 0, code: CONNECTION_LOSS }, new JuteReader(Buffer.alloc(0)))
    this.#rest()
  }

  #rest(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}
