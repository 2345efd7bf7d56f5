import type { Message, Transfer } from '@antiphon/consensus-core'
import type { LogStore, PeerId, Snapshot, Zxid } from '@antiphon/ports'
import { AntiphonError, type Run, ZERO } from '@antiphon/ports'
import type { Links } from './links.ts'

const READ_BYTES = 1024 * 1024
/** Chunks sent and not yet reported as stored (rule 18). */
const CREDIT_CHUNKS = 4

export interface SendingHost {
  readonly store: LogStore
  readonly links: Links
  transferred(transfer: number, upTo: Zxid, ok: boolean): void
  trouble(error: unknown, peer: PeerId): void
}

class Sending {
  readonly transfer: Transfer
  stopped = false
  /** As the receiver told. */
  stored = 0
  #wake: (() => void) | null = null

  constructor(transfer: Transfer) {
    this.transfer = transfer
  }

  /** Something has changed: room in the lane, credit, or the end. */
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

/** Streams to learners what the core's memory does not hold: the log's entries, or the newest snapshot (rule 15). */
export class SendingTransfers {
  readonly #host: SendingHost
  readonly #sendings = new Map<number, Sending>()

  constructor(host: SendingHost) {
    this.#host = host
  }

  async start(transfer: Transfer): Promise<void> {
    const sending = new Sending(transfer)
    this.#sendings.set(transfer.transfer, sending)
    let ok = false
    let { upTo } = transfer
    try {
      if (transfer.mode === 'diff') {
        const reached = await this.#diff(sending)
        ok = reached !== null
        upTo = reached ?? upTo
      } else {
        ok = await this.#snap(sending)
      }
    } catch (error) {
      if (!sending.stopped) this.#host.trouble(error, transfer.to)
    }
    this.#sendings.delete(transfer.transfer)
    if (sending.stopped) return
    // Of a snapshot only the receiver can say that it has it: its RECEIVED does.
    if (!ok || transfer.mode === 'diff') this.#host.transferred(transfer.transfer, upTo, ok)
  }

  cancel(transfer: number): void {
    const sending = this.#sendings.get(transfer)
    if (sending !== undefined) this.#stop(sending)
  }

  stop(): void {
    for (const sending of this.#sendings.values()) this.#stop(sending)
  }

  onDown(peer: PeerId, connection: number): void {
    for (const sending of this.#sendings.values()) if (isOn(sending, peer, connection)) this.#stop(sending)
  }

  onDrain(peer: PeerId, connection: number): void {
    for (const sending of this.#sendings.values()) if (isOn(sending, peer, connection)) sending.wake()
  }

  onStored(peer: PeerId, connection: number, transfer: number, chunks: number): void {
    const sending = this.#sendings.get(transfer)
    if (sending === undefined || !isOn(sending, peer, connection)) return
    sending.stored = Math.max(sending.stored, chunks)
    sending.wake()
  }

  #stop(sending: Sending): void {
    sending.stopped = true
    sending.wake()
  }

  /** How far it came; null when it is over before its end. */
  async #diff(sending: Sending): Promise<Zxid | null> {
    const { epoch, upTo, bytesMax } = sending.transfer
    let { after } = sending.transfer
    let bytes = 0
    while (after < upTo && bytes < bytesMax) {
      const runs = await this.#read(after, upTo, Math.min(READ_BYTES, bytesMax - bytes))
      if (runs.length === 0) return null
      for (const run of runs) {
        if (!(await this.#send(sending, { kind: 'PROPOSE', epoch, committed: ZERO, run }))) return null
        after = run.last
        bytes += run.bytes.length
      }
    }
    return sending.stopped ? null : after
  }

  /** None when compaction has overtaken the transfer: the learner comes again, and gets a snapshot. */
  async #read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    try {
      return await this.#host.store.read(after, upTo, bytesMax)
    } catch (error) {
      if (error instanceof AntiphonError && error.code === 'INVALID_ARGUMENT') return []
      throw error
    }
  }

  async #snap(sending: Sending): Promise<boolean> {
    const snapshot = await this.#host.store.openSnapshot()
    if (snapshot === null) return false
    try {
      return await this.#chunks(sending, snapshot)
    } finally {
      await snapshot.close()
    }
  }

  async #chunks(sending: Sending, snapshot: Snapshot): Promise<boolean> {
    const { transfer, epoch } = sending.transfer
    if (!(await this.#send(sending, { kind: 'SNAP', epoch, transfer, meta: snapshot.meta }))) return false
    let index = 0
    let held: Uint8Array | null = null
    for await (const bytes of snapshot.chunks()) {
      if (held !== null && !(await this.#send(sending, { kind: 'CHUNK', transfer, index: index++, last: false, bytes: held }))) return false
      held = bytes
      while (index - sending.stored >= CREDIT_CHUNKS && !sending.stopped) await sending.change()
    }
    return held !== null && (await this.#send(sending, { kind: 'CHUNK', transfer, index, last: true, bytes: held }))
  }

  /** False: the transfer is over. */
  async #send(sending: Sending, message: Message): Promise<boolean> {
    const { to, connection } = sending.transfer
    while (!sending.stopped && !this.#host.links.offer(to, connection, message)) {
      if (!this.#host.links.isLive(to, connection)) return false
      await sending.change()
    }
    return !sending.stopped
  }
}

function isOn({ transfer }: Sending, peer: PeerId, connection: number): boolean {
  return transfer.to === peer && transfer.connection === connection
}
