import type { Socket } from 'node:net'
import type { Pipe, PipeHandler, ProvenIdentity } from '@antiphon/transport-kit'
import type { RawData, WebSocket } from 'ws'

/** How long a peer may take to answer that we close. */
const CLOSING_MS = 1000

export interface PipeSurroundings {
  /** Null: dialled, and told once it is open. */
  readonly socket: Socket | null
  readonly proven: ProvenIdentity | null
  readonly keepAliveMs: number
  /** Makes of an error what is told. */
  readonly explain: (error: Error) => Error
}

/** A WebSocket of the `ws` package. What is written at once is one binary message. */
export class NodeWebSocketPipe implements Pipe {
  remote = 'an unknown address'
  readonly proven: ProvenIdentity | null
  readonly #socket: WebSocket
  readonly #surroundings: PipeSurroundings
  #error: Error | null = null
  #reason: string | null = null

  constructor(socket: WebSocket, surroundings: PipeSurroundings) {
    this.#socket = socket
    this.#surroundings = surroundings
    this.proven = surroundings.proven
    if (surroundings.socket !== null) this.#settle(surroundings.socket)
  }

  #settle(socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress !== undefined) this.remote = `${remoteAddress}:${remotePort}`
    socket.setNoDelay(true)
    socket.setKeepAlive(true, this.#surroundings.keepAliveMs)
  }

  get busy(): boolean {
    return this.#socket.bufferedAmount > 0
  }

  start(handler: PipeHandler): void {
    const socket = this.#socket
    socket.once('upgrade', (response) => this.#settle(response.socket))
    socket.once('open', () => handler.opened())
    socket.on('message', (data: RawData, isBinary: boolean) => {
      if (isBinary) handler.data(data as Buffer)
      else this.#fail('a text message', null)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(error.code ?? error.message, error))
    socket.on('close', (code: number) => {
      const reason = this.#reason ?? (code === 1000 || code === 1005 || code === 1006 ? 'closed by the peer' : `closed by the peer with code ${code}`)
      handler.closed(reason, this.#error === null ? null : this.#surroundings.explain(this.#error))
    })
  }

  #fail(reason: string, error: Error | null): void {
    this.#reason ??= reason
    this.#error ??= error
    this.#socket.terminate()
  }

  write(pieces: readonly Uint8Array[], taken: (() => void) | null): void {
    const message = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(message, { binary: true, fin: true }, (error) => error == null && taken?.())
  }

  end(): void {
    this.#socket.close(1000)
    setTimeout(() => this.#socket.terminate(), CLOSING_MS).unref()
  }

  destroy(): void {
    this.#reason ??= 'closed'
    this.#socket.terminate()
  }
}
