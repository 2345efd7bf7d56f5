import {
  AntiphonError,
  type Checksum,
  type Clock,
  type Configuration,
  corrupt,
  type EnsembleId,
  type EpochEnd,
  type LogStore,
  type Millis,
  type SnapshotMeta,
  type Zxid,
} from '@antiphon/ports'
import type { Applier } from './applier.ts'
import { diverged, messageOf } from './errors.ts'
import type { OriginTable } from './origins.ts'
import { KEPT_HEAD_BYTES } from './results.ts'
import type { NamedMachine, Resolved } from './settings.ts'
import { Signal } from './signal.ts'
import { Slicer } from './slicer.ts'
import { decodeHead, describeMachines, encodeHead, Packer, SHELL_CHUNKS, Unpacker } from './snapshot-format.ts'
import { type SnapshotIntervals, SnapshotSchedule } from './snapshot-schedule.ts'

export interface Restored {
  readonly meta: SnapshotMeta
  readonly origins: OriginTable
}

/**
 * Puts the store's newest snapshot into the machines; null when there is none.
 * @throws AntiphonError CORRUPT, VERSION_MISMATCH, WRONG_ENSEMBLE, or what a machine's `restore` throws as DIVERGED
 */
export async function restoreNewest(
  store: LogStore,
  { machines, originWindow, resultsBytesMax }: Pick<Resolved, 'machines' | 'originWindow' | 'resultsBytesMax'>,
  ensembleId: EnsembleId | null,
  slicer: Slicer,
): Promise<Restored | null> {
  const snapshot = await store.openSnapshot()
  if (snapshot === null) return null
  try {
    const { meta } = snapshot
    const packets = snapshot.chunks()[Symbol.asyncIterator]()
    const first = await packets.next()
    if (first.done === true) throw corrupt('a snapshot is empty', { zxid: meta.zxid })
    const head = decodeHead(first.value, meta, machines)
    if (ensembleId !== null && head.ensembleId !== ensembleId) {
      throw new AntiphonError('WRONG_ENSEMBLE', `a snapshot is of ensemble ${head.ensembleId}, the store of ${ensembleId}`, {
        remedy: 'Restore snapshots into the ensemble that made them.',
      })
    }
    const unpacker = new Unpacker(packets)
    const results: Uint8Array[] = []
    for await (const chunk of unpacker.chunksOf(SHELL_CHUNKS, resultsBytesMax + KEPT_HEAD_BYTES * originWindow)) {
      if (results.push(chunk) > head.origins.size) throw corrupt('a snapshot has results of more origins than it names', { zxid: meta.zxid })
    }
    head.origins.decodeResults(results, machines.length)
    for (const [index, { name, machine }] of machines.entries()) {
      await restoreMachine(name, () => machine.restore(meta.zxid, sliced(unpacker.chunksOf(index + 1), slicer)))
      await unpacker.skip(index + 1)
    }
    await unpacker.expectEnd()
    return { meta, origins: head.origins }
  } finally {
    await snapshot.close()
  }
}

async function restoreMachine(name: string, restore: () => Promise<void>): Promise<void> {
  try {
    await restore()
  } catch (thrown) {
    throw thrown instanceof AntiphonError ? thrown : diverged(`the machine \`${name}\` threw in restore: ${messageOf(thrown)}`, { machine: name }, thrown)
  }
}

async function* sliced(chunks: AsyncIterable<Uint8Array>, slicer: Slicer): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    yield chunk
    if (slicer.isUsedUp) await slicer.pause()
  }
}

export interface SnapshotsHost {
  readonly machines: readonly NamedMachine[]
  readonly store: LogStore
  readonly clock: Clock
  readonly sliceMs: Millis
  readonly intervals: SnapshotIntervals
  readonly chunkBytes: number
  readonly retain: number
  readonly applier: Applier
  /** The log is durable here up to this ZXID. */
  durable(): Zxid
  keepFrom(): Zxid
  endPointsUpTo(zxid: Zxid, checksum: Checksum): EpochEnd[]
  founded(): { readonly ensembleId: EnsembleId; readonly configuration: Configuration } | null
  compacted(snapshot: SnapshotMeta, start: Zxid): void
  trouble(error: AntiphonError): void
  /** For whoever looks closely; nothing hangs on it. */
  tell(what: string, details: Readonly<Record<string, unknown>>): void
}

/** Takes a snapshot of our own every so many entries and bytes, one at a time, while entries go on being applied. */
export class Snapshots {
  readonly #host: SnapshotsHost
  readonly #schedule: SnapshotSchedule
  /** Restores so far: a view that was taken before one is of a history that is gone. */
  #restores = 0
  /** A snapshot is wanted at or behind it, however few entries there were since the last one. */
  #wanted: Zxid | null = null
  #busy = false
  #underway: Promise<void> = Promise.resolve()
  /** A snapshot that was begun before the last of them is of a void state. */
  #quarantines = 0
  #stopped = false
  readonly #changed: Signal = new Signal()

