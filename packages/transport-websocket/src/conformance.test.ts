import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { testTransport } from '@antiphon/conformance'
import type { PeerId } from '@antiphon/ports'
import { test } from 'vitest'
import { type WebSocketTransport, webSocketTransport } from './index.ts'

/** Stands before a transport and passes everything on, until it is told to break what it carries. */
class Relay {
  readonly #server: Server
  readonly #sockets: Set<Socket> = new Set()

  constructor(target: () => string | null) {
    this.#server = createServer((near) => {
      const address = target()
      // Not started yet, or closed: nobody answers.
      if (address === null) {
        near.destroy()
        return
      }
      const { hostname, port } = new URL(address)
      const far = connect(Number(port), hostname)
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket)
        socket.on('error', () => other.destroy())
        socket.on('close', () => {
          this.#sockets.delete(socket)
          other.destroy()
        })
      }
      near.pipe(far).pipe(near)
    }).listen(0, '127.0.0.1')
  }

  get address(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/antiphon`
  }

  breakAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  close(): Promise<void> {
    this.breakAll()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}

testTransport(test, {
  severs: true,
  strangers: true,
  async network() {
    const relays = new Map<PeerId, Relay>()
    const all: Relay[] = []
    return {
      create(peer) {
        const transport: WebSocketTransport = webSocketTransport({ listen: '127.0.0.1:0', redialMs: { min: 2, max: 50 } })
        const relay = new Relay(() => transport.address())
        relays.set(peer, relay)
        all.push(relay)
        return { transport, address: () => relay.address }
      },
      sever(a, b) {
        relays.get(a)?.breakAll()
        relays.get(b)?.breakAll()
      },
      stranger(address, bytes) {
        const { hostname, port } = new URL(address)
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
  },
})
