import { AntiphonError, END_POINTS_MAX, type Message, type PeerId, RunBuilder, writeU32, ZERO, type Zxid, zxidOf } from '@antiphon/consensus-core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { joined, messages } from '../testing/arbitraries.ts'
import { crc32, decodeMessage, encodeMessage, REQUESTS_MAX } from './index.ts'

const one = 1 as PeerId
const two = 2 as PeerId
const storeId = '000102030405060708090a0b0c0d0e0f'
const ensembleId = 'f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'

function run(): Extract<Message, { kind: 'PROPOSE' }>['run'] {
  const builder = new RunBuilder()
  builder.begin(ZERO, 0, 1, 1_700_000_000_000)
  builder.add({ origin: zxidOf(1, 1), sequence: 7, pending: 2, machine: 1, kind: 0 }, Uint8Array.of(0xaa, 0xbb))
  return builder.finish()!
}

/** One message of each kind, and its bytes. A change here is a change of the protocol: it needs a version of its own. */
const golden: readonly (readonly [Message, string])[] = [
  [
    { kind: 'IDENTITY', ensembleId, settings: '0123456789abcdef', empty: false },
    '77e3ca2d 01010000 00000026 000123456789abcdef01f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff',
  ],
  [{ kind: 'IDENTITY', ensembleId: null, settings: '0123456789abcdef', empty: true }, 'a3236544 01010000 00000016 010123456789abcdef00'],
  [
    {
      kind: 'FOUNDING',
      founding: {
        ensembleId,
        configuration: {
          version: zxidOf(2, 3),
          members: [
            { id: one, role: 'voter', weight: 1, group: 0, storeId },
            { id: two, role: 'observer', weight: 2, group: 3, storeId: null },
          ],
        },
      },
    },
    '15ffef06 01020000 0000005e f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff00000002000000030000000201000000000000000001000000000000000001000102030405060708090a0b0c0d0e0f02010000000000000002000000000000000300',
  ],
  [
    { kind: 'VOTE', state: 'leading', leader: two, zxid: zxidOf(3, 4), epoch: 3, round: 5 },
    '664f5805 01030000 00000022 02020000000300000004000000030000000000000005',
  ],
  [{ kind: 'CEPOCH', accepted: 6, acceptedFrom: { leader: two, nonce: 0x1_0000_0002 } }, '747af2a5 01040000 0000001a 0000000601020000000100000002'],
  [{ kind: 'CEPOCH', accepted: 0, acceptedFrom: null }, '196e7546 01040000 00000011 0000000000'],
  [{ kind: 'NEWEPOCH', epoch: 7, attempt: { leader: two, nonce: 9 } }, '8846de7d 01050000 00000019 00000007020000000000000009'],
  [
    {
      kind: 'ACK-E',
      epoch: 7,
      current: 6,
      last: zxidOf(6, 2),
      checksum: 0xdeadbeef,
      committed: zxidOf(6, 1),
      wall: 1_700_000_000_000,
      quarantined: false,
      endPoints: [{ epoch: 6, last: zxidOf(6, 2), checksum: 0xdeadbeef }],
      staged: null,
    },
    '2fbfa0ad 01060000 00000042 00000007000000060000000600000002deadbeef00000006000000010000018bcfe5680000000000010000000600000002deadbeef00',
  ],
  [{ kind: 'TRUNC', epoch: 7, to: zxidOf(6, 1), checksum: 0x01020304 }, '7265b436 01070000 0000001c 00000007000000060000000101020304'],
  [{ kind: 'DIFF', epoch: 7, after: zxidOf(6, 1), checksum: 0x01020304, staged: true }, '668a921e 01080000 0000001d 0000000700000006000000010102030401'],
  [
    {
      kind: 'SNAP',
      epoch: 7,
      transfer: 2,
      chunks: 3,
      digest: 0x0a0b0c0d,
      meta: { zxid: zxidOf(1, 9), checksum: 5, endPoints: [{ epoch: 1, last: zxidOf(1, 9), checksum: 5 }], time: 1_700_000_000_000 },
    },
    '4afdf49d 01090000 00000048 00000007000000000000000200000000000000030a0b0c0d0000000100000009000000050000018bcfe5680000000001000000010000000900000005',
  ],
  [{ kind: 'CHUNK', transfer: 2, index: 3, last: true, bytes: Uint8Array.of(1, 2, 3) }, '3c2abed5 010a0000 00000020 0000000000000002000000000000000301010203'],
  [{ kind: 'STORED', transfer: 2, chunks: 4 }, 'ff6ac8af 010b0000 0000001c 00000000000000020000000000000004'],
  [{ kind: 'RECEIVED', epoch: 7, transfer: 2, upTo: zxidOf(6, 1), ok: true }, 'a102ce0e 010c0000 00000021 000000070000000000000002000000060000000101'],
  [{ kind: 'NEWLEADER', epoch: 7, last: zxidOf(6, 5), checksum: 0x0a0b0c0d }, '4c5e9adc 010d0000 0000001c 0000000700000006000000050a0b0c0d'],
  [{ kind: 'ACK-LD', epoch: 7, last: zxidOf(6, 5) }, '8b80af0c 010e0000 00000018 000000070000000600000005'],
  [{ kind: 'COMMIT-LD', epoch: 7, committed: zxidOf(6, 5) }, '5c622f54 010f0000 00000018 000000070000000600000005'],
  [
    { kind: 'PROPOSE', epoch: 1, committed: zxidOf(1, 0), run: run() },
    '345d31c0 01100000 00000028 0000000100000001000000000000000000000000000000000000003a0000003a0000000100000001000000000000000000000001000000010000000000000007000000020000018bcfe5680001000000aabb80377c98',
  ],
  [{ kind: 'ACK', epoch: 7, upTo: zxidOf(7, 8) }, '988c57c5 01110000 00000018 000000070000000700000008'],
  [{ kind: 'COMMIT', epoch: 7, committed: zxidOf(7, 8) }, '3bdad16c 01120000 00000018 000000070000000700000008'],
  [
    { kind: 'PING', epoch: 7, committed: zxidOf(7, 8), round: 3, wall: 1_700_000_000_000 },
    '1ab093c2 01130000 00000028 00000007000000070000000800000000000000030000018bcfe56800',
  ],
  [
    { kind: 'PONG', epoch: 7, round: 3, wall: 1_700_000_000_000, notes: [{ machine: 1, note: Uint8Array.of(0xcc) }] },
    '577c1f65 01140000 00000028 0000000700000000000000030000018bcfe5680000010100000001cc',
  ],
  [{ kind: 'READ', epoch: 7, number: 11 }, '5acdd78d 01150000 00000018 00000007000000000000000b'],
  [{ kind: 'READ-POINT', epoch: 7, number: 11, zxid: zxidOf(7, 8) }, 'ea1cef0a 01160000 00000020 00000007000000000000000b0000000700000008'],
  [{ kind: 'REGISTER', storeId, nonce: '0123456789abcdef' }, '87aa58a6 01170000 00000024 000102030405060708090a0b0c0d0e0f0123456789abcdef'],
  [
    {
      kind: 'REQUESTS',
      origin: zxidOf(7, 1),
      first: 12,
      confirmed: 10,
      requests: [
        { machine: 1, payload: Uint8Array.of(0xdd, 0xee) },
        { machine: 2, payload: new Uint8Array(0) },
      ],
    },
    '2885edaf 01180000 00000034 0000000700000001000000000000000c000000000000000a000000020100000002ddee0200000000',
  ],
  [{ kind: 'RESEND', origin: zxidOf(7, 1), next: 12 }, '59ab2fa5 01190000 0000001c 0000000700000001000000000000000c'],
  [{ kind: 'RETIRED', origin: zxidOf(7, 1) }, '55b5c766 011a0000 00000014 0000000700000001'],
  [{ kind: 'DIGEST', epoch: 7, zxid: zxidOf(7, 8), digest: '0123456789abcdef' }, '92b329fc 011b0000 00000020 0000000700000007000000080123456789abcdef'],
  [{ kind: 'VERDICT', epoch: 7, zxid: zxidOf(7, 8), digest: '0123456789abcdef' }, '40666f7a 011c0000 00000020 0000000700000007000000080123456789abcdef'],
  [
    { kind: 'REBUILD', epoch: 7, zxid: zxidOf(7, 8), digest: '0123456789abcdef', after: zxidOf(7, 9) },
    '09ac6ced 011d0000 00000028 0000000700000007000000080123456789abcdef0000000700000009',
  ],
]

