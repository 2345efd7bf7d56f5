import type { AntiphonError, LogStore, Run, Snapshot, SnapshotMeta, StoredState, StoreId, Write, Zxid } from '@antiphon/ports'
import {
  ChunkFramer,
  chunksIn,
  type EngineOptions,
  FileEngine,
  type Pack,
  Packer,
  type SnapshotPosition,
  type SnapshotTotals,
  type SnapshotWriter,
} from '@antiphon/storage-file/engine'
import type { SimDisk } from './disk.ts'
import type { SeededRandom } from './random.ts'
import type { Timeline } from './timeline.ts'

type Done = (error: AntiphonError | null) => void

const SNAPSHOT_BYTES = 2048
const SEAL_AFTER_MS = 100

/**
 * The file store's engine behind the port, hosted on virtual time: what the worker thread is to the product. Flushes take as long as the disk says; what they write is on the disk
 * somewhere in between. One process's: silent once it has crashed.
 */
export class EngineStore implements LogStore {
  readonly supports = { durable: true, browser: false }
  readonly #timeline: Timeline
  readonly #owner: number
  readonly #disk: SimDisk
  readonly #random: SeededRandom
  readonly #engine: FileEngine
  readonly #packer = new Packer()
  /** Of what stands in the packer. */
  #packed: Done[] = []
  /** Of the packs that were submitted, in order. */
  readonly #submitted = new Map<Pack, Done[]>()
  #flushing = false
  #backgroundDue = false
  #sealDue = false
  #deliverAt = 0
  #inEngine = false
  #over = false
  #trouble: (error: AntiphonError) => void = () => undefined

  constructor(timeline: Timeline, owner: number, disk: SimDisk, random: SeededRandom, options: EngineOptions) {
    this.#timeline = timeline
    this.#owner = owner
    this.#disk = disk
    this.#random = random
    this.#engine = new FileEngine(disk.mount(), options)
  }

  watch(trouble: (error: AntiphonError) => void): void {
    this.#trouble = trouble
  }

  async open(freshStoreId: StoreId): Promise<StoredState> {
    await this.#pause(this.#disk.flushMs())
    return this.#enter(() => this.#engine.open(freshStoreId))
  }

