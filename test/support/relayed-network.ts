import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { TransportNetwork } from '@antiphon/conformance'
import type { PeerId, Transport } from '@antiphon/ports'

/** What two ends of sockets are made of: how addresses are written is the transport's own. */
export interface RelayedTransport {
  /** Listens on a port of its own choice, on this machine. */
  create(): Transport & { address(): string | null }
  /** The address at which whoever is to reach `port` dials. */
  addressOf(port: number): string
}

/** Transports over sockets, with a relay in front of each, by which the suite breaks what they carry. */
export async function relayedNetwork({ create, addressOf }: RelayedTransport): Promise<TransportNetwork> {
  const relays = new Map<PeerId, Relay>()
  const all: Relay[] = []
  return {
    create(peer) {
      const transport = create()
      const relay = new Relay(() => transport.address())
      relays.set(peer, relay)
      all.push(relay)
      return { transport, address: () => addressOf(relay.port) }
    },
    sever(a, b) {
      relays.get(a)?.breakAll()
      relays.get(b)?.breakAll()
    },
    vanish(peer) {
      // Whoever dialled, the other one of the two is at the other end.
      for (const relay of relays.values()) relay.silence()
      relays.delete(peer)
    },
    stranger(address, bytes) {
      const { hostname, port } = urlOf(address)
      return new Promise((resolve) => {
        const socket = connect(Number(port), hostname, () => socket.write(bytes))
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        socket.resume()
      })
    },
    async close() {
      for (const relay of all) await relay.close()
    },
  }
}

/** `host:port`, or a URL. */
function urlOf(address: string): URL {
  return new URL(address.includes('://') ? address : `tcp://${address}`)
}

/** Stands before a transport and passes everything on, until it is told to break what it carries. */
class Relay {
  readonly #server: Server
  readonly #sockets: Set<Socket> = new Set()
  /** Those that carry nothing any more, and of whose end nobody is told. */
  readonly #silent: Set<Socket> = new Set()

  constructor(target: () => string | null) {
    this.#server = createServer((near) => {
      const address = target()
      // Not started yet, or closed: nobody answers.
      if (address === null) {
        near.destroy()
        return
      }
      const { hostname, port } = urlOf(address)
      const far = connect(Number(port), hostname)
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket)
        const end = (): void => {
          if (!this.#silent.has(socket)) other.destroy()
        }
        socket.on('error', end)
        socket.on('close', () => {
          this.#sockets.delete(socket)
          end()
        })
      }
      near.pipe(far).pipe(near)
    }).listen(0, '127.0.0.1')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  breakAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** As if one end had lost its power: what is sent is not taken off the wire, and nobody is told. */
  silence(): void {
    for (const socket of this.#sockets) {
      this.#silent.add(socket)
      socket.unpipe()
      socket.pause()
    }
  }

  close(): Promise<void> {
    this.breakAll()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}

/** After everything was collected that can be. */
export function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 4; i++) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
