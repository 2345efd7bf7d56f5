import { type AntiphonError, type Clock, invalidArgument, type Millis, type Random, ZERO, type Zxid } from '@antiphon/ports'
import { type Acl, type Identity, type SessionId, type WriteOperation, type ZnodeResult, type ZnodeTree, znodeError } from '@antiphon/znode-tree'
import { TypedEmitter } from 'tiny-typed-emitter'
import { Deliveries } from './deliveries.ts'
import { closed, expired, moved, unsound } from './errors.ts'
import type { Guest, Host } from './host.ts'
import { Lifecycle } from './lifecycle.ts'
import { within } from './limits.ts'
import { unexpected } from './operations.ts'
import type { CallOptions, ReadOptions, SessionEvents, SessionState } from './types.ts'
import type { SessionWatch, WatchHost } from './watch.ts'

export interface Holding {
  readonly id: SessionId
  readonly password: Uint8Array
  readonly timeoutMs: Millis
  /** ZERO: known on this replica alone. */
  readonly attachment: Zxid
}

const READ = 1

/** What all views of one session share: its identity, its order, its watches, its end. */
export class SessionCore implements WatchHost, Guest {
  readonly id: SessionId
  readonly timeoutMs: Millis
  readonly events: TypedEmitter<SessionEvents> = new TypedEmitter<SessionEvents>()
  readonly deliveries: Deliveries
  identities: readonly Identity[]
  readonly #host: Host
  readonly #clock: Clock
  readonly #lifecycle: Lifecycle
  readonly #watches = new Set<SessionWatch>()
  #password: Uint8Array
  #release: (() => void) | null = null
  #attachment: Zxid
  /** Why every call is rejected: the session is over. */
  #ended: AntiphonError | null = null
  /** All of our writes, settled; how many are not. */
  #lastWrite: Promise<unknown> = Promise.resolve()
  #writes = 0
  /** Of a local session from its first ephemeral node on: writes wait for it. */
  #upgrade: Promise<void> | null = null

