import { putU32, RECORD_HEAD_BYTES, recordLength, recordSpan, u32 } from '@antiphon/storage-kit'
import { crc32 } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Driver, filled } from './driver.test-support.ts'
import { Examination, verifyStore } from './examine.ts'
import { decodeSegmentHead, encodeMarker, MARKER_NAME } from './format.ts'
import { runBehind } from './history.test-support.ts'
import { SEAL_BYTES } from './log-files.ts'
import { MemoryDisk } from './memory-disk.ts'

function describe(disk: MemoryDisk) {
  const examination = new Examination(disk)
  const description = examination.describe()
  examination.end()
  return description
}

/** Its version raised by one, and made good again by its own checksum. */
function raise(disk: MemoryDisk, name: string, headBytes: number): void {
  const file = disk.open(name, 'write')
  const head = disk.contents(name).slice(0, headBytes)
  head[5]!++
  putU32(head, headBytes - 4, crc32(head, 0, 0, headBytes - 4))
  disk.write(file, head, 0)
  disk.close(file)
}

function named(disk: MemoryDisk, start: string): string[] {
  return disk
    .list()
    .filter((name) => name.startsWith(start))
    .sort()
}

test('a segment or a snapshot of a later format is refused by its version, and stays', () => {
  for (const [start, length] of [
    ['log-', (bytes: Uint8Array) => decodeSegmentHead(bytes)!.length],
    ['snapshot-', (bytes: Uint8Array) => u32(bytes, 8)],
  ] as const) {
    const driver = filled()
    const name = named(driver.disk, start).at(-1)!
    raise(driver.disk, name, length(driver.disk.contents(name)))
    const refusal = expect.objectContaining({ code: 'VERSION_MISMATCH', details: { found: 2, known: 1 }, remedy: expect.stringContaining('version') })
    expect(() => driver.open()).toThrowError(refusal)
    expect(() => verifyStore(driver.disk)).toThrowError(refusal)
    expect(driver.disk.list()).toContain(name)
  }
})

test('a folder is described as an open would find it', () => {
  const driver = filled()
  const found = describe(driver.disk)
  const state = driver.open()
  expect(found).toMatchObject({ ...state, formatVersion: 1, generation: 1, sealed: true, torn: null })
  expect(found.snapshots.map(({ meta, chunkBytes }) => [meta.zxid, chunkBytes])).toEqual([
    [found.segments[0]!.previous, 50],
    [state.snapshot!.zxid, 120],
  ])
  expect(found.segments.length).toBeGreaterThan(2)
  for (const [i, segment] of found.segments.entries()) {
    expect(segment.end).toBeLessThanOrEqual(segment.bytes)
    expect(segment.previous).toBeLessThanOrEqual(segment.last)
    if (i > 0) expect(segment.previous).toBeLessThanOrEqual(found.segments[i - 1]!.last)
  }
  expect(found.segments.at(-1)!.last).toBe(state.log.last)
})

test('all that is there is read, and its amount is told', () => {
  const driver = filled()
  const { damages, entries, entryBytes, chunks, chunkBytes, store } = verifyStore(driver.disk)
  expect({ damages, chunks, chunkBytes }).toEqual({ damages: [], chunks: 3, chunkBytes: 170 })
  expect(entryBytes).toBe(driver.durable.bytesAfter(store!.log.start).length)
  expect([store!.entries, store!.segments.reduce((sum, segment) => sum + segment.entries, 0)]).toEqual([entries, entries])
  expect(entries).toBe(driver.durable.runs.reduce((sum, run) => sum + run.entries, 0))
})

