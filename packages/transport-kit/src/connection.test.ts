import { peerId, systemClock } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { Connection, type ConnectionOwner } from './connection.ts'
import { FrameReader, HEAD_BYTES, SEGMENT_BYTES } from './framing.ts'
import type { Pipe, PipeHandler } from './pipe.ts'

/** A pipe that takes what it is told to, and counts the writes. */
class Wire implements Pipe {
  readonly remote = 'the test'
  readonly proven = null
  readonly writes: Uint8Array[] = []
  /** Waits to be taken; null: everything is. */
  pending: (() => void) | null = null
  slow = false
  handler: PipeHandler | null = null

  get busy(): boolean {
    return this.pending !== null
  }

  start(handler: PipeHandler): void {
    this.handler = handler
  }

  write(pieces: readonly Uint8Array[], taken: (() => void) | null): void {
    this.writes.push(Buffer.concat(pieces))
    if (!this.slow) return
    this.pending = () => {
      this.pending = null
      taken?.()
    }
  }

  end(): void {
    this.destroy()
  }

  destroy(): void {
    const { handler } = this
    this.handler = null
    handler?.closed('destroyed', null)
  }
}

const LANE_BYTES_MAX = 4 * 1024 * 1024

function connection(): { wire: Wire; it: Connection; turns: (() => void)[]; heard: string[]; lanes: () => number[] } {
  const wire = new Wire()
  const turns: (() => void)[] = []
  const heard: string[] = []
  const owner: ConnectionOwner = {
    opened() {},
    hello() {},
    introduced() {},
    unproven() {},
    ready() {},
    accepted() {},
    refused() {},
    alive() {},
    frame() {},
    drained: () => heard.push('drained'),
    garbage: (_, what) => heard.push(what),
    closed: () => heard.push('closed'),
  }
  const settings = {
    clock: systemClock({ keepAlive: false }),
    prover: null,
    laneBytesMax: [LANE_BYTES_MAX, LANE_BYTES_MAX, LANE_BYTES_MAX],
    handshakeTimeoutMs: 60_000,
    flushSoon: (each: Connection) => turns.push(() => each.flush()),
  }
  const it = new Connection(wire, peerId(2), settings, owner)
  it.open(1)
  const lanes = (): number[] => {
    const seen: number[] = []
    const reader = new FrameReader({ frame: (lane) => seen.push(lane) > 0, signal: () => true })
    for (const bytes of wire.writes) expect(reader.push(bytes)).toBeNull()
    return seen
  }
  return { wire, it, turns, heard, lanes }
}

const send = (it: Connection, length: number, lane: number): boolean => it.send([new Uint8Array(length)], length, lane)
const nextTick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('all that is sent in a turn is one write, and nothing is written inside send', () => {
  const { wire, it, turns, lanes } = connection()
  for (let i = 0; i < 1000; i++) send(it, 100, i % 3)
  send(it, 20_000, 1)
  expect([wire.writes.length, turns.length]).toEqual([0, 1])
  turns.pop()?.()
  expect(wire.writes.length).toBe(1)
  expect(lanes().length).toBe(1001)
  expect(lanes().slice(0, 334)).toEqual(Array.from({ length: 334 }, () => 0))
})

test('while the socket holds bytes, what is sent waits, and control goes first when it is free', async () => {
  const { wire, it, turns, lanes } = connection()
  wire.slow = true
  send(it, 100, 1)
  turns.pop()?.()
  for (let i = 0; i < 10; i++) send(it, 100_000, 1)
  for (let i = 0; i < 10; i++) send(it, 100_000, 2)
  send(it, 10, 0)
  turns.pop()?.()
  expect(wire.writes.length).toBe(1)
  wire.pending?.()
  await nextTick()
  expect(wire.writes.length).toBe(2)
  expect(lanes().slice(0, 3)).toEqual([1, 0, 1])
  wire.slow = false
  wire.pending?.()
  await nextTick()
  while (turns.length > 0) turns.pop()?.()
  await nextTick()
  expect(lanes()).toEqual([1, 0, ...Array.from({ length: 10 }, () => 1), ...Array.from({ length: 10 }, () => 2)])
})

test('the socket is never given more than one window and a segment', async () => {
  const { wire, it, turns } = connection()
  wire.slow = true
  send(it, LANE_BYTES_MAX * 2, 2)
  send(it, LANE_BYTES_MAX, 1)
  turns.pop()?.()
  for (let i = 0; i < 5; i++) {
    expect(wire.writes.at(-1)?.length).toBeLessThanOrEqual(2 * (SEGMENT_BYTES + HEAD_BYTES))
    wire.pending?.()
    await nextTick()
  }
  expect(wire.writes.length).toBe(6)
})

test('drained is told once a lane that refused is half empty', async () => {
  const { wire, it, turns, heard } = connection()
  wire.slow = true
  while (send(it, 100_000, 1)) expect(heard).toEqual([])
  turns.pop()?.()
  let written = 0
  while (heard.length === 0) {
    wire.pending?.()
    await nextTick()
    written = wire.writes.reduce((sum, bytes) => sum + bytes.length, 0)
  }
  expect(written).toBeGreaterThan(LANE_BYTES_MAX / 2 - 200_000)
  expect(written).toBeLessThan(LANE_BYTES_MAX / 2 + 1_000_000)
  expect(send(it, 100_000, 1)).toBe(true)
})

test('a kernel that takes everything does not keep the loop', () => {
  const { wire, it, turns } = connection()
  for (const lane of [0, 1, 2]) send(it, 8 * 1024 * 1024, lane)
  turns.pop()?.()
  const written = wire.writes.reduce((sum, bytes) => sum + bytes.length, 0)
  expect(written).toBeLessThan(6 * 1024 * 1024)
  expect(turns.length).toBe(1)
})

test('closed is told once, whoever closes', async () => {
  for (const end of [(it: Connection) => it.close('x'), (it: Connection) => it.pipe.destroy(), (it: Connection) => it.refuse(0, null, 'x')]) {
    const { it, heard } = connection()
    end(it)
    await nextTick()
    it.close('again')
    await nextTick()
    expect(heard).toEqual(['closed'])
  }
})
