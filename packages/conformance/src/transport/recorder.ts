import type { AntiphonError, Lane, PeerId, Transport, TransportHandler } from '@antiphon/ports'
import { ConformanceError, deferred, equalBytes, fail, within } from '../suite.ts'

export interface Frame {
  readonly connection: number
  readonly lane: Lane
  /** As it was handed over: the adapter must never write there again. */
  readonly bytes: Uint8Array
}

/** The shell's side of a transport: notes everything, and every breach of the order in which things may be told. */
export class Recorder implements TransportHandler {
  readonly self: PeerId
  /** Live connection per peer. */
  readonly live: Map<PeerId, number> = new Map()
  readonly greetings: Map<PeerId, Uint8Array> = new Map()
  readonly troubles: { readonly error: AntiphonError; readonly peer: PeerId | null }[] = []
  readonly drains: { readonly peer: PeerId; readonly connection: number }[] = []
  readonly ends: { readonly peer: PeerId; readonly connection: number }[] = []
  /** What `up` answers; a case may refuse. */
  admit: (peer: PeerId) => boolean = () => true
  #frames: Map<PeerId, Frame[]> = new Map()
  #copies: { readonly given: Uint8Array; readonly copy: Uint8Array }[] = []
  #breaches: string[] = []
  #waiting: { readonly condition: () => boolean; readonly resolve: () => void }[] = []
  #numbers: Map<PeerId, number> = new Map()
  #sending = false
  #closed = false

  constructor(self: PeerId) {
    this.self = self
  }

  up(peer: PeerId, connection: number, greeting: Uint8Array): boolean {
    this.#note('up', peer)
    if (this.live.has(peer)) this.#breach(`up(${peer}) while connection ${this.live.get(peer)} to it is live`)
    if (connection <= (this.#numbers.get(peer) ?? 0)) this.#breach(`connection number ${connection} for peer ${peer} after ${this.#numbers.get(peer)}`)
    this.#numbers.set(peer, connection)
    const admitted = this.admit(peer)
    if (admitted) {
      this.live.set(peer, connection)
      this.greetings.set(peer, greeting)
    }
    this.#changed()
    return admitted
  }

  frame(peer: PeerId, connection: number, lane: Lane, bytes: Uint8Array): void {
    this.#note('frame', peer)
    if (this.live.get(peer) !== connection)
      this.#breach(`a frame on connection ${connection} of peer ${peer}, of which ${this.live.get(peer) ?? 'none'} is live`)
    this.framesFrom(peer).push({ connection, lane, bytes })
    if (bytes.length <= 1 << 20) this.#copies.push({ given: bytes, copy: bytes.slice() })
    this.#changed()
  }

  drain(peer: PeerId, connection: number): void {
    this.#note('drain', peer)
    if (this.live.get(peer) !== connection) this.#breach(`drain() of connection ${connection} of peer ${peer}, which is not live`)
    this.drains.push({ peer, connection })
    this.#changed()
  }

  down(peer: PeerId, connection: number, reason: string): void {
    this.#note('down', peer)
    if (this.live.get(peer) !== connection) this.#breach(`down() of connection ${connection} of peer ${peer}, which is not live (${reason})`)
    this.live.delete(peer)
    this.ends.push({ peer, connection })
    this.#changed()
  }

  trouble(error: AntiphonError, peer: PeerId | null): void {
    this.#note('trouble', peer)
    if (typeof error?.code !== 'string' || error.remedy === '') this.#breach(`trouble() without a code or a remedy: ${String(error)}`)
    this.troubles.push({ error, peer })
    this.#changed()
  }

  framesFrom(peer: PeerId): Frame[] {
    let frames = this.#frames.get(peer)
    if (frames === undefined) {
      frames = []
      this.#frames.set(peer, frames)
    }
    return frames
  }

  /** Sends as the shell does, from inside a step: nothing may come back before `send` returns, and nothing may be thrown. */
  send(transport: Transport, to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    this.#sending = true
    try {
      const taken = transport.send(to, pieces, lane)
      if (typeof taken !== 'boolean') fail(`send() returned ${String(taken)}`)
      return taken
    } catch (cause) {
      if (cause instanceof ConformanceError) throw cause
      return fail(`send() threw: ${String(cause)}`)
    } finally {
      this.#sending = false
    }
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    if (!condition()) {
      const met = deferred<void>()
      this.#waiting.push({ condition, resolve: () => met.resolve() })
      await within(met.promise, `peer ${this.self}: ${what}`)
    }
    this.assertSound()
  }

  /** The number of the live connection to `peer`, once there is one above `after`. */
  async connected(peer: PeerId, after = 0): Promise<number> {
    await this.until(() => (this.live.get(peer) ?? 0) > after, `up(${peer})`)
    return this.live.get(peer) ?? fail('the connection went away at once')
  }

  /** Judges what was told so far, and keeps none of it. */
  forget(): void {
    this.assertSound()
    this.#frames.clear()
    this.#copies = []
    this.troubles.length = 0
    this.drains.length = 0
    this.ends.length = 0
  }

  /** From now on nothing may be told any more. */
  closed(): void {
    this.#closed = true
  }

  assertSound(): void {
    const [breach] = this.#breaches
    if (breach !== undefined) fail(`peer ${this.self} was told what it must not be told: ${breach}`)
    for (const { given, copy } of this.#copies) if (!equalBytes(given, copy)) fail(`peer ${this.self}: the memory of a delivered frame was written again`)
  }

  #note(what: string, peer: PeerId | null): void {
    if (this.#sending) this.#breach(`${what}(${peer}) from inside send()`)
    if (this.#closed) this.#breach(`${what}(${peer}) after close()`)
  }

  #breach(what: string): void {
    this.#breaches.push(what)
    this.#changed()
  }

  #changed(): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const { condition, resolve } = this.#waiting[i]!
      // Whoever waits is told of a breach at once, and not when its patience ends.
      if (!condition() && this.#breaches.length === 0) continue
      this.#waiting.splice(i, 1)
      resolve()
    }
  }
}
