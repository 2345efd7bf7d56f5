import type { Core } from '@antiphon/consensus-core'
import type { PeerId } from '@antiphon/ports'
import type { Direction } from './partitions.ts'
import type { SeededRandom } from './random.ts'
import type { Member, World } from './world.ts'

/** From being torn away to being torn away again. */
const ROUND_MS_MAX = 1500
const MUTE_MS_MAX = 600

/** Looked for behind every step of the voter that is torn and of those that it may follow. */
type Moment = (torn: Core, leaders: readonly Core[]) => boolean

function joins(phase: string): Moment {
  return ({ state: { role } }) => role.name === 'following' && role.phase === phase
}

function leads(stage: string): Moment {
  return (_, leaders) => leaders.some(({ state: { role } }) => role.name === 'leading' && role.stage === stage)
}

/** It holds entries of its new leader's history, and has not been told yet where that ends. */
const copies: Moment = ({ state: { role, history } }) => role.name === 'following' && role.phase === 'synchronizing' && role.diffing && history.recent.end > 0

const MOMENTS: readonly (Moment | null)[] = [
  joins('discovering'),
  joins('synchronizing'),
  joins('welcomed'),
  joins('active'),
  leads('promising'),
  leads('acknowledging'),
  leads('synchronizing'),
  leads('established'),
  copies,
  copies,
  null,
]

/**
 * Two groups that do not hear each other, and one voter that belongs now to one of them, now to the other: each has a majority only with it. It is torn away in the midst of joining, so that
 * both have candidates whose epochs hang on what it has promised, acknowledged and stored.
 */
export class Waver {
  readonly #world: World
  readonly #random: SeededRandom
  readonly #torn: Member
  readonly #sides: readonly [readonly Member[], readonly Member[]]
  readonly #ended: () => void
  readonly #until: number
  /** Whom it hears. */
  #side: 0 | 1 = 0
  #moment: Moment | null = null
  /** Counts the rounds: what was arranged for an earlier one is void. */
  #round = 0

  constructor(world: World, random: SeededRandom, torn: Member, others: readonly Member[], lastsMs: number, ended: () => void) {
    this.#world = world
    this.#random = random
    this.#torn = torn
    this.#sides = [others.filter((_, i) => i % 2 === 0), others.filter((_, i) => i % 2 === 1)]
    this.#until = world.timeline.now + lastsMs
    this.#ended = ended
    this.#cut(this.#between(), true)
    this.#cut(this.#around(1), true)
    this.#go()
  }

  /** A core has stepped. */
  stepped(): void {
    const core = this.#torn.life?.core
    if (this.#moment === null || core == null) return
    const leaders = this.#sides[this.#side].flatMap(({ life }) => life?.core ?? [])
    if (this.#moment(core, leaders)) this.#tearWithin(this.#random.pick([0, 1, 5, 50]))
  }

  /** Everything is whole again. */
  stop(): void {
    this.#round++
    this.#moment = null
    this.#cut([...this.#between(), ...this.#around(0), ...this.#around(1)], false)
    this.#ended()
  }

  #go(): void {
    const round = ++this.#round
    const { timeline } = this.#world
    // What it was before is over once it has noticed the loss.
    timeline.after(1, 0, () => {
      if (this.#round === round) this.#moment = this.#random.pick(MOMENTS)
    })
    timeline.after(this.#random.span(50, ROUND_MS_MAX), 0, () => {
      if (this.#round === round) this.#tearWithin(0)
    })
  }

  #tearWithin(ms: number): void {
    const round = ++this.#round
    this.#moment = null
    this.#world.timeline.after(this.#random.span(0, ms), 0, () => {
      if (this.#round !== round) return
      if (this.#random.chance(0.5)) return this.#tear()
      // First it goes deaf, and is heard for a while yet.
      for (const { from, to } of this.#around(this.#side)) if (to === this.#torn.id) this.#world.network.pass(from, to, 'cut')
      this.#world.timeline.after(this.#random.span(5, MUTE_MS_MAX), 0, () => {
        if (this.#round === round) this.#tear()
      })
    })
  }

  #tear(): void {
    if (this.#world.timeline.now >= this.#until) return this.stop()
    this.#cut(this.#around(this.#side), true)
    this.#side = this.#side === 0 ? 1 : 0
    this.#cut(this.#around(this.#side), false)
    this.#world.count('torn')
    this.#go()
  }

  #between(): Direction[] {
    return this.#sides[0].flatMap(({ id: a }) => this.#sides[1].flatMap(({ id: b }) => both(a, b)))
  }

  #around(side: 0 | 1): Direction[] {
    return this.#sides[side].flatMap(({ id }) => both(id, this.#torn.id))
  }

  #cut(cuts: readonly Direction[], blocked: boolean): void {
    for (const { from, to } of cuts) {
      this.#world.network.pass(from, to, blocked ? 'cut' : 'open')
      if (blocked) this.#world.network.sever(from, to)
    }
  }
}

function both(a: PeerId, b: PeerId): Direction[] {
  return [
    { from: a, to: b },
    { from: b, to: a },
  ]
}
