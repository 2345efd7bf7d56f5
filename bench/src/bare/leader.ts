import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Latencies } from '../latencies.ts'
import { type Figures, type Load, RECORD_BYTES } from '../load.ts'
import { starve } from '../starve.ts'
import { BareLog } from './log.ts'

const RING = 1 << 14

/**
 * The least that a leader can do: records go to two sockets and a log, side by side; one is committed when two of the three hold it durably. No epochs, no checksums, no
 * recovery, nothing is applied. One batch a turn: what was asked for in a turn leaves at its end.
 */
export class BareLeader {
  readonly #sockets: readonly Socket[]
  #log: BareLog | null = null
  /** Durable bytes: our own, then the followers'. */
  readonly #durable: [number, number, number] = [0, 0, 0]
  readonly #startedAt: Float64Array = new Float64Array(RING)
  readonly #latencies = new Latencies()
  readonly #payload: Uint8Array = new Uint8Array(RECORD_BYTES - 8).fill(7)
  #issued = 0
  #committed = 0
  #asked = 0
  #flushing = false
  #running = false
  #idle: (() => void) | null = null

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets
  }

  static async start(folder: string, ports: readonly number[]): Promise<BareLeader> {
    const sockets = await Promise.all(
      ports.map(async (port) => {
        const socket = connect({ port, host: '127.0.0.1', noDelay: true })
        await once(socket, 'connect')
        return socket
      }),
    )
    const leader = new BareLeader(sockets)
    leader.#log = await BareLog.open(join(folder, 'log'), (bytes) => leader.#heard(0, bytes))
    sockets.forEach((socket, index) => {
      let rest = Buffer.alloc(0)
      socket.on('data', (bytes) => {
        const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
        const whole = all.length - (all.length % 8)
        rest = all.subarray(whole)
        if (whole > 0) leader.#heard(index + 1, all.readDoubleLE(whole - 8))
      })
    })
    return leader
  }

  async measure(load: Load): Promise<Figures> {
    const relieve = load.starved ? starve() : null
    this.#running = true
    this.#ask(load.inFlight)
    await pause(load.warmUpMs)
    this.#latencies.clear()
    const before = this.#committed
    const begun = performance.now()
    await pause(load.measureMs)
    const commits = this.#committed - before
    const seconds = (performance.now() - begun) / 1000
    const figures: Figures = { commits, perSecond: commits / seconds, p50Ms: this.#latencies.percentileMs(0.5), p99Ms: this.#latencies.percentileMs(0.99) }
    this.#running = false
    if (this.#committed < this.#issued || this.#asked > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
    await relieve?.()
    return figures
  }

  #ask(count: number): void {
    this.#asked += count
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#flushing = false
    const count = this.#asked
    this.#asked = 0
    const now = performance.now()
    const memory = new ArrayBuffer(count * RECORD_BYTES)
    const frame = Buffer.from(memory)
    for (let i = 0, at = 0; i < count; i++, at += RECORD_BYTES) {
      this.#startedAt[this.#issued & (RING - 1)] = now
      frame.writeDoubleLE(this.#issued++, at)
      frame.set(this.#payload, at + 8)
    }
    for (const socket of this.#sockets) socket.write(frame)
    this.#log!.append(memory.slice(0))
  }

  #heard(member: number, bytes: number): void {
    this.#durable[member as 0 | 1 | 2] = bytes
    const [a, b, c] = this.#durable
    const held = Math.floor(Math.max(Math.min(a, b), Math.min(b, c), Math.min(a, c)) / RECORD_BYTES)
    const newly = held - this.#committed
    if (newly <= 0) return
    const now = performance.now()
    for (let i = this.#committed; i < held; i++) this.#latencies.record(now - this.#startedAt[i & (RING - 1)]!)
    this.#committed = held
    if (this.#running) this.#ask(newly)
    else if (held === this.#issued && this.#asked === 0) this.#idle?.()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.#log?.close()
  }
}
