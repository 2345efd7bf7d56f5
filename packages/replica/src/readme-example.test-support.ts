import type { CommittedBatch, StateMachine, Zxid } from '@antiphon/ports'
import { memoryStorage } from '@antiphon/storage-memory'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { Replica } from './index.ts'

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** Counts words. A request is a word, and so is the change: there is nothing to prepare. */
class Words implements StateMachine<string, number> {
  readonly name = 'words'
  readonly version = 1
  counts = new Map<string, number>()

  encodeRequest = encode
  decodeRequest = decode
  encodeResult = (count: number): Uint8Array => encode(String(count))
  decodeResult = (bytes: Uint8Array): number => Number(decode(bytes))

  apply(batch: CommittedBatch): number[] {
    const results: number[] = []
    for (let i = 0; i < batch.length; i++) {
      const word = decode(batch.change(i))
      const count = (this.counts.get(word) ?? 0) + 1
      this.counts.set(word, count)
      results.push(count)
    }
    return results
  }

  snapshot(): Iterable<Uint8Array> {
    return [encode(JSON.stringify([...this.counts]))]
  }

  async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.counts = new Map(JSON.parse(decode(chunk)) as [string, number][])
  }
}

export async function main(): Promise<Map<string, number>> {
  const network = new MemoryNetwork()
  const members = { 1: 'anna', 2: 'bert', 3: 'cleo' } as const
  const start = (id: 1 | 2 | 3): Promise<Replica<{ words: Words }>> =>
    Replica.start({ id, members, machines: { words: new Words() }, storage: memoryStorage(), transport: network.transport(members[id]) })

  await using first = await start(1)
  await using second = await start(2)
  await using third = await start(3)
  const roles: string[] = []
  first.on('role', ({ role, epoch }) => roles.push(`${role} in epoch ${epoch}`))
  await third.ready({ timeoutMs: 10_000 })

  await first.propose('words', 'hello') // 1, whoever leads
  await second.propose('words', 'hello', { timeoutMs: 5_000 }) // 2
  await third.read('linearizable')
  return third.machines.words.counts // Map { 'hello' => 2 }
}
