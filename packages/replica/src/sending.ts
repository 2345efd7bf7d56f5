import { crc32, type Message, type StagedPart, type Transfer } from '@antiphon/consensus-core'
import type { LogStore, PeerId, Snapshot, Zxid } from '@antiphon/ports'
import { AntiphonError, type Run, ZERO } from '@antiphon/ports'
import type { Links } from './links.ts'
import { Signal } from './signal.ts'

const READ_BYTES = 1024 * 1024
/** Chunks sent and not yet reported as stored (rule 18). */
const CREDIT_CHUNKS = 4
/** While what the receiver has is compared, it hears of it this often: its patience is bounded (rule 18). */
const COMPARED_CHUNKS = 16

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
  readonly signal: Signal = new Signal()

  constructor(transfer: Transfer) {
    this.transfer = transfer
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
    for (const sending of this.#sendings.values()) if (isOn(sending, peer, connection)) sending.signal.raise()
  }

  onStored(peer: PeerId, connection: number, transfer: number, chunks: number): void {
    const sending = this.#sendings.get(transfer)
    if (sending === undefined || !isOn(sending, peer, connection)) return
    sending.stored = Math.max(sending.stored, chunks)
    sending.signal.raise()
  }

  #stop(sending: Sending): void {
    sending.stopped = true
    sending.signal.raise()
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
    const { resume } = sending.transfer
    if (resume !== null) {
      const ended = await this.#open(resume.zxid, (snapshot) => this.#rest(sending, snapshot, resume))
      if (ended !== null || sending.stopped) return ended === true
    }
    return (await this.#open(undefined, (snapshot) => this.#chunks(sending, snapshot, snapshot.chunks()[Symbol.asyncIterator](), 0, 0))) === true
  }

  async #open(zxid: Zxid | undefined, use: (snapshot: Snapshot) => Promise<boolean | null>): Promise<boolean | null> {
    const snapshot = await this.#host.store.openSnapshot(zxid)
    if (snapshot === null) return null
    try {
      return await use(snapshot)
    } finally {
      await snapshot.close()
    }
  }

  /** Goes on where an earlier transfer broke off; null unless this snapshot begins with exactly the chunks that the receiver has (rule 14). */
  async #rest(sending: Sending, snapshot: Snapshot, resume: StagedPart): Promise<boolean | null> {
    const { to, connection, transfer } = sending.transfer
    if (snapshot.meta.zxid !== resume.zxid || snapshot.meta.checksum !== resume.checksum) return null
    const chunks = snapshot.chunks()[Symbol.asyncIterator]()
    let digest = 0
    for (let compared = 0; compared < resume.chunks; ) {
      const next = await chunks.next()
      if (next.done === true || sending.stopped) return null
      digest = crc32(next.value, digest)
      if (++compared % COMPARED_CHUNKS === 0) this.#host.links.post({ to, connection, message: { kind: 'STORED', transfer, chunks: compared } })
    }
    return digest === resume.digest ? this.#chunks(sending, snapshot, chunks, resume.chunks, digest) : null
  }

  /** The head, and those chunks that the iterator has left. */
  async #chunks(sending: Sending, { meta }: Snapshot, chunks: AsyncIterator<Uint8Array>, first: number, digest: number): Promise<boolean> {
    const { transfer, epoch } = sending.transfer
    sending.stored = first
    if (!(await this.#send(sending, { kind: 'SNAP', epoch, transfer, meta, chunks: first, digest }))) return false
    let next = await chunks.next()
    for (let index = first; next.done !== true; index++) {
      const { value: bytes } = next
      next = await chunks.next()
      while (index - sending.stored >= CREDIT_CHUNKS && !sending.stopped) await sending.signal.change()
      if (!(await this.#send(sending, { kind: 'CHUNK', transfer, index, last: next.done === true, bytes }))) return false
    }
    return true
  }

  /** False: the transfer is over. */
  async #send(sending: Sending, message: Message): Promise<boolean> {
    const { to, connection } = sending.transfer
    while (!sending.stopped && !this.#host.links.offer(to, connection, message)) {
      if (!this.#host.links.isLive(to, connection)) return false
      await sending.signal.change()
    }
    return !sending.stopped
  }
}

function isOn({ transfer }: Sending, peer: PeerId, connection: number): boolean {
  return transfer.to === peer && transfer.connection === connection
}
