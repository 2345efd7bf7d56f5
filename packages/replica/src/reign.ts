import { ENTRY_OVERHEAD_BYTES, KIND_CHANGE, KIND_REFUSAL, type PeerId, type Primary, type Run, RunBuilder, SHELL_MACHINE } from '@antiphon/consensus-core'
import { type AntiphonError, type Clock, invalidArgument, type Millis, type PrimaryContext, type Random, ZERO, type Zxid } from '@antiphon/ports'
import { encodeDeclaration } from './declaration.ts'
import { messageOf } from './errors.ts'
import type { Forwarding } from './forwarding.ts'
import type { Inbox, Received } from './inbox.ts'
import type { Links } from './links.ts'
import { encodeConfirmation, encodeRegistration, encodeRetirement, type OriginTable, type Registration } from './origins.ts'
import { encodeRefusal, encodeTooLarge } from './refusal.ts'
import type { NamedMachine } from './settings.ts'

/** A run is closed behind the entry that brings it here: one frame, one write. Smaller ones cost processes and disks more per entry, larger ones hold a lane for longer. */
const RUN_BYTES = 256 * 1024

export interface ReignHost {
  readonly machines: readonly NamedMachine[]
  readonly forwarding: Forwarding
  readonly links: Links
  readonly random: Random
  readonly clock: Clock
  readonly tickMs: Millis
  readonly changeBytesMax: number
  readonly originWindow: number
  readonly retireOriginTicks: number
  trouble(error: AntiphonError): void
}

interface OwnRequest {
  readonly machine: number
  readonly payload: Uint8Array
}

/** Reused for every batch and every entry. */
class Context implements PrimaryContext {
  epoch = 0
  zxid: Zxid = ZERO
  time: Millis = 0
  monotonic: Millis = 0
  readonly tickMs: Millis
  readonly changeBytesMax: number
  readonly #random: Random

  constructor(tickMs: Millis, changeBytesMax: number, random: Random) {
    this.tickMs = tickMs
    this.changeBytesMax = changeBytesMax
    this.#random = random
  }

  random(): number {
    return this.#random.uint32()
  }
}

/**
 * The primary's side of the shell, from the moment its history is applied to the end of its epoch (rules 20 to 22). Admission, by the exactly-once table as of everything
 * proposed, comes before `prepare`; what was prepared is always proposed.
 */
export class Reign {
  readonly epoch: number
  readonly #host: ReignHost
  /** As of everything proposed. */
  readonly #table: OriginTable
  readonly #context: Context
  readonly #builder = new RunBuilder(4096)
  readonly #head = { origin: ZERO, sequence: 0, pending: 0, machine: 0, kind: KIND_CHANGE }
  readonly #inbox: Inbox
  /** The number asked for last, by origin: one question is enough on a connection that loses nothing. */
  readonly #askedFor = new Map<Zxid, { readonly next: number; readonly connection: number }>()
  /** For how many of our ticks nobody with its store was connected, by origin. Counted, for a clock goes on while we stand still and hear nobody. */
  readonly #silentTicks = new Map<Zxid, number>()
  #undeclared: boolean
  #own: OwnRequest[] = []
  /** Rows to be retired. */
  #silent: Zxid[] = []
  #oursFirst = false
  #entriesRoom = 0
  #bytesRoom = 0

