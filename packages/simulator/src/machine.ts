import { AntiphonError, type CommittedBatch, type PrimaryContext, type StateMachine, ZERO, type Zxid } from '@antiphon/ports'
import { hashText } from './trace.ts'

/** What a client asks for. `id` is unique in the run; `origin` and `number` say which incarnation asked, and in which order it did. */
export interface KeyedRequest {
  readonly kind: 'set' | 'swap' | 'append' | 'add'
  readonly id: number
  readonly origin: number
  readonly number: number
  readonly key: string
  /** Of a swap: the expected value, or null for an absent key. */
  readonly expected: string | null
  /** A value, an item, or an amount. */
  readonly value: string
  /** Fills the request up, so that large ones happen. */
  readonly padding: number
}

export interface KeyedResult {
  readonly zxid: Zxid
  /** Behind the change: how many items, or the sum; null for a register. */
  readonly amount: number | null
}

/** One key's value. Immutable but for `items`, which only grows: `length` says how much of it belongs to this value. */
export interface KeyedValue {
  /** Changes so far. */
  readonly version: number
  readonly text: string
  readonly amount: number
  readonly items: string[] | null
}

export interface MachineObserver {
  /** `digest`: null of a state that went wrong. */
  applied(zxid: Zxid, time: number, change: KeyedChange, digest: number | null): void
  restored(zxid: Zxid, digest: number | null): void
  /** The id of a request that the machine makes by itself. */
  nextOwnRequest(): number
}

export interface KeyedChange extends Omit<KeyedRequest, 'expected' | 'padding'> {
  readonly version: number
  readonly amount: number
}

const decoder = new TextDecoder()
const NONE: KeyedValue = { version: 0, text: '', amount: 0, items: null }
const LINES_A_CHUNK = 8
const OWN_EVERY_TICKS = 10
const OWN_KEY = 'own'
/** Stands in the state of a machine that went wrong, and of those that were made from it. No client asks for it. */
const FLAW_KEY = 'x-flaw'
/** An addition that expects this makes a change above the limit, and of more than the network takes in one piece. */
export const TOO_LARGE = 'too-large'
const TOO_LARGE_BYTES = 1_100_000

/**
 * The simulation's machine: registers, counters and lists under keys. A change carries the value's next version as the primary computed it, so that `apply` notices at once when a primary
 * computed against anything but the state that its change meets.
 */
export class KeyedMachine implements StateMachine<KeyedRequest, KeyedResult> {
  readonly name = 'keyed'
  readonly version = 1
  readonly #observer: MachineObserver
  readonly #ballastLines: number
  #values = new Map<string, KeyedValue>()
  /** What each value has in the digest. */
  #shares = new Map<string, number>()
  #speculation = new Map<string, { version: number; amount: number; text: string }>()
  #undo: { key: string; before: { version: number; amount: number; text: string } | undefined } | null = null
  #reigns = false
  #applied: Zxid = ZERO
  #digest = 0

  /** Snapshots hold so many lines more, which say what they are of. */
  constructor(ballastLines: number, observer: MachineObserver) {
    this.#ballastLines = ballastLines
    this.#observer = observer
  }

  /** The last change that was applied (or restored). */
  get applied(): Zxid {
    return this.#applied
  }

  read(key: string): KeyedValue {
    return this.#values.get(key) ?? NONE
  }

  /** What went wrong with it; null when nothing did. */
  get flaw(): string | null {
    return this.#values.get(FLAW_KEY)?.text ?? null
  }

