// biome-ignore-all lint/style/noRestrictedGlobals: the host side of this adapter, for whoever injects no clock
import type { Cancel, Clock } from '@antiphon/ports'

/** What a network needs of a `Clock`. */
export type NetworkClock = Pick<Clock, 'monotonic' | 'schedule' | 'defer'>

/**
 * Real time. A turn is a macrotask and not a microtask: replicas that answer each other must leave timers, sockets and rendering their share of the loop.
 * `setImmediate` costs a tenth of a message on a channel, but browsers have only the channel.
 */
export function hostClock(): NetworkClock {
  return {
    monotonic: () => performance.now(),
    schedule: scheduleUnref,
    defer: typeof setImmediate === 'function' ? (callback) => void setImmediate(callback) : channelTurns(),
  }
}

function scheduleUnref(delayMs: number, callback: () => void): Cancel {
  const timer = setTimeout(callback, delayMs)
  if (typeof timer === 'object') timer.unref()
  return () => clearTimeout(timer)
}

function channelTurns(): (callback: () => void) => void {
  const channel = new MessageChannel()
  let waiting: (() => void)[] = []
  const port = channel.port1 as unknown as { onmessage: () => void }
  port.onmessage = () => {
    const callbacks = waiting
    waiting = []
    for (const callback of callbacks) callback()
  }
  return (callback) => {
    if (waiting.push(callback) === 1) channel.port2.postMessage(null)
  }
}
