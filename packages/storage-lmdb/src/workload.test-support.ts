import { type EpochEnd, epochOf, type LogStore, type Run, type SnapshotMeta, type StoredState, type Write, ZERO, type Zxid } from '@antiphon/ports'
import { endPointsOf, RunBuilder } from '@antiphon/wire'

export const STORE_ID: string = '0123456789abcdef'.repeat(2)

/** `entries` entries behind `previous`. */
export function runBehind(previous: { last: Zxid; checksum: number } | undefined, epoch: number, entries: number, payloadBytes: number, fill: number): Run {
  const builder = new RunBuilder()
  builder.begin(previous?.last ?? ZERO, previous?.checksum ?? 0, epoch, 1_000_000 + fill)
  const payload = new Uint8Array(payloadBytes).map((_, i) => (i * 31 + fill) & 255)
  for (let i = 0; i < entries; i++) builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, payload)
  return builder.finish()!
}

/** What the store must hold after write `number`: that and everything before. The writes follow from their numbers, so that whoever knows the number knows the history. */
export class Workload {
  runs: Run[] = []
  number = 0

  /** The next write. Some take back the run before; the accepted epoch tells the number. `staged`: entries go to a generation that the write installs. */
  next(): { readonly write: Write; readonly staged: Run | null; readonly meta: SnapshotMeta } {
    const i = ++this.number
    // Nothing below a snapshot is ever taken back: one is saved after every tenth write.
    const truncates = i % 8 === 5 && i % 10 !== 1
    const installs = i % 25 === 24
    if (truncates) this.runs = this.runs.slice(0, -1)
    const before = this.runs.at(-1)
    const meta = this.meta()
    const epoch = (before === undefined ? 1 : epochOf(before.last)) + (truncates ? 1 : 0)
    const run = runBehind(before, epoch, 1 + (i % 4), 50 + (i % 5) * 1500, i)
    this.runs = [...this.runs, run]
    const write: Write = {
      ticket: i,
      founding: null,
      install: null,
      truncateTo: truncates ? { zxid: before?.last ?? ZERO, checksum: before?.checksum ?? 0 } : null,
      append: installs ? [] : [run],
      epochs: { accepted: i, acceptedFrom: null, current: epoch },
      afterwards: [],
    }
    return { write, staged: installs ? run : null, meta }
  }

  /** The workload as of write `number`. */
  static at(number: number): Workload {
    const workload = new Workload()
    while (workload.number < number) workload.next()
    return workload
  }

  get endPoints(): EpochEnd[] {
    const ends: EpochEnd[] = []
    for (const end of this.runs.flatMap(endPointsOf)) {
      if (ends.at(-1)?.epoch === end.epoch) ends.pop()
      ends.push(end)
    }
    return ends
  }

  meta(): SnapshotMeta {
    const last = this.runs.at(-1)
    return { zxid: last?.last ?? ZERO, checksum: last?.checksum ?? 0, endPoints: this.endPoints, time: last?.time ?? 0 }
  }

  /** What differs between a store that has just been opened and this workload; null: nothing. */
  async differs(store: LogStore, state: StoredState): Promise<string | null> {
    const { zxid, checksum, time } = this.meta()
    const { log, snapshot } = state
    const told = JSON.stringify([log.last, log.checksum, log.time, log.endPoints])
    const expected = JSON.stringify([zxid, checksum, time, this.endPoints])
    if (told !== expected) return `the log is ${told} instead of ${expected}`
    if (log.start > (snapshot?.zxid ?? ZERO)) return `the log begins at ${log.start}, behind the snapshot`
    const expectedBytes = Buffer.concat(this.runs.filter((run) => run.first > log.start).map(({ bytes }) => bytes))
    if (!Buffer.concat(await readAll(store, log.start, log.last)).equals(expectedBytes)) return 'the entries differ'
    if (snapshot === null) return null
    const opened = await store.openSnapshot()
    const chunks: Uint8Array[] = []
    for await (const chunk of opened!.chunks()) chunks.push(chunk.slice())
    await opened!.close()
    return Buffer.concat(chunks).equals(Buffer.concat(chunksOf(snapshot))) ? null : 'the snapshot differs'
  }
}

export async function readAll(store: LogStore, after: Zxid, upTo: Zxid): Promise<Uint8Array[]> {
  const bytes: Uint8Array[] = []
  for (let at = after; at < upTo; ) {
    const runs = await store.read(at, upTo, 100_000)
    if (runs.length === 0) throw new Error(`nothing behind ${at}`)
    for (const run of runs) {
      if (run.previous !== at) throw new Error(`a run behind ${run.previous} instead of ${at}`)
      at = run.last
      bytes.push(run.bytes)
    }
  }
  return bytes
}

/** What stands for the machine's state at that place. */
export function chunksOf({ zxid }: SnapshotMeta): Uint8Array[] {
  return Array.from({ length: 6 }, (_, i) => new Uint8Array(9_000 + i).map((_, at) => (at * 7 + i + zxid) & 255))
}
