import type { Lane, PeerId } from '@antiphon/ports'
import { assert, assertEqual, bytesOf, concat, equalBytes, fail } from '../suite.ts'
import { A, B, C, greetingOf, LANES, type Peer, type TransportCases } from './setup.ts'

/** Sent until the lane is full, at most: a lane that takes 256 MiB in one turn has no bound. */
const FILL_BYTES = 256 * 1024
const FILLS_MAX = 1024

function send(from: Peer, to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
  return from.heard.send(from.transport, to, pieces, lane)
}

function mustSend(from: Peer, to: PeerId, pieces: readonly Uint8Array[], lane: Lane): void {
  assert(send(from, to, pieces, lane), `send() to a connected peer with nothing under way was refused on lane ${lane}`)
}

/** Numbered frames, each with the same bulk, until one is refused; how many were taken. */
function fill(from: Peer, to: PeerId, lane: Lane): number {
  const bulk = bytesOf(FILL_BYTES, 5)
  for (let taken = 0; taken < FILLS_MAX; taken++) if (!send(from, to, [numbered(taken), bulk], lane)) return taken
  return fail(`lane ${lane} took ${FILLS_MAX} frames of ${FILL_BYTES} bytes in one turn: its queue has no bound`)
}

function numbered(number: number): Uint8Array {
  return Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number)
}

function numberOf(bytes: Uint8Array): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0
}

/** What a connection carries: whole frames, in order, and no more than it has room for. */
export const frames: TransportCases = (add) => {
  add("both ends hear up() with the other's greeting", 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    assertEqual(a.heard.greetings.get(B), greetingOf(B), 'the greeting that A heard')
    assertEqual(b.heard.greetings.get(A), greetingOf(A), 'the greeting that B heard')
  })

  add('frames arrive whole, unchanged, once and in the order of their lane', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    const sent = new Map<Lane, Uint8Array[]>(LANES.map((lane) => [lane, []]))
    const untouched: { piece: Uint8Array; copy: Uint8Array }[] = []
    for (let i = 0; i < 600; i++) {
      const lane = LANES[(i * 7) % 3]!
      const pieces = Array.from({ length: 1 + (i % 4) }, (_, part) => bytesOf((i * 37 + part * 11) % 3000, i * 10 + part))
      const frame = [numbered(i), ...pieces]
      untouched.push(...frame.map((piece) => ({ piece, copy: piece.slice() })))
      mustSend(a, B, frame, lane)
      mustSend(b, A, [numbered(i)], lane)
      sent.get(lane)!.push(concat(frame))
    }
    await b.heard.until(() => b.heard.framesFrom(A).length >= 600, '600 frames from A')
    await a.heard.until(() => a.heard.framesFrom(B).length >= 600, '600 frames from B')
    for (const lane of LANES)
      assertEqual(
        b.heard
          .framesFrom(A)
          .filter((frame) => frame.lane === lane)
          .map((frame) => frame.bytes),
        sent.get(lane),
        `the frames of lane ${lane}`,
      )
    for (const lane of LANES) {
      const numbers = a.heard
        .framesFrom(B)
        .filter((frame) => frame.lane === lane)
        .map((frame) => numberOf(frame.bytes))
      assertEqual(
        numbers,
        [...numbers].sort((x, y) => x - y),
        `the order of the frames to A on lane ${lane}`,
      )
    }
    for (const { piece, copy } of untouched) assert(equalBytes(piece, copy), 'send() changed a piece that it was given')
    assertEqual([a.heard.framesFrom(B).length, b.heard.framesFrom(A).length], [600, 600], 'the number of frames')
  })

  add('three peers hear each from the others, and only what is for them', 'always', async (wires) => {
    const peers = await wires.mesh(A, B, C)
    for (const from of peers)
      for (const to of peers) if (to !== from) for (let i = 0; i < 50; i++) mustSend(from, to.id, [numbered(from.id * 1000 + to.id * 100 + i)], 'entries')
    for (const to of peers) {
      for (const from of peers) {
        if (to === from) continue
        await to.heard.until(() => to.heard.framesFrom(from.id).length >= 50, `50 frames from ${from.id}`)
        assertEqual(
          to.heard.framesFrom(from.id).map((frame) => numberOf(frame.bytes)),
          Array.from({ length: 50 }, (_, i) => from.id * 1000 + to.id * 100 + i),
          `frames from ${from.id} to ${to.id}`,
        )
      }
    }
  })

  add('the largest frame is carried', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    const frame = bytesOf(wires.largestFrameBytes, 3)
    mustSend(a, B, [frame.subarray(0, 10), frame.subarray(10)], 'entries')
    mustSend(a, B, [numbered(7)], 'control')
    await b.heard.until(() => b.heard.framesFrom(A).length === 2, 'a frame of the largest size')
    const arrived = b.heard.framesFrom(A).find((received) => received.lane === 'entries') ?? fail('the large frame did not arrive')
    assert(equalBytes(arrived.bytes, frame), 'the largest frame arrived changed')
  })

  for (const lane of LANES) {
    add(`a full lane refuses, drains and takes again; what it took arrives in order (${lane})`, 'always', async (wires) => {
      const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
      const taken = fill(a, B, lane)
      assert(taken > 0, 'an empty lane refused a frame')
      await a.heard.until(() => a.heard.drains.some(({ peer }) => peer === B), 'drain(B)')
      mustSend(a, B, [numbered(999_999)], lane)
      await b.heard.until(() => b.heard.framesFrom(A).some(({ bytes }) => numberOf(bytes) === 999_999), 'the frame after drain()')
      assertEqual(
        b.heard.framesFrom(A).map(({ bytes }) => numberOf(bytes)),
        [...Array.from({ length: taken }, (_, i) => i), 999_999],
        'the frames that were taken',
      )
    })
  }

  add('a full lane holds up no other lane', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    const taken = fill(a, B, 'bulk')
    mustSend(a, B, [numbered(1)], 'entries')
    mustSend(a, B, [numbered(2)], 'control')
    await b.heard.until(() => b.heard.framesFrom(A).length === taken + 2, 'all that was taken')
    for (const lane of ['entries', 'control'] as const) {
      const place = b.heard.framesFrom(A).findIndex((frame) => frame.lane === lane)
      assert(place < taken + 1, `a frame on ${lane} came behind all ${taken} frames of a full bulk lane`)
    }
  })

  add('a full lane to one peer holds up no other peer', 'always', async (wires) => {
    const [a, , c] = (await wires.mesh(A, B, C)) as [Peer, Peer, Peer]
    fill(a, B, 'entries')
    mustSend(a, C, [numbered(5)], 'entries')
    await c.heard.until(() => c.heard.framesFrom(A).length === 1, 'a frame from A, whose lane to B is full')
  })

  add('a frame to an unknown peer, to ourselves or to a peer that is away is refused, never thrown', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    for (const to of [77 as PeerId, A]) assertEqual(send(a, to, [numbered(1)], 'control'), false, `send() to ${to}`)
    await b.transport.close()
    b.heard.closed()
    await a.heard.until(() => !a.heard.live.has(B), 'down(B)')
    assertEqual(send(a, B, [numbered(1)], 'control'), false, 'send() to a peer that is away')
  })
}
