import type { Millis } from '@antiphon/ports'
import type { Session } from './session-table.ts'

/** Of a session that is not armed: the leader has it closed, or nobody leads. */
export const UNARMED = 0

/**
 * When sessions expire, on the leader. In buckets, as in ZooKeeper: a session that was touched now expires at `(now + timeout) / bucket * bucket + bucket`, that is up to one bucket late.
 *
 * `now` is not the clock's. A leader that stood still for long has heard nobody in the meantime, and touches wait in its sockets: a late tick moves `now` by a bounded step only, so that what waits
 * is heard before anybody expires for it (rule 25).
 */
export class SessionExpiry {
  readonly #bucketMs: Millis
  readonly #stepMsMax: Millis
  readonly #buckets = new Map<Millis, Set<Session>>()
  /** The earliest bucket that there may be. */
  #next: Millis = 0
  #now: Millis = 0
  #heardAt: Millis = 0
  #armed = false

  constructor(sessionTimeoutMsMin: Millis) {
    this.#bucketMs = Math.max(1, Math.floor(sessionTimeoutMsMin / 2))
    this.#stepMsMax = Math.max(1, sessionTimeoutMsMin / 4)
  }

  /** A reign begins: every session has its whole timeout before it. */
  begin(sessions: Iterable<Session>, monotonic: Millis): void {
    this.#buckets.clear()
    this.#armed = true
    this.#now = 0
    this.#next = this.#bucketMs
    this.#heardAt = monotonic
    for (const session of sessions) {
      // What an earlier reign has left there.
      session.bucket = UNARMED
      this.#move(session)
    }
  }

  end(): void {
    this.#armed = false
    this.#buckets.clear()
  }

  /** A session that is new, or was taken over: also one that had expired, and lives on if it is not being closed yet. */
  arm(session: Session): void {
    if (this.#armed) this.#move(session)
  }

  /** Something was heard of it. Of one that is being closed it comes too late. */
  touch(session: Session): void {
    if (this.#armed && session.bucket !== UNARMED) this.#move(session)
  }

  remove(session: Session): void {
    if (!this.#armed || session.bucket === UNARMED) return
    this.#take(session)
  }

  /** Those that have expired. They are told once: whoever asks has them closed. */
  advance(monotonic: Millis): Session[] {
    this.#now += Math.min(Math.max(0, monotonic - this.#heardAt), this.#stepMsMax)
    this.#heardAt = monotonic
    const expired: Session[] = []
    for (; this.#next <= this.#now; this.#next += this.#bucketMs) {
      for (const session of this.#buckets.get(this.#next) ?? []) {
        session.bucket = UNARMED
        expired.push(session)
      }
      this.#buckets.delete(this.#next)
    }
    return expired
  }

  #move(session: Session): void {
    const bucket = (Math.floor((this.#now + session.timeoutMs) / this.#bucketMs) + 1) * this.#bucketMs
    if (bucket === session.bucket) return
    if (session.bucket !== UNARMED) this.#take(session)
    session.bucket = bucket
    const sessions = this.#buckets.get(bucket)
    if (sessions === undefined) this.#buckets.set(bucket, new Set([session]))
    else sessions.add(session)
  }

  #take(session: Session): void {
    const sessions = this.#buckets.get(session.bucket)
    sessions?.delete(session)
    if (sessions?.size === 0) this.#buckets.delete(session.bucket)
    session.bucket = UNARMED
  }
}
