import { GREETING_BYTES_MAX } from '@antiphon/ports'
import { HEAD_BYTES, isSignal, SIGNAL, writeHead } from './framing.ts'

/**
 * How a connection begins, all numbers big-endian. A hello each way:
 *
 *   magic (4) | version (1) | sender's id (1) | receiver's id (1) | flags (1) | incarnation (8) | nonce (16)
 *
 * then an introduction each way, the dialling side's first: whoever only listens tells nothing to a stranger.
 *
 *   length of what follows (4) | INTRODUCTION (1) | proof (32) | greeting
 *
 * The proof is an HMAC-SHA256 under the ensemble's secret over the side, both hellos and the greeting; zeros where there is no secret. Then, once both are known, the lower id
 * sends `ready`, the higher one `accept` or a refusal, and frames follow. A refusal may stand in place of anything that is awaited. The first five bytes keep their
 * meaning in all versions.
 */
export const HELLO_BYTES = 32
export const NONCE_BYTES = 16
export const PROOF_BYTES = 32
export const PROTOCOL_VERSION = 2

const MAGIC = [0x41, 0x6e, 0x74, 0x70] // "Antp"
const INTRODUCTION = 24
const INTRODUCTION_BYTES_MAX: number = PROOF_BYTES + GREETING_BYTES_MAX
const WITH_SECRET = 1

export interface Hello {
  readonly version: number
  readonly from: number
  readonly to: number
  /** Proofs are given and wanted. */
  readonly withSecret: boolean
  /** 16 hexadecimal digits, drawn at random at each start: tells two processes with one id apart. */
  readonly incarnation: string
  /** Drawn for this connection. */
  readonly nonce: Uint8Array
}

export function encodeHello({ version, from, to, withSecret, incarnation, nonce }: Hello): Uint8Array {
  const bytes = new Uint8Array(HELLO_BYTES)
  bytes.set(MAGIC)
  bytes[4] = version
  bytes[5] = from
  bytes[6] = to
  bytes[7] = withSecret ? WITH_SECRET : 0
  for (let i = 0; i < 8; i++) bytes[8 + i] = Number.parseInt(incarnation.slice(2 * i, 2 * i + 2), 16)
  bytes.set(nonce, 16)
  return bytes
}

function decodeHello(bytes: Uint8Array): Hello {
  let incarnation = ''
  for (let i = 8; i < 16; i++) incarnation += bytes[i]!.toString(16).padStart(2, '0')
  return { version: bytes[4]!, from: bytes[5]!, to: bytes[6]!, withSecret: bytes[7] === WITH_SECRET, incarnation, nonce: bytes.slice(16, HELLO_BYTES) }
}

export interface Introduction {
  readonly proof: Uint8Array
  readonly greeting: Uint8Array
}

export function encodeIntroduction({ proof, greeting }: Introduction): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + PROOF_BYTES + greeting.length)
  writeHead(bytes, 0, PROOF_BYTES + greeting.length, INTRODUCTION)
  bytes.set(proof, HEAD_BYTES)
  bytes.set(greeting, HEAD_BYTES + PROOF_BYTES)
  return bytes
}

export interface HandshakeSink {
  /** `bytes`: as they came, for the proof. False: the connection is over. */
  hello(hello: Hello, bytes: Uint8Array): boolean
  introduction(introduction: Introduction): boolean
  /** A refusal in place of what was awaited. */
  signal(signal: number): boolean
}

/** Gathers hello and introduction from chunks. Never holds more than the longest of them. */
export class HandshakeReader {
  readonly #sink: HandshakeSink
  readonly #bytes = new Uint8Array(HEAD_BYTES + INTRODUCTION_BYTES_MAX)
  #filled = 0
  #needed = HELLO_BYTES
  #stage: 'hello' | 'head' | 'introduction' | 'done' = 'hello'

  constructor(sink: HandshakeSink) {
    this.#sink = sink
  }

  get done(): boolean {
    return this.#stage === 'done'
  }

  /** Bytes taken of `chunk`, all unless it is done or the connection is over; or what is wrong. */
  push(chunk: Uint8Array): number | string {
    let taken = 0
    while (taken < chunk.length && this.#stage !== 'done') {
      const part = chunk.subarray(taken, taken + this.#needed - this.#filled)
      this.#bytes.set(part, this.#filled)
      this.#filled += part.length
      taken += part.length
      if (!this.#plausible) return 'no hello of this protocol'
      if (this.#filled < this.#needed) break
      const wrong = this.#complete()
      if (wrong === false) return taken
      if (wrong !== null) return wrong
    }
    return taken
  }

  get #plausible(): boolean {
    if (this.#stage !== 'hello') return true
    for (let i = 0; i < Math.min(MAGIC.length, this.#filled); i++) if (this.#bytes[i] !== MAGIC[i]) return false
    return true
  }

  /** What is wrong; null when nothing is; false when the sink wants no more. */
  #complete(): string | null | false {
    const bytes = this.#bytes
    if (this.#stage === 'hello') {
      const hello = bytes.slice(0, HELLO_BYTES)
      this.#await('head', HEAD_BYTES)
      return this.#sink.hello(decodeHello(hello), hello) ? null : false
    }
    if (this.#stage === 'head') {
      const kind = bytes[4]!
      const length = bytes[0]! * 0x1000000 + (bytes[1]! << 16) + (bytes[2]! << 8) + bytes[3]!
      if (isSignal(kind) && kind >= SIGNAL.refusal) return this.#sink.signal(kind) ? null : false
      if (kind !== INTRODUCTION) return 'no introduction'
      if (length < PROOF_BYTES || length > INTRODUCTION_BYTES_MAX) return `an introduction of ${length} bytes`
      this.#await('introduction', length)
      return null
    }
    const introduction = { proof: bytes.slice(0, PROOF_BYTES), greeting: bytes.slice(PROOF_BYTES, this.#needed) }
    this.#stage = 'done'
    return this.#sink.introduction(introduction) ? null : false
  }

  #await(stage: 'head' | 'introduction', needed: number): void {
    this.#stage = stage
    this.#filled = 0
    this.#needed = needed
  }
}
