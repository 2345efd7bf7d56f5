import type { Effects } from '@antiphon/consensus-core'
import type { AntiphonError, LogStore, PeerId, Zxid } from '@antiphon/ports'
import type { Links } from './links.ts'
import { SendingTransfers } from './sending.ts'
import { StagingTransfers } from './staging.ts'

export interface TransfersHost {
  readonly store: LogStore
  readonly links: Links
  /** Something that goes on by itself. */
  run(task: Promise<void>): void
  transferred(transfer: number, upTo: Zxid, ok: boolean): void
  staged(transfer: number, generation: number, ok: boolean): void
  /** The snapshot that replaces our state is our newest one; false: it came to nothing. */
  saved(transfer: number, ok: boolean): void
  /** Our own log is durable up to this ZXID. */
  durable(): Zxid
  /** No snapshot of our own is being written. */
  settled(): Promise<void>
  /** The store has failed. */
  failed(error: AntiphonError): void
  trouble(error: unknown, peer: PeerId): void
}

/** What the core wants sent to learners, and taken in from a leader. */
export class Transfers {
  readonly sending: SendingTransfers
  readonly staging: StagingTransfers
  readonly #host: TransfersHost

  constructor(host: TransfersHost) {
    const { store, links } = host
    const trouble = (error: unknown, peer: PeerId): void => host.trouble(error, peer)
    this.#host = host
    this.sending = new SendingTransfers({ store, links, transferred: (transfer, upTo, ok) => host.transferred(transfer, upTo, ok), trouble })
    this.staging = new StagingTransfers({
      store,
      links,
      staged: (transfer, generation, ok) => host.staged(transfer, generation, ok),
      durable: () => host.durable(),
      settled: () => host.settled(),
      saved: (transfer, ok) => host.saved(transfer, ok),
      trouble,
    })
  }

  /** What goes before the writes of the same effects: the generations that are needed no more, and what is behind the one that is. */
  stage(effects: Effects): void {
    const { store } = this.#host
    for (const generation of effects.discards) store.discard(generation)
    for (const transfer of effects.abandons) this.staging.abandon(transfer)
    for (const { generation, runs } of effects.stagedAppends) store.stageAppend(generation, runs, this.#onStagedAppend)
  }

  /** What goes behind their sends. */
  start(effects: Effects): void {
    for (const transfer of effects.transfers) this.#host.run(this.sending.start(transfer))
    for (const transfer of effects.cancels) this.sending.cancel(transfer)
    for (const receive of effects.receives) this.#host.run(this.staging.start(receive))
  }

  onDown(peer: PeerId, connection: number): void {
    this.sending.onDown(peer, connection)
    this.staging.onDown(peer, connection)
  }

  stop(): void {
    this.sending.stop()
    this.staging.stop()
  }

  readonly #onStagedAppend = (error: AntiphonError | null): void => {
    if (error !== null) this.#host.failed(error)
  }
}
