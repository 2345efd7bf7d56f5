import { corrupt, isZxid, readU32, type StoreId, writeU32, type Zxid } from '@antiphon/consensus-core'
import { Fingerprint } from './fingerprint.ts'
import { KeptResults } from './results.ts'

/**
 * One incarnation of one replica, as a source of requests (rule 22). `confirmed <= last` always, and `last - confirmed <= originWindow`.
 */
export interface OriginRow {
  /** ZXID of the entry that registered it: never used again. */
  readonly origin: Zxid
  readonly storeId: StoreId
  /** Drawn at start, 16 hexadecimal digits. */
  readonly nonce: string
  /** Number of its last request in the order. */
  last: number
  /** The number up to which it has seen results, as replicated. */
  confirmed: number
  /** Of the requests from `confirmed + 1` to `last`. Empty in a copy: admission needs none. */
  results: KeptResults
}

/** For a snapshot's head: `[origin, storeId, nonce, last, confirmed]`. */
export type EncodedRow = readonly [number, string, string, number, number]

/** The exactly-once table: derived from entries alone, so that it is the same on every replica at the same ZXID. */
export class OriginTable {
  readonly #rows = new Map<Zxid, OriginRow>()

  get size(): number {
    return this.#rows.size
  }

  get(origin: Zxid): OriginRow | undefined {
    return this.#rows.get(origin)
  }

