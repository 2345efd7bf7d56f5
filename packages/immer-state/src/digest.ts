import { ByteWriter, containerOf } from './writer.ts'

/** Containers with at least this many values in them keep their digest. */
const KEEP_FROM = 16

interface Hash {
  high: number
  low: number
}

interface Kept extends Hash {
  readonly values: number
}

/**
 * The digest of an immutable value: 64 bits over every value in it and the order of its keys, a function of the state alone. Containers that did not change since the last
 * call keep theirs, so a call costs what changed since. Bytes are the exception: they could be written to behind the state's back, so what holds them is always read anew.
 */
export class Digester {
  readonly #kept = new WeakMap<object, Kept>()
  readonly #writer = new ByteWriter()
  #values = 0
  /** The subtree that was hashed last holds bytes. */
  #raw = false

  digest(root: unknown): bigint {
    const hash = { high: 0x6a09e667, low: 0xbb67ae85 }
    this.#add(hash, root)
    return (BigInt(hash.high >>> 0) << 32n) | BigInt(hash.low >>> 0)
  }

  #add(hash: Hash, value: unknown): void {
    const container = typeof value === 'object' && value !== null ? containerOf(value) : null
    if (container === null) {
      if (value instanceof Uint8Array) this.#raw = true
      this.#values++
      this.#leaf(hash, value)
      return
    }
    const object = value as object
    const kept = this.#kept.get(object) ?? this.#container(object)
    mix(hash, kept.high)
    mix(hash, kept.low)
    this.#values += kept.values
  }

  #container(value: object): Kept {
    const valuesBefore = this.#values
    const rawBefore = this.#raw
    this.#values = 0
    this.#raw = false
    const hash = { high: 0x3c6ef372, low: 0xa54ff53a }
    const container = containerOf(value)!
    this.#writer.reset()
    this.#writer.head(container, value)
    absorb(hash, this.#writer.bytes, this.#writer.length)
    if (container === 'array' || container === 'set') for (const item of value as Iterable<unknown>) this.#add(hash, item)
    else if (container === 'map')
      for (const [key, item] of value as ReadonlyMap<unknown, unknown>) {
        this.#leaf(hash, key)
        this.#add(hash, item)
      }
    else
      for (const key of Object.keys(value)) {
        this.#leaf(hash, key)
        this.#add(hash, (value as Record<string, unknown>)[key])
      }
    const kept = { high: hash.high, low: hash.low, values: this.#values + 1 }
    if (kept.values >= KEEP_FROM && !this.#raw) this.#kept.set(value, kept)
    this.#values = valuesBefore
    this.#raw = rawBefore || this.#raw
    return kept
  }

  #leaf(hash: Hash, value: unknown): void {
    this.#writer.reset()
    this.#writer.value(value)
    absorb(hash, this.#writer.bytes, this.#writer.length)
  }
}

function absorb(hash: Hash, bytes: Uint8Array, length: number): void {
  let at = 0
  for (; at + 4 <= length; at += 4) mix(hash, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
  let rest = length << 24
  for (; at < length; at++) rest = (rest << 8) ^ bytes[at]! ^ (rest >>> 24)
  mix(hash, rest)
}

/** Two 32-bit lanes, each multiplied by an odd constant and crossed with the other: no cryptography, it finds accidents. */
function mix(hash: Hash, word: number): void {
  const low = Math.imul(hash.low ^ word, 0x85ebca6b)
  const high = Math.imul(hash.high ^ (word >>> 16) ^ (word << 16), 0xc2b2ae35)
  hash.low = ((low ^ (low >>> 15)) + ((high << 13) | (high >>> 19))) | 0
  hash.high = ((high ^ (high >>> 13)) + ((low << 17) | (low >>> 15))) | 0
}
