import type { Millis } from '@antiphon/ports'
import type { Session } from './session-table.ts'

/** Of a session that is not armed: the leader has it closed, or nobody leads. */
export const UNARMED = 0
/** Of one that has expired, and whose end was not asked for yet: a word of it comes in time still. */
export const DUE = -1

/** A heartbeat may come late by half a tick, and the next one, in which a session is heard of, as well: less than so many ticks tell nothing. */
const TICKS_MIN = 4
/** A tick that comes later than that is late (rule 25), and says nothing of the sessions. */
const STEP_TICKS = 1.5

/** The shortest timeout that a leader can keep which hears of sessions once a tick. */
export function leastTimeoutMs(tickMs: Millis): Millis {
  return TICKS_MIN * tickMs
}

/**
 * When sessions expire, on the leader. In buckets, as in ZooKeeper: a session that was touched now expires at `(now + timeout) / bucket * bucket + bucket`, at the first tick from then on: never
 * early, and late by at most one bucket and one tick.
 *
 * `now` is not the clock's. A leader that stood still for long has heard nobody in the meantime, and touches wait in its sockets: a late tick moves `now` by a bounded step only, so that what waits
 * is heard before anybody expires for it (rule 25). Ticks that are merely far apart are not late, and count whole.
 */
export class SessionExpiry {
  readonly #bucketMs: Millis
  readonly #timeoutMsMin: Millis
  readonly #buckets = new Map<Millis, Set<Session>>()
  /** Armed since the last tick, at a time that is not known here: they count from the next one. */
  #fresh: Session[] = []
  #stepMsMax: Millis = 0
  #leastMs: Millis = 0
  /** The earliest bucket that there may be. */
  #next: Millis = 0
  /** As of the last tick. */
  #now: Millis = 0
  #tickedAt: Millis = 0
  #armed = false

  constructor(sessionTimeoutMsMin: Millis) {
    this.#timeoutMsMin = sessionTimeoutMsMin
    this.#bucketMs = Math.max(1, Math.floor(sessionTimeoutMsMin / 2))
  }

  /** A reign begins: every session has its whole timeout before it. */
  begin(sessions: Iterable<Session>, monotonic: Millis, tickMs: Millis): void {
    this.#buckets.clear()
    this.#fresh = []
    this.#armed = true
    this.#stepMsMax = Math.max(1, this.#timeoutMsMin / TICKS_MIN, STEP_TICKS * tickMs)
    this.#leastMs = leastTimeoutMs(tickMs)
    this.#now = 0
    this.#next = this.#bucketMs
    this.#tickedAt = monotonic
    for (const session of sessions) {
      // What an earlier reign has left there.
      session.bucket = UNARMED
      this.#move(session, 0)
    }
  }

  end(): void {
    this.#armed = false
    this.#buckets.clear()
    this.#fresh = []
  }

  /** A session that is new, or was taken over: also one that is DUE, and lives on. */
  arm(session: Session): void {
    if (!this.#armed) return
    this.#move(session, this.#now)
    this.#fresh.push(session)
  }

  /** Something was heard of it. Of one that is being closed it comes too late. */
  touch(session: Session, monotonic: Millis): void {
    if (this.#armed && session.bucket !== UNARMED) this.#move(session, this.#at(monotonic))
  }

  remove(session: Session): void {
    if (!this.#armed || session.bucket === UNARMED) return
    this.#take(session)
  }

  /** A tick: those that have expired, DUE. They are told once: whoever has them closed makes them UNARMED. */
  advance(monotonic: Millis): Session[] {
    this.#now = this.#at(monotonic)
    this.#tickedAt = monotonic
    for (const session of this.#fresh) if (session.bucket !== UNARMED) this.#move(session, this.#now)
    this.#fresh = []
    const expired: Session[] = []
    for (; this.#next <= this.#now; this.#next += this.#bucketMs) {
      for (const session of this.#buckets.get(this.#next) ?? []) {
        session.bucket = DUE
        expired.push(session)
      }
      this.#buckets.delete(this.#next)
    }
    return expired
  }

  #at(monotonic: Millis): Millis {
    return this.#now + Math.min(Math.max(0, monotonic - this.#tickedAt), this.#stepMsMax)
  }

  #move(session: Session, now: Millis): void {
    const timeoutMs = Math.max(session.timeoutMs, this.#leastMs)
    const bucket = (Math.floor((now + timeoutMs) / this.#bucketMs) + 1) * this.#bucketMs
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
