import { AntiphonError, type CommittedBatch, type PrimaryContext, type StateMachine, type Zxid } from '@antiphon/ports'

export interface Count {
  readonly name: string
  readonly by: number
}

export interface Tally {
  readonly total: number
  /** When it was last counted. */
  readonly at: number
  /** Drawn by the primary. */
  readonly mark: number
}

const text = {
  encode: (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value)),
  decode: (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes)),
}

/** A third party's machine: named totals that never go below zero. The primary computes each new total; replicas only put it into place. */
export class TallyMachine implements StateMachine<Count, Tally> {
  readonly name = 'tally'
  readonly version = 1
  protected tallies: Map<string, Tally> = new Map()
  /** Changes prepared and not yet applied, oldest first. */
  protected ahead: { readonly name: string; readonly tally: Tally }[] = []

  encodeRequest(request: Count): Uint8Array {
    return text.encode([request.name, request.by])
  }
  decodeRequest(bytes: Uint8Array): Count {
    const [name, by] = text.decode(bytes) as [string, number]
    return { name, by }
  }
  encodeResult(result: Tally): Uint8Array {
    return text.encode([result.total, result.at, result.mark])
  }
  decodeResult(bytes: Uint8Array): Tally {
    const [total, at, mark] = text.decode(bytes) as [number, number, number]
    return { total, at, mark }
  }

  prepare(request: Uint8Array, context: PrimaryContext): Uint8Array {
    const { name, by } = this.decodeRequest(request)
    const before = this.ahead.findLast((change) => change.name === name)?.tally ?? this.tallies.get(name)
    const total = (before?.total ?? 0) + by
    if (total < 0) throw new AntiphonError('REFUSED', `${name} would fall below zero`, { remedy: 'Take less.', refusal: 'TOO_LOW' })
    const tally = { total, at: context.time, mark: context.random() }
    this.ahead.push({ name, tally })
    return text.encode([name, tally.total, tally.at, tally.mark])
  }
  unprepare(): void {
    this.ahead.pop()
  }
  leading(): void {
    this.ahead = []
  }
  abandon(): void {
    this.ahead = []
  }

  apply(batch: CommittedBatch): readonly Tally[] {
    const results: Tally[] = []
    for (let i = 0; i < batch.length; i++) {
      const [name, total, at, mark] = text.decode(batch.change(i)) as [string, number, number, number]
      const tally = { total, at, mark }
      this.tallies.set(name, tally)
      this.ahead.shift()
      results.push(tally)
    }
    return results
  }

  *slices(tallies: ReadonlyMap<string, Tally>): Generator<Uint8Array> {
    for (const name of [...tallies.keys()].sort()) yield text.encode([name, tallies.get(name)])
  }
  snapshot(): Iterable<Uint8Array> {
    return this.slices(new Map(this.tallies))
  }
  async restore(_: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const tallies = new Map<string, Tally>()
    for await (const chunk of chunks) {
      const [name, tally] = text.decode(chunk) as [string, Tally]
      tallies.set(name, tally)
    }
    this.tallies = tallies
    this.ahead = []
  }

  digest(): bigint {
    let digest = 0n
    for (const [name, { total, at, mark }] of this.tallies) {
      let term = 0xcbf29ce484222325n
      for (const byte of text.encode([name, total, at, mark])) term = ((term ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn
      digest ^= term
    }
    return digest
  }
}
