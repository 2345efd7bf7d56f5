import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export const LENGTH_BYTES = 4

/** `node:net` with a length before each frame, a turn's frames in one buffer and one write. */
export class BareSender {
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  static async connect(port: number): Promise<BareSender> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new BareSender(socket)
  }

  /** Sends `count` frames; false when the socket is full, and `drained` tells when it is not any more. */
  send(frame: Uint8Array, count: number): boolean {
    const each = LENGTH_BYTES + frame.length
    const batch = Buffer.allocUnsafe(each * count)
    for (let at = 0; at < batch.length; at += each) {
      batch.writeUInt32BE(frame.length, at)
      batch.set(frame, at + LENGTH_BYTES)
    }
    return this.#socket.write(batch)
  }

  drained(): Promise<unknown> {
    return once(this.#socket, 'drain')
  }

  close(): void {
    this.#socket.destroy()
  }
}
