/** One thing that a port's contract demands, as data: any test runner can run it. */
export interface Case {
  readonly name: string
  /** Why it does not apply to this adapter; null when it does. */
  readonly skip: string | null
  /** What a runner should allow it on a busy machine. */
  readonly timeoutMs: number
  /** Rejects with a `ConformanceError`, or with what the adapter threw, when the contract does not hold. */
  readonly run: () => Promise<void>
}

/** Unless a case says more. */
export const CASE_TIMEOUT_MS = 30_000

/** The shape of `test` in vitest, node:test, mocha and jest; those that know no third argument go by their own time limit. */
export interface TestRunner {
  (name: string, run: () => Promise<void>, timeoutMs?: number): unknown
  skip(name: string, run: () => Promise<void>): unknown
}

/** Hands the cases to a test runner; a case that does not apply is skipped with its reason in its name. */
export function register(test: TestRunner, cases: readonly Case[]): void {
  for (const { name, skip, timeoutMs, run } of cases) {
    if (skip === null) test(name, () => run(), timeoutMs)
    else test.skip(`${name} (not here: ${skip})`, () => run())
  }
}

/** The adapter breaks its contract; the message says where. */
export class ConformanceError extends Error {
  override readonly name = 'ConformanceError'
}

export function fail(message: string): never {
  throw new ConformanceError(message)
}

export function assert(holds: boolean, message: string): asserts holds {
  if (!holds) fail(message)
}

/** Plain values, arrays and byte arrays, compared by content. */
export function assertEqual(actual: unknown, expected: unknown, what: string): void {
  if (!equal(actual, expected)) fail(`${what}: expected ${show(expected)}, got ${show(actual)}`)
}

export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a instanceof Uint8Array || b instanceof Uint8Array) return a instanceof Uint8Array && b instanceof Uint8Array && equalBytes(a, b)
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  return keys.every((key) => key in b && equal(a[key as keyof typeof a], b[key as keyof typeof b]))
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  const text = JSON.stringify(value, (_, inner: unknown) =>
    inner instanceof Uint8Array ? `${inner.length} bytes` : typeof inner === 'bigint' ? `${inner}n` : inner,
  )
  return text === undefined ? String(value) : text.length > 300 ? `${text.slice(0, 300)}...` : text
}

/** How long a case waits for one thing that the contract promises: far more than any sound adapter takes. */
export const patience: { ms: number } = { ms: 10_000 }

/** `promise`, or a failure that names what did not come. */
export async function within<T>(promise: Promise<T>, what: string, timeoutMs: number = patience.ms): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConformanceError(`${what}: not within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A promise and its two ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** Bytes that look random and are the same for the same seed. */
export function bytesOf(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** A later turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}
