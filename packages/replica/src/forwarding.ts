import type { PeerId } from '@antiphon/consensus-core'
import { type Random, randomId, type StoreId, ZERO, type Zxid } from '@antiphon/ports'
import { refusalTooLarge, resultTooLarge, resultUnreadable } from './errors.ts'
import type { Links } from './links.ts'
import type { OriginRow, OriginTable, Registration } from './origins.ts'
import type { Proposals } from './proposals.ts'
import { decodeRefusal } from './refusal.ts'
import { KEPT_REFUSAL, KEPT_TOO_LARGE } from './results.ts'
import type { NamedMachine } from './settings.ts'
import type { Slot } from './slots.ts'

/** Of one REQUESTS message. */
const MESSAGE_BYTES = 256 * 1024
const MESSAGE_REQUESTS = 4096
/** So long after its last request an origin tells what its next one would have told: which results it has. */
const CONFIRM_AFTER_TICKS = 20

export interface LeaderLink {
  readonly peer: PeerId
  readonly connection: number
}

export interface ForwardingHost {
  readonly storeId: StoreId
  readonly random: Random
  readonly proposals: Proposals
  readonly links: Links
  readonly machines: readonly NamedMachine[]
  readonly window: number
  readonly resultsBytesMax: number
  /** For the log. */
  tell(what: string, details: Readonly<Record<string, unknown>>): void
}

/**
 * This replica as an origin of requests (rule 22): registers, gives numbers, and sends what is unsettled to each new leader. When we lead ourselves the numbers and the
 * registration are the same, and nothing is sent.
 */
export class Forwarding {
  /** ZXID of the entry that registered us; ZERO before it is applied here. */
  origin: Zxid = ZERO
  readonly #host: ForwardingHost
  readonly #proposals: Proposals
  #nonce: string
  /** The last number that the present leader was sent. */
  #sent = 0
  /** The last number that any leader was sent, or that we proposed ourselves: what is above it stands nowhere. */
  #everSent = 0
  #asked = false
  /** The present leader does not know our row. It may be wrong as long as its history is not committed: what became of ours is told by the entries, or by a snapshot. */
  #refused = false
  #idleTicks = 0
  #confirmDue = false

  constructor(host: ForwardingHost) {
    this.#host = host
    this.#proposals = host.proposals
    this.#nonce = drawNonce(host.random)
  }