  write(write: Write, done: Done): void {
    if (!this.#packer.takes(0, write.install !== null)) this.#submit()
    this.#packer.add(write)
    this.#packed.push(done)
    this.#flushSoon()
  }

  stageAppend(generation: number, runs: readonly Run[], done: Done): void {
    if (!this.#packer.takes(generation, false)) this.#submit()
    this.#packer.addStaged(generation, runs)
    this.#packed.push(done)
    this.#flushSoon()
  }

  async read(after: Zxid, upTo: Zxid, bytesMax: number): Promise<readonly Run[]> {
    await this.#pause(this.#random.span(0, 1))
    this.#flushAll()
    return this.#enter(() => this.#engine.read(after, upTo, bytesMax))
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<boolean> {
    await this.#pause(this.#random.span(0, 1))
    this.#flushAll()
    const writer = this.#enter(() => this.#engine.beginSnapshot(meta))
    const totals = await this.#writeSnapshot(writer, chunks)
    return this.#enter(() => this.#engine.finishSnapshot(writer, totals))
  }

  async stage(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<number> {
    await this.#pause(this.#random.span(0, 1))
    const writer = this.#enter(() => this.#engine.beginStaging(meta))
    const totals = await this.#writeSnapshot(writer, chunks)
    return this.#enter(() => this.#engine.finishStaging(writer, totals))
  }

  async openSnapshot(zxid?: Zxid): Promise<Snapshot | null> {
    await this.#pause(this.#random.span(0, 1))
    const reader = this.#enter(() => this.#engine.openSnapshot(zxid))
    if (reader === null) return null
    const store = this
    return {
      meta: reader.meta,
      bytes: reader.bytes,
      async *chunks(): AsyncIterable<Uint8Array> {
        let position: SnapshotPosition | null = reader.begin
        while (position !== null) {
          await store.#pause(store.#random.span(0, 1))
          const from: SnapshotPosition = position
          const frames = store.#enter(() => reader.read(from, SNAPSHOT_BYTES))
          yield* chunksIn(frames.bytes)
          position = frames.next
        }
      },
      close: async () => this.#enter(() => this.#engine.closeSnapshot(reader)),
    }
  }

  discard(generation: number): void {
    this.#flushAll()
    this.#enter(() => this.#engine.discard(generation))
  }

  async compact(retain: number, keepFrom: Zxid): Promise<Zxid> {
    await this.#pause(this.#random.span(0, 1))
    this.#flushAll()
    return this.#enter(() => this.#engine.compact(retain, keepFrom))
  }

  async close(): Promise<void> {
    if (this.#over) return
    this.#flushAll()
    await this.#pause(this.#deliverAt - this.#timeline.now)
    this.#enter(() => this.#engine.close())
    this.#over = true
    this.#disk.unmount()
  }

  /** The process dies: what was about to be flushed may be on its way to the disk. */
  crash(): void {
    if (this.#over) return
    this.#over = true
    if (!this.#inEngine && this.#random.chance(0.6)) {
      this.#disk.failAfter(this.#random.below(4), () => undefined)
      this.#submit()
      this.#engine.flush()
    }
    this.#disk.crash()
  }

  /** The process dies, and the machine goes on: what it wrote can be read, flushed or not. */
  kill(): void {
    if (this.#over) return
    this.#over = true
    this.#disk.unmount()
  }

  async #writeSnapshot(writer: SnapshotWriter, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<SnapshotTotals> {
    const framer = new ChunkFramer(writer.meta, SNAPSHOT_BYTES)
    try {
      for await (const chunk of chunks) {
        for (let frames = framer.add(chunk); frames !== null; frames = framer.add(chunk)) {
          const full = frames
          await this.#pause(this.#random.span(0, 1))
          this.#enter(() => this.#engine.appendSnapshot(writer, full))
        }
      }
    } catch (error) {
      this.#enter(() => writer.abort())
      throw error
    }
    this.#enter(() => this.#engine.appendSnapshot(writer, framer.take()))
    await this.#pause(this.#disk.flushMs())
    return framer.totals
  }

  #submit(): void {
    const pack = this.#packer.take()
    if (pack === null) return
    this.#engine.submit(pack)
    this.#submitted.set(pack, this.#packed)
    this.#packed = []
  }

  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    const total = this.#disk.flushMs()
    const before = total * this.#random.unit()
    this.#later(before, () => {
      this.#submit()
      this.#flush(total - before)
      this.#later(total - before, () => {
        this.#flushing = false
        if (!this.#packer.empty || this.#engine.pending > 0) this.#flushSoon()
        else this.#idle()
      })
    })
  }

  /** Carries out one batch now; it is told `afterMs` later. */
  #flush(afterMs: number): void {
    const { packs, error } = this.#enter(() => this.#engine.flush())
    const dones: Done[] = []
    for (const pack of packs) {
      for (const done of this.#submitted.get(pack)!) dones.push(done)
      this.#submitted.delete(pack)
      this.#packer.recycle(pack.bytes.buffer)
    }
    if (dones.length === 0) return
    this.#deliverAt = Math.max(this.#deliverAt, this.#timeline.now + afterMs)
    this.#later(this.#deliverAt - this.#timeline.now, () => {
      for (const done of dones) done(error)
    })
  }

  #flushAll(): void {
    this.#submit()
    while (this.#engine.pending > 0) this.#flush(this.#random.span(0, 0.5))
  }

  /** As the product's thread does: what can wait goes on while there is any of it, and a batch that nothing follows for a while is sealed. */
  #idle(): void {
    if (!this.#backgroundDue) {
      this.#backgroundDue = true
      this.#later(this.#random.span(0, 20), () => {
        this.#backgroundDue = false
        if (!this.#flushing && this.#enter(() => this.#engine.background())) this.#idle()
      })
    }
    if (this.#sealDue || this.#engine.sealed) return
    this.#sealDue = true
    const atRest = this.#engine.lastBatch
    this.#later(SEAL_AFTER_MS, () => {
      this.#sealDue = false
      if (this.#flushing) return
      if (this.#engine.lastBatch === atRest) this.#enter(() => this.#engine.seal())
      else this.#idle()
    })
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#later(ms, resolve))
  }

  #later(ms: number, run: () => void): void {
    this.#timeline.after(ms, this.#owner, () => {
      if (!this.#over) run()
    })
  }

  /** The machine may die in here: then its store must not enter a second time. */
  #enter<T>(work: () => T): T {
    this.#inEngine = true
    try {
      return work()
    } finally {
      this.#inEngine = false
      for (const error of this.#engine.takeTroubles()) this.#later(0, () => this.#trouble(error))
    }
  }
}
