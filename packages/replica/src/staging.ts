import type { Chunk, Receive } from '@antiphon/consensus-core'
import { AntiphonError, type LogStore, type PeerId, type Zxid } from '@antiphon/ports'
import type { Links } from './links.ts'
import { Signal } from './signal.ts'

/** A sender keeps to a few chunks of credit; one that does not is no replica of ours. */
const WAITING_CHUNKS_MAX = 64

export interface StagingHost {
  readonly store: LogStore
  readonly links: Links
  staged(transfer: number, generation: number, ok: boolean): void
  /** Our own log is durable up to this ZXID. */
  durable(): Zxid
  /** No snapshot of our own is being written. */
  settled(): Promise<void>
  /** The snapshot that replaces our state is our newest one; false: it came to nothing. */
  saved(transfer: number, ok: boolean): void
  trouble(error: unknown, peer: PeerId): void
}

class Receiving {
  /** The transfer under way, or the last one, of which the connection is gone. */
  receive: Receive
  readonly chunks: Chunk[] = []
  expected = 0
  /** Why the stream ends before its last chunk; null while it goes on. */
  ended: AntiphonError | null = null
  /** The core has given it up; a later one may bear the same number, for leaders number theirs each for itself. */
  abandoned = false
  readonly signal: Signal = new Signal()

  constructor(receive: Receive) {
    this.receive = receive
  }

  push(chunk: Chunk): void {
    if (chunk.index !== this.expected++ || this.chunks.length >= WAITING_CHUNKS_MAX) this.end('chunks came out of order, or more than were asked for')
    else this.chunks.push(chunk)
    this.signal.raise()
  }

  end(why: string): void {
    this.ended ??= new AntiphonError('ABORTED', `the transfer of a snapshot ended early: ${why}`, { remedy: 'Nothing needs to be done: it is tried again.' })
    this.signal.raise()
  }
}

/**
 * Takes in a leader's snapshot, chunk by chunk, into a generation that nobody sees yet (rule 14). One at a time. When the connection is gone the store is left waiting for the next
 * chunk, until a later transfer brings it or the core gives the snapshot up.
 */
export class StagingTransfers {
  readonly #host: StagingHost
  #receiving: Receiving | null = null

  constructor(host: StagingHost) {
    this.#host = host
  }

  async start(receive: Receive): Promise<void> {
    if (receive.chunks > 0) {
      this.#resume(receive)
      return
    }
    this.#abandon('another one has begun')
    const receiving = new Receiving(receive)
    this.#receiving = receiving
    if (receive.rebuild) return this.#rebuild(receiving)
    let generation = 0
    let ok = false
    try {
      generation = await this.#host.store.stage(receive.meta, this.#chunks(receiving))
      ok = receiving.ended === null
      if (!ok) this.#host.store.discard(generation)
    } catch (error) {
      if (receiving.ended === null) this.#host.trouble(error, receiving.receive.from)
    }
    if (this.#receiving === receiving) this.#receiving = null
    if (!receiving.abandoned) this.#host.staged(receiving.receive.transfer, generation, ok)
  }

  /** The rest of what has been coming in comes by another transfer. If the store has given up meanwhile, its report is on the way. */
  #resume(receive: Receive): void {
    const receiving = this.#receiving
    if (receiving === null) return
    if (receiving.expected !== receive.chunks) receiving.end('another part of it came than was due')
    receiving.receive = receive
  }

  /** Rule 28: behind it our own log goes on, so that is to be durable there first. Once it is saved it counts, whatever became of the connection. */
  async #rebuild(receiving: Receiving): Promise<void> {
    const { transfer, from, meta } = receiving.receive
    let ok = false
    try {
      await this.#host.settled()
      while (this.#host.durable() < meta.zxid && receiving.ended === null) await receiving.signal.change()
      if (receiving.ended === null) ok = await this.#host.store.saveSnapshot(meta, this.#chunks(receiving))
    } catch (error) {
      if (receiving.ended === null) this.#host.trouble(error, from)
    }
    if (this.#receiving === receiving) this.#receiving = null
    if (ok || !receiving.abandoned) this.#host.saved(transfer, ok)
  }

  /** Writes have become durable. */
  onDurable(): void {
    if (this.#receiving?.receive.rebuild === true) this.#receiving.signal.raise()
  }

  onChunk(peer: PeerId, connection: number, chunk: Chunk): void {
    const receiving = this.#receiving
    if (receiving === null || receiving.receive.transfer !== chunk.transfer || !isOn(receiving, peer, connection)) return
    receiving.push(chunk)
  }

  /** A state that replaces ours (rule 28) is asked for anew: only what is staged goes on under another relation. */
  onDown(peer: PeerId, connection: number): void {
    const receiving = this.#receiving
    if (receiving?.receive.rebuild === true && isOn(receiving, peer, connection)) this.#abandon('its connection is gone')
  }

  abandon(transfer: number): void {
    if (this.#receiving?.receive.transfer === transfer) this.#abandon('it is needed no more')
  }

  stop(): void {
    this.#receiving?.end('the replica is closed')
  }

  #abandon(why: string): void {
    if (this.#receiving === null) return
    this.#receiving.abandoned = true
    this.#receiving.end(why)
    this.#receiving = null
  }

  async *#chunks(receiving: Receiving): AsyncGenerator<Uint8Array, void, undefined> {
    for (let stored = 0; ; stored++) {
      // Asked for the next one: the store is done with those before it.
      if (stored > 0) this.#report(receiving, stored)
      while (receiving.chunks.length === 0 && receiving.ended === null) await receiving.signal.change()
      if (receiving.ended !== null) throw receiving.ended
      const chunk = receiving.chunks.shift()!
      yield chunk.bytes
      if (chunk.last) return
    }
  }

  #report({ receive: { transfer, from, connection } }: Receiving, chunks: number): void {
    this.#host.links.post({ to: from, connection, message: { kind: 'STORED', transfer, chunks } })
  }
}

function isOn({ receive }: Receiving, peer: PeerId, connection: number): boolean {
  return receive.from === peer && receive.connection === connection
}
