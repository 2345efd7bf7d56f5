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

/** What other replicas ask of a leader, from the moment it is established. Bounded in bytes: what is too much is dropped, and asked for again once there is room. */
export class Inbox {
  readonly #bytesMax: number
  #received: Received[] = []
  #bytes = 0
  readonly #dropped = new Map<Zxid, { readonly from: PeerId; readonly connection: number }>()
  /** By store: of each the newest, so that there are never more than members. */
  readonly #registrations = new Map<StoreId, Registration>()

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get isEmpty(): boolean {
    return this.#received.length === 0 && this.#registrations.size === 0 && this.#dropped.size === 0
  }

  enqueue(from: PeerId, connection: number, message: Requests): void {
    let bytes = 0
    for (const { payload } of message.requests) bytes += payload.length
    if (this.#bytes + bytes > this.#bytesMax && this.#received.length > 0) {
      this.#dropped.set(message.origin, { from, connection })
      return
    }
    this.#received.push({ from, connection, message, bytes, next: 0 })
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

  /** Hands over what waits, oldest first, until `admit` says that there is no room for the rest. */
  drain(admit: (received: Received) => boolean): void {
    let taken = 0
    while (taken < this.#received.length && admit(this.#received[taken]!)) this.#bytes -= this.#received[taken++]!.bytes
    if (taken > 0) this.#received = this.#received.slice(taken)
  }

  /** Whose requests were dropped, once there is room for them. */
  takeDropped(askAgain: (origin: Zxid, from: PeerId, connection: number) => void): void {
    if (this.#dropped.size === 0 || this.#bytes * 2 > this.#bytesMax) return
    for (const [origin, { from, connection }] of this.#dropped) askAgain(origin, from, connection)
    this.#dropped.clear()
  }
}
