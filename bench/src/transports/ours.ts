import type { TlsOptions } from '@antiphon/transport-tcp'
import { type Kind, type Listening, makeTransport, RECEIVER, SENDER } from './kinds.ts'

/** A transport of ours, as a replica uses it: a frame a call, in two pieces. */
export class TransportSender {
  readonly #transport: Listening
  #onDrain: () => void = () => {}
  #onUp: () => void = () => {}

  private constructor(transport: Listening) {
    this.#transport = transport
  }

  static async start(kind: Kind, tls: TlsOptions): Promise<TransportSender> {
    const transport = makeTransport(kind, tls)
    const sender = new TransportSender(transport)
    await transport.start(SENDER, new Uint8Array(0), {
      up: () => {
        sender.#onUp()
        return true
      },
      frame: () => {},
      drain: () => sender.#onDrain(),
      down: () => {},
      trouble: () => {},
    })
    return sender
  }

  get address(): string {
    return this.#transport.address()!
  }

  connect(receiver: string): Promise<void> {
    return new Promise((resolve) => {
      this.#onUp = resolve
      this.#transport.setPeers(new Map([[RECEIVER, receiver]]))
    })
  }

  /** Sends `count` frames, or fewer when the lane is full: false then, and `drained` tells when it is not any more. */
  send(frame: Uint8Array, count: number): boolean {
    const pieces = [frame.subarray(0, 16), frame.subarray(16)]
    for (let i = 0; i < count; i++) if (!this.#transport.send(RECEIVER, pieces, 'entries')) return false
    return true
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#onDrain = resolve
    })
  }

  close(): Promise<void> {
    return this.#transport.close()
  }
}
