import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { RECORD_BYTES } from '../load.ts'
import { BareLog, type Medium } from './log.ts'

/** Records under way at most; a power of two. */
const RING = 1 << 14
const ACK_BYTES = 8

/**
 * The least that a leader can do: records go to two sockets and a log, side by side; one is committed when two of the three hold it durably. No epochs, no checksums, no
 * recovery, nothing is applied. One batch a turn: what was asked for in a turn leaves at its end.
 */
export class BareLeader {
  readonly #sockets: readonly Socket[]
  #log: BareLog | null = null
  /** Durable bytes: our own, then the followers'. */
  readonly #durable: [number, number, number] = [0, 0, 0]
  readonly #resolvers: (() => void)[] = new Array(RING)
  readonly #batch: Uint8Array = new Uint8Array(RING * RECORD_BYTES)
  #batchBytes = 0
  #asked = 0
  #committed = 0

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets
  }

  static async start(medium: Medium, folder: string, ports: readonly number[]): Promise<BareLeader> {
    const sockets = await Promise.all(
      ports.map(async (port) => {
        const socket = connect({ port, host: '127.0.0.1', noDelay: true })
        await once(socket, 'connect')
        return socket
      }),
    )
    const leader = new BareLeader(sockets)
    leader.#log = await BareLog.open(medium, join(folder, 'log'), (bytes) => leader.#heard(0, bytes))
    sockets.forEach((socket, index) => {
      let rest = Buffer.alloc(0)
      socket.on('data', (bytes) => {
        const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
        const whole = all.length - (all.length % ACK_BYTES)
        rest = all.subarray(whole)
        if (whole > 0) leader.#heard((index + 1) as 1 | 2, all.readDoubleLE(whole - ACK_BYTES))
      })
    })
    return leader
  }

  /** Resolves when two of the three hold the record durably. At most `RING` are under way. */
  append(record: Uint8Array): Promise<void> {
    if (this.#batchBytes === 0) setImmediate(this.#flush)
    this.#batch.set(record, this.#batchBytes)
    this.#batchBytes += RECORD_BYTES
    return new Promise(this.#executor)
  }

  readonly #executor = (resolve: () => void): void => {
    this.#resolvers[this.#asked++ & (RING - 1)] = resolve
  }

  readonly #flush = (): void => {
    const bytes = this.#batch.slice(0, this.#batchBytes)
    this.#batchBytes = 0
    for (const socket of this.#sockets) socket.write(bytes)
    // The log's worker takes its memory over; the sockets may still need theirs.
    this.#log!.append(bytes.slice().buffer)
  }

  #heard(member: 0 | 1 | 2, bytes: number): void {
    this.#durable[member] = bytes
    const [a, b, c] = this.#durable
    const held = Math.floor(Math.max(Math.min(a, b), Math.min(b, c), Math.min(a, c)) / RECORD_BYTES)
    for (; this.#committed < held; this.#committed++) this.#resolvers[this.#committed & (RING - 1)]!()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.#log?.close()
  }
}
