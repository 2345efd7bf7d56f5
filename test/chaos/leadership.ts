import type { Standing } from './protocol.ts'

/**
 * Who leads, as the members themselves tell it. One that is dead or stopped does not lead, nor one whose epoch is not the newest that anybody has told of: both have not heard yet.
 */
export class Leadership {
  readonly #standings = new Map<number, Standing>()
  readonly #led = new Set<number>()
  #epoch = 0
  #since: number | null = null
  #leaderlessMsMax = 0
  readonly #say: (line: string) => void

  constructor(say: (line: string) => void) {
    this.#say = say
  }

  /** Epochs in which somebody led. */
  get elections(): number {
    return this.#led.size
  }

  /** The longest time without a leader since there was one first, in milliseconds. */
  get leaderlessMsMax(): number {
    return Math.round(Math.max(this.#leaderlessMsMax, this.#since === null ? 0 : performance.now() - this.#since))
  }

  get leader(): number | null {
    for (const [id, { role, active, epoch }] of this.#standings) if (role === 'leading' && active && epoch === this.#epoch) return id
    return null
  }

  told(id: number, standing: Standing): void {
    this.#standings.set(id, standing)
    this.#epoch = Math.max(this.#epoch, standing.epoch)
    this.#changed()
  }

  /** Dead or stopped. */
  gone(id: number): void {
    this.#standings.delete(id)
    this.#changed()
  }

  #changed(): void {
    const now = performance.now()
    const { leader } = this
    if (leader !== null) {
      this.#led.add(this.#epoch)
      if (this.#since !== null) {
        const ms = now - this.#since
        this.#leaderlessMsMax = Math.max(this.#leaderlessMsMax, ms)
        this.#say(`member ${leader} leads in epoch ${this.#epoch}, after ${Math.round(ms)} ms without a leader`)
      }
      this.#since = null
    } else if (this.#led.size > 0) this.#since ??= now
  }
}
