import { isQuorum } from '@antiphon/consensus-core'
import type { Configuration, PeerId } from '@antiphon/ports'
import { Violation } from './violation.ts'

/**
 * Which members' states went wrong, and by which flaw. As long as the sound ones are a quorum, digests must find each of them (rule 28). A flawed leader may give its state to others
 * before it is found out: when no quorum is sound any more, nothing can be found, and the run ends there.
 */
export class Corruption {
  readonly #configuration: Configuration
  readonly #isCounted: (member: PeerId) => boolean
  readonly #flaws = new Map<PeerId, string>()
  /** What was found out, until it is replaced. */
  readonly #found = new Map<PeerId, string>()
  #given = 0
  isBeyondRepair = false

  constructor(configuration: Configuration, isCounted: (member: PeerId) => boolean) {
    this.#configuration = configuration
    this.#isCounted = isCounted
  }

  /** From then on states may differ, and with them snapshots. */
  get hasHappened(): boolean {
    return this.#given > 0
  }

  nextFlaw(): string {
    return `flaw-${++this.#given}`
  }

  /** Are the others, as far as they are sound, a quorum? */
  canSpare(member: PeerId): boolean {
    return isQuorum(this.#configuration, (id) => id !== member && !this.#flaws.has(id) && this.#isCounted(id))
  }

  /** The state of `member` is of this kind now; null: sound. */
  is(member: PeerId, flaw: string | null): void {
    if (flaw === null) this.#flaws.delete(member)
    else this.#flaws.set(member, flaw)
    if (this.#flaws.size > 0 && !isQuorum(this.#configuration, (id) => !this.#flaws.has(id) && this.#isCounted(id))) this.isBeyondRepair = true
  }

  /** The first of those whose states are not sound. */
  get first(): PeerId | undefined {
    return this.#flaws.keys().next().value
  }

  /** @throws Violation when a sound state is called void. */
  quarantined(member: PeerId, flaw: string | null): void {
    if (this.isBeyondRepair) return
    if (flaw === null) throw new Violation('quarantine', `member ${member} is quarantined, and its state is sound`)
    this.#found.set(member, flaw)
  }

  /** @throws Violation when the state that was found wanting has come back, and from nobody else. */
  rebuilt(member: PeerId, flaw: string | null): void {
    const found = this.#found.get(member)
    this.#found.delete(member)
    if (flaw === null || flaw !== found || this.isBeyondRepair) return
    for (const [other, theirs] of this.#flaws) if (other !== member && theirs === flaw) return
    throw new Violation('quarantine', `member ${member} is rebuilt from its own state, which was found wanting`)
  }
}
