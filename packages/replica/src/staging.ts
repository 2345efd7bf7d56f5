import type { Chunk, Receive } from '@antiphon/consensus-core'
import { AntiphonError, type LogStore, type PeerId, type Zxid } from '@antiphon/ports'
import type { Links } from './links.ts'

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
  readonly receive: Receive
  readonly chunks: Chunk[] = []
  expected = 0
  /** Why the stream ends before its last chunk; null while it goes on. */
  ended: AntiphonError | null = null
  /** The core has left this transfer behind; a later one may bear the same number, for leaders number theirs each for itself. */
  abandoned = false
  #wake: (() => void) | null = null

  constructor(receive: Receive) {
    this.receive = receive
  }

  push(chunk: Chunk): void {
    if (chunk.index !== this.expected++ || this.chunks.length >= WAITING_CHUNKS_MAX) this.end('chunks came out of order, or more than were asked for')
    else this.chunks.push(chunk)
    this.#wake?.()
  }

  end(why: string): void {
    this.ended ??= new AntiphonError('ABORTED', `the transfer of a snapshot ended early: ${why}`, { remedy: 'Nothing needs to be done: it is tried again.' })
    this.#wake?.()
  }

  abandon(why: string): void {
    this.abandoned = true
    this.end(why)
  }

  wake(): void {
    this.#wake?.()
  }

  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null
        resolve()
      }
    })
  }
}

/** Takes in a leader's snapshot, chunk by chunk, into a generation that nobody sees yet (rule 14). One at a time. */
export class StagingTransfers {
  readonly #host: StagingHost
  #receiving: Receiving | null = null

  constructor(host: StagingHost) {
    this.#host = host
  }

  async start(receive: Receive): Promise<void> {
    this.#receiving?.abandon('another one has begun')
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
      if (receiving.ended === null) this.#host.trouble(error, receive.from)
    }
    if (this.#receiving === receiving) this.#receiving = null
    if (!receiving.abandoned) this.#host.staged(receive.transfer, generation, ok)
  }

  /** Rule 28: behind it our own log goes on, so that is to be durable there first. Once it is saved it counts, whatever became of the connection. */
  async #rebuild(receiving: Receiving): Promise<void> {
    const { transfer, from, meta } = receiving.receive
    let ok = false
    try {
      await this.#host.settled()
      while (this.#host.durable() < meta.zxid && receiving.ended === null) await receiving.change()
      if (receiving.ended === null) ok = await this.#host.store.saveSnapshot(meta, this.#chunks(receiving))
    } catch (error) {
      if (receiving.ended === null) this.#host.trouble(error, from)
    }
    if (this.#receiving === receiving) this.#receiving = null
    if (ok || !receiving.abandoned) this.#host.saved(transfer, ok)
  }

  /** Writes have become durable. */
  onDurable(): void {
    if (this.#receiving?.receive.rebuild === true) this.#receiving.wake()
  }

  onChunk(peer: PeerId, connection: number, chunk: Chunk): void {
    const receiving = this.#receiving
    if (receiving === null || receiving.receive.transfer !== chunk.transfer || !isOn(receiving, peer, connection)) return
    receiving.push(chunk)
  }

  onDown(peer: PeerId, connection: number): void {
    if (this.#receiving !== null && isOn(this.#receiving, peer, connection)) this.#receiving.abandon('its connection is gone')
  }

  stop(): void {
    this.#receiving?.end('the replica is closed')
  }

  async *#chunks(receiving: Receiving): AsyncGenerator<Uint8Array, void, undefined> {
    const { transfer, from, connection } = receiving.receive
    for (let stored = 0; ; stored++) {
      // Asked for the next one: the store is done with those before it.
      if (stored > 0) this.#host.links.post({ to: from, connection, message: { kind: 'STORED', transfer, chunks: stored } })
      while (receiving.chunks.length === 0 && receiving.ended === null) await receiving.change()
      if (receiving.ended !== null) throw receiving.ended
      const chunk = receiving.chunks.shift()!
      yield chunk.bytes
      if (chunk.last) return
    }
  }
}

function isOn({ receive }: Receiving, peer: PeerId, connection: number): boolean {
  return receive.from === peer && receive.connection === connection
}
