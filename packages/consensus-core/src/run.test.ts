import { crc32 as reference } from 'node:zlib'
import fc, { type Arbitrary } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AntiphonError } from './errors.ts'
import {
  checksumBehind,
  cutAfter,
  cutBehind,
  ENTRY_OVERHEAD_BYTES,
  type EntryHead,
  endPointsOf,
  entryKind,
  entryLength,
  entryMachine,
  entryOrigin,
  entryPending,
  entryPrevious,
  entrySequence,
  entryTime,
  entryZxid,
  payloadEnd,
  payloadStart,
  type Run,
  RunBuilder,
  readU32,
  readU64,
  runFromBytes,
  writeU32,
  writeU64,
} from './run.ts'
import { COUNTER_MAX, counterOf, EPOCH_MAX, epochOf, ZERO, type Zxid, zxidOf } from './zxid.ts'

interface Added {
  readonly head: EntryHead
  readonly payload: Uint8Array
}

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const heads: Arbitrary<EntryHead> = fc.record({
  origin: fc.tuple(fc.integer({ min: 0, max: EPOCH_MAX }), u32).map(([epoch, counter]) => zxidOf(epoch, counter)),
  sequence: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER)),
  pending: u32,
  machine: fc.integer({ min: 0, max: 255 }),
  kind: fc.constantFrom(0, 1),
})
const added: Arbitrary<Added[]> = fc.array(fc.record({ head: heads, payload: fc.uint8Array({ maxLength: 700 }) }), { minLength: 1, maxLength: 8 })

const plain: EntryHead = { origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }

/** Reigns one behind the other, as a DIFF carries them: `counts[i]` entries of epoch `epochs[i]`. */
function history(epochs: readonly number[], counts: readonly number[], payloadBytes = 10): Run {
  const builder = new RunBuilder()
  const pieces: Uint8Array[] = []
  let previous = ZERO
  let checksum = 0
  epochs.forEach((epoch, index) => {
    builder.begin(previous, checksum, epoch, 1000 + epoch)
    for (let i = 0; i < counts[index]!; i++) builder.add(plain, new Uint8Array(payloadBytes).fill(i))
    const run = builder.finish()!
    pieces.push(run.bytes)
    previous = run.last
    checksum = run.checksum
  })
  return runFromBytes(Buffer.concat(pieces), ZERO, 0)
}

function zxidsIn(run: Run | null): Zxid[] {
  const zxids: Zxid[] = []
  if (run === null) return zxids
  for (let at = 0; at < run.bytes.length; at += entryLength(run.bytes, at)) zxids.push(entryZxid(run.bytes, at))
  return zxids
}

/** A run is what its bytes say it is. */
function expectWhole(run: Run): void {
  expect(runFromBytes(run.bytes, run.previous, run.previousChecksum)).toEqual(run)
}

function codeOf(bytes: Uint8Array, previous: Zxid, checksum: number): string {
  try {
    runFromBytes(bytes, previous, checksum)
  } catch (error) {
    if (error instanceof AntiphonError) return error.code
    throw error
  }
  return 'taken'
}

/** Makes the last seal fit whatever stands before it. */
function resealed(bytes: Uint8Array, previousChecksum: number): Uint8Array {
  const crc = reference(bytes.subarray(0, bytes.length - 4), previousChecksum)
  writeU32(bytes, bytes.length - 4, (crc << 15) | (crc >>> 17))
  return bytes
}

