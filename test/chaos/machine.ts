import type { CommittedBatch, StateMachine, Zxid } from '@antiphon/ports'

/** A key's first letter says what it holds: `r`egister or `l`ist. Values and items are unique in a run and hold no blank. */
export interface ChaosRequest {
  readonly kind: 'append' | 'write' | 'swap'
  readonly key: string
  /** Of a swap: null for an absent value. */
  readonly expected: string | null
  readonly value: string
}

/** `length`: of the list, behind an append. `done`: false of a swap whose register held another value. */
export type ChaosResult = { readonly length: number } | { readonly done: boolean }

/** By key: the items of a list, or all values that a register has held, in their order. */
export type ChaosState = Readonly<Record<string, readonly string[]>>

const CHUNK_BYTES = 64 * 1024
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Registers and lists under keys; what a request meets is decided where it is applied. A register keeps the values that it has held, so that the state tells the order of all changes of a key. The digest is a
 * sum over what the state holds, so that a restore which loses anything differs.
 */
export class ChaosMachine implements StateMachine<ChaosRequest, ChaosResult> {
  readonly name = 'chaos'
  readonly version = 1
  #values = new Map<string, string[]>()
  #digest = 0n

  read(key: string): readonly string[] | string | null {
    const values = this.#values.get(key) ?? []
    return key.startsWith('l') ? [...values] : (values.at(-1) ?? null)
  }

  /** All values that `key` holds, or has held. */
  held(key: string): readonly string[] {
    return [...(this.#values.get(key) ?? [])]
  }

  state(): ChaosState {
    return Object.fromEntries(this.#values)
  }

  encodeRequest({ kind, key, expected, value }: ChaosRequest): Uint8Array {
    return encoder.encode(`${kind} ${key} ${expected === null ? '-' : `=${expected}`} ${value}`)
  }

  decodeRequest(bytes: Uint8Array): ChaosRequest {
    const [kind, key, expected, value] = decoder.decode(bytes).split(' ') as [ChaosRequest['kind'], string, string, string]
    return { kind, key, expected: expected === '-' ? null : expected.slice(1), value }
  }

  encodeResult(result: ChaosResult): Uint8Array {
    return encoder.encode(JSON.stringify(result))
  }

  decodeResult(bytes: Uint8Array): ChaosResult {
    return JSON.parse(decoder.decode(bytes))
  }

  apply(batch: CommittedBatch): readonly ChaosResult[] {
    const results: ChaosResult[] = []
    for (let i = 0; i < batch.length; i++) results.push(this.#change(this.decodeRequest(batch.change(i))))
    return results
  }

  /** Fixed when it is called, not when it is first read from. */
  snapshot(): Iterable<Uint8Array> {
    const bytes = encoder.encode(JSON.stringify([...this.#values]))
    const chunks: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.subarray(at, at + CHUNK_BYTES))
    return chunks
  }

  async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const pieces: Uint8Array[] = []
    for await (const chunk of chunks) pieces.push(chunk.slice())
    const values = JSON.parse(decoder.decode(Buffer.concat(pieces))) as [string, string[]][]
    this.#values = new Map(values)
    this.#digest = 0n
    for (const [key, held] of values) held.forEach((value, index) => this.#fold(`${key} ${index} ${value}`))
  }

  digest(): bigint {
    return this.#digest
  }

  #change({ kind, key, expected, value }: ChaosRequest): ChaosResult {
    const values = this.#values.get(key) ?? []
    if (kind === 'swap' && (values.at(-1) ?? null) !== expected) return { done: false }
    this.#values.set(key, values)
    this.#fold(`${key} ${values.length} ${value}`)
    const length = values.push(value)
    return kind === 'append' ? { length } : { done: true }
  }

  /** FNV-1a in two halves of 32 bits. */
  #fold(text: string): void {
    let high = 0x811c9dc5
    let low = 0x01000193
    for (let i = 0; i < text.length; i++) {
      high = Math.imul(high ^ text.charCodeAt(i), 0x01000193)
      low = Math.imul(low ^ text.charCodeAt(i), 0x85ebca6b)
    }
    this.#digest = BigInt.asUintN(64, this.#digest + ((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)))
  }
}
