import type { Quarantine, RoleName } from '@antiphon/consensus-core'
import { AntiphonError, type Logger, type PeerId, type Zxid } from '@antiphon/ports'
import type { TypedEmitter } from 'tiny-typed-emitter'
import { messageOf } from './errors.ts'
import type { SlowFlush } from './flush-figures.ts'

export interface RoleChange {
  readonly role: RoleName
  /** Null while none is known. */
  readonly leader: PeerId | null
  readonly epoch: number
  /** False while looking, discovering and synchronising. */
  readonly active: boolean
}

export interface Progress {
  /** As known here. `applied <= committed` always. */
  readonly committed: Zxid
  readonly applied: Zxid
}

/** Listeners are called between steps of the replica, never inside one; what they throw is told as `trouble`. */
export interface ReplicaEvents {
  role(change: RoleChange): void
  /** The leader that this replica is synchronised with, itself included; null when there is none. */
  leader(leader: PeerId | null): void
  epoch(epoch: number): void
  /** At most once a turn of the event loop. */
  progress(progress: Progress): void
  /** Its state is not the quorum's (rule 28): until `rebuilt` it answers no reads, applies nothing and does not lead. */
  quarantined(quarantine: Quarantine): void
  /** It holds a sound state again, as of `zxid` and soon of everything committed. */
  rebuilt(zxid: Zxid): void
  /** A write took longer than `fsyncWarnMs` to become durable: one event for all that waited at the same time. What it was to acknowledge waited with it. */
  slowFlush(slow: SlowFlush): void
  /** Something is wrong, and the replica goes on. */
  trouble(error: AntiphonError, peer: PeerId | null): void
  /** The replica stops because of it; `closed` follows. */
  fault(error: AntiphonError): void
  closed(): void
}

type EventName = keyof ReplicaEvents

/** Gathers what happens during a step and tells it behind the step: a listener may then call anything. */
export class Announcer {
  readonly #emitter: TypedEmitter<ReplicaEvents>
  readonly #logger: Logger | null
  readonly #queue: { readonly event: EventName; readonly args: readonly unknown[] }[] = []
  #role: RoleChange | null = null
  #telling = false

  constructor(emitter: TypedEmitter<ReplicaEvents>, logger: Logger | null) {
    this.#emitter = emitter
    this.#logger = logger
  }

  role(change: RoleChange): void {
    const before = this.#role
    this.#role = change
    this.#log('info', { ...change }, 'role')
    this.#add('role', change)
    const leaderBefore = before?.active === true ? before.leader : null
    const leader = change.active ? change.leader : null
    if (leader !== leaderBefore) this.#add('leader', leader)
    if (change.epoch !== (before?.epoch ?? 0)) this.#add('epoch', change.epoch)
  }

  debug(fields: object, message: string): void {
    this.#log('debug', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#log('warn', fields, message)
  }

  /** A logger that throws loses its line, and nothing else. */
  #log(level: keyof Logger, fields: object, message: string): void {
    try {
      this.#logger?.[level](fields, message)
    } catch {
      // Whom could it be told?
    }
  }

  get wantsProgress(): boolean {
    return this.#emitter.listenerCount('progress') > 0
  }

  progress(progress: Progress): void {
    this.#add('progress', progress)
  }

  quarantined(quarantine: Quarantine): void {
    this.#log('warn', quarantine, "the state of this replica differs from the quorum's; it is being replaced")
    this.#add('quarantined', quarantine)
  }

  rebuilt(zxid: Zxid): void {
    this.#log('info', { zxid }, 'rebuilt')
    this.#add('rebuilt', zxid)
  }

  slowFlush(slow: SlowFlush): void {
    this.#log('warn', { ...slow }, 'a write took long to become durable')
    this.#add('slowFlush', slow)
  }

  trouble(error: AntiphonError, peer: PeerId | null): void {
    this.#log('warn', { code: error.code, remedy: error.remedy, peer, ...error.details }, error.message)
    this.#add('trouble', error, peer)
  }

  fault(error: AntiphonError): void {
    this.#log('error', { code: error.code, remedy: error.remedy, ...error.details }, error.message)
    this.#add('fault', error)
  }

  closed(): void {
    this.#add('closed')
  }

  /** Calls the listeners; what they cause is told in the same pass. */
  tell(): void {
    if (this.#telling || this.#queue.length === 0) return
    this.#telling = true
    for (let i = 0; i < this.#queue.length; i++) this.#call(this.#queue[i]!.event, this.#queue[i]!.args)
    this.#queue.length = 0
    this.#telling = false
  }

  #add<Event extends EventName>(event: Event, ...args: Parameters<ReplicaEvents[Event]>): void {
    if (this.#emitter.listenerCount(event) > 0) this.#queue.push({ event, args })
  }

  #call(event: EventName, args: readonly unknown[]): void {
    // Each by itself: the emitter's own `emit` would leave out those behind the one that throws. Raw ones, so that `once` takes itself off.
    for (const listener of this.#emitter.rawListeners(event)) {
      try {
        Reflect.apply(listener, this.#emitter, args)
      } catch (thrown) {
        this.#log('error', { event, error: thrown }, 'a listener threw')
        if (event !== 'trouble') this.trouble(listenerThrew(event, thrown), null)
      }
    }
  }
}

function listenerThrew(event: EventName, thrown: unknown): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', `a listener of \`${event}\` threw: ${messageOf(thrown)}`, {
    remedy: 'Catch what the listener throws; the replica went on without it.',
    cause: thrown,
  })
}
