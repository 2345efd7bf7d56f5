import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Replica, type ReplicaSettings } from '@antiphon/replica'
import { fileStorage } from '@antiphon/storage-file'
import { MemoryNetwork } from '@antiphon/transport-memory'
import { crc32 } from '@antiphon/wire'
import { inFolder } from './folder.ts'
import { RECORD_BYTES } from './load.ts'
import { CountingMachine } from './machine.ts'
import type { Options } from './options.ts'
import { type Result, result } from './report.ts'
import { median } from './rounds.ts'
import { WatchedStore } from './watched.ts'

const ENTRIES = 1_000_000
const ENTRIES_AFTER = 10_000
const IN_FLIGHT = 4096
const MEMBERS = { 1: 'a' }

/** A log of 1,000,000 entries of 100 bytes and no snapshot: from `Replica.start` to the moment when all of it is applied. An ensemble of one, so that nobody else is waited for. */
export function recovery(options: Options): Promise<Result[]> {
  return inFolder(async (folder) => {
    const first = await start(folder)
    await fill(first)
    await first.close()
    const ours: number[] = []
    const reading: number[] = []
    for (let round = 0; round < options.rounds; round++) {
      reading.push(await perSecond(() => readAll(folder)))
      let replica: Awaited<ReturnType<typeof start>> | null = null
      ours.push(
        await perSecond(async () => {
          replica = await start(folder)
        }),
      )
      const { count } = replica!.machines.counting
      await replica!.close()
      if (count !== ENTRIES) throw new Error(`${count} of ${ENTRIES} entries were applied`)
    }
    return [
      result('recovery.start', await startBehindSnapshot(join(folder, 'behind'), options.rounds), 's', 'lower', null),
      result('recovery.entries', median(ours), 'entries/s', 'higher', { value: median(reading), against: 'reading the same files and taking their checksum' }),
    ]
  })
}

/** Seconds of a start with 1,000,000 entries behind the newest snapshot, still there, and `ENTRIES_AFTER` after it. */
async function startBehindSnapshot(folder: string, rounds: number): Promise<number> {
  // The log is kept from the oldest snapshot on: an early one keeps all of it.
  const early = new WatchedStore(fileStorage({ folder }))
  const earlySaved = early.saved()
  const first = await start(folder, { storage: early.store, snapshotEveryEntries: 1 })
  await earlySaved
  await first.close()
  const late = new WatchedStore(fileStorage({ folder }))
  const lateSaved = late.saved()
  // Of what it draws, the whole interval.
  const second = await start(folder, { storage: late.store, snapshotEveryEntries: ENTRIES, random: { uint32: () => 0xffff_ffff } })
  await fill(second)
  const { meta } = await lateSaved
  const { last } = second.status()
  await fill(second, ENTRIES_AFTER - (last - meta.zxid))
  await second.close()
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    const begun = performance.now()
    const replica = await start(folder)
    seconds.push((performance.now() - begun) / 1000)
    const { count } = replica.machines.counting
    await replica.close()
    if (count < ENTRIES + ENTRIES_AFTER / 2) throw new Error(`${count} entries were restored and applied`)
  }
  if ((await bytesIn(folder)) < ENTRIES * RECORD_BYTES) throw new Error('the log behind the snapshot is gone')
  return median(seconds)
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0
  for (const file of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (file.isFile()) bytes += (await stat(join(file.parentPath, file.name))).size
  }
  return bytes
}

async function start(
  folder: string,
  {
    storage = fileStorage({ folder }),
    snapshotEveryEntries = Number.MAX_SAFE_INTEGER,
    ...settings
  }: Partial<Pick<ReplicaSettings, 'storage' | 'snapshotEveryEntries' | 'random'>> = {},
): Promise<Replica<{ counting: CountingMachine }>> {
  const replica = await Replica.start({
    id: 1,
    members: MEMBERS,
    machines: { counting: new CountingMachine() },
    storage,
    transport: new MemoryNetwork().transport('a'),
    snapshotEveryEntries,
    snapshotEveryBytes: 0,
    ...settings,
  })
  await replica.ready({ timeoutMs: 120_000 })
  return replica
}

async function fill(replica: Replica<{ counting: CountingMachine }>, entries: number = ENTRIES): Promise<void> {
  const payload = new Uint8Array(RECORD_BYTES).fill(7)
  for (let left = entries; left > 0; left -= IN_FLIGHT) {
    await Promise.all(Array.from({ length: Math.min(left, IN_FLIGHT) }, () => replica.propose('counting', payload)))
  }
}

async function perSecond(body: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await body()
  return ENTRIES / ((performance.now() - begun) / 1000)
}

async function readAll(folder: string): Promise<void> {
  let checksum = 0
  for (const file of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (file.isFile()) checksum = crc32(await readFile(join(file.parentPath, file.name)), checksum)
  }
  if (checksum === 0) throw new Error('nothing was read')
}
