import type { Millis } from '@antiphon/consensus-core'
import type { Cancel, Clock, Random } from './host.ts'

/** What hosts offer under these names; looked up at run time, so that the same code loads in Node and in a browser. */
interface Host {
  readonly performance: { now(): number }
  readonly Date: { now(): number }
  setTimeout(callback: () => void, delayMs: number): unknown
  clearTimeout(timer: unknown): void
  readonly setImmediate?: (callback: () => void) => unknown
  readonly MessageChannel?: new () => { readonly port1: { onmessage: (() => void) | null }; readonly port2: { postMessage(value: null): void } }
  readonly crypto: { getRandomValues(array: Uint32Array): Uint32Array }
}

const host = globalThis as unknown as Host

/** The host's own clocks and timers. `keepAlive`: a pending timer keeps the process running, as a listening socket would. */
export function systemClock(options: { readonly keepAlive?: boolean } = {}): Clock {
  const keepAlive = options.keepAlive ?? true
  return {
    monotonic: () => host.performance.now(),
    wall: () => host.Date.now(),
    schedule(delayMs: Millis, callback: () => void): Cancel {
      const timer = host.setTimeout(callback, delayMs)
      if (!keepAlive) (timer as { unref?: () => void }).unref?.()
      return () => host.clearTimeout(timer)
    },
    defer: deferrer(),
  }
}

/** One turn of the loop: waiting sockets are read first. A browser's timers are clamped to 4 ms, its message channels are not. */
function deferrer(): (callback: () => void) => void {
  const { setImmediate: immediate, MessageChannel: Channel } = host
  if (immediate !== undefined) return (callback) => void immediate(callback)
  if (Channel === undefined) return (callback) => void host.setTimeout(callback, 0)
  const waiting: (() => void)[] = []
  const { port1, port2 } = new Channel()
  port1.onmessage = () => waiting.shift()?.()
  return (callback) => {
    waiting.push(callback)
    port2.postMessage(null)
  }
}

const DRAWN_AT_ONCE = 64

/** The host's cryptographic source, drawn in small batches. */
export function systemRandom(): Random {
  const drawn = new Uint32Array(DRAWN_AT_ONCE)
  let next = DRAWN_AT_ONCE
  return {
    uint32: () => {
      if (next === DRAWN_AT_ONCE) {
        host.crypto.getRandomValues(drawn)
        next = 0
      }
      return drawn[next++]!
    },
  }
}