  byNonce(nonce: string): OriginRow | undefined {
    for (const row of this.#rows.values()) if (row.nonce === nonce) return row
    return undefined
  }

  /** A registration takes its place in the order: the earlier rows of the same store are retired. */
  register(origin: Zxid, storeId: StoreId, nonce: string): OriginRow {
    for (const row of this.#rows.values()) if (row.storeId === storeId) this.#rows.delete(row.origin)
    const row: OriginRow = { origin, storeId, nonce, last: 0, confirmed: 0, results: new KeptResults() }
    this.#rows.set(origin, row)
    return row
  }

  /** Nothing that is asked under it is taken any more. */
  retire(origin: Zxid): void {
    this.#rows.delete(origin)
  }

  rows(): Iterable<OriginRow> {
    return this.#rows.values()
  }

  copy(): OriginTable {
    const copy = new OriginTable()
    for (const row of this.#rows.values()) copy.#rows.set(row.origin, { ...row, results: new KeptResults() })
    return copy
  }

  /** Of everything in it, in the order of registration. */
  digest(): Fingerprint {
    const fingerprint = new Fingerprint()
    for (const { origin, storeId, nonce, last, confirmed, results } of this.#rows.values()) {
      fingerprint.add(origin).add(last).add(confirmed).add(results.length).add(results.bytes)
      for (const text of [storeId, nonce]) for (let i = 0; i < text.length; i++) fingerprint.add(text.charCodeAt(i))
    }
    return fingerprint
  }

  encode(): EncodedRow[] {
    return [...this.#rows.values()].map(({ origin, storeId, nonce, last, confirmed }) => [origin, storeId, nonce, last, confirmed])
  }

  /** Of each row in the order of `encode`. */
  encodeResults(): Uint8Array[] {
    return [...this.#rows.values()].map(({ results }) => results.encode())
  }

  /** What `encodeResults` made of an equal table. @throws AntiphonError CORRUPT */
  decodeResults(chunks: readonly Uint8Array[], machines: number): void {
    if (chunks.length !== this.#rows.size) throw corrupt(`a snapshot has ${this.#rows.size} origins and the results of ${chunks.length}`)
    let i = 0
    for (const row of this.#rows.values()) row.results = KeptResults.decode(chunks[i++]!, row.last - row.confirmed, row.last, machines)
  }

  /** Without results. @throws AntiphonError CORRUPT */
  static decode(rows: readonly EncodedRow[]): OriginTable {
    const table = new OriginTable()
    for (const [origin, storeId, nonce, last, confirmed] of rows) {
      const numbers = Number.isSafeInteger(last) && Number.isSafeInteger(confirmed) && confirmed >= 0 && confirmed <= last
      if (!isZxid(origin) || !isHex(storeId, STORE_ID_DIGITS) || !isHex(nonce, NONCE_DIGITS) || !numbers) throw corrupt('a snapshot has an origin that is none')
      table.#rows.set(origin, { origin, storeId, nonce, last, confirmed, results: new KeptResults() })
    }
    return table
  }
}

const STORE_ID_DIGITS = 32
const NONCE_DIGITS = 16
/** Payloads of machine 0 begin with their type. */
const REGISTRATION = 1
const REGISTRATION_BYTES: number = 1 + (STORE_ID_DIGITS + NONCE_DIGITS) / 2

export interface Registration {
  readonly storeId: StoreId
  readonly nonce: string
}

/** The payload of a registration's entry: type 1, store id, nonce. */
export function encodeRegistration({ storeId, nonce }: Registration): Uint8Array {
  const bytes = new Uint8Array(REGISTRATION_BYTES)
  bytes[0] = REGISTRATION
  const digits = storeId + nonce
  for (let i = 0; i < digits.length; i += 2) bytes[1 + i / 2] = Number.parseInt(digits.slice(i, i + 2), 16)
  return bytes
}

/** Null when the payload in `bytes[start, end)` is nothing that this version knows. */
export function decodeRegistration(bytes: Uint8Array, start: number, end: number): Registration | null {
  if (end - start !== REGISTRATION_BYTES || bytes[start] !== REGISTRATION) return null
  let digits = ''
  for (let at = start + 1; at < end; at++) digits += bytes[at]!.toString(16).padStart(2, '0')
  return { storeId: digits.slice(0, STORE_ID_DIGITS), nonce: digits.slice(STORE_ID_DIGITS) }
}

/** Types of payloads of machine 0; 2 is a declaration's. */
const RETIREMENT = 3
const CONFIRMATION = 4
const RETIREMENT_BYTES = 9
const CONFIRMATION_BYTES = 17

/** The payload of the entry that retires a row: type 3, origin. */
export function encodeRetirement(origin: Zxid): Uint8Array {
  const bytes = new Uint8Array(RETIREMENT_BYTES)
  bytes[0] = RETIREMENT
  writeSafe(bytes, 1, origin)
  return bytes
}

/** Null when the payload in `bytes[start, end)` is something else. */
export function decodeRetirement(bytes: Uint8Array, start: number, end: number): Zxid | null {
  return end - start === RETIREMENT_BYTES && bytes[start] === RETIREMENT ? (readSafe(bytes, start + 1) as Zxid) : null
}

/** The origin has the results of everything up to `confirmed`, and asks nothing more that could tell so. */
export interface Confirmation {
  readonly origin: Zxid
  readonly confirmed: number
}

/** The payload of a confirmation's entry: type 4, origin, number. */
export function encodeConfirmation({ origin, confirmed }: Confirmation): Uint8Array {
  const bytes = new Uint8Array(CONFIRMATION_BYTES)
  bytes[0] = CONFIRMATION
  writeSafe(bytes, 1, origin)
  writeSafe(bytes, 9, confirmed)
  return bytes
}

/** Null when the payload in `bytes[start, end)` is something else. */
export function decodeConfirmation(bytes: Uint8Array, start: number, end: number): Confirmation | null {
  if (end - start !== CONFIRMATION_BYTES || bytes[start] !== CONFIRMATION) return null
  return { origin: readSafe(bytes, start + 1) as Zxid, confirmed: readSafe(bytes, start + 9) }
}

function writeSafe(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / 0x1_0000_0000))
  writeU32(bytes, at + 4, value % 0x1_0000_0000)
}

function readSafe(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4)
}

function isHex(value: unknown, digits: number): value is string {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]*$/.test(value)
}
