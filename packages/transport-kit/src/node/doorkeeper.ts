import type { Server, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { AntiphonError } from '@antiphon/ports'
import { tlsTrouble } from '../certificates.ts'

/** Watches those who stand before a server and have not finished what comes before a connection, as a TLS handshake or an HTTP request: bounded in number, the oldest makes room. */
export class Doorkeeper {
  /** By the other end's address, oldest first. */
  readonly #waiting = new Map<string, Socket>()

  constructor(server: Server, waitingMax: number, trouble: (error: AntiphonError) => void) {
    server.on('connection', (socket: Socket) => {
      const key = keyOf(socket)
      this.#waiting.set(key, socket)
      socket.once('close', () => {
        if (this.#waiting.get(key) === socket) this.#waiting.delete(key)
      })
      const [oldest] = this.#waiting.values()
      if (this.#waiting.size > waitingMax) oldest?.destroy()
    })
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      const told = tlsTrouble(error, keyOf(socket))
      if (told instanceof AntiphonError) trouble(told)
      socket.destroy()
    })
  }

  /** It has come in: bare, or the TLS session over it. */
  admit(socket: Socket): void {
    this.#waiting.delete(keyOf(socket))
  }

  /** Hangs up on all that wait. */
  dismiss(): void {
    for (const socket of this.#waiting.values()) socket.destroy()
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`
}
