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
import type { NamedMachine } from './settings.ts'
import { decodeHead, describeMachines, encodeHead, Packer, Unpacker } from './snapshot-format.ts'

export interface Restored {
  readonly meta: SnapshotMeta
  readonly origins: OriginTable
}

/** Gives the loop back to the host whenever a slice is used up. */
export class Slicer {
  readonly #clock: Clock
  readonly #sliceMs: Millis
  #until: Millis

  constructor(clock: Clock, sliceMs: Millis) {
    this.#clock = clock
    this.#sliceMs = sliceMs
    this.#until = clock.monotonic() + sliceMs
  }

  get isUsedUp(): boolean {
    return this.#clock.monotonic() >= this.#until
  }

  async pause(): Promise<void> {
    await new Promise<void>((resolve) => this.#clock.defer(resolve))
    this.#until = this.#clock.monotonic() + this.#sliceMs
  }
}

/**
 * Puts the store's newest snapshot into the machines; null when there is none.
 * @throws AntiphonError CORRUPT, VERSION_MISMATCH, WRONG_ENSEMBLE, or what a machine's `restore` throws as DIVERGED
 */
export async function restoreNewest(
  store: LogStore,
  machines: readonly NamedMachine[],
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
  readonly everyEntries: number
  readonly retain: number
  readonly applier: Applier
  /** The log is durable here up to this ZXID. */
  durable(): Zxid
  keepFrom(): Zxid
  endPointsUpTo(zxid: Zxid, checksum: Checksum): EpochEnd[]
  founded(): { readonly ensembleId: EnsembleId; readonly configuration: Configuration } | null
  compacted(snapshot: SnapshotMeta, start: Zxid): void
  trouble(error: AntiphonError): void
}

/** Takes a snapshot of our own every so many entries, one at a time, while entries go on being applied. */
export class Snapshots {
  readonly #host: SnapshotsHost
  #takenAt = 0
  /** Restores so far: a view that was taken before one is of a history that is gone. */
  #restores = 0
  #busy = false
  #stopped = false
  #awaitsDurable: (() => void) | null = null

  constructor(host: SnapshotsHost) {
    this.#host = host
  }

  /** The machines were restored: counting begins again. */
  reset(): void {
    this.#takenAt = this.#host.applier.entries
    this.#restores++
  }

  /** Called between pieces of applying, when all machines are of one ZXID. Null, or the snapshot under way. */
  takeIfDue(): Promise<void> | null {
    const { applier, everyEntries } = this.#host
    if (this.#busy || this.#stopped || applier.isBlocked || applier.entries - this.#takenAt < everyEntries) return null
    const founded = this.#host.founded()
    if (founded === null) return null
    this.#busy = true
    this.#takenAt = applier.entries
    return this.#take(founded)
  }

  /** Writes have become durable. */
  onDurable(): void {
    this.#awaitsDurable?.()
  }

  stop(): void {
    this.#stopped = true
    this.#awaitsDurable?.()
  }

  /** Everything that fixes the view happens before the first wait. */
  async #take({ ensembleId, configuration }: { readonly ensembleId: EnsembleId; readonly configuration: Configuration }): Promise<void> {
    const { applier, machines, store } = this.#host
    const { applied: zxid, checksum, time } = applier
    const restores = this.#restores
    try {
      const meta: SnapshotMeta = { zxid, checksum, endPoints: this.#host.endPointsUpTo(zxid, checksum), time }
      const head = encodeHead({ ensembleId, meta, configuration, origins: applier.table, machines: describeMachines(machines) })
      const views = machines.map(({ machine }) => machine.snapshot())
      while (this.#host.durable() < zxid && !this.#stopped) await new Promise<void>((resolve) => (this.#awaitsDurable = resolve))
      this.#awaitsDurable = null
      if (this.#stopped || applier.isBlocked || this.#restores !== restores) return
      const kept = await store.saveSnapshot(meta, this.#stream(head, views))
      if (!kept || this.#stopped) return
      const start = await store.compact(this.#host.retain, this.#host.keepFrom())
      if (!this.#stopped) this.#host.compacted(meta, start)
    } catch (error) {
      if (!this.#stopped) this.#host.trouble(failed(error))
    } finally {
      this.#busy = false
    }
  }

  async *#stream(head: Uint8Array, views: readonly Iterable<Uint8Array>[]): AsyncGenerator<Uint8Array, void, undefined> {
    const slicer = new Slicer(this.#host.clock, this.#host.sliceMs)
    const packer = new Packer()
    yield head
    for (const [index, view] of views.entries()) {
      for (const chunk of view) {
        if (this.#stopped) throw stopped()
        yield* packer.add(index + 1, chunk)
        if (slicer.isUsedUp) await slicer.pause()
      }
    }
    yield* packer.end()
  }
}

function stopped(): AntiphonError {
  return new AntiphonError('CLOSED', 'the replica was closed while it took a snapshot', { remedy: 'Nothing needs to be done: the log still has everything.' })
}

function failed(error: unknown): AntiphonError {
  if (error instanceof AntiphonError) return error
  return new AntiphonError('DISK_FAILED', `a snapshot could not be taken: ${messageOf(error)}`, {
    remedy: 'The log still has everything, and the next snapshot is tried when it is due; correct the state machine or the store.',
    cause: error,
  })
}
