import type { AntiphonError, Millis, ProposeOptions } from '@antiphon/ports'
import { aborted, closed, overloaded, requestTooLarge, resultLost, timedOut } from './errors.ts'
import { SLOT_BYTES, type Slot, Slots } from './slots.ts'
import { wrongIn } from './wait-options.ts'

export interface ProposalLimits {
  readonly requestBytesMax: number
  readonly queueBytesMax: number
}

/** A caller that chose to wait for room. It holds its own request: nothing of it is queued here. */
interface Parked {
  readonly machine: number
  readonly payload: Uint8Array
  readonly resolve: (result: unknown) => void
  readonly reject: (error: AntiphonError) => void
  readonly deadline: Millis
  readonly signal: AbortSignal | null
  onAbort: (() => void) | null
}

const WHAT = 'the proposal'

/** The edge at which a request becomes a promise: limits, timeouts, signals, and the wait for room. Everything behind it works on `slots`. */
export class Proposals {
  readonly slots: Slots = new Slots()
  readonly #limits: ProposalLimits
  readonly #monotonic: () => Millis
  /** Something new waits for its number. */
  readonly #onWaiting: () => void
  readonly #parked: Parked[] = []
  #closed: AntiphonError | 'closed' | null = null
  #slot: Slot | null = null
  // One executor for all promises: a closure for each would be allocated a million times a second.
  readonly #executor = (resolve: (result: unknown) => void, reject: (error: AntiphonError) => void): void => {
    const slot = this.#slot!
    slot.resolve = resolve
    slot.reject = reject
  }

  constructor(limits: ProposalLimits, monotonic: () => Millis, onWaiting: () => void) {
    this.#limits = limits
    this.#monotonic = monotonic
    this.#onWaiting = onWaiting
  }

  get parked(): number {
    return this.#parked.length
  }

  propose(machine: number, payload: Uint8Array, options: ProposeOptions | undefined): Promise<unknown> {
    const { requestBytesMax, queueBytesMax } = this.#limits
    if (this.#closed !== null) return Promise.reject(this.#closedError('rejected'))
    if (payload.length > requestBytesMax) return Promise.reject(requestTooLarge(payload.length, requestBytesMax))
    const wrong = options === undefined ? null : wrongIn(options)
    if (wrong !== null) return Promise.reject(wrong)
    const signal = options?.signal ?? null
    const timeoutMs = options?.timeoutMs
    if (signal?.aborted === true) return Promise.reject(aborted('rejected', WHAT, signal.reason))
    const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#monotonic() + timeoutMs
    if (!this.#hasRoom(payload) || this.#parked.length > 0) {
      if (options?.whenFull !== 'wait') return Promise.reject(overloaded(this.slots.bytes, queueBytesMax))
      return this.#park(machine, payload, deadline, signal)
    }
    const slot = this.slots.take(machine, payload, deadline)
    this.#slot = slot
    const promise = new Promise(this.#executor)
    if (signal !== null) this.#listen(slot, signal)
    this.#onWaiting()
    return promise
  }

  /** Slots were freed: those that wait for room come in, in their order. */
  admitParked(): void {
    if (this.#parked.length === 0) return
    let admitted = 0
    for (const parked of this.#parked) {
      if (!this.#hasRoom(parked.payload)) break
      admitted++
      this.#unlisten(parked)
      const slot = this.slots.take(parked.machine, parked.payload, parked.deadline)
      slot.resolve = parked.resolve
      slot.reject = parked.reject
      if (parked.signal !== null) this.#listen(slot, parked.signal)
    }
    if (admitted === 0) return
    this.#parked.splice(0, admitted)
    this.#onWaiting()
  }

  /** Once a tick. */
  expire(): void {
    const now = this.#monotonic()
    this.slots.expire(now, this.#expireSlot)
    for (const parked of this.#parked.filter((one) => one.deadline <= now)) this.#unpark(parked, timedOut('rejected', WHAT))
    this.admitParked()
  }

  /** Numbers up to `upTo` have gone by, and what became of them cannot be told. */
  lose(upTo: number, why: string): void {
    this.slots.forEach((slot) => {
      if (slot.sequence !== 0 && slot.sequence <= upTo) this.slots.reject(slot, resultLost(why))
    })
    this.slots.settleUpTo(upTo)
    this.admitParked()
  }

  /** Everything pending ends; nothing is taken any more. `cause`: the fault that stopped the replica. */
  close(cause: AntiphonError | null): void {
    if (this.#closed !== null) return
    this.#closed = cause ?? 'closed'
    this.slots.forEach((slot) => this.slots.reject(slot, this.#closedError(slot.sequence === 0 ? 'rejected' : 'unknown')))
    for (const parked of [...this.#parked]) this.#unpark(parked, this.#closedError('rejected'))
  }

  readonly #expireSlot = (slot: Slot): void => {
    this.slots.reject(slot, timedOut(slot.sequence === 0 ? 'rejected' : 'unknown', WHAT))
  }

  #hasRoom(payload: Uint8Array): boolean {
    return this.slots.bytes + payload.length + SLOT_BYTES <= this.#limits.queueBytesMax || this.slots.length === 0
  }

  #listen(slot: Slot, signal: AbortSignal): void {
    slot.signal = signal
    slot.onAbort = () => {
      this.slots.reject(slot, aborted(slot.sequence === 0 ? 'rejected' : 'unknown', WHAT, signal.reason))
      this.admitParked()
    }
    signal.addEventListener('abort', slot.onAbort, { once: true })
  }

  #park(machine: number, payload: Uint8Array, deadline: Millis, signal: AbortSignal | null): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const parked: Parked = { machine, payload, resolve, reject, deadline, signal, onAbort: null }
      this.#parked.push(parked)
      if (signal === null) return
      parked.onAbort = () => this.#unpark(parked, aborted('rejected', WHAT, signal.reason))
      signal.addEventListener('abort', parked.onAbort, { once: true })
    })
  }

  #unpark(parked: Parked, error: AntiphonError): void {
    const index = this.#parked.indexOf(parked)
    if (index < 0) return
    this.#parked.splice(index, 1)
    this.#unlisten(parked)
    parked.reject(error)
  }

  #unlisten(parked: Parked): void {
    if (parked.signal !== null && parked.onAbort !== null) parked.signal.removeEventListener('abort', parked.onAbort)
  }

  #closedError(outcome: 'rejected' | 'unknown'): AntiphonError {
    return closed(outcome, this.#closed === 'closed' ? null : this.#closed)
  }
}
