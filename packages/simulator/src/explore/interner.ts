import { type Hash, hashText, Mixer, NO_HASH } from './hash.ts'

/** Numbers are below: two of them make one key that is a safe integer. */
export const UNIT: number = 2 ** 24

/** Each distinct content once, under a number from 1; equal when its 64-bit hash is equal. 0 stands for nothing. */
export class Interner<T> {
  readonly #ids = new Map<string, number>()
  readonly #values: (T | null)[] = [null]
  readonly #hashes: Hash[] = [NO_HASH]

  get size(): number {
    return this.#values.length - 1
  }

  /** The number of the content with `hash`; `make` is called when it is new. */
  intern(hash: Hash, make: () => T): number {
    const key = `${hash.high.toString(36)}.${hash.low.toString(36)}`
    const known = this.#ids.get(key)
    if (known !== undefined) return known
    const id = this.#values.length
    if (id >= UNIT) throw new RangeError('more distinct things of one kind than an exploration can number')
    this.#values.push(make())
    this.#hashes.push(hash)
    this.#ids.set(key, id)
    return id
  }

  value(id: number): T {
    return this.#values[id]!
  }

  hash(id: number): Hash {
    return this.#hashes[id]!
  }
}

/** Plain data as text. Runs are told apart by their checksums, which cover their bytes and all before them. */
export function textOf(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (inner instanceof Uint8Array ? undefined : inner))
}

/** Plain data, by what it says. */
export class Facts<T> extends Interner<T> {
  add(value: T): number {
    return this.intern(hashText(textOf(value)), () => value)
  }
}

/** Queues of interned things; 0 is the empty one. */
export class Queues extends Interner<readonly number[]> {
  readonly #of: Interner<unknown>
  readonly #pushed = new Map<number, number>()
  readonly #shifted = new Map<number, number>()
  readonly #mixer = new Mixer()

  constructor(of: Interner<unknown>) {
    super()
    this.#of = of
  }

  items(queue: number): readonly number[] {
    return queue === 0 ? NONE : this.value(queue)
  }

  head(queue: number): number {
    return this.value(queue)[0]!
  }

  push(queue: number, item: number): number {
    const key = queue * UNIT + item
    const known = this.#pushed.get(key)
    if (known !== undefined) return known
    const made = this.#made([...this.items(queue), item])
    this.#pushed.set(key, made)
    return made
  }

  shift(queue: number): number {
    const known = this.#shifted.get(queue)
    if (known !== undefined) return known
    const made = this.#made(this.items(queue).slice(1))
    this.#shifted.set(queue, made)
    return made
  }

  #made(items: readonly number[]): number {
    if (items.length === 0) return 0
    this.#mixer.begin()
    for (const item of items) {
      const { high, low } = this.#of.hash(item)
      this.#mixer.add(high)
      this.#mixer.add(low)
    }
    return this.intern({ high: this.#mixer.high, low: this.#mixer.low }, () => items)
  }
}

const NONE: readonly number[] = []
