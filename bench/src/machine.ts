import type { CommittedBatch, StateMachine } from '@antiphon/ports'

/** The least that a machine can do and still have a state that depends on every change: it counts them, and folds their first bytes. */
export class CountingMachine implements StateMachine<Uint8Array, number> {
  readonly name = 'counting'
  readonly version = 1
  count = 0
  #fold = 0

  encodeRequest(request: Uint8Array): Uint8Array {
    return request
  }

  decodeRequest(bytes: Uint8Array): Uint8Array {
    return bytes
  }

  encodeResult(result: number): Uint8Array {
    return new TextEncoder().encode(String(result))
  }

  decodeResult(bytes: Uint8Array): number {
    return Number(new TextDecoder().decode(bytes))
  }

  apply(batch: CommittedBatch): number[] {
    const { bytes } = batch
    const results: number[] = new Array(batch.length)
    for (let i = 0; i < batch.length; i++) {
      this.#fold = (Math.imul(this.#fold, 31) + bytes[batch.start(i)]!) | 0
      results[i] = ++this.count
    }
    return results
  }

  snapshot(): Iterable<Uint8Array> {
    return [new TextEncoder().encode(JSON.stringify([this.count, this.#fold]))]
  }

  async restore(_zxid: number, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = ''
    for await (const chunk of chunks) text += new TextDecoder().decode(chunk)
    ;[this.count, this.#fold] = JSON.parse(text)
  }

  digest(): bigint {
    return (BigInt(this.count) << 32n) | BigInt(this.#fold >>> 0)
  }
}