  constructor(host: SnapshotsHost) {
    this.#host = host
    this.#schedule = new SnapshotSchedule(host.intervals)
  }

  /** The machines were restored: counting begins again. */
  reset(): void {
    const { entries, bytes } = this.#host.applier
    this.#schedule.begin(entries, bytes)
    this.#restores++
  }

  /** Called between pieces of applying, when all machines are of one ZXID. Null, or the snapshot under way. */
  takeIfDue(): Promise<void> | null {
    const { applier } = this.#host
    if (this.#busy || this.#stopped || applier.isBlocked) return null
    const isWanted = this.#wanted !== null && applier.applied >= this.#wanted
    const due = isWanted ? 'a rebuild' : this.#schedule.due(applier.entries, applier.bytes)
    if (due === null) return null
    const founded = this.#host.founded()
    if (founded === null) return null
    this.#busy = true
    this.#schedule.begin(applier.entries, applier.bytes)
    this.#host.tell(`snapshot due by ${due}`, { zxid: applier.applied })
    if (isWanted) this.#wanted = null
    this.#underway = this.#take(founded)
    return this.#underway
  }

  /** One is to be taken as soon as `zxid` is applied; one that is under way will do, if it fails the core asks again. */
  want(zxid: Zxid): void {
    if (!this.#busy) this.#wanted = zxid
  }

  /** The machines' state is void: what is under way must not become a snapshot, and nothing is wanted of it. */
  quarantine(): void {
    this.#quarantines++
    this.#wanted = null
    this.#changed.raise()
  }

  /** Resolves when none is under way. */
  idle(): Promise<void> {
    return this.#underway
  }

  /** Only the newest one was taken of a state that can be believed. */
  async forgetOlder(): Promise<void> {
    const { store } = this.#host
    const start = await store.compact(1, this.#host.keepFrom())
    const newest = await store.openSnapshot()
    if (newest === null) return
    await newest.close()
    if (!this.#stopped) this.#host.compacted(newest.meta, start)
  }

  /** Writes have become durable. */
  onDurable(): void {
    this.#changed.raise()
  }

  stop(): void {
    this.#stopped = true
    this.#changed.raise()
  }

  /** Everything that fixes the view happens before the first wait. */
  async #take({ ensembleId, configuration }: { readonly ensembleId: EnsembleId; readonly configuration: Configuration }): Promise<void> {
    const { applier, machines, store } = this.#host
    const { applied: zxid, checksum, time } = applier
    const restores = this.#restores
    const quarantines = this.#quarantines
    const isVoid = (): boolean => this.#quarantines !== quarantines
    try {
      const meta: SnapshotMeta = { zxid, checksum, endPoints: this.#host.endPointsUpTo(zxid, checksum), time }
      const head = encodeHead({ ensembleId, meta, configuration, origins: applier.table, machines: describeMachines(machines) })
      const results = applier.table.encodeResults()
      const views = machines.map(({ machine }) => machine.snapshot())
      while (this.#host.durable() < zxid && !this.#stopped && !isVoid()) await this.#changed.change()
      if (this.#stopped || applier.isBlocked || this.#restores !== restores || isVoid()) return
      const kept = await store.saveSnapshot(meta, this.#stream(head, results, views, isVoid))
      if (!kept || this.#stopped) return
      const start = await store.compact(this.#host.retain, this.#host.keepFrom())
      if (!this.#stopped) this.#host.compacted(meta, start)
    } catch (error) {
      if (!this.#stopped && !(isVoid() && error instanceof AntiphonError && error.code === 'CLOSED')) this.#host.trouble(failed(error))
    } finally {
      this.#busy = false
    }
  }

  async *#stream(
    head: Uint8Array,
    results: readonly Uint8Array[],
    views: readonly Iterable<Uint8Array>[],
    isVoid: () => boolean,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const slicer = new Slicer(this.#host.clock, this.#host.sliceMs)
    const packer = new Packer(this.#host.chunkBytes)
    yield head
    for (const chunk of results) yield* packer.add(SHELL_CHUNKS, chunk)
    for (const [index, view] of views.entries()) {
      for (const chunk of view) {
        if (this.#stopped || isVoid()) throw stopped()
        yield* packer.add(index + 1, chunk)
        if (slicer.isUsedUp) await slicer.pause()
      }
    }
    yield* packer.end()
  }
}

function stopped(): AntiphonError {
  return new AntiphonError('CLOSED', 'the replica was closed, or its state found to be void, while it took a snapshot', {
    remedy: 'Nothing needs to be done: the log still has everything.',
  })
}

function failed(error: unknown): AntiphonError {
  if (error instanceof AntiphonError) return error
  return new AntiphonError('DISK_FAILED', `a snapshot could not be taken: ${messageOf(error)}`, {
    remedy: 'The log still has everything, and the next snapshot is tried when it is due; correct the state machine or the store.',
    cause: error,
  })
}
