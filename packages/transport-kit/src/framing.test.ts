import { FRAME_BYTES_MAX } from '@antiphon/ports'
import { describe, expect, test } from 'vitest'
import { encodeSignal, FrameReader, HEAD_BYTES, SEGMENT_BYTES, SIGNAL, writeHead } from './framing.ts'
import { Outbox } from './outbox.ts'

const UNBOUNDED = [2 ** 30, 2 ** 30, 2 ** 30]

/** Bytes that tell their place: position and seed. */
function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >>> 8) * 7 + seed) & 0xff
  return bytes
}

function gather(): { frames: [number, Uint8Array][]; signals: number[]; reader: FrameReader } {
  const frames: [number, Uint8Array][] = []
  const signals: number[] = []
  const reader = new FrameReader({
    frame: (lane, bytes) => frames.push([lane, bytes]) > 0,
    signal: (signal) => signals.push(signal) > 0,
  })
  return { frames, signals, reader }
}

function stream(outbox: Outbox, budget: number = 2 ** 30): Uint8Array {
  const batch: Uint8Array[] = []
  outbox.take(batch, budget)
  return Buffer.concat(batch)
}

const same = (a: Uint8Array | undefined, b: Uint8Array): boolean => a !== undefined && Buffer.compare(a, b) === 0

describe('reading', () => {
  test('frames cut at every byte boundary arrive whole', () => {
    const outbox = new Outbox(UNBOUNDED)
    const sent: [number, Uint8Array][] = [
      [0, pattern(1, 1)],
      [1, pattern(0, 2)],
      [1, pattern(40, 3)],
      [2, pattern(7, 4)],
    ]
    for (const [lane, bytes] of sent) outbox.push([bytes.subarray(0, 3), bytes.subarray(3)], bytes.length, lane)
    outbox.signal(encodeSignal(SIGNAL.probe))
    const bytes = stream(outbox)
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const { frames, signals, reader } = gather()
        for (const chunk of [bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second)]) expect(reader.push(chunk)).toBeNull()
        expect(signals).toEqual([SIGNAL.probe])
        expect(frames.length).toBe(sent.length)
        frames.forEach(([lane, frame], i) => expect([lane, same(frame, sent[i]?.[1] as Uint8Array)]).toEqual([sent[i]?.[0], true]))
      }
    }
  })

  test('a frame within one chunk is a view of it, one across chunks is memory of its own', () => {
    const outbox = new Outbox(UNBOUNDED)
    for (const seed of [1, 2]) outbox.push([pattern(100, seed)], 100, 1)
    const bytes = stream(outbox)
    const { frames, reader } = gather()
    const head = bytes.slice(0, 150)
    reader.push(head)
    reader.push(bytes.slice(150))
    expect(frames[0]?.[1].buffer).toBe(head.buffer)
    expect(frames[1]?.[1].buffer.byteLength).toBe(100)
    expect(same(frames[1]?.[1], pattern(100, 2))).toBe(true)
  })

  test('a stream of any frames in chunks of any size is the same frames', () => {
    let state = 12345
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    const outbox = new Outbox(UNBOUNDED)
    const sent: Uint8Array[][] = [[], [], []]
    for (let i = 0; i < 300; i++) {
      const length = [random(200), random(20_000), random(600_000)][i % 29 === 0 ? 2 : i % 3 === 0 ? 1 : 0] as number
      const lane = random(3)
      const frame = pattern(length, i)
      const cut = random(length + 1)
      outbox.push([frame.subarray(0, cut), frame.subarray(cut)], length, lane)
      sent[lane]?.push(frame)
    }
    const { frames, reader } = gather()
    while (!outbox.empty) {
      const bytes = stream(outbox, 1 + random(500_000))
      for (let at = 0; at < bytes.length; ) {
        const length = 1 + random(70_000)
        expect(reader.push(bytes.slice(at, at + length))).toBeNull()
        at += length
      }
    }
    for (const lane of [0, 1, 2]) {
      const got = frames.filter(([each]) => each === lane)
      expect(got.length).toBe(sent[lane]?.length)
      got.forEach(([, frame], i) => expect(same(frame, sent[lane]?.[i] as Uint8Array)).toBe(true))
    }
  })

  test('a length above the limit is garbage, whatever follows', () => {
    const head = new Uint8Array(HEAD_BYTES)
    writeHead(head, 0, FRAME_BYTES_MAX + 1, 1)
    expect(gather().reader.push(head)).toContain('longer')
    writeHead(head, 0, 0xffff_ffff, 0)
    expect(gather().reader.push(head)).toContain('longer')
  })

  test('a length within the limit takes memory only as bytes arrive', () => {
    const head = new Uint8Array(HEAD_BYTES)
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 64 }, () => {
      const { reader } = gather()
      writeHead(head, 0, FRAME_BYTES_MAX, 2)
      expect(reader.push(head)).toBeNull()
      expect(reader.push(new Uint8Array(1000))).toBeNull()
      return reader
    })
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024)
    expect(readers.length).toBe(64)
  })

  test('an unknown kind, and a segment that does not continue its frame, are garbage', () => {
    const head = new Uint8Array(HEAD_BYTES)
    for (const kind of [3, 15, 20, 31, 39, 255]) {
      writeHead(head, 0, 0, kind)
      expect(gather().reader.push(head)).toContain('unknown')
    }
    const { reader } = gather()
    writeHead(head, 0, SEGMENT_BYTES + 100, 1)
    reader.push(head)
    reader.push(new Uint8Array(SEGMENT_BYTES))
    writeHead(head, 0, 99, 1)
    expect(reader.push(head)).toContain('continue')
  })

  test('nothing is read behind a frame that ended the connection', () => {
    const outbox = new Outbox(UNBOUNDED)
    for (let i = 0; i < 3; i++) outbox.push([pattern(10, i)], 10, 0)
    let count = 0
    const reader = new FrameReader({ frame: () => ++count < 2, signal: () => true })
    expect(reader.push(stream(outbox))).toBeNull()
    expect(count).toBe(2)
  })
})