  /** Goes wrong, once: the last item of every list is another one for whoever reads it, while changes are computed as ever. */
  spoil(flaw: string): void {
    for (const [key, value] of this.#values) if (value.items !== null) this.#put(key, { ...value, items: [...value.items.slice(0, value.amount - 1), flaw] })
    this.#put(FLAW_KEY, { version: 1, text: flaw, amount: 0, items: null })
  }

  keys(): string[] {
    return [...this.#values.keys()].sort()
  }

  encodeRequest(request: KeyedRequest): Uint8Array {
    const { kind, id, origin, number, key, expected, value, padding } = request
    return bytesOf(`${kind} ${id} ${origin} ${number} ${key} ${expected === null ? '-' : `=${expected}`} ${value} `, padding)
  }

  decodeRequest(bytes: Uint8Array): KeyedRequest {
    const words = new Words(bytes)
    const kind = words.next() as KeyedRequest['kind']
    const id = words.number()
    const origin = words.number()
    const number = words.number()
    const key = words.next()
    const expected = words.next()
    return { kind, id, origin, number, key, expected: expected === '-' ? null : expected.slice(1), value: words.next(), padding: words.left }
  }

  encodeResult({ zxid, amount }: KeyedResult): Uint8Array {
    return bytesOf(`{"zxid":${zxid},"amount":${amount}}`)
  }

  decodeResult(bytes: Uint8Array): KeyedResult {
    return JSON.parse(decoder.decode(bytes)) as KeyedResult
  }

  /** Now and then the machine asks something by itself, under a key that no client looks at. */
  tick(context: PrimaryContext): readonly KeyedRequest[] {
    if (context.random() % OWN_EVERY_TICKS !== 0) return []
    return [{ kind: 'add', id: this.#observer.nextOwnRequest(), origin: 0, number: 0, key: OWN_KEY, expected: null, value: '1', padding: 0 }]
  }

  prepare(bytes: Uint8Array, context: PrimaryContext): Uint8Array {
    const { kind, id, origin, number, key, expected, value, padding } = this.decodeRequest(bytes)
    const before = this.#speculation.get(key) ?? this.read(key)
    if (kind === 'swap' && (before.version === 0 ? null : before.text) !== expected) {
      throw new AntiphonError('REFUSED', `${key} is not as expected`, { remedy: 'Read it again.', refusal: 'MISMATCH' })
    }
    const amount = kind === 'add' ? before.amount + Number(value) : kind === 'append' ? before.amount + 1 : 0
    const after = { version: before.version + 1, amount, text: kind === 'set' || kind === 'swap' ? value : '' }
    this.#undo = { key, before: this.#speculation.get(key) }
    this.#speculation.set(key, after)
    const isTooLarge = kind === 'add' && expected === TOO_LARGE
    const filling = isTooLarge ? Math.max(context.changeBytesMax, TOO_LARGE_BYTES) : padding
    const text = `${kind} ${id} ${origin} ${number} ${key} ${after.version} ${amount} ${value} `
    return isTooLarge ? largeBytesOf(text, filling) : bytesOf(text, filling)
  }

  unprepare(): void {
    if (this.#undo === null) throw new Error('nothing to take back')
    const { key, before } = this.#undo
    if (before === undefined) this.#speculation.delete(key)
    else this.#speculation.set(key, before)
    this.#undo = null
  }

  leading(): void {
    if (this.#reigns) throw new Error('a reign begins, and the one before was not abandoned')
    this.#reigns = true
    this.#forget()
  }

  abandon(): void {
    this.#reigns = false
    this.#forget()
  }

  apply(batch: CommittedBatch): readonly KeyedResult[] {
    const results: KeyedResult[] = []
    for (let i = 0; i < batch.length; i++) {
      const change = decodeChange(batch.change(i))
      const zxid = batch.zxid(i)
      this.#change(change, zxid)
      this.#observer.applied(zxid, batch.time(i), change, this.#sound())
      results.push({ zxid, amount: change.kind === 'add' || change.kind === 'append' ? change.amount : null })
    }
    return results
  }

  snapshot(): Iterable<Uint8Array> {
    return serialise(this.#applied, [...this.#values], this.#ballastLines)
  }

  async restore(zxid: Zxid, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let text = ''
    for await (const chunk of chunks) text += decoder.decode(chunk)
    const [head, ...lines] = text.split('\n')
    const values = new Map<string, KeyedValue>()
    const shares = new Map<string, number>()
    let digest = 0
    let ballast = 0
    for (const line of lines) {
      if (line === '') continue
      if (line.startsWith('#')) {
        if (line !== ballastLine(Number(head), ballast++))
          throw new Error(`a snapshot at ${zxid} holds a piece of another, or its own in another order: ${line}`)
        continue
      }
      const [key, version, amount, value, items] = line.split(' ') as [string, string, string, string, string]
      const restored = { version: Number(version), text: value, amount: Number(amount), items: items === '-' ? null : items.split(',') }
      const share = contribution(key, restored)
      values.set(key, restored)
      shares.set(key, share)
      digest ^= share
    }
    if (ballast !== this.#ballastLines) throw new Error(`a snapshot at ${zxid} has ${ballast} pieces, not ${this.#ballastLines}`)
    if (Number(head) > zxid) throw new Error(`a snapshot at ${zxid} holds what was applied at ${head}`)
    this.#values = values
    this.#shares = shares
    this.#applied = Number(head) as Zxid
    this.#digest = digest
    this.#forget()
    this.#observer.restored(zxid, this.#sound())
  }

  digest(): bigint {
    return BigInt(this.#digest >>> 0)
  }

  #change(change: KeyedChange, zxid: Zxid): void {
    const { key, kind, value } = change
    const before = this.read(key)
    const amount = kind === 'add' ? before.amount + Number(value) : kind === 'append' ? before.amount + 1 : 0
    if (change.version !== before.version + 1 || change.amount !== amount) {
      throw new Error(
        `request ${change.id} was computed for version ${change.version} of ${key} with ${change.amount}, and meets version ${before.version} with ${before.amount}`,
      )
    }
    let items = before.items
    if (kind === 'append') {
      items ??= []
      items.push(value)
    }
    const after: KeyedValue = { version: change.version, text: kind === 'set' || kind === 'swap' ? value : '', amount, items }
    this.#put(key, after)
    this.#applied = zxid
  }

  #put(key: string, after: KeyedValue): void {
    const share = contribution(key, after)
    this.#digest ^= (this.#shares.get(key) ?? 0) ^ share
    this.#shares.set(key, share)
    this.#values.set(key, after)
  }

  #sound(): number | null {
    return this.flaw === null ? this.#digest >>> 0 : null
  }

  #forget(): void {
    this.#speculation = new Map()
    this.#undo = null
  }
}

/** The items that belong to a list's value. */
export function itemsOf(value: KeyedValue): readonly string[] {
  return value.items === null ? [] : value.items.slice(0, value.amount)
}

function decodeChange(bytes: Uint8Array): KeyedChange {
  const words = new Words(bytes)
  const kind = words.next() as KeyedChange['kind']
  const id = words.number()
  const origin = words.number()
  const number = words.number()
  const key = words.next()
  const version = words.number()
  const amount = words.number()
  return { kind, id, origin, number, key, version, amount, value: words.next() }
}

/** The words of a text, each with a space behind it. */
class Words {
  readonly #text: string
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#text = decoder.decode(bytes)
  }

  /** Characters behind the last word that was taken. */
  get left(): number {
    return this.#text.length - this.#at
  }

  next(): string {
    const from = this.#at
    const end = this.#text.indexOf(' ', from)
    this.#at = end + 1
    return this.#text.slice(from, end)
  }

  number(): number {
    return Number(this.next())
  }
}

/** A list's items enter by the last one: every predecessor was compared when it was the last. */
function contribution(key: string, value: KeyedValue): number {
  const last = value.items === null ? value.text : value.items[value.amount - 1]!
  return hashText(`${key} ${value.version} ${value.amount} ${last}`)
}

function ballastLine(applied: number, number: number): string {
  return `# ${number} of ${applied} ${hashText(`${applied} ${number}`)}`
}

function* serialise(applied: Zxid, values: readonly (readonly [string, KeyedValue])[], ballastLines: number): Iterable<Uint8Array> {
  let text = `${applied}\n`
  let lines = 0
  for (let i = 0; i < ballastLines; i++) {
    text += `${ballastLine(applied, i)}\n`
    if (++lines % LINES_A_CHUNK === 0) {
      yield bytesOf(text)
      text = ''
    }
  }
  for (const [key, value] of values) {
    const items = value.items === null ? '-' : value.items.slice(0, value.amount).join(',')
    text += `${key} ${value.version} ${value.amount} ${value.text} ${items}\n`
    if (++lines % LINES_A_CHUNK === 0) {
      yield bytesOf(text)
      text = ''
    }
  }
  yield bytesOf(text)
}

const FILLING = 0x2e
let large = new Uint8Array(0)

/** The same, in memory that is used again for the next of this size: nobody keeps what is above the limit. */
function largeBytesOf(text: string, filling: number): Uint8Array {
  const length = text.length + filling
  if (large.length < length) large = new Uint8Array(length + 1024)
  large.fill(FILLING, 0, Math.min(length, 1024))
  if (large[length - 1] !== FILLING) large.fill(FILLING)
  for (let i = 0; i < text.length; i++) large[i] = text.charCodeAt(i)
  return large.subarray(0, length)
}

/** ASCII, as everything here is; behind it `filling` dots. Short texts are not worth a call of the host. */
function bytesOf(text: string, filling = 0): Uint8Array {
  const bytes = new Uint8Array(text.length + filling)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  if (filling > 0) bytes.fill(FILLING, text.length)
  return bytes
}
