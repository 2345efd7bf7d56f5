import { AntiphonError, checksumBehind, crc32, entryLength, type Message, readU32, runFromBytes, writeU32 } from '@antiphon/consensus-core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { joined, messages } from '../testing/arbitraries.ts'
import { decodeGreeting, decodeMessage, encodeGreeting, encodeMessage } from './index.ts'

const FRAMES = 1_000_000
const PROPOSE = 16
const PROPOSE_HEAD_BYTES = 40
const HEAP_GROWTH_BYTES_MAX = 256 * 1024 * 1024
const { SEED } = process.env
/** A run with the same SEED in the environment is the same to the byte. */
const seed = SEED === undefined ? Date.now() % 0x1_0000_0000 : Number(SEED)

/** mulberry32. */
function randomOf(start: number): (below: number) => number {
  let state = start >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const EXTREMES: readonly number[] = [0, 1, 0xff, 0xffff, 0x10000, 0x1f_ffff, 0x20_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

type Random = (below: number) => number

/** One change of many kinds, as networks, disks and broken senders make them; in `frame` itself where its length stays. */
function mutate(frame: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const at = random(frame.length)
  switch (random(8)) {
    case 0:
    case 1:
      frame[at]! ^= 1 << random(8)
      return frame
    case 2:
      frame[at] = random(256)
      return frame
    case 3:
      if (frame.length >= 4) writeU32(frame, random(frame.length - 3), EXTREMES[random(EXTREMES.length)]!)
      return frame
    case 4:
      return frame.slice(0, at)
    case 5: {
      const longer = new Uint8Array(frame.length + 1 + random(40))
      longer.set(frame)
      return longer
    }
    case 6: {
      const from = random(other.length)
      const length = Math.min(other.length - from, frame.length - at, 1 + random(32))
      frame.set(other.subarray(from, from + length), at)
      return frame
    }
    default:
      return joined([frame.subarray(0, at), other.subarray(random(other.length))])
  }
}

/** Makes the checksums fit again, so that what lies behind them is reached. */
function reseal(frame: Uint8Array, random: Random): void {
  if (frame.length < 12) return
  if (frame[5] === PROPOSE && frame.length > PROPOSE_HEAD_BYTES) {
    if (random(4) > 0) writeU32(frame, 8, PROPOSE_HEAD_BYTES)
    if (random(4) > 0) writeU32(frame, 36, frame.length - PROPOSE_HEAD_BYTES)
    const sealAt = frame.length - 4
    if (sealAt >= PROPOSE_HEAD_BYTES) {
      const crc = crc32(frame, readU32(frame, 32), PROPOSE_HEAD_BYTES, sealAt)
      writeU32(frame, sealAt, (crc << 15) | (crc >>> 17))
    }
  } else if (random(8) > 0) {
    writeU32(frame, 8, frame.length)
  }
  const covered = readU32(frame, 8)
  if (covered >= 12 && covered <= frame.length) writeU32(frame, 0, crc32(frame, 0, 4, covered))
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function decodedOrNull(frame: Uint8Array): Message | null {
  try {
    return decodeMessage(frame)
  } catch (error) {
    if (error instanceof AntiphonError && (error.code === 'CORRUPT' || error.code === 'VERSION_MISMATCH')) return null
    throw error
  }
}

/** A test whose failure names the seed that repeats it. */
function fuzz(name: string, body: () => void): void {
  test(name, { timeout: 300_000 }, () => {
    try {
      body()
    } catch (cause) {
      throw new Error(`with SEED=${seed}: ${(cause as Error).message}`, { cause })
    }
  })
}

fuzz('a million mutated frames: each gives a typed error, or a message that encodes to the very same bytes', () => {
  const random = randomOf(seed)
  const frames = fc.sample(messages, { seed, numRuns: 600 }).map((message) => joined(encodeMessage(message)))
  const traceLimit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const heapBefore = process.memoryUsage().heapUsed
  let heapMost = 0
  let decoded = 0
  let refused = 0
  try {
    for (let i = 0; i < FRAMES; i++) {
      let frame: Uint8Array = frames[random(frames.length)]!.slice()
      for (let changes = 1 + random(3); changes > 0 && frame.length > 0; changes--) frame = mutate(frame, frames[random(frames.length)]!, random)
      if (random(4) > 0) reseal(frame, random)
      const message = decodedOrNull(frame)
      if (message === null) {
        refused++
      } else {
        decoded++
        if (!sameBytes(joined(encodeMessage(message)), frame)) expect.fail(`frame ${i} decodes to a ${message.kind} that encodes otherwise`)
      }
      if (i % 1000 === 0) heapMost = Math.max(heapMost, process.memoryUsage().heapUsed - heapBefore)
    }
  } finally {
    Error.stackTraceLimit = traceLimit
  }
  expect(decoded + refused).toBe(FRAMES)
  // Both ways must be well worn, or the mutations have lost their teeth.
  expect(decoded).toBeGreaterThan(FRAMES / 20)
  expect(refused).toBeGreaterThan(FRAMES / 5)
  expect(heapMost).toBeLessThan(HEAP_GROWTH_BYTES_MAX)
})

fuzz('mutated runs are refused, or are whole: every entry in bounds, the chain unbroken', () => {
  const random = randomOf(seed ^ 0x5eed)
  const proposals = fc.sample(messages, { seed, numRuns: 2000 }).filter((message) => message.kind === 'PROPOSE')
  let whole = 0
  for (let i = 0; i < 50_000; i++) {
    const { run } = proposals[random(proposals.length)]!
    let bytes: Uint8Array = run.bytes.slice()
    if (random(8) > 0) bytes = mutate(bytes, proposals[random(proposals.length)]!.run.bytes, random)
    if (random(2) > 0 && bytes.length >= 4) {
      const crc = crc32(bytes, run.previousChecksum, 0, bytes.length - 4)
      writeU32(bytes, bytes.length - 4, (crc << 15) | (crc >>> 17))
    }
    let taken: ReturnType<typeof runFromBytes>
    try {
      taken = runFromBytes(bytes, run.previous, run.previousChecksum)
    } catch (error) {
      if (error instanceof AntiphonError && error.code === 'CORRUPT') continue
      throw error
    }
    whole++
    let at = 0
    let last = 0
    let entries = 0
    while (at < bytes.length) {
      last = at
      at += entryLength(bytes, at)
      entries++
    }
    expect(at).toBe(bytes.length)
    expect(entries).toBe(taken.entries)
    expect(checksumBehind(bytes, last)).toBe(taken.checksum)
  }
  expect(whole).toBeGreaterThan(1000)
})

fuzz('mutated greetings are refused, or are greetings', () => {
  const random = randomOf(seed ^ 0x6e7)
  const greeting = encodeGreeting({ versions: { min: 1, max: 1 }, peer: 7 as never, storeId: '5'.repeat(32) })
  for (let i = 0; i < 50_000; i++) {
    const bytes = mutate(greeting.slice(), greeting, random)
    if (random(2) > 0 && bytes.length >= 10) {
      bytes[8] = bytes.length >> 8
      bytes[9] = bytes.length
      writeU32(bytes, bytes.length - 4, crc32(bytes, 0, 0, bytes.length - 4))
    }
    try {
      const { versions, peer, storeId } = decodeGreeting(bytes)
      expect(versions.min).toBeGreaterThan(0)
      expect(peer).toBeGreaterThan(0)
      expect(storeId).toMatch(/^[0-9a-f]{32}$/)
    } catch (error) {
      if (!(error instanceof AntiphonError) || error.code !== 'CORRUPT') throw error
    }
  }
})
