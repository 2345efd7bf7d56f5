import type { Socket } from 'node:net'
import type { Pipe, PipeHandler, ProvenIdentity } from '@antiphon/transport-kit'

/** A TCP socket, bare or under TLS. */
export class SocketPipe implements Pipe {
  /** Kept, because a closed socket has forgotten it. */
  remote: string
  readonly #socket: Socket
  /** The event that says that a dialled socket is there; null: it was from the start. */
  readonly #opens: 'connect' | 'secureConnect' | null
  readonly #identify: () => ProvenIdentity | null
  /** Makes of the socket's error what is told. */
  readonly #explain: (error: Error) => Error
  #error: NodeJS.ErrnoException | null = null
  #reason = 'closed'

  constructor(
    socket: Socket,
    opens: 'connect' | 'secureConnect' | null,
    identify: () => ProvenIdentity | null = () => null,
    explain: (error: Error) => Error = (error) => error,
  ) {
    this.#socket = socket
    this.#opens = opens
    this.#identify = identify
    this.#explain = explain
    this.remote = remoteOf(socket)
  }

  get busy(): boolean {
    return this.#socket.writableLength > 0
  }

  get proven(): ProvenIdentity | null {
    return this.#identify()
  }

  start(handler: PipeHandler): void {
    const socket = this.#socket
    if (this.#opens !== null) {
      socket.once(this.#opens, () => {
        this.remote = remoteOf(socket)
        handler.opened()
      })
    }
    socket.on('data', (chunk: Buffer) => handler.data(chunk))
    socket.on('end', () => this.#fail('closed by the peer', null))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? error.message, error))
    socket.on('close', () => handler.closed(this.#reason, this.#error === null ? null : this.#explain(this.#error)))
  }

  #fail(reason: string, error: NodeJS.ErrnoException | null): void {
    if (this.#reason === 'closed') {
      this.#reason = reason
      this.#error = error
    }
    this.#socket.destroy()
  }

  write(pieces: readonly Uint8Array[], taken: (() => void) | null): void {
    const socket = this.#socket
    const last = pieces.length - 1
    if (last > 0) socket.cork()
    for (let i = 0; i < last; i++) socket.write(pieces[i] as Uint8Array)
    socket.write(pieces[last] as Uint8Array, taken ?? undefined)
    if (last > 0) socket.uncork()
  }

  end(): void {
    this.#socket.end()
    this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

function remoteOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? 'an unknown address' : `${remoteAddress}:${remotePort}`
}
