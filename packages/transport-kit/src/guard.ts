import { AntiphonError, type Clock, type Lane, type PeerId, type TransportHandler } from '@antiphon/ports'

const BURST = 32
const PER_SECOND = 4

/** The handler as the adapter may use it: it never throws, says nothing after `silence()`, and is not flooded by what strangers do. */
export class Guard {
  #handler: TransportHandler | null
  readonly #clock: Clock
  #tokens = BURST
  #refilled: number
  #suppressed = 0

  constructor(handler: TransportHandler, clock: Clock) {
    this.#handler = handler
    this.#clock = clock
    this.#refilled = clock.monotonic()
  }

  /** The transport is closed. */
  silence(): void {
    this.#handler = null
  }

  up(peer: PeerId, connection: number, greeting: Uint8Array): boolean {
    try {
      return this.#handler?.up(peer, connection, greeting) === true
    } catch (error) {
      this.#failed('up', error, peer)
      return false
    }
  }

  /** False: the handler has failed, and what follows in this connection would follow a gap. */
  frame(peer: PeerId, connection: number, lane: Lane, bytes: Uint8Array): boolean {
    try {
      this.#handler?.frame(peer, connection, lane, bytes)
      return true
    } catch (error) {
      this.#failed('frame', error, peer)
      return false
    }
  }

  /** False: the handler has failed. */
  drain(peer: PeerId, connection: number): boolean {
    try {
      this.#handler?.drain(peer, connection)
      return true
    } catch (error) {
      this.#failed('drain', error, peer)
      return false
    }
  }

  down(peer: PeerId, connection: number, reason: string): void {
    try {
      this.#handler?.down(peer, connection, reason)
    } catch (error) {
      this.#failed('down', error, peer)
    }
  }

  trouble(error: AntiphonError, peer: PeerId | null): void {
    try {
      this.#handler?.trouble(error, peer)
    } catch {
      // There is nobody left to tell.
    }
  }

  /** What anybody can cause by connecting: told up to a rate, then counted. */
  strangersTrouble(error: AntiphonError, peer: PeerId | null): void {
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#refilled) / 1000) * PER_SECOND)
    this.#refilled = now
    if (this.#tokens < 1) {
      this.#suppressed += 1
      return
    }
    this.#tokens -= 1
    const { code, message, outcome, remedy, details } = error
    const untold = this.#suppressed
    this.#suppressed = 0
    this.trouble(untold === 0 ? error : new AntiphonError(code, `${message} (and ${untold} like it, untold)`, { outcome, remedy, details }), peer)
  }

  #failed(method: string, cause: unknown, peer: PeerId): void {
    const remedy = 'A defect in the code above the transport: please report it.'
    this.trouble(new AntiphonError('ABORTED', `the transport's handler threw in ${method}()`, { outcome: 'unknown', remedy, cause }), peer)
  }
}
