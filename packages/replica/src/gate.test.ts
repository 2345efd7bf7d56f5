import { type Message, type PeerId, zxidOf } from '@antiphon/consensus-core'
import type { AntiphonError } from '@antiphon/ports'
import { encodeGreeting, encodeMessage, PROTOCOL_VERSIONS } from '@antiphon/wire'
import { expect, test } from 'vitest'
import { Gate, type GateHost } from './gate.ts'

const [SELF, PEER, STRANGER] = [1, 2, 7] as unknown as [PeerId, PeerId, PeerId]
const OURS = 'ab'.repeat(16)
const THEIRS = 'cd'.repeat(16)

/** A gate whose host writes down what it is told. PEER is connected as 5 and identified, member 3 as 6 and not; PEER leads. */
function gating(options: { leader?: PeerId; live?: boolean } = {}) {
  const { leader = PEER, live = true } = options
  const told: string[] = []
  const host = {
    resolved: { self: SELF, addresses: new Map([1, 2, 3].map((id) => [id, 'x'])), machines: [{}, {}], requestBytesMax: 10 },
    storeId: OURS,
    core: {
      state: {
        peers: new Map([
          [PEER, { identified: true }],
          [3, { identified: false }],
        ]),
      },
      leader: () => ({ peer: leader, connection: 5 }),
    },
    links: { isLive: () => live, storeId: () => THEIRS },
    forwarding: { onResend: (_origin: number, next: number) => void told.push(`resend ${next}`), onRefused: () => void told.push('retired') },
    sending: { onStored: () => void told.push('stored') },
    staging: { onChunk: () => void told.push('chunk') },
    isStopped: false,
    inbox: { register: () => void told.push('register'), enqueue: () => void told.push('requests') },
    connected: () => void told.push('connected'),
    disconnected: () => {},
    received: (_peer: PeerId, _connection: number, message: Message) => void told.push(`heard ${message.kind}`),
    scheduleFlush: () => {},
    giveUp: (_peer: PeerId, connection: number) => void told.push(`gave up ${connection}`),
    trouble: (error: AntiphonError) => void told.push(error.code),
    endTurn: () => {},
  }
  const gate = new Gate(host as unknown as GateHost)
  const frame = (message: Message, from = PEER, connection = 5): string[] => {
    gate.frame(from, connection, 'control', Uint8Array.from(encodeMessage(message).flatMap((piece) => [...piece])))
    return told.splice(0)
  }
  const up = (greeting: Uint8Array, peer = PEER): string[] => {
    const taken = gate.up(peer, 9, greeting)
    return [...told.splice(0), String(taken)]
  }
  return { gate, frame, up, told }
}

const greeting = (peer: PeerId, storeId = THEIRS, versions = PROTOCOL_VERSIONS): Uint8Array => encodeGreeting({ versions, peer, storeId })
const requests = (machine: number, bytes: number): Message => ({
  kind: 'REQUESTS',
  origin: zxidOf(1, 1),
  first: 1,
  confirmed: 0,
  requests: [{ machine, payload: new Uint8Array(bytes) }],
})

test('a connection is taken only from a member that says who it is, in a version that we speak', () => {
  const { up } = gating()
  expect(up(greeting(PEER))).toEqual(['connected', 'true'])
  expect(up(greeting(3 as PeerId))).toEqual(['UNKNOWN_PEER', 'false'])
  expect(up(greeting(STRANGER), STRANGER)).toEqual(['UNKNOWN_PEER', 'false'])
  expect(up(greeting(SELF), SELF)).toEqual(['UNKNOWN_PEER', 'false'])
  expect(up(greeting(PEER, OURS))).toEqual(['FOLDER_FOREIGN', 'false'])
  expect(up(greeting(PEER, THEIRS, { min: 900, max: 901 }))).toEqual(['VERSION_MISMATCH', 'false'])
  expect(up(new Uint8Array(36))).toEqual(['CORRUPT', 'false'])
})

test('what the shells say is heard by the core too, and taken from identified peers alone', () => {
  const { frame } = gating()
  expect(frame({ kind: 'STORED', transfer: 1, chunks: 2 })).toEqual(['heard STORED', 'stored'])
  expect(frame({ kind: 'CHUNK', transfer: 1, index: 0, last: true, bytes: new Uint8Array(1) })).toEqual(['heard CHUNK', 'chunk'])
  expect(frame({ kind: 'REGISTER', storeId: THEIRS, nonce: '11'.repeat(8) })).toEqual(['heard REGISTER', 'register'])
  expect(frame(requests(2, 10))).toEqual(['heard REQUESTS', 'requests'])
  for (const message of [
    requests(1, 1),
    { kind: 'REGISTER', storeId: THEIRS, nonce: '11'.repeat(8) } as const,
    { kind: 'RETIRED', origin: zxidOf(1, 1) } as const,
  ]) {
    expect(frame(message, 3 as PeerId, 6)).toEqual([`heard ${message.kind}`])
  }
})

test('only the present leader, on the present connection, may ask again or retire', () => {
  const resend: Message = { kind: 'RESEND', origin: zxidOf(1, 1), next: 4 }
  const retired: Message = { kind: 'RETIRED', origin: zxidOf(1, 1) }
  expect([gating().frame(resend), gating().frame(retired)]).toEqual([
    ['heard RESEND', 'resend 4'],
    ['heard RETIRED', 'retired'],
  ])
  const other = gating({ leader: 3 as PeerId })
  expect([other.frame(resend), other.frame(retired)]).toEqual([['heard RESEND'], ['heard RETIRED']])
  expect(gating().frame(retired, PEER, 4)).toEqual(['heard RETIRED'])
})

test('a peer that makes no sense loses its connection, and nothing of it is believed', () => {
  const { frame, gate, told } = gating()
  expect(frame(requests(3, 1))).toEqual(['heard REQUESTS', 'CORRUPT', 'gave up 5'])
  expect(frame(requests(0, 1))).toEqual(['heard REQUESTS', 'CORRUPT', 'gave up 5'])
  expect(frame(requests(1, 11))).toEqual(['heard REQUESTS', 'CORRUPT', 'gave up 5'])
  expect(frame({ kind: 'REGISTER', storeId: OURS, nonce: '11'.repeat(8) })).toEqual(['heard REGISTER', 'CORRUPT', 'gave up 5'])
  gate.frame(PEER, 5, 'control', new Uint8Array(40))
  expect(told.splice(0)).toEqual(['CORRUPT', 'gave up 5'])
  expect(gating({ live: false }).frame(requests(1, 1))).toEqual([])
})
