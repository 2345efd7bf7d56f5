import type { CommittedBatch, PrimaryContext, StateMachine, Zxid } from '@antiphon/ports'

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const decode = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes))

export interface Transfer {
  readonly from: string
  readonly to: string
  readonly amount: number
}

/** Accounts that begin with 10 each; nobody goes below nothing. Sound: what follows breaks it in one place each. */
export class Bank implements StateMachine<Transfer, number> {
  readonly name: string = 'bank'
  readonly version: number = 1
  accounts: Map<string, number> = new Map()
  /** As of everything prepared. */
  speculation: Map<string, number> = new Map()

  encodeRequest(request: Transfer): Uint8Array {
    return encode(request)
  }
  decodeRequest(bytes: Uint8Array): Transfer {
    return decode(bytes) as Transfer
  }
  encodeResult(result: number): Uint8Array {
    return encode(result)
  }
  decodeResult(bytes: Uint8Array): number {
    return decode(bytes) as number
  }

  /** A change says what both accounts hold behind it. */
  prepare(bytes: Uint8Array, _context: PrimaryContext): Uint8Array {
    const { from, to, amount } = this.decodeRequest(bytes)
    const held = (name: string): number => this.speculation.get(name) ?? this.accounts.get(name) ?? 10
    const moved = Math.min(amount, held(from))
    const change: [string, number][] = [
      [from, held(from) - moved],
      [to, held(to) + (from === to ? 0 : moved)],
    ]
    for (const [name, balance] of change) this.speculation.set(name, balance)
    return encode(change)
  }

  leading(_context: PrimaryContext): void {
    this.speculation = new Map()
  }
  abandon(): void {
    this.speculation = new Map()
  }

  apply(batch: CommittedBatch): number[] {
    return Array.from({ length: batch.length }, (_, i) => this.applyOne(decode(batch.change(i)) as [string, number][], batch.time(i)))
  }

  applyOne(change: readonly (readonly [string, number])[], _time: number): number {
    for (const [name, balance] of change) this.accounts.set(name, balance)
    return change[1]![1]
  }

  snapshot(): Iterable<Uint8Array> {
    return [encode([...this.accounts])]
  }

  async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) this.accounts = new Map(decode(chunk) as [string, number][])
    this.speculation = new Map()
  }
}

/** Keeps when each account was last touched: by the host's clock. */
export class ClockReader extends Bank {
  touched: Map<string, number> = new Map()

  override applyOne(change: readonly (readonly [string, number])[], time: number): number {
    for (const [name] of change) this.touched.set(name, Date.now())
    return super.applyOne(change, time)
  }
  override snapshot(): Iterable<Uint8Array> {
    return [encode([...this.accounts]), encode([...this.touched])]
  }
  override async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: [string, number][][] = []
    for await (const chunk of chunks) parts.push(decode(chunk) as [string, number][])
    this.accounts = new Map(parts[0])
    this.touched = new Map(parts[1])
    this.speculation = new Map()
  }
}

/** Now and then a bonus, at random. */
export class Gambler extends Bank {
  override applyOne(change: readonly (readonly [string, number])[], time: number): number {
    const bonus = Math.random() < 0.1 ? 1 : 0
    return super.applyOne(
      change.map(([name, balance]) => [name, balance + bonus] as const),
      time,
    )
  }
}

/** Every fifth transfer costs a fee; how many there were is not in the snapshot. */
export class Forgetful extends Bank {
  count = 0

  override applyOne(change: readonly (readonly [string, number])[], time: number): number {
    const fee = ++this.count % 5 === 0 ? 1 : 0
    return super.applyOne(
      change.map(([name, balance]) => [name, balance - fee] as const),
      time,
    )
  }
}

/** What a snapshot does not name stays as it was. */
export class Clinging extends Bank {
  override async restore(_zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of chunks) for (const [name, balance] of decode(chunk) as [string, number][]) this.accounts.set(name, balance)
    this.speculation = new Map()
  }
  override snapshot(): Iterable<Uint8Array> {
    return [encode([...this.accounts].filter(([, balance]) => balance !== 0).sort())]
  }
}

/** Goes on from what a lost reign had prepared. */
export class Stubborn extends Bank {
  override leading(): void {
    // Believes that there is nothing to forget.
  }
  override abandon(): void {
    // The same.
  }
}

/** Prepares in the state itself. */
export class Hasty extends Bank {
  override prepare(bytes: Uint8Array, context: PrimaryContext): Uint8Array {
    const change = super.prepare(bytes, context)
    for (const [name, balance] of decode(change) as [string, number][]) this.accounts.set(name, balance)
    return change
  }
}

/** Its view is the state itself. */
export class Moving extends Bank {
  override *snapshot(): Iterable<Uint8Array> {
    yield encode([...this.accounts])
  }
}

/** Sums what it has ever applied: not the state. */
export class Adder extends Bank {
  sum = 0

  override applyOne(change: readonly (readonly [string, number])[], time: number): number {
    for (const [, balance] of change) this.sum += balance
    return super.applyOne(change, time)
  }
  digest(): bigint {
    return BigInt(Math.max(0, this.sum))
  }
}

/** Cannot bear an account that is empty. */
export class Fragile extends Bank {
  override applyOne(change: readonly (readonly [string, number])[], time: number): number {
    if (change[0]![1] === 0) throw new Error(`${change[0]![0]} is empty`)
    return super.applyOne(change, time)
  }
}

/** Sorts by how many come together. */
export class Batcher extends Bank {
  override apply(batch: CommittedBatch): number[] {
    if (batch.length > 3) this.accounts.set('busy', batch.length)
    return super.apply(batch)
  }
}

/** Prepares against what is applied, not against what is proposed: of two transfers at once, one is lost. All replicas agree on that. */
export class Shortsighted extends Bank {
  override prepare(bytes: Uint8Array, context: PrimaryContext): Uint8Array {
    this.speculation = new Map()
    return super.prepare(bytes, context)
  }
}