  constructor(host: Host, holding: Holding, identities: readonly Identity[], clock: Clock) {
    this.#host = host
    this.#clock = clock
    this.id = holding.id
    this.#password = holding.password
    this.timeoutMs = holding.timeoutMs
    this.#attachment = holding.attachment
    this.identities = identities
    this.deliveries = new Deliveries(host.slices(clock), (error) => this.#trouble(error))
    if (!this.isLocal) this.#release = this.tree.hold(this.id)
    host.join(this)
    this.#lifecycle = new Lifecycle({
      clock,
      host,
      timeoutMs: this.timeoutMs,
      isAlive: () => this.#isAlive(),
      tell: (event) => this.#tell(event),
      lost: () => this.#end('expired', expired()),
    })
  }

  get tree(): ZnodeTree {
    return this.#host.tree
  }

  get password(): Uint8Array {
    return this.#password
  }

  get state(): SessionState {
    return this.#lifecycle.state
  }

  get isLocal(): boolean {
    return this.#attachment === ZERO
  }

  // What it does

  /** In the order of the calls. */
  write(operation: WriteOperation, options: CallOptions = {}): Promise<ZnodeResult> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    if (this.isLocal && this.#upgrade === null && makesEphemeral(operation)) this.#upgrade = this.#makeGlobal()
    const propose = (): Promise<ZnodeResult> =>
      this.#host.propose(
        { kind: 'write', session: this.id, attachment: this.#attachment, local: this.isLocal, identities: this.identities, operation },
        options,
      )
    return this.#track(this.#upgrade === null ? propose() : this.#upgrade.then(propose))
  }

  /** Behind it the tree can be read, in the same turn. */
  async read({ level = 'local', ...limits }: ReadOptions = {}): Promise<void> {
    if (this.#ended !== null) throw this.#ended
    const state = this.#host.read(level, limits)
    if (this.#writes > 0) await Promise.all([state, within(this.#lastWrite, limits, this.#clock)])
    else await state
    for (let told = this.deliveries.toldAll; told !== null; told = this.deliveries.toldAll) await within(told, limits, this.#clock)
    if (this.#ended !== null) throw this.#ended
    this.deliveries.flush()
  }

  /** A result, behind the events that it is behind. */
  behindEvents<T>(result: T): T | Promise<T> {
    return this.deliveries.toldAll?.then(() => this.behindEvents(result)) ?? result
  }

  expectOpen(): void {
    if (this.#ended !== null) throw this.#ended
  }

  /** May what is applied here be read as it is? */
  expectSound(): void {
    this.expectOpen()
    if (this.#host.isVoid) throw unsound()
  }

  async addAuth(scheme: string, credential: Uint8Array): Promise<void> {
    this.expectOpen()
    const shown = this.tree.authenticate(scheme, credential)
    const isKnown = ({ scheme: other, id }: Identity): boolean => this.identities.some((identity) => identity.scheme === other && identity.id === id)
    this.identities = [...this.identities, ...shown.filter((identity) => !isKnown(identity))]
  }

  register(watch: SessionWatch): void {
    this.expectOpen()
    this.#watches.add(watch)
    this.tree.watches.add(watch, watch.target, watch.kind)
  }

  forget(watch: SessionWatch): void {
    if (this.#watches.delete(watch)) this.tree.watches.drop(watch)
  }

  mayRead(acl: readonly Acl[]): boolean {
    return this.tree.permits(acl, READ, this.identities)
  }

  close(options: CallOptions = {}): Promise<void> {
    if (this.#ended !== null) return this.#lastWrite.then(() => undefined)
    const closing =
      this.isLocal && this.#upgrade === null
        ? this.#lastWrite
        : (this.#upgrade ?? Promise.resolve()).then(() => this.#host.propose({ kind: 'closeSession', session: this.id, attachment: this.#attachment }, options))
    const tracked = this.#track(closing)
    this.#end('closed', closed())
    return tracked.then(
      () => undefined,
      (error: AntiphonError) => {
        // It is gone: that was wanted.
        if (error.code !== 'REFUSED' && error.code !== 'CLOSED') throw error
      },
    )
  }

  // What is applied: as the tree tells it, in the midst of `apply`

  closed(reason: 'closed' | 'expired'): void {
    this.deliveries.add(() => (reason === 'expired' ? this.#end('expired', expired()) : this.#end('closed', closed())))
  }

  moved(): void {
    if (this.tree.session(this.id)?.attachment !== this.#attachment) this.deliveries.add(() => this.#end('closed', moved()))
  }

  restored(): void {
    if (this.#isAlive()) return
    const isMoved = this.tree.session(this.id) !== null
    this.deliveries.add(() => (isMoved ? this.#end('closed', moved()) : this.#end('expired', expired())))
  }

  // What its replica tells

  replicaClosed(): void {
    this.#end('closed', closed(this.#host.replica.status().fault ?? undefined))
  }

  // Inside

  #isAlive(): boolean {
    return this.isLocal || this.tree.session(this.id)?.attachment === this.#attachment
  }

  async #makeGlobal(): Promise<void> {
    try {
      const { peer, timeoutMs } = { peer: this.#host.replica.id, timeoutMs: this.timeoutMs }
      const result = await this.#host.propose({ kind: 'createSession', peer, timeoutMs, id: this.id })
      if (result.type === 'error') throw znodeError(result.error, null, 'there is another session with the id of this local one')
      if (result.type !== 'session') throw unexpected(result)
      this.#attachment = result.zxid
      this.#password = result.password
      if (this.#ended === null) this.#release = this.tree.hold(this.id)
    } catch (error) {
      this.#upgrade = null
      throw error
    }
  }

  #track<T>(write: Promise<T>): Promise<T> {
    this.#writes++
    const settled = (): void => {
      this.#writes--
    }
    // One that was given up settles before those that stand in front of it.
    const before = this.#lastWrite
    this.#lastWrite = write.then(settled, settled).then(() => before)
    return write
  }

  #end(state: 'expired' | 'closed', error: AntiphonError): void {
    if (this.#ended !== null) return
    this.#ended = error
    this.#lifecycle.end(state)
    this.#release?.()
    this.#host.part(this)
    for (const watch of this.#watches) {
      this.tree.watches.drop(watch)
      watch.finish(error.code === 'CLOSED' && error.cause === undefined ? null : error)
    }
    this.#watches.clear()
    this.#tell(state)
  }

  #tell(event: Exclude<keyof SessionEvents, 'trouble'>): void {
    this.deliveries.add(() => {
      for (const listener of this.events.rawListeners(event)) this.deliveries.guard(() => (listener as () => void).call(this.events))
    })
  }

  /** A listener of this that throws has nobody left to tell. */
  #trouble(error: AntiphonError): void {
    for (const listener of this.events.rawListeners('trouble')) {
      try {
        ;(listener as (error: AntiphonError) => void).call(this.events, error)
      } catch {}
    }
  }
}

function makesEphemeral(operation: WriteOperation): boolean {
  if (operation.type === 'multi') return operation.operations.some((part) => part.type === 'create' && part.mode.startsWith('ephemeral'))
  return operation.type === 'create' && operation.mode.startsWith('ephemeral')
}

/** An id that nobody else draws: the member in the highest byte, as of every session. */
export function localSessionId(peer: number, random: Random): SessionId {
  if (!Number.isInteger(peer) || peer < 0 || peer > 255) throw invalidArgument(`${peer} is no member's id`)
  return (BigInt(peer) << 56n) | (BigInt(random.uint32() & 0xffffff) << 32n) | BigInt(random.uint32())
}
