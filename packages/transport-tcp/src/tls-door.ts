import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import { AntiphonError } from '@antiphon/ports'
import { type Guard, type Pipe, tlsTrouble } from '@antiphon/transport-kit'
import { SocketPipe } from './socket-pipe.ts'
import { clientIdentity, type TlsOptions } from './tls.ts'

/** Those who stand before a TLS server and have not finished its handshake: bounded in number, the oldest makes room. */
export class TlsDoor {
  /** By the other end's address, oldest first. */
  readonly #waiting = new Map<string, Socket>()

  constructor(server: Server, waitingMax: number, tls: TlsOptions, guard: Guard, enter: (pipe: Pipe) => void) {
    server.on('connection', (socket: Socket) => {
      const key = keyOf(socket)
      this.#waiting.set(key, socket)
      socket.once('close', () => this.#forget(key, socket))
      const [oldest] = this.#waiting.values()
      if (this.#waiting.size > waitingMax) oldest?.destroy()
    })
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#waiting.delete(keyOf(socket))
      enter(new SocketPipe(socket as Socket, null, () => clientIdentity(socket, tls)))
    })
    server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      const trouble = tlsTrouble(error, keyOf(socket))
      if (trouble instanceof AntiphonError) guard.strangersTrouble(trouble, null)
      socket.destroy()
    })
  }

  /** Hangs up on all of them. */
  close(): void {
    for (const socket of this.#waiting.values()) socket.destroy()
  }

  #forget(key: string, socket: Socket): void {
    if (this.#waiting.get(key) === socket) this.#waiting.delete(key)
  }
}

function keyOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`
}