function codeOf(bytes: Uint8Array): string {
  try {
    decodeMessage(bytes)
  } catch (error) {
    if (error instanceof AntiphonError) return error.code
    throw error
  }
  return 'decoded'
}

/** Gives a changed frame a checksum that fits: what a broken or foreign sender would send. */
function resealed(frame: Uint8Array): Uint8Array {
  writeU32(frame, 0, crc32(frame, 0, 4, frame.length))
  return frame
}

function whole(message: Message): Uint8Array {
  return joined(encodeMessage(message))
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
}

describe('golden frames', () => {
  test.each(golden.map(([message, bytes]) => [message.kind, message, bytes] as const))('%s has kept its bytes', (_kind, message, bytes) => {
    expect(hexOf(whole(message))).toBe(bytes.replaceAll(' ', ''))
    expect(decodeMessage(bytesOf(bytes.replaceAll(' ', '')))).toEqual(message)
  })

  test('there is one for each kind on the wire', () => {
    const kinds = golden.map(([message]) => whole(message)[5]!)
    expect([...new Set(kinds)].sort((a, b) => a - b)).toEqual(Array.from({ length: 29 }, (_, index) => index + 1))
  })
})

describe('round trips', () => {
  test('every message comes back equal', () => {
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeMessage(whole(message))).toEqual(message)
      }),
      { numRuns: 2000 },
    )
  })

  test('a frame that lies inside a larger piece of memory is read from its own place', () => {
    fc.assert(
      fc.property(messages, fc.nat({ max: 9 }), (message, before) => {
        const frame = whole(message)
        const around = new Uint8Array(before + frame.length + 3).fill(0xee)
        around.set(frame, before)
        expect(decodeMessage(around.subarray(before, before + frame.length))).toEqual(message)
      }),
    )
  })

  test('a flipped bit anywhere in any frame is CORRUPT', () => {
    for (const [message] of golden) {
      const frame = whole(message)
      for (let bit = 0; bit < frame.length * 8; bit++) {
        frame[bit >> 3]! ^= 1 << (bit & 7)
        expect(codeOf(frame), `${message.kind}, bit ${bit}`).toBe('CORRUPT')
        frame[bit >> 3]! ^= 1 << (bit & 7)
      }
    }
  })

  test('a frame that was cut off, or is followed by more, is CORRUPT', () => {
    for (const [message] of golden) {
      const frame = whole(message)
      for (let length = 0; length < frame.length; length++) expect(codeOf(frame.subarray(0, length)), `${message.kind}, ${length} bytes`).toBe('CORRUPT')
      for (const extra of [1, 4, 58]) expect(codeOf(joined([frame, new Uint8Array(extra)])), `${message.kind}, ${extra} more`).toBe('CORRUPT')
    }
  })

  test('a PROPOSE that lost its last entry is CORRUPT, though the rest of its chain holds', () => {
    const builder = new RunBuilder()
    builder.begin(ZERO, 0, 1, 5)
    const head = { origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }
    for (let i = 0; i < 3; i++) builder.add(head, new Uint8Array(10))
    const frame = whole({ kind: 'PROPOSE', epoch: 1, committed: ZERO, run: builder.finish()! })
    expect(codeOf(frame.subarray(0, frame.length - 66))).toBe('CORRUPT')
  })
})