  /** `undeclared`: the history does not say yet which machines it is for. */
  constructor(host: ReignHost, inbox: Inbox, primary: Primary, applied: OriginTable, undeclared = false) {
    this.#host = host
    this.#inbox = inbox
    this.#undeclared = undeclared
    this.epoch = primary.epoch
    this.#table = applied.copy()
    this.#context = new Context(host.tickMs, host.changeBytesMax, host.random)
    this.#begin(primary)
    for (const { machine } of host.machines) machine.leading?.(this.#context)
  }

  /** The reign is void: what was prepared and is not applied is forgotten. */
  end(): void {
    for (const { machine } of this.#host.machines) machine.abandon?.()
  }

  /** Once a tick: what the machines ask for by themselves. Void when the reign ends, and never sent again. */
  tick(primary: Primary): void {
    this.#begin(primary)
    this.#watchSilence()
    this.#host.machines.forEach(({ name, machine }, index) => {
      if (machine.tick === undefined) return
      try {
        for (const request of machine.tick(this.#context)) this.#own.push({ machine: index + 1, payload: machine.encodeRequest(request) })
      } catch (thrown) {
        this.#host.trouble(
          invalidArgument(
            `the machine \`${name}\` threw in tick: ${messageOf(thrown)}`,
            'Correct the state machine; what it asked for in this tick is left out.',
          ),
        )
      }
    })
  }

  /** Is there anything that `fill` may have left for want of room? */
  get hasWaiting(): boolean {
    return !this.#inbox.isEmpty || this.#own.length > 0 || this.#silent.length > 0 || this.#host.forwarding.confirmDue
  }

  /** Frames the next batch from everything that waits, as far as there is room; null when nothing does. */
  fill(primary: Primary): Run | null {
    this.#begin(primary)
    this.#entriesRoom = primary.entriesRoom
    this.#bytesRoom = primary.bytesRoom
    this.#fillDeclaration()
    this.#fillRegistrations()
    this.#fillRetirements()
    this.#fillOwn()
    // Whoever came first last time comes second now: neither starves the other when room is short.
    this.#oursFirst = !this.#oursFirst
    if (this.#oursFirst) this.#fillOurs()
    this.#fillInbox()
    if (!this.#oursFirst) this.#fillOurs()
    return this.#builder.finish()
  }

  /** Begins a batch: one in which nothing is framed costs nothing. */
  #begin(primary: Primary): void {
    this.#builder.begin(primary.previous, primary.previousChecksum, primary.epoch, primary.time)
    this.#context.epoch = primary.epoch
    this.#context.zxid = this.#builder.next
    this.#context.time = primary.time
    this.#context.monotonic = this.#host.clock.monotonic()
  }

  /** Room for one more entry, however large its change turns out to be: so that nothing is prepared in vain. */
  #hasRoom(): boolean {
    const used = this.#builder.bytesUsed
    return used < RUN_BYTES && this.#builder.entries < this.#entriesRoom && this.#bytesRoom - used >= this.#host.changeBytesMax + ENTRY_OVERHEAD_BYTES
  }

  #fillRegistrations(): void {
    const { forwarding } = this.#host
    if (forwarding.origin === ZERO) this.#register(forwarding.registration)
    while (this.#hasRoom()) {
      const registration = this.#inbox.takeRegistration()
      if (registration === undefined) return
      this.#register(registration)
    }
  }

  /** Before anything that a machine applies. */
  #fillDeclaration(): void {
    if (!this.#undeclared || !this.#hasRoom()) return
    this.#undeclared = false
    this.#add(ZERO, 0, 0, SHELL_MACHINE, KIND_CHANGE, encodeDeclaration(this.#host.machines))
  }

  /** A nonce that is in the table, or proposed, makes no second entry. */
  #register(registration: Registration): void {
    if (this.#table.byNonce(registration.nonce) !== undefined || !this.#hasRoom()) return
    const zxid = this.#add(ZERO, 0, 0, SHELL_MACHINE, KIND_CHANGE, encodeRegistration(registration))
    this.#table.register(zxid, registration.storeId, registration.nonce)
  }

  /** An origin with a live connection is not silent, and neither are we. */
  #watchSilence(): void {
    const { links, forwarding, retireOriginTicks } = this.#host
    for (const { origin, storeId } of this.#table.rows()) {
      const ticks = storeId === forwarding.registration.storeId || links.hasStore(storeId) ? 0 : (this.#silentTicks.get(origin) ?? 0) + 1
      this.#silentTicks.set(origin, ticks)
      if (ticks === retireOriginTicks) this.#silent.push(origin)
    }
  }

  #fillRetirements(): void {
    while (this.#silent.length > 0 && this.#hasRoom()) {
      const origin = this.#silent.shift()!
      const isSilent = (this.#silentTicks.get(origin) ?? 0) >= this.#host.retireOriginTicks
      this.#silentTicks.delete(origin)
      if (!isSilent || this.#table.get(origin) === undefined) continue
      this.#add(ZERO, 0, 0, SHELL_MACHINE, KIND_CHANGE, encodeRetirement(origin))
      this.#table.retire(origin)
    }
  }

  /** What an origin that asks nothing has confirmed. False: there is no room for it now. */
  #confirm(origin: Zxid, confirmed: number): boolean {
    const row = this.#table.get(origin)
    if (row === undefined || Math.min(confirmed, row.last) <= row.confirmed) return true
    if (!this.#hasRoom()) return false
    row.confirmed = Math.min(confirmed, row.last)
    this.#add(ZERO, 0, 0, SHELL_MACHINE, KIND_CHANGE, encodeConfirmation({ origin, confirmed: row.confirmed }))
    return true
  }

  #fillOwn(): void {
    let taken = 0
    while (taken < this.#own.length && this.#hasRoom()) {
      const { machine, payload } = this.#own[taken++]!
      this.#propose(ZERO, 0, 0, machine, payload)
    }
    if (taken > 0) this.#own = this.#own.slice(taken)
  }