test('a bit that turns is found and named in every region that counts', () => {
  const sound = filled()
  const { segments, snapshots, generation } = describe(sound.disk)
  const regions = new Map<string, number>()
  const expectFound = (file: string, offset: number, region: string): void => {
    const driver = filled()
    driver.disk.flip(file, offset, offset % 8)
    const { damages } = verifyStore(driver.disk)
    expect(damages.length, `${region}: ${file} at ${offset}`).toBeGreaterThan(0)
    expect(damages[0]).toEqual({ file: expect.stringMatching(/./), offset: expect.any(Number), what: expect.stringMatching(/./) })
    if (damages[0]!.file === file) regions.set(region, (regions.get(region) ?? 0) + 1)
  }
  for (let offset = 0; offset < sound.disk.contents(MARKER_NAME).length; offset++) expectFound(MARKER_NAME, offset, 'marker')
  for (const [i, { file, end }] of segments.entries()) {
    const bytes = sound.disk.contents(file)
    const begin = decodeSegmentHead(bytes)!.length
    for (let offset = 0; offset < begin; offset += 5) expectFound(file, offset, 'segment head')
    const last = i === segments.length - 1 ? end - SEAL_BYTES : end
    for (let at = begin; at < last; at += recordSpan(bytes, at)) {
      const length = RECORD_HEAD_BYTES + recordLength(bytes, at)
      for (let offset = at; offset < at + length; offset += 11) expectFound(file, offset, offset < at + RECORD_HEAD_BYTES ? 'record head' : 'payload')
    }
  }
  for (const { file, bytes } of snapshots) {
    expect(file).toContain(`snapshot-0000000${generation}`)
    const head = u32(sound.disk.contents(file), 8)
    for (let offset = 0; offset < bytes; offset += 3)
      expectFound(file, offset, offset < head ? 'snapshot head' : offset < bytes - 28 ? 'chunks' : 'snapshot trailer')
  }
  expect([...regions.keys()].sort()).toEqual(['chunks', 'marker', 'payload', 'record head', 'segment head', 'snapshot head', 'snapshot trailer'])
})

test('one damaged snapshot does not hide another', () => {
  const driver = filled()
  const { snapshots } = describe(driver.disk)
  for (const { file, bytes } of snapshots) driver.disk.flip(file, bytes - 40, 2)
  expect(verifyStore(driver.disk).damages.map(({ file }) => file)).toEqual(snapshots.map(({ file }) => file).toReversed())
})

test('a last batch that a crash has torn is no damage, and is told', () => {
  const driver = new Driver(new MemoryDisk(), { aheadBytes: 0 })
  driver.open()
  driver.write({ append: [runBehind(null, 1, 3)] })
  const sound = describe(driver.disk)
  expect(sound.torn).toBe(null)
  driver.write({ append: [runBehind(driver.durable.tail, 1, 3)] })
  const { file, end } = sound.segments[0]!
  driver.disk.flip(file, end + 100, 1)
  const { damages, store, entries } = verifyStore(driver.disk)
  expect({ damages, entries, torn: store!.torn }).toEqual({ damages: [], entries: 3, torn: { file, offset: end } })
})

test('where no store is, none is made and none is described', () => {
  const refused = (disk: MemoryDisk, expected: object): void => {
    const before = [...disk.list()]
    expect(() => new Examination(disk)).toThrowError(expect.objectContaining(expected))
    expect(disk.list()).toEqual(before)
  }
  refused(new MemoryDisk(), { code: 'INVALID_ARGUMENT', remedy: expect.stringContaining('store') })
  const foreign = new MemoryDisk()
  foreign.close(foreign.open('letter.txt', 'create'))
  refused(foreign, { code: 'FOLDER_FOREIGN' })
  const unfinished = new MemoryDisk()
  unfinished.write(unfinished.open(`${MARKER_NAME}.new`, 'create'), encodeMarker('9'.repeat(32)), 0)
  refused(unfinished, { code: 'INVALID_ARGUMENT' })
  const { disk } = filled()
  disk.remove(MARKER_NAME)
  refused(disk, { code: 'CORRUPT', details: { file: MARKER_NAME, offset: 0 } })
  const alone = new MemoryDisk()
  alone.write(alone.open(MARKER_NAME, 'create'), encodeMarker('9'.repeat(32)).fill(1, 9, 10), 0)
  refused(alone, { code: 'CORRUPT', details: { file: MARKER_NAME, offset: 0 } })
})

test('an examination changes nothing in the folder', () => {
  const { disk } = filled()
  const before = disk.list().map((name) => [name, disk.contents(name).slice()])
  verifyStore(disk)
  expect(disk.list().map((name) => [name, disk.contents(name).slice()])).toEqual(before)
})
