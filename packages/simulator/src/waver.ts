import type { Core } from '@antiphon/consensus-core'
import { type PeerId, ZERO, type Zxid } from '@antiphon/ports'
import type { Direction } from './partitions.ts'
import type { SeededRandom } from './random.ts'
import type { Member, World } from './world.ts'

/** No byte arrives so long after a connection broke; no other one comes up sooner. */
const WORD_MS = 4
/** From being torn away to being torn away again. */
const ROUND_MS_MAX = 1500
const MUTE_MS_MAX = 600
/** How often whoever is torn away is another process when it is heard again: what it has promised must bind that one too. */
const RESTART_CHANCE = 0.2
const DOWN_MS_MAX = 50

/** Looked for behind every step of the voter that is torn and of those that it may follow; `before`: the end of its history when it was let to them. */
type Moment = (torn: Core, leaders: readonly Core[], before: Zxid) => boolean

function joins(phase: string): Moment {
  return ({ state: { role } }) => role.name === 'following' && role.phase === phase
}

function leads(stage: string): Moment {
  return (_, leaders) => leaders.some(({ state: { role } }) => role.name === 'leading' && role.stage === stage)
}

/** It holds entries of its new leader's history, and has not been told yet where that ends. */
const copies: Moment = ({ state: { role, history } }, _, before) => role.name === 'following' && role.phase === 'synchronizing' && history.last > before

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

/** One round of a plan: whom it hears (null: nobody), until when, and whether it goes deaf first, and is heard for a while yet. */
interface Round {
  readonly side: 0 | 1 | null
  readonly moment: Moment | null
  readonly msMax: number
  readonly goesDeaf?: true
}

/** Two candidates choose one epoch, each of them with the torn voter alone, and both are given time to make it theirs. */
const ONE_EPOCH_TWICE: readonly Round[] = [
  { side: null, moment: null, msMax: 1500 },
  { side: 1, moment: leads('promising'), msMax: 2500 },
  { side: 0, moment: leads('synchronizing'), msMax: 2500 },
  { side: 1, moment: leads('established'), msMax: 2500 },
  { side: 0, moment: leads('established'), msMax: 2500 },
]