  get registration(): Registration {
    return { storeId: this.#host.storeId, nonce: this.#nonce }
  }

  /** Nothing is asked that could tell which results are here: that must be told by itself. */
  get confirmDue(): boolean {
    return this.#confirmDue
  }

  /** The number up to which results were seen here. */
  get confirmed(): number {
    return this.#proposals.slots.confirmed
  }

  /** A new relation with a leader: what it has of ours is not known, so everything unsettled goes again. */
  onLeader(): void {
    this.#sent = this.#proposals.slots.confirmed
    this.#asked = false
    this.#refused = false
  }

  /** Once a tick; `row`: our own, as applied. */
  tick(row: OriginRow | undefined): void {
    const { slots } = this.#proposals
    const isTold = row === undefined || row.confirmed >= slots.confirmed || slots.length > 0
    this.#idleTicks = isTold ? 0 : this.#idleTicks + 1
    this.#confirmDue = this.#idleTicks > 0 && this.#idleTicks % CONFIRM_AFTER_TICKS === 0
  }

  /** A registration was applied here, and everything before it. Of our store it retires the earlier rows. */
  onRegistered(zxid: Zxid, { storeId, nonce }: Registration): void {
    if (storeId !== this.#host.storeId || zxid <= this.origin) return
    if (nonce === this.#nonce) this.#begin(zxid)
    else this.onRetired(this.origin)
  }

  /**
   * That our row is gone was applied here, and everything before it: what is unsettled stands nowhere, and no leader will ever take it under that row. It waits for the next one; a new
   * nonce registers us again.
   */
  onRetired(origin: Zxid): void {
    if (origin !== this.origin || origin === ZERO) return
    this.#host.tell('origin retired', { origin, unsettled: this.#proposals.slots.underWay })
    this.#leaveRow()
  }

  /** The results of what is under way will not be seen here. What never left goes out under a new row, once that is applied here. */
  onQuarantined(): void {
    if (this.origin === ZERO) return
    this.#loseSent('the state of this replica is void and is being replaced')
    this.#leaveRow()
  }

  /** The leader has no such row. */
  onRefused(origin: Zxid): void {
    if (origin === this.origin) this.#refused = true
  }

  /** The machines jumped by a snapshot: what it covers of ours is settled by the results that it holds. */
  onJump(table: OriginTable): void {
    const row = table.byNonce(this.#nonce)
    if (row?.origin !== this.origin && this.origin !== ZERO) {
      // The row went while we did not look.
      this.#host.tell('origin retired, and jumped over', { origin: this.origin })
      this.#loseSent('its origin was retired while this replica was away')
      this.#leaveRow()
    }
    if (row === undefined) return
    if (this.origin === ZERO) this.#begin(row.origin)
    this.#settle(row)
    this.#sent = Math.max(this.#sent, row.last)
  }

  #settle(row: OriginRow): void {
    const { slots } = this.#proposals
    if (row.last <= slots.confirmed) return
    this.#host.tell('settled from the table', { from: slots.confirmed + 1, to: row.last })
    row.results.forEach((sequence, kind, machine, bytes) => {
      const slot = slots.at(sequence)
      if (slot === null || slot.resolve === null) return
      if (kind === KEPT_TOO_LARGE) slots.reject(slot, resultTooLarge(this.#host.resultsBytesMax))
      else if (kind === KEPT_REFUSAL) slots.reject(slot, bytes.length === 0 ? refusalTooLarge() : decodeRefusal(bytes, 0, bytes.length))
      else this.#resolve(slot, this.#host.machines[machine - 1]!, bytes)
    })
    // Nothing is left to be lost: what the row has confirmed was told by us.
    this.#proposals.lose(row.last, 'the table holds no result of it')
  }

  #resolve(slot: Slot, { name, machine }: NamedMachine, bytes: Uint8Array): void {
    const { slots } = this.#proposals
    try {
      slots.resolve(slot.sequence, machine.decodeResult(bytes))
    } catch (thrown) {
      slots.reject(slot, resultUnreadable(name, thrown))
    }
  }

  /** The leader has nothing of ours at or behind `next`. */
  onResend(origin: Zxid, next: number): void {
    if (origin === this.origin && origin !== ZERO) this.#sent = Math.min(Math.max(next - 1, this.#proposals.slots.confirmed), this.#proposals.slots.lastNumber)
  }

  /** The unsettled request with this number; one that waits gets the number if it is the next and the window allows it. */
  request(sequence: number): Slot | null {
    const { slots } = this.#proposals
    if (sequence <= slots.lastNumber) return slots.at(sequence)
    return sequence - slots.confirmed <= this.#host.window ? slots.number() : null
  }

  /** We lead, and have proposed it ourselves. */
  onProposed(sequence: number): void {
    this.#everSent = Math.max(this.#everSent, sequence)
  }

  /** Sends to another replica, the leader, as much as its lane takes. */
  flush({ peer, connection }: LeaderLink): void {
    if (this.origin === ZERO) {
      if (!this.#asked) this.#asked = this.#host.links.offer(peer, connection, { kind: 'REGISTER', ...this.registration })
      return
    }
    if (this.#refused) return
    const { slots } = this.#proposals
    const { links } = this.#host
    if (this.#confirmDue) {
      this.#confirmDue = !links.offer(peer, connection, {
        kind: 'REQUESTS',
        origin: this.origin,
        first: this.#sent + 1,
        confirmed: slots.confirmed,
        requests: [],
      })
    }
    // The new leader's history may have held some of ours already.
    this.#sent = Math.max(this.#sent, slots.confirmed)
    while ((slots.waiting > 0 || this.#sent < slots.lastNumber) && links.isOpen(peer, connection, 'entries')) {
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
      if (!links.offer(peer, connection, { kind: 'REQUESTS', origin: this.origin, first, confirmed: slots.confirmed, requests })) return
      this.#sent += requests.length
      this.#everSent = Math.max(this.#everSent, this.#sent)
    }
  }

  /** What was never sent stands nowhere; of the rest nobody can tell. */
  #loseSent(why: string): void {
    this.#proposals.lose(Math.min(this.#everSent, this.#proposals.slots.lastNumber), why)
  }

  #leaveRow(): void {
    const { slots } = this.#proposals
    this.origin = ZERO
    this.#nonce = drawNonce(this.#host.random)
    this.#asked = false
    slots.takeBack(slots.confirmed + 1)
  }

  /** Numbers begin with 1 again; what was under way under an earlier row stands nowhere. */
  #begin(origin: Zxid): void {
    const { slots } = this.#proposals
    this.origin = origin
    this.#sent = 0
    this.#everSent = 0
    this.#refused = false
    slots.takeBack(slots.confirmed + 1)
    slots.renumber()
  }
}

/** 16 hexadecimal digits. */
function drawNonce(random: Random): string {
  return randomId(random).slice(0, 16)
}
