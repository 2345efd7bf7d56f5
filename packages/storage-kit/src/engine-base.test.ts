import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AntiphonError, type Run, type SnapshotMeta, type Write, ZERO, type Zxid } from '@antiphon/ports'
import { RunBuilder } from '@antiphon/wire'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ChunkFramer, chunksIn, Packer, type SnapshotPosition, type SnapshotReader, snapshotName } from './index.ts'
import { diskFull, type List, ListEngine } from './list-engine.test-support.ts'
import { NodeDisk } from './node/index.ts'

const STORE_ID = '0123456789abcdef'.repeat(2)

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'antiphon-kit-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Its `sync` and `rename` fail when they are told to. */
class FaultyDisk extends NodeDisk {
  failing: 'sync' | 'rename' | 'write' | null = null

  override write(...args: Parameters<NodeDisk['write']>): void {
    if (this.failing === 'write') throw Object.assign(new Error('full'), { code: 'ENOSPC' })
    super.write(...args)
  }

  override sync(file: number): void {
    if (this.failing === 'sync') throw Object.assign(new Error('lost'), { code: 'EIO' })
    super.sync(file)
  }

  override rename(from: string, to: string): void {
    if (this.failing === 'rename') throw Object.assign(new Error('lost'), { code: 'EIO' })
    super.rename(from, to)
  }
}

function opened(disk: NodeDisk = new NodeDisk(folder), batchBytesMax?: number): ListEngine {
  const engine = new ListEngine(disk, undefined, batchBytesMax)
  engine.open(STORE_ID)
  return engine
}

function runBehind(previous: { last: Zxid; checksum: number } = { last: ZERO, checksum: 0 }, entries = 1): Run {
  const builder = new RunBuilder()
  builder.begin(previous.last, previous.checksum, 1, 1000)
  for (let i = 0; i < entries; i++) builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array(10))
  return builder.finish()!
}

function submit(engine: ListEngine, parts: Partial<Write>): void {
  const packer = new Packer()
  packer.add({ ticket: 1, founding: null, install: null, truncateTo: null, append: [], epochs: null, afterwards: [], ...parts })
  engine.submit(packer.take()!)
}

function submitStaged(engine: ListEngine, generation: number, runs: readonly Run[]): void {
  const packer = new Packer()
  packer.addStaged(generation, runs)
  engine.submit(packer.take()!)
}

/** `count` runs of one entry, written. */
function written(engine: ListEngine, count: number): Run[] {
  const runs: Run[] = []
  for (let i = 0; i < count; i++) {
    runs.push(runBehind(runs.at(-1)))
    submit(engine, { append: [runs.at(-1)!] })
  }
  expect(engine.flush().error).toBeNull()
  return runs
}

const metaAt = ({ last, checksum, time }: Run): SnapshotMeta => ({ zxid: last, checksum, time, endPoints: [{ epoch: 1, last, checksum }] })

function frames(meta: SnapshotMeta, chunks: readonly string[]): { bytes: Uint8Array; framer: ChunkFramer } {
  const framer = new ChunkFramer(meta, 4096)
  for (const chunk of chunks) expect(framer.add(Buffer.from(chunk))).toBeNull()
  return { bytes: framer.take(), framer }
}

function save(engine: ListEngine, meta: SnapshotMeta, ...chunks: readonly string[]): boolean {
  const writer = engine.beginSnapshot(meta)
  const { bytes, framer } = frames(meta, chunks)
  engine.appendSnapshot(writer, bytes)
  return engine.finishSnapshot(writer, framer.totals)
}

function stage(engine: ListEngine, meta: SnapshotMeta, ...chunks: readonly string[]): number {
  const writer = engine.beginStaging(meta)
  const { bytes, framer } = frames(meta, chunks)
  engine.appendSnapshot(writer, bytes)
  return engine.finishStaging(writer, framer.totals)
}

function content(reader: SnapshotReader, bytesMax = 4096): string[] {
  const chunks: string[] = []
  for (let position: SnapshotPosition | null = reader.begin; position !== null; ) {
    const { bytes, next }: { bytes: Uint8Array; next: SnapshotPosition | null } = reader.read(position, bytesMax)
    for (const chunk of chunksIn(bytes)) chunks.push(Buffer.from(chunk).toString())
    position = next
  }
  return chunks
}

const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return (error as AntiphonError).code
  }
  return 'none'
}

