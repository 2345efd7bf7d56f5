import type { Cancel, Clock } from '@antiphon/ports'
import type { Pipe, PipeHandler } from '@antiphon/transport-kit'

/** The browser's own, as far as it is used here. */
export interface NativeWebSocket {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  onopen: (() => void) | null
  onmessage: ((event: { readonly data: unknown }) => void) | null
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null
  send(bytes: Uint8Array): void
  close(code?: number): void
}

const OPEN = 1
/** A native WebSocket does not tell when it has sent what it holds: it is asked. */
const POLL_MS = 4

/** A native WebSocket that was dialled. */
export class BrowserWebSocketPipe implements Pipe {
  readonly remote: string
  readonly proven = null
  readonly #socket: NativeWebSocket
  readonly #clock: Clock
  #handler: PipeHandler | null = null
  #taken: (() => void) | null = null
  #cancelPoll: Cancel | null = null

  constructor(socket: NativeWebSocket, remote: string, clock: Clock) {
    this.#socket = socket
    this.remote = remote
    this.#clock = clock
    socket.binaryType = 'arraybuffer'
  }

  get busy(): boolean {
    return this.#socket.bufferedAmount > 0
  }

  start(handler: PipeHandler): void {
    this.#handler = handler
    const socket = this.#socket
    socket.onopen = () => this.#handler?.opened()
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#handler?.data(new Uint8Array(data))
      else this.destroy()
    }
    socket.onclose = ({ code }) => this.#end(code === 1000 || code === 1005 || code === 1006 ? 'closed by the peer' : `closed by the peer with code ${code}`)
  }

  write(pieces: readonly Uint8Array[], taken: (() => void) | null): void {
    if (this.#socket.readyState !== OPEN) return
    this.#socket.send(pieces.length === 1 ? pieces[0]! : joined(pieces))
    if (taken === null) return
    this.#taken = taken
    this.#cancelPoll ??= this.#clock.schedule(POLL_MS, () => this.#poll())
  }

  #poll(): void {
    this.#cancelPoll = null
    if (this.#handler === null) return
    if (this.busy) {
      this.#cancelPoll = this.#clock.schedule(POLL_MS, () => this.#poll())
      return
    }
    const taken = this.#taken
    this.#taken = null
    taken?.()
  }

  end(): void {
    this.#socket.close(1000)
    this.#clock.defer(() => this.#end('closed'))
  }

  /** A browser cannot hang up at once; what still comes is not heard. */
  destroy(): void {
    this.#socket.close()
    this.#clock.defer(() => this.#end('closed'))
  }

  #end(reason: string): void {
    const handler = this.#handler
    this.#handler = null
    this.#cancelPoll?.()
    handler?.closed(reason, null)
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const piece of pieces) length += piece.length
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}
