import type { PeerId } from '@antiphon/consensus-core'
import { type Random, randomId, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import type { Links } from './links.ts'
import type { OriginTable, Registration } from './origins.ts'
import type { Proposals } from './proposals.ts'
import type { Slot } from './slots.ts'

/** Of one REQUESTS message. */
const MESSAGE_BYTES = 256 * 1024
const MESSAGE_REQUESTS = 4096

export interface LeaderLink {
  readonly peer: PeerId
  readonly connection: number
}

/**
 * This replica as an origin of requests (rule 22): registers, gives numbers, and sends what is unsettled to each new leader. When we lead ourselves the numbers and the
 * registration are the same, and nothing is sent.
 */
export class Forwarding {
  /** ZXID of the entry that registered us; ZERO before it is applied here. */
  origin: Zxid = ZERO
  readonly #storeId: StoreId
  readonly #random: Random
  readonly #proposals: Proposals
  readonly #links: Links
  readonly #window: number
  #nonce: string
  /** The last number that the present leader was sent. */
  #sent = 0
  #asked = false

  constructor(storeId: StoreId, random: Random, proposals: Proposals, links: Links, window: number) {
    this.#storeId = storeId
    this.#random = random
    this.#proposals = proposals
    this.#links = links
    this.#window = window
    this.#nonce = drawNonce(random)
  }

  get registration(): Registration {
    return { storeId: this.#storeId, nonce: this.#nonce }
  }

  /** The number up to which results were seen here. */
  get confirmed(): number {
    return this.#proposals.slots.confirmed
  }

  /** A new relation with a leader: what it has of ours is not known, so everything unsettled goes again. */
  onLeader(): void {
    this.#sent = this.#proposals.slots.confirmed
    this.#asked = false
  }

  /** A registration was applied here. */
  onRegistered(zxid: Zxid, { storeId, nonce }: Registration): void {
    if (nonce === this.#nonce && storeId === this.#storeId) this.#begin(zxid)
    else if (storeId === this.#storeId && this.origin !== ZERO && this.origin < zxid) this.onRetired(this.origin)
  }

  /** Our row is gone: what was asked under it is unknown, and a new nonce registers us again. */
  onRetired(origin: Zxid): void {
    if (origin === this.origin) this.#beginAgain('its origin was retired')
  }

  /** The results of what is under way will not be seen here. What has no number yet goes out under a new row, once that is applied here. */
  onQuarantined(): void {
    this.#beginAgain('the state of this replica is void and is being replaced')
  }

  #beginAgain(why: string): void {
    if (this.origin === ZERO) return
    const { slots } = this.#proposals
    this.origin = ZERO
    this.#nonce = drawNonce(this.#random)
    this.#asked = false
    this.#proposals.lose(slots.lastNumber, why)
  }

  /** The machines jumped by a snapshot: what it covers of ours has gone by. */
  onJump(table: OriginTable): void {
    const row = table.byNonce(this.#nonce)
    if (row === undefined) {
      this.onRetired(this.origin)
      return
    }
    if (this.origin === ZERO) this.#begin(row.origin)
    this.#proposals.lose(row.last, 'this replica caught up by a snapshot')
    this.#sent = Math.max(this.#sent, row.last)
  }

  /** The leader has nothing of ours at or behind `next`. */
  onResend(origin: Zxid, next: number): void {
    if (origin === this.origin && origin !== ZERO) this.#sent = Math.min(Math.max(next - 1, this.#proposals.slots.confirmed), this.#proposals.slots.lastNumber)
  }

  /** The unsettled request with this number; one that waits gets the number if it is the next and the window allows it. */
  request(sequence: number): Slot | null {
    const { slots } = this.#proposals
    if (sequence <= slots.lastNumber) return slots.at(sequence)
    return sequence - slots.confirmed <= this.#window ? slots.number() : null
  }

  /** Sends to another replica, the leader, as much as its lane takes. */
  flush({ peer, connection }: LeaderLink): void {
    if (this.origin === ZERO) {
      if (!this.#asked) this.#asked = this.#links.offer(peer, connection, { kind: 'REGISTER', ...this.registration })
      return
    }
    const { slots } = this.#proposals
    // The new leader's history may have held some of ours already.
    this.#sent = Math.max(this.#sent, slots.confirmed)
    while ((slots.waiting > 0 || this.#sent < slots.lastNumber) && this.#links.isOpen(peer, connection, 'entries')) {
      const requests: Slot[] = []
      const first = this.#sent + 1
      let bytes = 0
      while (bytes < MESSAGE_BYTES && requests.length < MESSAGE_REQUESTS) {
        const slot = this.request(first + requests.length)
        if (slot === null) break
        requests.push(slot)
        bytes += slot.payload.length
      }
      if (requests.length === 0) return
      if (!this.#links.offer(peer, connection, { kind: 'REQUESTS', origin: this.origin, first, confirmed: slots.confirmed, requests })) return
      this.#sent += requests.length
    }
  }

  #begin(origin: Zxid): void {
    this.origin = origin
    this.#sent = 0
    this.#proposals.slots.renumber()
  }
}

/** 16 hexadecimal digits. */
function drawNonce(random: Random): string {
  return randomId(random).slice(0, 16)
}