/** One group holds entries that nobody else has, the other an epoch; the torn voter gets the entries without an epoch, and is heard once more. */
const COPIES_WITHOUT_EPOCH: readonly Round[] = [
  { side: 1, moment: leads('synchronizing'), msMax: 2500 },
  { side: 0, moment: copies, msMax: 2500, goesDeaf: true },
  { side: 1, moment: leads('established'), msMax: 2500 },
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
  #before: Zxid = ZERO
  readonly #plan: readonly Round[] | null
  #rounds = 0
  /** False: it hears nobody. */
  #hears = true
  #stopped = false
  /** Counts the rounds: what was arranged for an earlier one is void. */
  #round = 0

  constructor(world: World, random: SeededRandom, torn: Member, others: readonly Member[], lastsMs: number, ended: () => void) {
    this.#world = world
    this.#random = random
    this.#torn = torn
    this.#sides = [others.filter((_, i) => i % 2 === 0), others.filter((_, i) => i % 2 === 1)]
    this.#until = world.timeline.now + lastsMs
    this.#plan = random.pick([null, ONE_EPOCH_TWICE, COPIES_WITHOUT_EPOCH])
    this.#ended = ended
    this.#cut(this.#between(), true)
    const first = this.#planned
    this.#hears = first === null || first.side !== null
    this.#side = first?.side ?? 0
    for (const side of [0, 1] as const) if (!this.#hears || side !== this.#side) this.#cut(this.#around(side), true)
    this.#go()
  }

  /** A core has stepped. */
  stepped(): void {
    const core = this.#torn.life?.core
    if (this.#moment === null || core == null) return
    const leaders = this.#sides[this.#side].flatMap(({ life }) => life?.core ?? [])
    if (this.#moment(core, leaders, this.#before)) this.#tearWithin(this.#plan === null ? this.#random.pick([0, 1, 5, 50]) : 0)
  }

  /** Everything is whole again. */
  stop(): void {
    this.#stopped = true
    this.#round++
    this.#moment = null
    this.#cut([...this.#between(), ...this.#around(0), ...this.#around(1)], false)
    this.#ended()
  }

  #go(): void {
    const round = ++this.#round
    const { timeline } = this.#world
    const planned = this.#planned
    this.#rounds++
    this.#before = this.#torn.life?.core?.state.history.last ?? ZERO
    // What it was before is over once it has noticed the loss.
    timeline.after(1, 0, () => {
      if (this.#round === round) this.#moment = planned === null ? this.#random.pick(MOMENTS) : planned.moment
    })
    timeline.after(planned === null ? this.#random.span(50, ROUND_MS_MAX) : planned.msMax, 0, () => {
      if (this.#round === round) this.#tearWithin(0)
    })
  }

  #tearWithin(ms: number): void {
    const round = ++this.#round
    this.#moment = null
    this.#world.timeline.after(this.#random.span(0, ms), 0, () => {
      if (this.#round !== round) return
      const before = this.#plan === null ? null : this.#plan[(this.#rounds - 1) % this.#plan.length]!
      if (before === null ? this.#random.chance(0.5) : before.goesDeaf !== true) return this.#tear()
      // First it goes deaf, and is heard for a while yet.
      for (const { from, to } of this.#around(this.#side)) if (to === this.#torn.id) this.#world.network.pass(from, to, 'cut')
      this.#world.timeline.after(this.#random.span(5, MUTE_MS_MAX), 0, () => {
        if (this.#round === round) this.#tear()
      })
    })
  }

  #tear(): void {
    // Whoever was torn once through has what each group has, and would lead the next time.
    if (this.#plan === null ? this.#world.timeline.now >= this.#until : this.#rounds >= this.#plan.length) return this.stop()
    const planned = this.#planned
    this.#cut(this.#around(this.#side), true)
    this.#side = planned === null ? (this.#side === 0 ? 1 : 0) : (planned.side ?? this.#side)
    this.#hears = planned === null || planned.side !== null
    if (this.#hears) this.#cut(this.#around(this.#side), false)
    this.#world.count('torn')
    if (planned === null && this.#random.chance(RESTART_CHANCE)) this.#restart()
    this.#go()
  }

  #restart(): void {
    if (this.#torn.life === null) return
    this.#world.count('torn, and restarted')
    if (this.#random.chance(0.5)) this.#torn.kill()
    else this.#torn.crash()
    this.#world.timeline.after(this.#random.span(1, DOWN_MS_MAX), 0, () => this.#torn.boot())
  }

  /** The round that begins next; null when there is no plan. */
  get #planned(): Round | null {
    return this.#plan === null ? null : this.#plan[Math.min(this.#rounds, this.#plan.length - 1)]!
  }

  #between(): Direction[] {
    return this.#sides[0].flatMap(({ id: a }) => this.#sides[1].flatMap(({ id: b }) => both(a, b)))
  }

  /** Between the groups always, and between the torn voter and whom it does not hear. */
  #isCut(a: PeerId, b: PeerId): boolean {
    const other = a === this.#torn.id ? b : b === this.#torn.id ? a : null
    return other === null || !this.#hears || !this.#sides[this.#side].some(({ id }) => id === other)
  }

  #around(side: 0 | 1): Direction[] {
    return this.#sides[side].flatMap(({ id }) => both(id, this.#torn.id))
  }

  #cut(cuts: readonly Direction[], blocked: boolean): void {
    const { network, timeline } = this.#world
    if (!blocked) {
      for (const { from, to } of cuts) network.pass(from, to, 'open')
      return
    }
    for (const { from, to } of cuts) network.sever(from, to)
    // What was under way is lost by then, and both sides learn that the connection is gone: a cut alone would be taken for silence.
    timeline.after(WORD_MS, 0, () => {
      if (this.#stopped) return
      for (const { from, to } of cuts) {
        network.pass(from, to, 'open')
        if (this.#isCut(from, to)) network.pass(from, to, 'cut')
      }
    })
  }
}

function both(a: PeerId, b: PeerId): Direction[] {
  return [
    { from: a, to: b },
    { from: b, to: a },
  ]
}
