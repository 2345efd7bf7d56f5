import type { CommittedBatch, StateMachine, Zxid } from '@antiphon/ports'
import { type SimulateResult, simulate } from '../index.ts'

interface Bid {
  readonly item: string
  readonly price: number
}

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const decode = <T>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T

/** Keeps the highest bid for each item, and when it was made. */
class Auction implements StateMachine<Bid, boolean> {
  readonly name = 'auction'
  readonly version = 1
  highest = new Map<string, { price: number; at: number }>()

  encodeRequest = (bid: Bid): Uint8Array => encode(bid)
  decodeRequest = decode<Bid>
  encodeResult = (isHighest: boolean): Uint8Array => encode(isHighest)
  decodeResult = decode<boolean>

  apply(batch: CommittedBatch): boolean[] {
    return Array.from({ length: batch.length }, (_, i) => {
      const { item, price } = decode<Bid>(batch.change(i))
      if (price <= (this.highest.get(item)?.price ?? 0)) return false
      this.highest.set(item, { price, at: Date.now() }) // the bug: each replica has a clock of its own
      return true
    })
  }

  snapshot(): Iterable<Uint8Array> {
    return [encode([...this.highest])]
  }

  async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.highest = new Map(decode<[string, { price: number; at: number }][]>(chunk))
  }
}

export function main(): Promise<SimulateResult<Bid>> {
  return simulate({
    machine: () => new Auction(),
    workload: (random): Bid => ({ item: random.pick(['lamp', 'chair', 'clock']), price: random.between(1, 100) }),
    seeds: 20,
  })
}