describe('writing', () => {
  test('control goes before entries before bulk, signals before all', () => {
    const outbox = new Outbox(UNBOUNDED)
    for (const lane of [2, 1, 0, 2, 1, 0]) outbox.push([pattern(10, lane)], 10, lane)
    outbox.signal(encodeSignal(SIGNAL.accept))
    const { frames, signals, reader } = gather()
    reader.push(stream(outbox))
    expect(signals).toEqual([SIGNAL.accept])
    expect(frames.map(([lane]) => lane)).toEqual([0, 0, 1, 1, 2, 2])
  })

  test('a heartbeat passes a long frame that is half written', () => {
    const outbox = new Outbox(UNBOUNDED)
    const long = pattern(3 * SEGMENT_BYTES + 5, 9)
    outbox.push([long], long.length, 1)
    const { frames, reader } = gather()
    const first = stream(outbox, 1)
    expect(first.length).toBe(SEGMENT_BYTES + HEAD_BYTES)
    reader.push(first)
    outbox.push([pattern(4, 1)], 4, 0)
    reader.push(stream(outbox, SEGMENT_BYTES))
    expect(frames.map(([lane]) => lane)).toEqual([0])
    reader.push(stream(outbox))
    expect(frames.map(([lane]) => lane)).toEqual([0, 1])
    expect(same(frames[1]?.[1], long)).toBe(true)
  })

  test('long pieces are written as they are, short ones gathered', () => {
    const outbox = new Outbox(UNBOUNDED)
    const long = pattern(100_000, 1)
    for (let i = 0; i < 10; i++) outbox.push([pattern(20, i)], 20, 1)
    outbox.push([pattern(30, 1), long, pattern(30, 2)], 100_060, 1)
    for (let i = 0; i < 10; i++) outbox.push([pattern(20, i)], 20, 1)
    const batch: Uint8Array[] = []
    outbox.take(batch, 2 ** 30)
    expect(batch.length).toBeLessThan(6)
    expect(batch.some((slice) => slice.buffer === long.buffer)).toBe(true)
  })

  test('a lane is bounded, the others are not concerned, and drained is told once', () => {
    const outbox = new Outbox([1000, 1000, 1000])
    expect(outbox.push([pattern(5000, 0)], 5000, 1)).toBe(true)
    expect(outbox.push([pattern(1, 0)], 1, 1)).toBe(false)
    expect(outbox.push([pattern(1, 0)], 1, 0)).toBe(true)
    expect(outbox.takeDrained()).toBe(false)
    stream(outbox)
    expect(outbox.takeDrained()).toBe(true)
    expect(outbox.takeDrained()).toBe(false)
    expect(outbox.empty).toBe(true)
  })
})
