import type { CommittedBatch, StateMachine, Zxid } from '@antiphon/ports'
import { type SimulateResult, simulate, type WorkloadRandom } from '../index.ts'

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const decode = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T
const workload = (random: WorkloadRandom): string => random.pick(['ada', 'bob', 'cyd'])

/** Whoever asks draws a number. */
class Tickets implements StateMachine<string, number> {
  readonly name = 'tickets'
  readonly version = 1
  held = new Map<string, number>()
  drawn = 0

  encodeRequest = (who: string): Uint8Array => encode(who)
  decodeRequest = decode<string>
  encodeResult = (number: number): Uint8Array => encode(number)
  decodeResult = decode<number>

  apply(batch: CommittedBatch): number[] {
    return Array.from({ length: batch.length }, (_, i) => {
      this.held.set(decode<string>(batch.change(i)), ++this.drawn)
      return this.drawn
    })
  }

  snapshot(): Iterable<Uint8Array> {
    return [encode([...this.held])] // the bug: how many were drawn is left out
  }

  async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.held = new Map(decode<[string, number][]>(chunk))
  }
}

/** Seats, given out by `prepare` before the entries that say so are applied. */
class Seats implements StateMachine<string, number> {
  readonly name = 'seats'
  readonly version = 1
  taken: [seat: number, who: string][] = []
  given = 0

  encodeRequest = (who: string): Uint8Array => encode(who)
  decodeRequest = decode<string>
  encodeResult = (seat: number): Uint8Array => encode(seat)
  decodeResult = decode<number>

  prepare(request: Uint8Array): Uint8Array {
    const seat = Math.max(this.given, this.taken.length)
    this.given = seat + 1 // the bug: nobody takes this back when the reign is lost. `abandon` must.
    return encode([seat, decode<string>(request)])
  }

  apply(batch: CommittedBatch): number[] {
    return Array.from({ length: batch.length }, (_, i) => {
      const seat = decode<[number, string]>(batch.change(i))
      this.taken.push(seat)
      return seat[0]
    })
  }

  snapshot(): Iterable<Uint8Array> {
    return [encode(this.taken)]
  }

  async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.taken = decode<[number, string][]>(chunk)
  }
}

export function tickets(): Promise<SimulateResult<string>> {
  return simulate({ machine: () => new Tickets(), workload })
}

export function seats(): Promise<SimulateResult<string>> {
  return simulate({ machine: () => new Seats(), workload })
}