describe('views and copies', () => {
  test('a run, a chunk and a long payload leave as they are, without a copy', () => {
    const bytes = new Uint8Array(100_000).fill(7)
    const proposed = run()
    expect(encodeMessage({ kind: 'PROPOSE', epoch: 1, committed: ZERO, run: proposed })[1]).toBe(proposed.bytes)
    expect(encodeMessage({ kind: 'CHUNK', transfer: 1, index: 0, last: false, bytes })[1]).toBe(bytes)
    const pieces = encodeMessage({
      kind: 'REQUESTS',
      origin: ZERO,
      first: 1,
      confirmed: 0,
      requests: [
        { machine: 1, payload: new Uint8Array(10) },
        { machine: 1, payload: bytes },
        { machine: 1, payload: new Uint8Array(10) },
      ],
    })
    expect(pieces.map((piece) => piece.length)).toEqual([40 + 15 + 5, 100_000, 15])
    expect(pieces[1]).toBe(bytes)
  })

  test('what is decoded lies in the memory of its frame, as plain views even of a Buffer', () => {
    const frame = Buffer.from(whole({ kind: 'CHUNK', transfer: 1, index: 0, last: false, bytes: Uint8Array.of(1, 2, 3) }))
    const decoded = decodeMessage(frame) as Extract<Message, { kind: 'CHUNK' }>
    expect(decoded.bytes.buffer).toBe(frame.buffer)
    expect(Buffer.isBuffer(decoded.bytes)).toBe(false)
  })

  test('long payloads in any place come back', () => {
    const long = (fill: number): { machine: number; payload: Uint8Array } => ({ machine: fill, payload: new Uint8Array(5000).fill(fill) })
    const short = { machine: 9, payload: Uint8Array.of(9) }
    for (const requests of [[], [long(1)], [long(1), long(2)], [short, long(1)], [long(1), short], [short, long(1), short, short, long(2), long(3), short]]) {
      const message: Message = { kind: 'REQUESTS', origin: zxidOf(1, 2), first: 3, confirmed: 2, requests }
      expect(decodeMessage(whole(message))).toEqual(message)
    }
  })
})

