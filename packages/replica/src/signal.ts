/** Lets one waiter sleep until something has changed. What changes while nobody waits is not remembered: look first, then wait. */
export class Signal {
  #wake: (() => void) | null = null

  /** The waiter looks again. */
  raise(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }
}
