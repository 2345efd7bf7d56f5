import {
  type Address,
  AntiphonError,
  GREETING_BYTES_MAX,
  invalidArgument,
  type Lane,
  type PeerId,
  type Transport,
  type TransportHandler,
} from '@antiphon/ports'
import { Guard } from './guard.ts'
import type { Pipe } from './pipe.ts'
import type { Dial, LinkSettings } from './settings.ts'
import { Switchboard } from './switchboard.ts'

/** Where others come in. */
export interface Door {
  /** From then on each pipe that comes in is told; what strangers do wrong goes to `trouble`. Once; again after it failed. @throws AntiphonError */
  open(enter: (pipe: Pipe) => void, trouble: (error: AntiphonError) => void): Promise<void>
  /** Nobody comes in any more; resolves when nothing of it is left but pipes that came in. Also while it opens, or before. */
  close(): Promise<void>
}

/** A transport over pipes: those that it dials, and those that come in by its door, if it has one. */
export class ConnectedTransport implements Transport {
  readonly #settings: LinkSettings
  readonly #dial: Dial
  readonly #door: Door | null
  #state: 'idle' | 'starting' | 'started' | 'closed' = 'idle'
  #guard: Guard | null = null
  #switchboard: Switchboard | null = null
  /** What was set before `start`. */
  #peers: ReadonlyMap<PeerId, Address> | null = null
  #opening: Promise<unknown> | null = null
  #ended: Promise<void> | null = null

  constructor(settings: LinkSettings, dial: Dial, door: Door | null) {
    this.#settings = settings
    this.#dial = dial
    this.#door = door
  }

  protected get isStarted(): boolean {
    return this.#state === 'started'
  }

  async start(self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void> {
    if (this.#state !== 'idle') throw alreadyUsed()
    if (greeting.length > GREETING_BYTES_MAX) throw invalidArgument(`a greeting of ${greeting.length} bytes is longer than ${GREETING_BYTES_MAX}`)
    const guard = new Guard(handler, this.#settings.clock)
    const switchboard = new Switchboard(self, greeting.slice(), guard, this.#settings, this.#dial)
    this.#state = 'starting'
    this.#guard = guard
    this.#switchboard = switchboard
    const opening = this.#door?.open(
      (pipe) => switchboard.incoming(pipe),
      (error) => guard.strangersTrouble(error, null),
    )
    this.#opening = opening?.catch(() => undefined) ?? null
    try {
      await opening
    } catch (error) {
      if (!this.#isClosed) this.#state = 'idle'
      throw this.#isClosed ? alreadyUsed() : error
    }
    if (this.#isClosed) throw alreadyUsed()
    this.#state = 'started'
    if (this.#peers !== null) switchboard.setPeers(this.#peers)
  }

  /** A function, because `close` may come while `start` waits. */
  get #isClosed(): boolean {
    return this.#state === 'closed'
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    if (this.#isClosed) return
    if (this.#state === 'started') this.#switchboard?.setPeers(peers)
    else this.#peers = new Map(peers)
  }

  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    return this.#switchboard?.send(to, pieces, lane) ?? false
  }

  disconnect(peer: PeerId, connection: number): void {
    this.#switchboard?.disconnect(peer, connection)
  }

  close(): Promise<void> {
    this.#ended ??= this.#close()
    return this.#ended
  }

  async #close(): Promise<void> {
    this.#state = 'closed'
    this.#guard?.silence()
    await this.#opening
    const doorClosed = this.#door?.close()
    await this.#switchboard?.close()
    await doorClosed
  }
}

function alreadyUsed(): AntiphonError {
  return new AntiphonError('CLOSED', 'the transport was started or closed before', { remedy: 'Make a new transport for each start.' })
}