describe('what a stranger may send', () => {
  const ack = (): Uint8Array => whole({ kind: 'ACK', epoch: 1, upTo: zxidOf(1, 1) })

  test('a frame of another protocol version, or of an unknown kind, is VERSION_MISMATCH', () => {
    const newer = ack()
    newer[4] = 2
    expect(codeOf(resealed(newer))).toBe('VERSION_MISMATCH')
    for (const kind of [0, 30, 255]) {
      const unknown = ack()
      unknown[5] = kind
      expect(codeOf(resealed(unknown))).toBe('VERSION_MISMATCH')
    }
  })

  test('reserved bits are refused', () => {
    const frame = ack()
    frame[7] = 1
    expect(codeOf(resealed(frame))).toBe('CORRUPT')
  })

  test('an epoch or a ZXID above the last epoch is refused', () => {
    for (const offset of [12, 16]) {
      const frame = ack()
      frame[offset + 1]! |= 0x20
      expect(codeOf(resealed(frame))).toBe('CORRUPT')
    }
  })

  test('a number that is no safe integer is refused', () => {
    const frame = whole({ kind: 'STORED', transfer: 1, chunks: 1 })
    frame[13] = 0x20
    expect(codeOf(resealed(frame))).toBe('CORRUPT')
    const ping = whole({ kind: 'PING', epoch: 1, committed: ZERO, round: 1, wall: 1 })
    ping[32] = 1
    expect(codeOf(resealed(ping))).toBe('CORRUPT')
  })

  test('a count beyond its limit, or beyond the bytes that are there, is refused before anything is made of it', () => {
    const requests = whole({ kind: 'REQUESTS', origin: ZERO, first: 1, confirmed: 0, requests: [] })
    for (const count of [1, REQUESTS_MAX, REQUESTS_MAX + 1, 0xffff_ffff]) {
      writeU32(requests, 36, count)
      expect(codeOf(resealed(requests))).toBe('CORRUPT')
    }
    const empties = new Uint8Array(40 + 5 * (REQUESTS_MAX + 1))
    empties.set(requests)
    writeU32(empties, 8, empties.length)
    writeU32(empties, 36, REQUESTS_MAX + 1)
    expect(codeOf(resealed(empties))).toBe('CORRUPT')

    const endPoints = Array.from({ length: END_POINTS_MAX }, (_, index) => ({ epoch: index + 1, last: zxidOf(index + 1, 1), checksum: 0 }))
    const ackE: Message = {
      kind: 'ACK-E',
      epoch: 1,
      current: 1,
      last: ZERO,
      checksum: 0,
      committed: ZERO,
      wall: 0,
      quarantined: false,
      endPoints,
      staged: null,
    }
    expect(decodeMessage(whole(ackE))).toEqual(ackE)
    const more = whole({ ...ackE, endPoints: [...endPoints, { epoch: 5000, last: zxidOf(5000, 1), checksum: 0 }] })
    expect(codeOf(more)).toBe('CORRUPT')
  })

  test('an item that claims more bytes than its frame has is refused', () => {
    for (const [message, at] of [
      [{ kind: 'REQUESTS', origin: ZERO, first: 1, confirmed: 0, requests: [{ machine: 1, payload: Uint8Array.of(1, 2) }] }, 41],
      [{ kind: 'PONG', epoch: 1, round: 1, wall: 1, notes: [{ machine: 1, note: Uint8Array.of(1, 2) }] }, 35],
    ] as const satisfies readonly (readonly [Message, number])[]) {
      for (const length of [1, 3, 0x7fff_ffff, 0xffff_ffff]) {
        const frame = whole(message)
        writeU32(frame, at, length)
        expect(codeOf(resealed(frame)), `${message.kind} ${length}`).toBe('CORRUPT')
      }
    }
  })

  test('members and end points that do not ascend, and peer 0, are refused', () => {
    const member = { id: two, role: 'voter', weight: 1, group: 0, storeId: null } as const
    const founding = (members: (typeof member)[]): Uint8Array =>
      whole({ kind: 'FOUNDING', founding: { ensembleId, configuration: { version: ZERO, members } } })
    expect(codeOf(founding([member]))).toBe('decoded')
    expect(codeOf(founding([member, member]))).toBe('CORRUPT')
    expect(codeOf(founding([{ ...member, id: 0 as never }]))).toBe('CORRUPT')
    const end = { epoch: 1, last: zxidOf(1, 1), checksum: 0 }
    expect(
      codeOf(whole({ kind: 'SNAP', epoch: 1, transfer: 1, chunks: 0, digest: 0, meta: { zxid: end.last, checksum: 0, endPoints: [end, end], time: 0 } })),
    ).toBe('CORRUPT')
    expect(codeOf(whole({ kind: 'NEWEPOCH', epoch: 1, attempt: { leader: 0 as never, nonce: 1 } }))).toBe('CORRUPT')
  })

  test('an error tells what to do on a wire, not on a disk', () => {
    const frame = whole({ kind: 'PROPOSE', epoch: 1, committed: ZERO, run: run() })
    frame[frame.length - 1]! ^= 1
    expect(() => decodeMessage(frame)).toThrow(
      expect.objectContaining({ code: 'CORRUPT', outcome: 'rejected', remedy: expect.stringContaining('close the connection') }),
    )
  })
})

test('an id that is no hexadecimal number, or too many requests, is the caller’s mistake', () => {
  const refused = (message: Message): void => expect(() => encodeMessage(message)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  refused({ kind: 'REGISTER', storeId: 'x'.repeat(32), nonce: '0'.repeat(16) })
  refused({ kind: 'REGISTER', storeId: '0'.repeat(32), nonce: '0'.repeat(15) })
  refused({ kind: 'IDENTITY', ensembleId: 'A'.repeat(32), settings: '0'.repeat(16), empty: true })
  const request = { machine: 1, payload: new Uint8Array(0) }
  refused({ kind: 'REQUESTS', origin: 1 as Zxid, first: 1, confirmed: 0, requests: Array.from({ length: REQUESTS_MAX + 1 }, () => request) })
})
