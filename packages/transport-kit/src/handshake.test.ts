import { GREETING_BYTES_MAX } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { encodeSignal, SIGNAL, writeHead } from './framing.ts'
import { encodeHello, encodeIntroduction, HandshakeReader, HELLO_BYTES, type Hello, type Introduction, PROOF_BYTES, PROTOCOL_VERSION } from './handshake.ts'

const hello: Hello = {
  version: PROTOCOL_VERSION,
  from: 3,
  to: 255,
  withSecret: true,
  incarnation: '00112233aabbccdd',
  nonce: Uint8Array.from({ length: 16 }, (_, i) => i * 7),
}
const introduction: Introduction = {
  proof: Uint8Array.from({ length: PROOF_BYTES }, (_, i) => 255 - i),
  greeting: Uint8Array.from({ length: 40 }, (_, i) => i & 0xff),
}

function gather(): { reader: HandshakeReader; heard: unknown[] } {
  const heard: unknown[] = []
  const reader = new HandshakeReader({
    hello: (told, bytes) => heard.push(told, bytes) > 0,
    introduction: (told) => heard.push(told) > 0,
    signal: (signal) => heard.push(signal) > 0,
  })
  return { reader, heard }
}

test('hello and introduction arrive whole, cut at every byte boundary, and nothing is taken of what follows', () => {
  const bytes = Buffer.concat([encodeHello(hello), encodeIntroduction(introduction), Buffer.from('rest')])
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { reader, heard } = gather()
    const first = reader.push(bytes.subarray(0, cut)) as number
    const second = reader.push(bytes.subarray(cut)) as number
    expect(first + second).toBe(bytes.length - 4)
    expect(reader.done).toBe(true)
    expect(heard).toEqual([hello, encodeHello(hello), introduction])
  }
})

test('the longest greeting is taken', () => {
  const { reader, heard } = gather()
  reader.push(encodeHello(hello))
  reader.push(encodeIntroduction({ ...introduction, greeting: new Uint8Array(GREETING_BYTES_MAX) }))
  expect((heard.at(-1) as Introduction).greeting.length).toBe(GREETING_BYTES_MAX)
})

test('garbage is recognised at its first wrong byte', () => {
  expect(gather().reader.push(Buffer.from('G'))).toContain('no hello')
  expect(gather().reader.push(Buffer.from('Anti'))).toContain('no hello')
  expect(gather().reader.push(Buffer.from('Ant'))).toBe(3)
})

test('a refusal may stand in place of an introduction, and no other signal', () => {
  const { reader, heard } = gather()
  reader.push(encodeHello(hello))
  reader.push(encodeSignal(SIGNAL.refusal + 3))
  expect(heard.at(-1)).toBe(SIGNAL.refusal + 3)
  for (const signal of [SIGNAL.accept, SIGNAL.ready, SIGNAL.probe]) {
    const other = gather()
    other.reader.push(encodeHello(hello))
    expect(other.reader.push(encodeSignal(signal))).toContain('no introduction')
  }
})

test('an introduction that is too long or too short is garbage before its bytes are awaited', () => {
  for (const length of [0, PROOF_BYTES - 1, PROOF_BYTES + GREETING_BYTES_MAX + 1, 0xffff_ffff]) {
    const head = encodeIntroduction(introduction).slice(0, 5)
    writeHead(head, 0, length, head[4]!)
    const { reader } = gather()
    expect(reader.push(encodeHello(hello))).toBe(HELLO_BYTES)
    expect(reader.push(head)).toContain(`${length} bytes`)
  }
})
