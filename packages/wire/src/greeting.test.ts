import { AntiphonError, crc32, type PeerId, writeU32 } from '@antiphon/consensus-core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeGreeting, encodeGreeting, type Greeting, negotiate, PROTOCOL_VERSIONS } from './index.ts'

const greeting: Greeting = { versions: PROTOCOL_VERSIONS, peer: 3 as PeerId, storeId: '000102030405060708090a0b0c0d0e0f' }

function codeOf(bytes: Uint8Array): string {
  try {
    decodeGreeting(bytes)
  } catch (error) {
    if (error instanceof AntiphonError) return error.code
    throw error
  }
  return 'decoded'
}

/** A greeting as a later version would send it: `extra` behind what we know, length and checksum right. */
function extended(from: Greeting, extra: number, flags = 0): Uint8Array {
  const known = encodeGreeting(from)
  const bytes = new Uint8Array(known.length + extra).fill(0xab)
  bytes.set(known.subarray(0, 32))
  bytes[8] = bytes.length >> 8
  bytes[9] = bytes.length
  bytes[15] = flags
  writeU32(bytes, bytes.length - 4, crc32(bytes, 0, 0, bytes.length - 4))
  return bytes
}

test('a greeting has kept its bytes', () => {
  const hex = Array.from(encodeGreeting(greeting), (byte) => byte.toString(16).padStart(2, '0')).join('')
  expect(hex).toBe('414e5449' + '50484f4e' + '0024' + '00010001' + '0300' + '000102030405060708090a0b0c0d0e0f' + 'c0b8e719')
})

test('a greeting comes back equal', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 255 }), fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 1, max: 0xffff }), (peer, a, b) => {
      const sent: Greeting = { ...greeting, peer: peer as PeerId, versions: { min: Math.min(a, b), max: Math.max(a, b) } }
      expect(decodeGreeting(encodeGreeting(sent))).toEqual(sent)
    }),
  )
})

test('a flipped bit anywhere, a cut or an added byte is CORRUPT', () => {
  const bytes = encodeGreeting(greeting)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3]! ^= 1 << (bit & 7)
    expect(codeOf(bytes), `bit ${bit}`).toBe('CORRUPT')
    bytes[bit >> 3]! ^= 1 << (bit & 7)
  }
  for (let length = 0; length < bytes.length; length++) expect(codeOf(bytes.subarray(0, length))).toBe('CORRUPT')
  expect(codeOf(Uint8Array.of(...bytes, 0))).toBe('CORRUPT')
})

test('what is no greeting at all is CORRUPT, and the error says that no replica has connected', () => {
  const request = new TextEncoder().encode('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  expect(() => decodeGreeting(request)).toThrow(expect.objectContaining({ code: 'CORRUPT', message: expect.stringContaining('not a replica') }))
  expect(codeOf(new Uint8Array(2000))).toBe('CORRUPT')
})

test('what a newer version adds is passed over; under a version that we know it is refused', () => {
  const newer: Greeting = { ...greeting, versions: { min: 1, max: PROTOCOL_VERSIONS.max + 1 } }
  expect(decodeGreeting(extended(newer, 40, 7))).toEqual(newer)
  expect(codeOf(extended(greeting, 40))).toBe('CORRUPT')
  expect(codeOf(extended(greeting, 0, 7))).toBe('CORRUPT')
})

test('a version range that is none, and peer 0, are refused', () => {
  expect(codeOf(encodeGreeting({ ...greeting, versions: { min: 0, max: 1 } }))).toBe('CORRUPT')
  expect(codeOf(encodeGreeting({ ...greeting, versions: { min: 3, max: 2 } }))).toBe('CORRUPT')
  expect(codeOf(encodeGreeting({ ...greeting, peer: 0 as PeerId }))).toBe('CORRUPT')
})

test('the highest version that both speak is chosen', () => {
  expect(negotiate({ min: 1, max: 3 }, { min: 2, max: 5 })).toBe(3)
  expect(negotiate({ min: 2, max: 5 }, { min: 1, max: 3 })).toBe(3)
  expect(negotiate({ min: 1, max: 1 }, { min: 1, max: 1 })).toBe(1)
})

test('without a version in common the error names both ranges and what to install', () => {
  for (const [ours, theirs] of [
    [
      { min: 1, max: 2 },
      { min: 3, max: 4 },
    ],
    [
      { min: 3, max: 4 },
      { min: 1, max: 2 },
    ],
  ] as const) {
    expect(() => negotiate(ours, theirs)).toThrow(
      expect.objectContaining({ code: 'VERSION_MISMATCH', outcome: 'rejected', remedy: expect.stringContaining('upgrade'), details: { ours, theirs } }),
    )
  }
})
