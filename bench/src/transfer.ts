import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Replica } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { inFolder } from './folder.ts'
import { CountingMachine } from './machine.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'

const MIB = 1024 * 1024
const CHUNK_BYTES = 64 * 1024
const STATE_BYTES = 200 * MIB
const ENTRIES = 500
const SAMPLE_MS = 10
const MEMBERS = { 1: 'a', 2: { address: 'b', role: 'observer' } } as const

/** Its state is as large as a snapshot says, and takes no memory: what grows is what the transfer holds. */
class LargeMachine extends CountingMachine {
  restored = 0

  override *snapshot(): Iterable<Uint8Array> {
    for (let at = 0; at < STATE_BYTES; at += CHUNK_BYTES) yield new Uint8Array(CHUNK_BYTES).fill(at / CHUNK_BYTES)
  }

  override async restore(_zxid: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    this.restored = 0
    for await (const chunk of chunks) this.restored += chunk.length
  }
}

/** An empty observer catches up by a SNAP of 200 MiB, with both replicas in this process: how fast, and how much the process grows meanwhile. */
export function transfer(options: Options): Promise<Result[]> {
  return inFolder(async (folder) => {
    const network = new MemoryNetwork()
    const leader = await start(network, 1, join(folder, 'leader'))
    await leader.ready({ timeoutMs: 120_000 })
    for (let left = ENTRIES; left > 0; left -= 50) await Promise.all(Array.from({ length: 50 }, () => leader.propose('large', new Uint8Array(400))))
    const ours: number[] = []
    const grown: number[] = []
    const writing: number[] = []
    for (let round = 0; round < options.rounds; round++) {
      writing.push(await perSecond(() => writeAll(join(folder, `plain-${round}`))))
      const before = process.memoryUsage.rss()
      let most = before
      const sampler = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), SAMPLE_MS)
      let observer: Awaited<ReturnType<typeof start>> | null = null
      ours.push(
        await perSecond(async () => {
          observer = await start(network, 2, join(folder, `observer-${round}`))
          await observer.ready({ timeoutMs: 300_000 })
        }),
      )
      clearInterval(sampler)
      grown.push((most - before) / MIB)
      const { restored } = observer!.machines.large
      await observer!.close()
      if (restored !== STATE_BYTES) throw new Error(`${restored} of ${STATE_BYTES} bytes were restored`)
    }
    await leader.close()
    return [
      result('transfer.bytes', median(ours), 'MiB/s', 'higher', { value: median(writing), against: 'writing as many bytes to one file, and flushing it' }),
      result('transfer.memory', median(grown), 'MiB', 'lower', null),
    ]
  })
}

function start(network: MemoryNetwork, id: 1 | 2, folder: string): Promise<Replica<{ large: LargeMachine }>> {
  return Replica.start({
    id,
    members: MEMBERS,
    machines: { large: new LargeMachine() },
    storage: fileStorage({ folder, segmentBytes: 16 * 1024 }),
    transport: network.transport(id === 1 ? 'a' : 'b'),
    snapshotEveryEntries: ENTRIES / 2,
    retainSnapshots: 1,
  })
}

/** MiB. */
async function perSecond(body: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await body()
  return STATE_BYTES / MIB / ((performance.now() - begun) / 1000)
}

async function writeAll(path: string): Promise<void> {
  const file = await open(path, 'w')
  const piece = new Uint8Array(256 * 1024).fill(1)
  for (let at = 0; at < STATE_BYTES; at += piece.length) await file.write(piece, 0, piece.length, at)
  await file.datasync()
  await file.close()
}
