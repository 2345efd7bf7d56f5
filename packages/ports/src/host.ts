import type { Millis } from '@antiphon/consensus-core'

/** The only source of time below an application. A simulator puts its own here. */
export interface Clock {
  /** Milliseconds, never back. May have fractions. */
  monotonic(): Millis
  /** Unix milliseconds, an integer; may jump. */
  wall(): Millis
  /** Calls `callback` once, `delayMs` from now or later. Must not keep the process alive by itself unless `ref` is true. */
  schedule(delayMs: Millis, callback: () => void): Cancel
  /** Calls `callback` after the input that already waits has been handled: one turn of the event loop. */
  defer(callback: () => void): void
}

export type Cancel = () => void

/** The only source of randomness below an application. */
export interface Random {
  /** Uniform, 0 <= x < 2^32, an integer. */
  uint32(): number
}

/** pino's shape: `info({ ...fields }, 'message')`. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Where figures go: a counter only grows, a gauge is set, a histogram takes observations. Names are `antiphon_...`, with the unit last. */
export interface Metrics {
  counter(name: string, help: string): { add(value: number): void }
  gauge(name: string, help: string): { set(value: number): void }
  histogram(name: string, help: string): { observe(value: number): void }
}

/** 32 lower-case hexadecimal digits from a random source: store ids and ensemble ids. */
export function randomId(random: Random): string {
  let id = ''
  for (let i = 0; i < 4; i++) id += random.uint32().toString(16).padStart(8, '0')
  return id
}