test('packs of one target share a batch; an installation begins one, another target and too many bytes begin one', () => {
  const engine = opened()
  const [first, second] = [runBehind(), runBehind(runBehind())]
  submit(engine, { append: [first] })
  submit(engine, { append: [second] })
  expect(engine.pending).toBe(2)
  expect(engine.flush().packs).toHaveLength(2)
  const generation = stage(engine, metaAt(runBehind(second)), 'x')
  submit(engine, { append: [runBehind(second)] })
  submitStaged(engine, generation, [runBehind(runBehind(second))])
  submit(engine, {})
  submit(engine, { install: generation })
  submit(engine, {})
  for (let i = 0; i < 4; i++) engine.flush()
  expect(engine.batches).toEqual([2, 1, 1, 1, 2])
  expect(engine.flush()).toEqual({ packs: [], error: null })

  const small = opened(new NodeDisk(mkdtempSync(join(folder, 'small-'))), 300)
  const runs = [runBehind()]
  for (let i = 0; i < 5; i++) runs.push(runBehind(runs.at(-1)))
  for (const run of runs) submit(small, { append: [run] })
  while (small.pending > 0) small.flush()
  expect(small.batches.length).toBeGreaterThan(1)
  expect(small.batches.reduce((sum, count) => sum + count, 0)).toBe(6)
})

test('a write that failed is the end of the store, whatever comes afterwards', () => {
  const engine = opened()
  const [run] = written(engine, 1)
  engine.fault = diskFull()
  submit(engine, { append: [runBehind(run)] })
  submit(engine, { append: [runBehind(runBehind(run))] })
  const { packs, error } = engine.flush()
  expect([packs.length, error?.code, error?.details['storeFailed']]).toEqual([2, 'DISK_FULL', true])
  engine.fault = null
  submit(engine, {})
  expect(engine.flush().error).toBe(error)
  expect(engine.failed).toBe(error)
  expect(codeOf(() => engine.read(ZERO, ZERO, 1))).toBe('DISK_FULL')
  expect(codeOf(() => engine.beginSnapshot(metaAt(run!)))).toBe('DISK_FULL')
  expect(codeOf(() => engine.compact(1, ZERO))).toBe('DISK_FULL')
})

test('a pack for a generation that is gone fails alone', () => {
  const engine = opened()
  const [run] = written(engine, 1)
  const generation = stage(engine, metaAt(run!), 'x')
  engine.discard(generation)
  submitStaged(engine, generation, [runBehind(run)])
  expect(engine.flush().error?.code).toBe('INVALID_ARGUMENT')
  expect(engine.failed).toBeNull()
})

test('a snapshot is of a place in the log, and appears when it is whole', () => {
  const engine = opened()
  const runs = written(engine, 3)
  expect(codeOf(() => engine.beginSnapshot(metaAt(runBehind(runs[2]))))).toBe('INVALID_ARGUMENT')
  expect(codeOf(() => engine.beginSnapshot({ ...metaAt(runs[1]!), checksum: 5 }))).toBe('DIVERGED')
  const meta = metaAt(runs[1]!)
  const writer = engine.beginSnapshot(meta)
  expect(engine.openSnapshot()).toBeNull()
  const { bytes, framer } = frames(meta, ['one', 'two'])
  engine.appendSnapshot(writer, bytes)
  expect(readdirSync(folder)).toEqual([`${snapshotName(0, meta.zxid)}.new`])
  expect(engine.finishSnapshot(writer, framer.totals)).toBe(true)
  expect(readdirSync(folder)).toEqual([snapshotName(0, meta.zxid)])
  const reader = engine.openSnapshot()!
  expect(reader.meta).toEqual(meta)
  for (const bytesMax of [1, 12, 4096]) expect(content(reader, bytesMax)).toEqual(['one', 'two'])
  engine.closeSnapshot(reader)
  const again = new ListEngine(new NodeDisk(folder), engine.log)
  expect(again.open(STORE_ID).snapshot).toEqual(meta)
})

test('a snapshot of which the history says otherwise is refused at open, and so is one of another store', () => {
  const engine = opened()
  const runs = written(engine, 2)
  save(engine, metaAt(runs[1]!), 'x')
  const other: List = engine.log.map((point) => ({ ...point, checksum: point.checksum ^ 1 }))
  const diverged = new ListEngine(new NodeDisk(folder), other)
  expect(codeOf(() => diverged.open(STORE_ID))).toBe('CORRUPT')
  expect(diverged.released).toBe(1)
  expect(codeOf(() => diverged.read(ZERO, ZERO, 1))).toBe('CORRUPT')
  expect(codeOf(() => new ListEngine(new NodeDisk(folder), engine.log).open('f'.repeat(32)))).toBe('CORRUPT')
})

test('any byte of a snapshot that has changed is found, by file and offset', () => {
  const engine = opened()
  const [run] = written(engine, 1)
  save(engine, metaAt(run!), 'one', 'two')
  const path = join(folder, snapshotName(0, run!.last))
  const sound = readFileSync(path)
  for (let at = 0; at < sound.length; at++) {
    const bytes = Buffer.from(sound)
    bytes[at]! ^= 0x10
    writeFileSync(path, bytes)
    let found: unknown = null
    try {
      const reader = engine.openSnapshot()!
      content(reader)
      engine.closeSnapshot(reader)
    } catch (error) {
      found = error
    }
    expect(found, `byte ${at}`).toBeInstanceOf(AntiphonError)
    const { code, details } = found as AntiphonError
    expect(['CORRUPT', 'VERSION_MISMATCH'], `byte ${at}`).toContain(code)
    if (code === 'CORRUPT') expect(details['file']).toBe(snapshotName(0, run!.last))
  }
})