  #fillOurs(): void {
    const { forwarding } = this.#host
    const row = this.#table.get(forwarding.origin)
    if (row === undefined) return
    const { confirmed } = forwarding
    while (this.#hasRoom()) {
      const slot = forwarding.request(row.last + 1)
      if (slot === null) break
      row.last++
      forwarding.onProposed(row.last)
      row.confirmed = Math.max(row.confirmed, confirmed)
      this.#propose(row.origin, row.last, row.last - row.confirmed, slot.machine, slot.payload)
    }
    if (forwarding.confirmDue) this.#confirm(row.origin, confirmed)
  }

  #fillInbox(): void {
    this.#inbox.drain((received) => this.#admit(received))
    this.#inbox.takeDropped((origin, from, connection) => {
      // What was dropped may have been the answer to the last question.
      this.#askedFor.delete(origin)
      this.#askAgain(origin, from, connection)
    })
  }

  /** False: there is no room for the rest of it now. */
  #admit(received: Received): boolean {
    const { from, connection, message } = received
    const { origin, first, requests } = message
    const row = this.#table.get(origin)
    if (row === undefined) {
      this.#host.links.post({ to: from, connection, message: { kind: 'RETIRED', origin } })
      return true
    }
    if (requests.length === 0) return this.#confirm(origin, message.confirmed)
    for (; received.next < requests.length; received.next++) {
      const sequence = first + received.next
      if (sequence <= row.last) continue
      const confirmed = Math.max(row.confirmed, Math.min(message.confirmed, row.last))
      if (sequence !== row.last + 1 || sequence - confirmed > this.#host.originWindow) {
        this.#askAgain(origin, from, connection)
        return true
      }
      if (!this.#hasRoom()) return false
      const { machine, payload } = requests[received.next]!
      row.last = sequence
      row.confirmed = confirmed
      this.#propose(origin, sequence, sequence - confirmed, machine, payload)
    }
    return true
  }

  #askAgain(origin: Zxid, from: PeerId, connection: number): void {
    const row = this.#table.get(origin)
    if (row === undefined) return
    const next = row.last + 1
    const asked = this.#askedFor.get(origin)
    if (asked !== undefined && asked.next === next && asked.connection === connection) return
    this.#askedFor.set(origin, { next, connection })
    this.#host.links.post({ to: from, connection, message: { kind: 'RESEND', origin, next } })
  }

  /** Prepared, and with that proposed: as a change, or as the refusal that stands in its place. */
  #propose(origin: Zxid, sequence: number, pending: number, number: number, request: Uint8Array): void {
    const { machine } = this.#host.machines[number - 1]!
    const { changeBytesMax } = this.#host
    let change: Uint8Array = request
    let kind = KIND_CHANGE
    if (machine.prepare !== undefined) {
      this.#context.zxid = this.#builder.next
      try {
        change = machine.prepare(request, this.#context)
        if (!(change instanceof Uint8Array)) throw new TypeError('prepare did not return bytes')
      } catch (thrown) {
        change = encodeRefusal(thrown)
        kind = KIND_REFUSAL
      }
    }
    if (kind === KIND_CHANGE && change.length > changeBytesMax) {
      if (machine.prepare !== undefined) machine.unprepare?.()
      change = encodeTooLarge(change.length, changeBytesMax)
      kind = KIND_REFUSAL
    }
    // Nobody waits for the answer to what the reign asked by itself: a refusal of it needs no entry.
    if (kind === KIND_REFUSAL && origin === ZERO) return
    this.#add(origin, sequence, pending, number, kind, change)
  }

  #add(origin: Zxid, sequence: number, pending: number, machine: number, kind: number, payload: Uint8Array): Zxid {
    const head = this.#head
    head.origin = origin
    head.sequence = sequence
    head.pending = pending
    head.machine = machine
    head.kind = kind
    return this.#builder.add(head, payload)
  }
}
