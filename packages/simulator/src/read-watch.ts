import type { Core, Effects, Input } from '@antiphon/consensus-core'
import { formatZxid, type Zxid } from '@antiphon/ports'
import { Violation } from './violation.ts'
import type { Life, World } from './world.ts'

/** What rule 23 promises, looked at from outside: no read point lies below what was committed anywhere when the read was asked, and no leader comes while another one reads by lease. */
export class ReadWatch {
  readonly #world: World
  /** By process: what was committed when a read that waits was asked. */
  readonly #asked = new WeakMap<Life, Map<number, Zxid>>()

  /** The highest epoch that was ever established. */
  #newest = 0

  constructor(world: World) {
    this.#world = world
  }

  stepped(life: Life, core: Core, input: Input, effects: Effects): Violation | null {
    if (input.kind === 'read') this.#ask(life, core, input.number)
    const { role } = core.state
    if (role.name === 'leading' && role.epoch < this.#newest && core.holdsLease(nowOf(life)))
      return new Violation('lease', `member ${life.member.id} reads by lease in epoch ${role.epoch}, and epoch ${this.#newest} is established`)
    for (const { number, zxid } of effects.readable) {
      const asked = this.#asked.get(life)?.get(number)
      this.#asked.get(life)?.delete(number)
      if (asked === undefined) return new Violation('reads', `read ${number} of member ${life.member.id} is answered twice, or was never asked`)
      if (zxid === null || zxid >= asked) continue
      return new Violation('reads', `member ${life.member.id} reads at ${formatZxid(zxid)}, and ${formatZxid(asked)} was committed when it asked`)
    }
    return null
  }

  /** `life` leads `epoch` from here on. */
  established(life: Life, epoch: number): Violation | null {
    this.#newest = Math.max(this.#newest, epoch)
    for (const { id, life: other } of this.#world.members) {
      if (other === null || other === life || other.core?.holdsLease(nowOf(other)) !== true) continue
      return new Violation('lease', `member ${life.member.id} is established while member ${id} reads by lease`)
    }
    return null
  }

  #ask(life: Life, core: Core, number: number): void {
    if (core.holdsLease(nowOf(life))) this.#world.count('read by lease')
    const reads = this.#asked.get(life) ?? new Map<number, Zxid>()
    reads.set(number, this.#world.durability.committedAnywhere)
    this.#asked.set(life, reads)
  }
}

function nowOf({ clock }: Life): { readonly monotonic: number; readonly wall: number } {
  return { monotonic: clock.monotonic(), wall: clock.wall() }
}
