import type { PeerId, Requests } from '@antiphon/consensus-core'
import type { StoreId, Zxid } from '@antiphon/ports'
import type { Registration } from './origins.ts'

export interface Received {
  readonly from: PeerId
  readonly connection: number
  readonly message: Requests
  readonly bytes: number
  /** Index of the next request to be admitted. */
  next: number
}

/** What one origin asks, in the order in which it asked. */
interface Queue {
  readonly received: Received[]
  bytes: number
}

/**
 * What other replicas ask of a leader, from the moment it is established. Bounded in bytes, each origin by its share: what is too much is dropped, and asked for again once there is
 * room. One message of an origin is always taken, and origins are served in turn, so that nobody's flood holds another up (rule 22).
 */
export class Inbox {
  readonly #bytesMax: number
  /** In the order of their turns. */
  readonly #queues = new Map<Zxid, Queue>()
  #bytes = 0
  readonly #dropped = new Map<Zxid, { readonly from: PeerId; readonly connection: number }>()
  /** By store: of each the newest, so that there are never more than members. */
  readonly #registrations = new Map<StoreId, Registration>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get isEmpty(): boolean {
    return this.#queues.size === 0 && this.#registrations.size === 0 && this.#dropped.size === 0
  }

  enqueue(from: PeerId, connection: number, message: Requests): void {
    let bytes = 0
    for (const { payload } of message.requests) bytes += payload.length
    const { origin } = message
    const queue = this.#queues.get(origin)
    if (queue === undefined) {
      this.#queues.set(origin, { received: [{ from, connection, message, bytes, next: 0 }], bytes })
    } else {
      const share = this.#bytesMax / this.#queues.size
      if (this.#bytes + bytes > this.#bytesMax || queue.bytes + bytes > share) {
        this.#dropped.set(origin, { from, connection })
        return
      }
      queue.received.push({ from, connection, message, bytes, next: 0 })
      queue.bytes += bytes
    }
    this.#bytes += bytes
  }

  register(registration: Registration): void {
    this.#registrations.set(registration.storeId, registration)
  }

  /** The oldest registration, or undefined. */
  takeRegistration(): Registration | undefined {
    const [oldest] = this.#registrations.values()
    if (oldest !== undefined) this.#registrations.delete(oldest.storeId)
    return oldest
  }

  /** Hands over what waits, a message of each origin in turn, until `admit` says that there is no room for the rest. */
  drain(admit: (received: Received) => boolean): void {
    while (this.#queues.size > 0) {
      const [origin, queue] = this.#queues.entries().next().value!
      if (!admit(queue.received[0]!)) return
      const { bytes } = queue.received.shift()!
      queue.bytes -= bytes
      this.#bytes -= bytes
      // Behind the others, for its next turn.
      this.#queues.delete(origin)
      if (queue.received.length > 0) this.#queues.set(origin, queue)
    }
  }

  /** Whose requests were dropped, once there is room for them. */
  takeDropped(askAgain: (origin: Zxid, from: PeerId, connection: number) => void): void {
    if (this.#dropped.size === 0 || this.#bytes * 2 > this.#bytesMax) return
    for (const [origin, { from, connection }] of this.#dropped) askAgain(origin, from, connection)
    this.#dropped.clear()
  }
}