describe('framing', () => {
  test('every field stands in the entry, and is read back from its place', () => {
    fc.assert(
      fc.property(added, fc.maxSafeNat(), (entries, time) => {
        const builder = new RunBuilder(1)
        builder.begin(zxidOf(4, 9), 77, 5, time)
        const given = entries.map(({ head, payload }) => builder.add(head, payload))
        expect(builder.entries).toBe(entries.length)
        const run = builder.finish()!
        expect(builder.bytesUsed).toBe(run.bytes.length)
        let at = 0
        let previous = zxidOf(4, 9)
        entries.forEach(({ head, payload }, index) => {
          const { bytes } = run
          expect(entryLength(bytes, at)).toBe(ENTRY_OVERHEAD_BYTES + payload.length)
          expect([entryZxid(bytes, at), entryPrevious(bytes, at), entryTime(bytes, at)]).toEqual([zxidOf(5, index + 1), previous, time])
          expect({
            origin: entryOrigin(bytes, at),
            sequence: entrySequence(bytes, at),
            pending: entryPending(bytes, at),
            machine: entryMachine(bytes, at),
            kind: entryKind(bytes, at),
          }).toEqual(head)
          expect(bytes.slice(payloadStart(at), payloadEnd(bytes, at))).toEqual(payload)
          expect(given[index]).toBe(entryZxid(bytes, at))
          previous = entryZxid(bytes, at)
          at += entryLength(bytes, at)
        })
        expect(at).toBe(run.bytes.length)
        expectWhole(run)
      }),
    )
  })

  test('an entry has kept its bytes', () => {
    const builder = new RunBuilder()
    builder.begin(zxidOf(2, 3), 0x01020304, 2, 1_700_000_000_000)
    builder.add({ origin: zxidOf(1, 5), sequence: 0x1_0000_0007, pending: 2, machine: 3, kind: 1 }, Uint8Array.of(0xaa, 0xbb))
    const { bytes } = builder.finish()!
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '0000003a' +
        '0000000200000004' +
        '0000000200000003' +
        '0000000100000005' +
        '0000000100000007' +
        '00000002' +
        '0000018bcfe56800' +
        '03010000' +
        'aabb' +
        '35b2614a',
    )
  })

  test('the history’s checksum is the CRC of every byte of the history', () => {
    const run = history([1, 3], [3, 2])
    expect(run.checksum).toBe(reference(run.bytes))
    let at = 0
    while (at < run.bytes.length) {
      const end = at + entryLength(run.bytes, at)
      expect(checksumBehind(run.bytes, at)).toBe(reference(run.bytes.subarray(0, end)))
      at = end
    }
  })

  test('histories that differ in one early entry have different checksums ever after', () => {
    const checksums = [1, 2].map((first) => {
      const builder = new RunBuilder()
      builder.begin(ZERO, 0, 1, 5)
      builder.add(plain, Uint8Array.of(first))
      const before = builder.finish()!
      builder.begin(before.last, before.checksum, 1, 6)
      for (let i = 0; i < 10; i++) builder.add(plain, Uint8Array.of(9))
      return builder.finish()!.checksum
    })
    expect(checksums[0]).not.toBe(checksums[1])
  })

  test('a reign begins with counter 1, and goes on from where its last batch ended', () => {
    const builder = new RunBuilder()
    builder.begin(zxidOf(2, 8), 5, 4, 10)
    expect(builder.next).toBe(zxidOf(4, 1))
    builder.add(plain, new Uint8Array(0))
    expect(builder.next).toBe(zxidOf(4, 2))
    const run = builder.finish()!
    builder.begin(run.last, run.checksum, 4, 10)
    expect(builder.next).toBe(zxidOf(4, 2))
    expect(builder.finish()).toBe(null)
    builder.begin(zxidOf(4, COUNTER_MAX - 1), 5, 4, 10)
    expect(counterOf(builder.add(plain, new Uint8Array(0)))).toBe(COUNTER_MAX)
  })

  test('a finished run is untouched by the builder’s next batch', () => {
    const builder = new RunBuilder()
    builder.begin(ZERO, 0, 1, 5)
    builder.add(plain, new Uint8Array(50).fill(1))
    const run = builder.finish()!
    const before = run.bytes.slice()
    builder.begin(run.last, run.checksum, 1, 6)
    builder.add(plain, new Uint8Array(50).fill(2))
    expect(run.bytes).toEqual(before)
  })

  test('64-bit numbers come back, up to the last safe integer', () => {
    const bytes = new Uint8Array(8)
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 0xffff_ffff, 0x1_0000_0000, Number.MAX_SAFE_INTEGER)), (value) => {
        writeU64(bytes, 0, value)
        expect(readU64(bytes, 0)).toBe(value)
        expect(Buffer.from(bytes).readBigUInt64BE()).toBe(BigInt(value))
        expect(readU32(bytes, 4)).toBe(value % 0x1_0000_0000)
      }),
    )
  })
})

