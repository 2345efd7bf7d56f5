import type { AntiphonError, Run, SnapshotMeta, StoredState, Write, Zxid } from '@antiphon/ports'
import { ChunkFramer, chunksIn, Packer, type SnapshotPosition } from '@antiphon/storage-kit'
import { expect } from 'vitest'
import { FileEngine } from './engine.ts'
import { ALL, Model, runBehind, type Tail, writeOf } from './history.test-support.ts'
import { MemoryDisk } from './memory-disk.ts'
import type { EngineOptions } from './settings.ts'

export const SMALL: EngineOptions = { segmentBytes: 2048, aheadBytes: 1024, batchBytesMax: 4096 }

/** An engine on a memory disk, and a model of what it should hold. */
export class Driver {
  readonly disk: MemoryDisk
  engine: FileEngine
  readonly #options: EngineOptions
  readonly packer = new Packer()
  /** After all that was told to be durable. */
  durable = new Model()
  /** After all that was handed over. */
  submitted = new Model()
  /** Newest snapshot that was told to be durable. */
  snapshot: SnapshotMeta | null = null
  /** One that is on its way; it may be there. */
  snapshotUnderway: SnapshotMeta | null = null

  constructor(disk: MemoryDisk, options: EngineOptions = SMALL) {
    this.disk = disk
    this.#options = options
    this.engine = new FileEngine(disk, options)
  }

  open(): StoredState {
    this.engine = new FileEngine(this.disk, this.#options)
    return this.engine.open('0123456789abcdef'.repeat(2))
  }

  submit(parts: Partial<Write>, staged: Model | null = null): void {
    const write = writeOf(parts)
    if (!this.packer.takes(0, write.install !== null)) this.engine.submit(this.packer.take()!)
    this.packer.add(write)
    this.engine.submit(this.packer.take()!)
    this.submitted = this.submitted.after(write, staged)
  }

  /** One flush for everything that was submitted. */
  flush(): void {
    const { error } = this.engine.flush()
    if (error !== null) throw error
    if (this.engine.pending > 0) throw new Error('one flush was not enough')
    this.durable = this.submitted
  }

  write(parts: Partial<Write>, staged: Model | null = null): void {
    this.submit(parts, staged)
    this.flush()
  }

  save(place: Tail, chunks: readonly Uint8Array[]): boolean {
    const meta = this.durable.metaAt(place)
    this.snapshotUnderway = meta
    const writer = this.engine.beginSnapshot(meta)
    const framer = new ChunkFramer(meta, 256)
    for (const chunk of chunks) for (let frames = framer.add(chunk); frames !== null; frames = framer.add(chunk)) this.engine.appendSnapshot(writer, frames)
    this.engine.appendSnapshot(writer, framer.take())
    const saved = this.engine.finishSnapshot(writer, framer.totals)
    if (saved && meta.zxid >= (this.snapshot?.zxid ?? 0)) this.snapshot = meta
    this.snapshotUnderway = null
    return saved
  }

  stage(meta: SnapshotMeta, chunks: readonly Uint8Array[]): number {
    const writer = this.engine.beginStaging(meta)
    const framer = new ChunkFramer(meta, 256)
    for (const chunk of chunks) for (let frames = framer.add(chunk); frames !== null; frames = framer.add(chunk)) this.engine.appendSnapshot(writer, frames)
    this.engine.appendSnapshot(writer, framer.take())
    return this.engine.finishStaging(writer, framer.totals)
  }

  stageAppend(generation: number, runs: readonly Run[]): AntiphonError | null {
    this.packer.addStaged(generation, runs)
    this.engine.submit(this.packer.take()!)
    return this.engine.flush().error
  }

  read(after: Zxid, bytesMax = 1 << 20): Run[] {
    return this.engine.read(after, ALL, bytesMax)
  }

  readSnapshot(): Uint8Array[] {
    const reader = this.engine.openSnapshot()!
    const chunks: Uint8Array[] = []
    for (let position: SnapshotPosition | null = reader.begin; position !== null; ) {
      const { bytes, next } = reader.read(position, 100)
      chunks.push(...chunksIn(bytes))
      position = next
    }
    this.engine.closeSnapshot(reader)
    return chunks
  }

  /** What was told by the last `expectSound`. */
  troubles: readonly AntiphonError[] = []

  /** Opens the store again and finds one of the two models: what was durable, or that and the batch that was under way. */
  expectSound(): StoredState {
    const state = this.open()
    const differences = [this.submitted, this.durable].map((model) => model.differs(state, (after) => this.read(after, 300)))
    const found = differences.indexOf(null)
    expect(found, `neither model: ${differences.join(' / ')}`).toBeGreaterThanOrEqual(0)
    const model = found === 0 ? this.submitted : this.durable
    this.troubles = this.engine.takeTroubles()
    const passedOver = this.troubles.some(({ details }) => String(details['file']).startsWith('snapshot-'))
    if (passedOver) this.snapshot = state.snapshot
    const snapshots = [model.base, this.snapshot, this.snapshotUnderway]
    expect(
      snapshots.some((meta) => (meta?.zxid ?? null) === (state.snapshot?.zxid ?? null)),
      'the snapshot',
    ).toBe(true)
    if (state.snapshot !== null) {
      expect(state.snapshot.zxid).toBeGreaterThanOrEqual(Math.max(model.base?.zxid ?? 0, model.base === this.durable.base ? (this.snapshot?.zxid ?? 0) : 0))
      this.readSnapshot()
    }
    this.durable = model
    this.submitted = model
    this.snapshot = state.snapshot
    this.snapshotUnderway = null
    return state
  }
}

/** Several segments, a truncation, an installed generation with segments of its own, two snapshots; closed in order, so sealed. */
export function filled(disk: MemoryDisk = new MemoryDisk()): Driver {
  const driver = new Driver(disk, { segmentBytes: 1024, aheadBytes: 512 })
  driver.open()
  for (let i = 0; i < 5; i++) driver.write({ append: [runBehind(driver.durable.tail, 1, 4)] })
  const base = runBehind(driver.durable.tail, 2, 4)
  let staged = new Model(undefined, null, [], new Model(undefined, null, [base]).metaAt(base))
  const generation = driver.stage(staged.base!, [new Uint8Array(50)])
  for (let i = 0; i < 6; i++) {
    const run = runBehind(staged.tail, 2, 4)
    driver.stageAppend(generation, [run])
    staged = new Model(undefined, null, [...staged.runs, run], staged.base)
  }
  driver.write({ install: generation, epochs: { accepted: 2, acceptedFrom: null, current: 2 } }, staged)
  driver.snapshot = staged.base
  for (let i = 0; i < 8; i++) driver.write({ append: [runBehind(driver.durable.tail, 2, 3, 30)] })
  driver.save(driver.durable.places[3]!, [new Uint8Array(100).fill(5), new Uint8Array(20)])
  const [cut] = driver.engine.read(base.last, (driver.durable.tail.last - 4) as never, 1 << 20).slice(-1)
  driver.write({ truncateTo: { zxid: cut!.last, checksum: cut!.checksum }, append: [runBehind(cut!, 3, 3)] })
  driver.engine.close()
  return driver
}
