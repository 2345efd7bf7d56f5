import type { AntiphonError, Millis, Zxid } from '@antiphon/ports'
import { aborted, closed, timedOut, tooManyReads } from './errors.ts'
import { type WaitOptions, wrongIn } from './wait-options.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: AntiphonError) => void
  readonly deadline: Millis
  readonly signal: AbortSignal | null
  readonly onAbort: (() => void) | null
  done: boolean
}

/** Those who asked in one turn of the loop, and share one question to the core. */
type Batch = Waiter[]

const WHAT = 'the linearizable read'
/** A waiting read takes some 500 bytes. */
const WAITING_MAX = 100_000

/**
 * Linearizable reads (rule 23): each batch has a number at the core, then a read point, and is answered once that point is applied here. What is not granted is asked again.
 *
 * A read takes effect at a moment between its call and its answer: when the round was sent, or with leases when the clock was read for the step that granted it. The core asks for its clock behind
 * the call, in the step itself, and a grant does not age: a process that stands still anywhere behind that step, even between the answer and its caller, has still read the state of that moment or a
 * later one. One that stands still before it finds the lease run out.
 */
export class Reads {
  readonly #monotonic: () => Millis
  readonly #onWaiting: () => void
  #gathering: Batch = []
  readonly #asked = new Map<number, Batch>()
  readonly #granted: { readonly zxid: Zxid; readonly batch: Batch }[] = []
  #nextNumber = 1
  #waiting = 0
  #closed: AntiphonError | 'closed' | null = null

  constructor(monotonic: () => Millis, onWaiting: () => void) {
    this.#monotonic = monotonic
    this.#onWaiting = onWaiting
  }

  read(options: WaitOptions): Promise<void> {
    if (this.#closed !== null) return Promise.reject(closed('rejected', this.#closed === 'closed' ? null : this.#closed))
    const wrong = wrongIn(options)
    if (wrong !== null) return Promise.reject(wrong)
    const { signal, timeoutMs } = options
    if (signal?.aborted === true) return Promise.reject(aborted('rejected', WHAT, signal.reason))
    if (this.#waiting >= WAITING_MAX) return Promise.reject(tooManyReads(WAITING_MAX))
    this.#waiting++
    return new Promise((resolve, reject) => {
      const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#monotonic() + timeoutMs
      const onAbort = signal === undefined ? null : (): void => this.#settle(waiter, aborted('rejected', WHAT, signal.reason))
      const waiter: Waiter = { resolve, reject, deadline, signal: signal ?? null, onAbort, done: false }
      if (onAbort !== null) signal?.addEventListener('abort', onAbort, { once: true })
      this.#gathering.push(waiter)
      this.#onWaiting()
    })
  }

  /** The number under which those who wait ask the core; null when nobody does. */
  ask(): number | null {
    const batch = this.#gathering.filter((waiter) => !waiter.done)
    this.#gathering = []
    if (batch.length === 0) return null
    const number = this.#nextNumber++
    this.#asked.set(number, batch)
    return number
  }

  /** `zxid: null`: not granted; those of the batch ask again (`askAgain`). */
  grant(number: number, zxid: Zxid | null): void {
    const batch = this.#asked.get(number)
    if (batch === undefined) return
    this.#asked.delete(number)
    if (zxid === null) this.#gathering.push(...batch)
    else this.#granted.push({ zxid, batch })
  }

  /** True when somebody waits for an answer that was not granted. */
  get hasWaiting(): boolean {
    return this.#gathering.length > 0
  }

  /** Everything up to `applied` is in the machines. */
  applied(applied: Zxid): void {
    if (this.#granted.length === 0) return
    let kept = 0
    for (const grant of this.#granted) {
      if (grant.zxid > applied) this.#granted[kept++] = grant
      else for (const waiter of grant.batch) this.#settle(waiter, null)
    }
    this.#granted.length = kept
  }

  /** Once a tick. */
  expire(): void {
    const now = this.#monotonic()
    this.#forEach((waiter) => {
      if (waiter.deadline <= now) this.#settle(waiter, timedOut('rejected', WHAT))
    })
  }

  close(cause: AntiphonError | null): void {
    if (this.#closed !== null) return
    this.#closed = cause ?? 'closed'
    this.#forEach((waiter) => this.#settle(waiter, closed('rejected', cause)))
    this.#gathering = []
    this.#asked.clear()
    this.#granted.length = 0
  }

  #forEach(visit: (waiter: Waiter) => void): void {
    for (const waiter of this.#gathering) visit(waiter)
    for (const batch of this.#asked.values()) for (const waiter of batch) visit(waiter)
    for (const { batch } of this.#granted) for (const waiter of batch) visit(waiter)
  }

  #settle(waiter: Waiter, error: AntiphonError | null): void {
    if (waiter.done) return
    waiter.done = true
    this.#waiting--
    if (waiter.onAbort !== null) waiter.signal?.removeEventListener('abort', waiter.onAbort)
    if (error === null) waiter.resolve()
    else waiter.reject(error)
  }
}
