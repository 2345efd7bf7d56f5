import { type Core, type Effects, type Input, isQuorum } from '@antiphon/consensus-core'
import { formatZxid, type PeerId, type Zxid } from '@antiphon/ports'
import { Violation } from './violation.ts'
import type { Life, World } from './world.ts'

/** What rule 23 promises, looked at from outside: no read point lies below what was committed anywhere when the read was asked, and no leader comes, or could come, while another one reads by lease. */
export class ReadWatch {
  readonly #world: World
  /** By process: what was committed when a read that waits was asked. */
  readonly #asked = new WeakMap<Life, Map<number, Zxid>>()

  /** Those that may read by lease. */
  readonly #lessors = new Set<Life>()
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
    if (input.kind === 'tick') {
      const free = this.#freed()
      if (free !== null) return free
    }
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
    if (this.#world.profile.readLease.ms > 0) this.#lessors.add(life)
    for (const { id, life: other } of this.#world.members) {
      if (other === null || other === life || other.core?.holdsLease(nowOf(other)) !== true) continue
      return new Violation('lease', `member ${life.member.id} is established while member ${id} reads by lease`)
    }
    return null
  }

  /** Somebody reads by lease although nothing stands in another leader's way. */
  #freed(): Violation | null {
    for (const life of this.#lessors) {
      const role = life.core?.state.role
      if (life.over || role?.name !== 'leading') this.#lessors.delete(life)
      else if (life.core!.holdsLease(nowOf(life)) && this.#canBeDeposed(life.member.id))
        return new Violation('lease', `member ${life.member.id} reads by lease in epoch ${role.epoch}, and a quorum is free to follow another leader`)
    }
    return null
  }

  /** Are those who owe this leader nothing, each by its own clock, a quorum? A process that is yet to begin is bound by what its store has promised. */
  #canBeDeposed(leader: PeerId): boolean {
    const { members, durability, configuration } = this.#world
    return isQuorum(configuration, (id) => {
      const { life } = members[id - 1]!
      if (id === leader || life?.core == null || !durability.isCounted(id)) return false
      const { to, until } = life.core.state.lease
      return (to !== leader && to !== 0) || life.clock.monotonic() >= until
    })
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