test('an installed generation replaces the snapshots, one that was staged earlier is refused, and what is saved behind its back is void', () => {
  const engine = opened()
  const runs = written(engine, 2)
  save(engine, metaAt(runs[0]!), 'own')
  const [early, later] = [stage(engine, metaAt(runs[1]!), 'early'), stage(engine, metaAt(runBehind(runs[1])), 'later')]
  const own = metaAt(runs[1]!)
  const underWay = engine.beginSnapshot(own)
  submit(engine, { install: later })
  expect(engine.flush().error).toBeNull()
  expect(engine.installed?.replaced).toEqual([snapshotName(0, runs[0]!.last)])
  expect(content(engine.openSnapshot()!)).toEqual(['later'])
  expect(engine.finishSnapshot(underWay, frames(own, ['own']).framer.totals)).toBe(false)
  expect(readdirSync(folder).filter((name) => name.endsWith('.new'))).toEqual([])
  submit(engine, { install: early })
  expect(engine.flush().error?.code).toBe('INVALID_ARGUMENT')
})

test('a snapshot that somebody reads stays until the last reader has closed it', () => {
  const engine = opened()
  const runs = written(engine, 3)
  for (const run of runs) save(engine, metaAt(run), `at ${run.last}`)
  const oldest = engine.openSnapshot(runs[0]!.last)!
  const second = engine.openSnapshot(runs[0]!.last)!
  engine.compact(1, runs[2]!.last)
  expect(engine.snapshots).toEqual([runs[2]!.last])
  expect(engine.garbageLeft).toBe(1)
  engine.closeSnapshot(oldest)
  engine.closeSnapshot(oldest)
  expect(engine.garbageLeft).toBe(0)
  expect(content(second)).toEqual([`at ${runs[0]!.last}`])
  engine.closeSnapshot(second)
  expect(engine.garbageLeft).toBe(1)
  expect(readdirSync(folder)).toEqual([snapshotName(0, runs[2]!.last)])
})

test('compaction keeps the log behind the oldest snapshot that is kept, and everything from keepFrom on', () => {
  const engine = opened()
  const runs = written(engine, 4)
  expect(engine.compact(1, runs[3]!.last)).toBe(ZERO)
  expect(engine.dropped).toEqual([])
  save(engine, metaAt(runs[1]!), 'a')
  save(engine, metaAt(runs[3]!), 'b')
  engine.compact(2, runs[3]!.last)
  engine.compact(1, runs[2]!.last)
  engine.compact(1, 1e15 as Zxid)
  expect(engine.dropped).toEqual([runs[1]!.last, runs[2]!.last - 1, runs[3]!.last])
  expect(codeOf(() => engine.compact(0, ZERO))).toBe('INVALID_ARGUMENT')
  expect(codeOf(() => engine.read(ZERO, runs[3]!.last, 1))).toBe('INVALID_ARGUMENT')
  engine.fault = diskFull()
  expect(codeOf(() => engine.compact(1, runs[3]!.last))).toBe('DISK_FULL')
  expect(engine.failed?.details['storeFailed']).toBe(true)
})

test('a generation that is discarded leaves nothing; the number is not used again', () => {
  const engine = opened()
  const [run] = written(engine, 1)
  const generation = stage(engine, metaAt(run!), 'x')
  engine.discard(generation)
  engine.discard(generation)
  expect(engine.discarded).toHaveLength(1)
  expect(engine.garbageLeft).toBe(1)
  expect(readdirSync(folder)).toEqual([])
  expect(stage(engine, metaAt(run!), 'x')).toBeGreaterThan(generation)
})

test('of a snapshot that could not be written only the snapshot is lost; one that could not be flushed or named ends the store', () => {
  for (const failing of ['write', 'sync', 'rename'] as const) {
    const disk = new FaultyDisk(mkdtempSync(join(folder, failing)))
    const engine = opened(disk)
    const [run] = written(engine, 1)
    const meta = metaAt(run!)
    const writer = engine.beginSnapshot(meta)
    const { bytes, framer } = frames(meta, ['x'])
    if (failing !== 'write') engine.appendSnapshot(writer, bytes)
    disk.failing = failing
    const code = codeOf(() => (failing === 'write' ? engine.appendSnapshot(writer, bytes) : engine.finishSnapshot(writer, framer.totals)))
    expect([failing, code, engine.failed?.code]).toEqual(failing === 'write' ? ['write', 'DISK_FULL', undefined] : [failing, 'DISK_FAILED', 'DISK_FAILED'])
  }
})
