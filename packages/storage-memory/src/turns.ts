/**
 * The host's next turn, as a macrotask: completions must not starve timers, sockets or rendering, which a chain of microtasks does as soon as each completion
 * leads to the next write. Node has `setImmediate`; a browser has only the channel.
 */
export function nextTurn(): (callback: () => void) => void {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }
  if (typeof setImmediate === 'function') return (callback) => void setImmediate(callback)
  const channel = new MessageChannel()
  const waiting: (() => void)[] = []
  const port = channel.port1 as { onmessage?: unknown }
  port.onmessage = () => waiting.shift()?.()
  return (callback) => {
    waiting.push(callback)
    channel.port2.postMessage(null)
  }
}

type Done<E> = (error: E | null) => void

/** Calls that are due, in order, all those of one turn together. */
export class Completions<E> {
  readonly #defer: (callback: () => void) => void
  readonly #deliver: () => void
  #dones: Done<E>[] = []
  #errors: (E | null)[] = []
  /** Emptied and used again: nothing is allocated for a turn. */
  #spareDones: Done<E>[] = []
  #spareErrors: (E | null)[] = []

  constructor(defer: (callback: () => void) => void) {
    this.#defer = defer
    this.#deliver = () => this.#turn()
  }

  get pending(): boolean {
    return this.#dones.length > 0
  }

  /** `done` must not throw. It is never called from inside. */
  push(done: Done<E>, error: E | null): void {
    this.#errors.push(error)
    if (this.#dones.push(done) === 1) this.#defer(this.#deliver)
  }

  #turn(): void {
    const dones = this.#dones
    const errors = this.#errors
    this.#dones = this.#spareDones
    this.#errors = this.#spareErrors
    for (let i = 0; i < dones.length; i++) dones[i]!(errors[i]!)
    dones.length = 0
    errors.length = 0
    this.#spareDones = dones
    this.#spareErrors = errors
  }
}
