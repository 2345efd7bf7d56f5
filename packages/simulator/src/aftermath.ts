import { type Core, isQuorum } from '@antiphon/consensus-core'
import type { Clients } from './clients.ts'
import type { SeededRandom } from './random.ts'
import { Violation } from './violation.ts'
import type { Member, World } from './world.ts'

const POLL_MS = 20
const DEADLINE_MS = 20_000
const LOAD_EVERY_MS = 5
const LOAD_TIMEOUT_MS = 2000
/** An epoch with less room ends in the midst of it, as planned. */
const COUNTER_ROOM = 100_000

/**
 * What a settled ensemble must bear, under load and with no other trouble: that a member goes and comes back, which must cost nobody else anything; or that the leader's disk hangs,
 * which the others must notice.
 */
export class Aftermath {
  readonly #world: World
  readonly #random: SeededRandom
  readonly #clients: Clients
  #over = false

  constructor(world: World, random: SeededRandom, clients: Clients) {
    this.#world = world
    this.#random = random
    this.#clients = clients
  }

  /** `done` is called when all is well, or when this ensemble cannot bear it. */
  begin(done: () => void): void {
    const leader = this.#world.leader()
    // A slow flush of the time of trouble is still under way: who waits for it may give up yet.
    if (this.#world.members.some((member) => (coreOf(member)?.state.underway.length ?? 0) > 0)) {
      this.#world.timeline.after(POLL_MS, 0, () => this.begin(done))
      return
    }
    if (leader === null || this.#world.profile.counterMax < COUNTER_ROOM) return done()
    const others = this.#world.members.filter((member) => member !== leader)
    const hangs = this.#random.chance(0.3)
    const victims = (hangs ? [leader] : others).filter((member) => this.#isSpare(member))
    if (victims.length === 0) return done()
    const victim = this.#random.pick(victims)
    this.#load(victim)
    if (hangs) this.#hang(leader, done)
    else this.#goAndComeBack(victim, leader, done)
  }

  /** Are the others a quorum? */
  #isSpare(member: Member): boolean {
    const { configuration, durability } = this.#world
    return isQuorum(configuration, (id) => id !== member.id && durability.isCounted(id))
  }

  /** Writes through everybody else. */
  #load(victim: Member): void {
    if (this.#over) return
    const up = this.#world.members.filter((member) => member !== victim && member.isUp)
    if (up.length > 0) this.#clients.loadThrough(this.#random.pick(up), LOAD_TIMEOUT_MS)
    this.#world.timeline.after(this.#random.span(0, 2 * LOAD_EVERY_MS), 0, () => this.#load(victim))
  }

  #goAndComeBack(victim: Member, leader: Member, done: () => void): void {
    const { epoch } = coreOf(leader)!.view()
    this.#world.count('aftermath return')
    victim.crash()
    this.#world.timeline.after(this.#random.span(10, 400), 0, () => victim.boot())
    let mark = -1
    this.#await(`member ${victim.id} comes back and is not level`, done, () => {
      const leads = coreOf(leader)?.view()
      if (this.#world.leader() !== leader || leads === undefined || leads.epoch !== epoch)
        throw new Violation('liveness', `the return of member ${victim.id} cost the ensemble its leader, member ${leader.id}`)
      const view = coreOf(victim)?.view()
      if (view === undefined || !view.active || view.epoch !== epoch) {
        mark = -1
        return false
      }
      if (mark < 0) mark = leads.committed
      return view.applied >= mark
    })
  }

  #hang(leader: Member, done: () => void): void {
    const { epoch } = coreOf(leader)!.view()
    this.#world.count('aftermath hang')
    leader.disk.hang()
    const mended = (): void => {
      leader.crash()
      leader.disk.calm()
      leader.boot()
      done()
    }
    this.#await(`the disk of leader ${leader.id} hangs and nobody takes its place`, mended, () => {
      const next = this.#world.leader()
      return next !== null && next !== leader && coreOf(next)!.view().epoch > epoch
    })
  }

  #await(what: string, done: () => void, isDone: () => boolean): void {
    const { timeline } = this.#world
    const until = timeline.now + DEADLINE_MS
    const look = (): void => {
      if (isDone()) {
        this.#over = true
        done()
      } else if (timeline.now >= until) {
        this.#world.report(new Violation('liveness', `${what} within ${DEADLINE_MS} ms`))
      } else {
        timeline.after(POLL_MS, 0, look)
      }
    }
    look()
  }
}

function coreOf(member: Member): Core | null {
  return member.life?.core ?? null
}
