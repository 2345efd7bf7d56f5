import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { type Address, type AntiphonError, type Lane, type PeerId, peerId, type TransportHandler } from '@antiphon/ports'
import {
  encodeHello,
  encodeIntroduction,
  encodeSignal,
  FrameReader,
  HandshakeReader,
  type Hello,
  NONCE_BYTES,
  Outbox,
  PROOF_BYTES,
  PROTOCOL_VERSION,
  SIGNAL,
} from '@antiphon/transport-kit'
import { vi } from 'vitest'
import { type TcpTransport, type TcpTransportOptions, tcpTransport } from './index.ts'

export const bytes = (content: string): Uint8Array => new TextEncoder().encode(content)
export const text = (frame: Uint8Array): string => (frame.length > 60 ? `<${frame.length}>` : new TextDecoder().decode(frame))

/** Comes back once `condition` neither throws nor is false. */
export async function until(condition: () => unknown): Promise<void> {
  await vi.waitFor(
    () => {
      if (condition() === false) throw new Error(`not yet: ${condition}`)
    },
    { timeout: 15_000, interval: 2 },
  )
}

/** A transport with a handler that writes down what it hears. */
export class Node {
  readonly id: PeerId
  readonly transport: TcpTransport
  readonly heard: string[] = []
  readonly frames: { from: PeerId; lane: Lane; bytes: Uint8Array }[] = []
  readonly troubles: { error: AntiphonError; peer: PeerId | null }[] = []
  readonly #live: Map<PeerId, number> = new Map()
  /** Called besides. */
  readonly also: Partial<TransportHandler> = {}

  constructor(id: number, options: Partial<TcpTransportOptions> = {}) {
    this.id = peerId(id)
    this.transport = tcpTransport({ listen: '127.0.0.1:0', redialMs: { min: 2, max: 20 }, ...options })
  }

  async start(): Promise<this> {
    await this.transport.start(this.id, bytes(`greeting of ${this.id}`), this.#handler())
    return this
  }

  #handler(): TransportHandler {
    return {
      up: (peer, connection, greeting) => {
        this.heard.push(`up ${peer} ${text(greeting)}`)
        if (this.#live.has(peer)) throw new Error(`up ${peer} before down`)
        const taken = this.also.up?.(peer, connection, greeting) ?? true
        if (taken) this.#live.set(peer, connection)
        return taken
      },
      frame: (peer, connection, lane, frame) => {
        if (connection !== this.#live.get(peer)) throw new Error(`a frame on connection ${connection}, which is not live`)
        this.frames.push({ from: peer, lane, bytes: frame })
        this.also.frame?.(peer, connection, lane, frame)
      },
      drain: (peer, connection) => {
        this.heard.push(`drain ${peer}`)
        this.also.drain?.(peer, connection)
      },
      down: (peer, connection, reason) => {
        if (connection !== this.#live.get(peer)) throw new Error(`down of connection ${connection}, which is not live`)
        this.#live.delete(peer)
        this.heard.push(`down ${peer} ${reason}`)
        this.also.down?.(peer, connection, reason)
      },
      trouble: (error, peer) => {
        this.troubles.push({ error, peer })
        this.also.trouble?.(error, peer)
      },
    }
  }

  get address(): Address {
    return this.transport.address() as Address
  }

  get port(): number {
    return Number(this.address.split(':').at(-1))
  }

  live(peer: Node | PeerId): number {
    return this.#live.get(typeof peer === 'number' ? peer : peer.id) ?? 0
  }

  say(to: Node, content: string | Uint8Array, lane: Lane = 'entries'): boolean {
    return this.transport.send(to.id, [typeof content === 'string' ? bytes(content) : content], lane)
  }

  texts(lane?: Lane): string[] {
    return this.frames.filter((frame) => lane === undefined || frame.lane === lane).map((frame) => text(frame.bytes))
  }

  codes(): string[] {
    return this.troubles.map(({ error }) => error.code)
  }
}

export function introduce(...nodes: Node[]): void {
  const peers = new Map(nodes.map((node) => [node.id, node.address]))
  for (const node of nodes) node.transport.setPeers(peers)
}

export const connected = (a: Node, b: Node): boolean => a.live(b) > 0 && b.live(a) > 0

/** A peer made by hand, which keeps to the protocol only as far as the test wants. */
export class Puppet {
  readonly socket: Socket
  readonly id: number
  readonly signals: number[] = []
  readonly frames: { lane: number; bytes: Uint8Array }[] = []
  hello: Hello | null = null
  introduced = false
  closed = false
  readonly #handshake: HandshakeReader
  readonly #reader: FrameReader

  constructor(socket: Socket, id: number) {
    this.socket = socket
    this.id = id
    const signal = (each: number): boolean => {
      if (each === SIGNAL.probe) this.signal(SIGNAL.alive)
      return this.signals.push(each) > 0
    }
    this.#handshake = new HandshakeReader({
      hello: (hello) => {
        this.hello = hello
        return true
      },
      introduction: () => {
        this.introduced = true
        return true
      },
      signal,
    })
    this.#reader = new FrameReader({ frame: (lane, frame) => this.frames.push({ lane, bytes: frame }) > 0, signal })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
    })
    socket.on('data', (chunk: Buffer) => {
      const taken = this.#handshake.done ? 0 : (this.#handshake.push(chunk) as number)
      this.#reader.push(chunk.subarray(taken))
    })
  }

  static dial(port: number, id: number): Puppet {
    return new Puppet(connect({ port, host: '127.0.0.1', noDelay: true }), id)
  }

  sayHello(to: number, other: Partial<Hello> = {}): this {
    const nonce = new Uint8Array(NONCE_BYTES)
    this.socket.write(encodeHello({ version: PROTOCOL_VERSION, from: this.id, to, withSecret: false, incarnation: '0123456789abcdef', nonce, ...other }))
    return this
  }

  introduce(proof: Uint8Array = new Uint8Array(PROOF_BYTES)): this {
    this.socket.write(encodeIntroduction({ proof, greeting: bytes('puppet') }))
    return this
  }

  signal(signal: number): void {
    this.socket.write(encodeSignal(signal))
  }

  say(lane: number, ...contents: string[]): void {
    const outbox = new Outbox([2 ** 30, 2 ** 30, 2 ** 30])
    for (const content of contents) outbox.push([bytes(content)], content.length, lane)
    const batch: Uint8Array[] = []
    outbox.take(batch, 2 ** 30)
    this.socket.write(Buffer.concat(batch))
  }

  /** Connected to `node`, which has the higher id or not. */
  static async connected(node: Node, id: number): Promise<Puppet> {
    const puppet = Puppet.dial(node.port, id).sayHello(node.id).introduce()
    await until(() => puppet.introduced)
    puppet.signal(id > node.id ? SIGNAL.accept : SIGNAL.ready)
    await until(() => node.live(peerId(id)) > 0)
    return puppet
  }
}

/** Stands before a port, and can stop carrying anything without closing: a machine that is gone. */
export class Relay {
  readonly #server: Server
  readonly #sockets: Set<Socket> = new Set()
  #frozen = false

  private constructor(server: Server, port: number) {
    this.#server = server
    server.on('connection', (near: Socket) => {
      if (this.#frozen) return void near.destroy()
      const far = connect(port, '127.0.0.1')
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from)
        from.on('error', () => {})
        from.on('data', (chunk) => this.#frozen || to.write(chunk))
        from.on('close', () => this.#frozen || to.destroy())
      }
    })
  }

  static async before(port: number): Promise<Relay> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new Relay(server, port)
  }

  get address(): Address {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  freeze(): void {
    this.#frozen = true
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