describe('taking in', () => {
  test('a flipped bit anywhere is CORRUPT', () => {
    const { bytes } = history([1, 2], [2, 2], 3)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      expect(codeOf(bytes, ZERO, 0), `bit ${bit}`).toBe('CORRUPT')
      bytes[bit >> 3]! ^= 1 << (bit & 7)
    }
    expect(codeOf(bytes, ZERO, 0)).toBe('taken')
  })

  test('bytes that are cut inside an entry, or none at all, are CORRUPT; cut between entries they are a shorter run', () => {
    const run = history([1], [3])
    for (let length = 0; length < run.bytes.length; length++) {
      expect(codeOf(run.bytes.subarray(0, length), ZERO, 0), `${length} bytes`).toBe(length > 0 && length % 66 === 0 ? 'taken' : 'CORRUPT')
    }
  })

  test('a run does not stand behind another history: neither another ZXID nor another checksum', () => {
    const run = cutAfter(history([1], [4]), zxidOf(1, 2))!
    expect(codeOf(run.bytes, zxidOf(1, 2), run.previousChecksum)).toBe('taken')
    expect(codeOf(run.bytes, zxidOf(1, 1), run.previousChecksum)).toBe('CORRUPT')
    expect(codeOf(run.bytes, zxidOf(1, 2), run.previousChecksum ^ 1)).toBe('CORRUPT')
  })

  test.each([
    ['a length below the least', 0, 55],
    ['a length beyond the bytes', 0, 0xffff_ffff],
    ['an epoch above the last', 4, EPOCH_MAX + 1],
    ['a gap in the counters', 8, 2],
    ['another predecessor', 16, 7],
    ['an origin above the last epoch', 20, EPOCH_MAX + 1],
    ['a sequence that is no safe integer', 28, EPOCH_MAX + 1],
    ['a time that is no safe integer', 40, EPOCH_MAX + 1],
  ])('%s is refused though the checksum fits', (_what, offset, value) => {
    const { bytes } = history([1], [1])
    writeU32(bytes, offset, value)
    expect(codeOf(resealed(bytes, 0), ZERO, 0)).toBe('CORRUPT')
  })

  test('time that goes back within a run is refused though the checksum fits', () => {
    const { bytes } = history([1], [2])
    writeU32(bytes, 66 + 44, 0)
    expect(codeOf(resealed(bytes, 0), ZERO, 0)).toBe('CORRUPT')
  })
})

describe('cutting', () => {
  const run = history([2, 5], [3, 3])
  const all = zxidsIn(run)

  test('the two halves of a cut behind any entry are whole runs, and together the run', () => {
    expect(all.map((zxid) => [epochOf(zxid), counterOf(zxid)])).toEqual([
      [2, 1],
      [2, 2],
      [2, 3],
      [5, 1],
      [5, 2],
      [5, 3],
    ])
    for (const [index, zxid] of all.entries()) {
      const before = cutBehind(run, zxid)!
      const after = cutAfter(run, zxid)
      expectWhole(before)
      expect(zxidsIn(before)).toEqual(all.slice(0, index + 1))
      expect(zxidsIn(after)).toEqual(all.slice(index + 1))
      if (after === null) continue
      expectWhole(after)
      expect([after.previous, after.previousChecksum]).toEqual([before.last, before.checksum])
    }
  })

  test('nothing is cut where nothing is to be cut, and nothing is copied', () => {
    expect(cutAfter(run, ZERO)).toBe(run)
    expect(cutBehind(run, zxidOf(5, 3))).toBe(run)
    expect(cutBehind(run, zxidOf(9, 1))).toBe(run)
    expect(cutAfter(run, zxidOf(5, 3))).toBe(null)
    expect(cutAfter(run, zxidOf(9, 1))).toBe(null)
    expect(cutBehind(run, ZERO)).toBe(null)
    expect(cutAfter(run, zxidOf(2, 1))!.bytes.buffer).toBe(run.bytes.buffer)
    expect(cutBehind(run, zxidOf(2, 1))!.bytes.buffer).toBe(run.bytes.buffer)
  })

  test('a ZXID that lies in a gap between epochs cuts where the later epoch begins', () => {
    for (const between of [zxidOf(2, 4), zxidOf(2, COUNTER_MAX), zxidOf(3, 1), zxidOf(5, 0)]) {
      expect(zxidsIn(cutAfter(run, between))).toEqual(all.slice(3))
      expect(zxidsIn(cutBehind(run, between))).toEqual(all.slice(0, 3))
    }
  })

  test('a ZXID between a run’s predecessor and its first entry cuts nothing off', () => {
    const later = cutAfter(run, zxidOf(2, 3))!
    const single = cutBehind(later, zxidOf(5, 1))!
    for (const between of [zxidOf(2, 4), zxidOf(4, 9), zxidOf(5, 0)]) {
      expect(cutAfter(later, between)).toBe(later)
      expect(cutAfter(single, between)).toBe(single)
      expect(cutBehind(later, between)).toBe(null)
    }
  })
})

test('a run adds one end point for each of its epochs', () => {
  const run = history([1, 2, 7], [2, 1, 3])
  const ends = endPointsOf(run)
  expect(ends.map(({ epoch, last }) => [epoch, last])).toEqual([
    [1, zxidOf(1, 2)],
    [2, zxidOf(2, 1)],
    [7, zxidOf(7, 3)],
  ])
  for (const { last, checksum } of ends) expect(checksum).toBe(cutBehind(run, last)!.checksum)
  expect(endPointsOf(cutAfter(run, zxidOf(2, 1))!)).toEqual([{ epoch: 7, last: zxidOf(7, 3), checksum: run.checksum }])
})
