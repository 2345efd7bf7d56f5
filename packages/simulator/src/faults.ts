import type { PeerId } from '@antiphon/ports'
import type { FaultKind, FaultPlan } from './profile.ts'
import { SeededRandom } from './random.ts'
import type { Member, World } from './world.ts'

/** One fault as it came about. It stands for itself: with the others of its run left out it does the same, to whatever state it meets. */
export interface FaultEvent {
  /** Virtual milliseconds since the run began, in whole microseconds. */
  readonly at: number
  readonly kind: FaultKind
  readonly lastsMs: number
  /** Null: it meets nobody in particular. */
  readonly victim: PeerId | null
  /** The seed of all else that it decides. */
  readonly draw: number
}

/** Makes trouble by plan, or as it is told, until it is told to stop; then it leaves nothing behind. */
export class Faults {
  readonly #world: World
  readonly #random: SeededRandom
  readonly #script: readonly FaultEvent[] | null
  readonly #made: FaultEvent[] = []
  over = false

  /** `script`: these faults instead of those of the profile's plans. */
  constructor(world: World, random: SeededRandom, script: readonly FaultEvent[] | null) {
    this.#world = world
    this.#random = random
    this.#script = script
  }

  /** All faults so far, in their order. */
  get made(): readonly FaultEvent[] {
    return this.#made
  }

  start(): void {
    const { profile, timeline } = this.#world
    if (this.#script === null) for (const plan of profile.faults) this.#later(plan)
    else for (const event of this.#script) timeline.at(event.at, 0, () => this.#make(event))
  }

  /** All that is broken is whole again. */
  stop(): void {
    this.over = true
    const { members, network, trace, timeline } = this.#world
    trace.add(timeline.now, 0, 40, 0, 0, () => 'the faults end')
    network.heal()
    for (const member of members) {
      member.disk.calm()
      if (member.life === null) member.boot()
    }
  }

  #later(plan: FaultPlan): void {
    const { timeline } = this.#world
    const at = Math.round((timeline.now - Math.log(1 - this.#random.unit()) * plan.everyMs) * 1000) / 1000
    timeline.at(at, 0, () => {
      if (this.over) return
      this.#make({ at, kind: plan.kind, lastsMs: this.#random.span(20, plan.lastsMs), victim: null, draw: this.#random.uint32() })
      this.#later(plan)
    })
  }

  #make(event: FaultEvent): void {
    if (this.over || (event.victim ?? 0) > this.#world.members.length) return
    const fault = new Fault(this, this.#world, event)
    try {
      fault.make()
    } finally {
      this.#made.push({ ...event, victim: fault.met })
    }
  }
}

/** One of them. */
class Fault {
  readonly #faults: Faults
  readonly #world: World
  readonly #event: FaultEvent
  readonly #random: SeededRandom
  /** Whom it was made for, or has chosen. */
  met: PeerId | null

  constructor(faults: Faults, world: World, event: FaultEvent) {
    this.#faults = faults
    this.#world = world
    this.#event = event
    this.#random = new SeededRandom(event.draw, 7)
    this.met = event.victim
  }

  get #over(): boolean {
    return this.#faults.over
  }

  make(): void {
    const { kind, lastsMs } = this.#event
    const { members, network, timeline, trace } = this.#world
    this.#world.count(`fault ${kind}`)
    trace.add(timeline.now, 0, 41, Math.floor(lastsMs), 0, () => `FAULT ${kind} for ${lastsMs.toFixed(0)} ms`)
    switch (kind) {
      case 'crash':
        return this.#crash(this.#victim(), lastsMs)
      case 'crash-in-write':
        return this.#crashInWrite(this.#victim(), lastsMs)
      case 'crash-many':
        return this.#crashMany(lastsMs)
      case 'restart':
        return this.#restart(this.#victim(), lastsMs)
      case 'sever':
        return this.#sever(1, 0)
      case 'flap':
        return this.#sever(this.#random.between(3, 8), lastsMs)
      case 'partition':
        return this.#partition(lastsMs, null)
      case 'bridge':
        return this.#partition(lastsMs, this.#random.pick(members).id)
      case 'isolate': {
        const { id } = this.#victim()
        return this.#block(
          members.flatMap((other) => (other.id === id ? [] : [pair(id, other.id), pair(other.id, id)])),
          lastsMs,
        )
      }
      case 'one-way':
        return this.#oneWay(this.#victim().id, lastsMs)
      case 'pause':
        return this.#world.pause(this.#victim().id, lastsMs)
      case 'slow-disk':
        return this.#victim().disk.slowUntil(timeline.now + lastsMs, this.#random.span(10, lastsMs))
      case 'slow-network':
        network.slowUntil(timeline.now + lastsMs, this.#random.between(5, 50))
        return
      case 'clock-jump':
        return this.#victim().life?.clock.jump(this.#random.pick([-30_000, -500, 700, 60_000]))
      case 'kill':
        return this.#kill(this.#victim())
      case 'flush-error':
        return this.#failFlush(this.#victim())
      case 'disk-full':
        return this.#victim().disk.fullUntil(timeline.now + lastsMs)
      case 'rot':
        return this.#rot(this.#victim(), lastsMs)
      case 'flip-bits':
        return network.flipUntil(timeline.now + lastsMs)
      case 'wipe':
        return this.#wipe(this.#victim(), lastsMs)
    }
  }

  /** The leader more often than its share. Chosen by random numbers of its own, so that nothing else changes when it is told. */
  #victim(): Member {
    const { members } = this.#world
    if (this.met === null) {
      const random = new SeededRandom(this.#event.draw, 8)
      const leader = random.chance(0.4) ? this.#world.leader() : null
      this.met = (leader ?? random.pick(members)).id
    }
    return members[this.met - 1]!
  }

  #crash(member: Member, downMs: number): void {
    if (member.life === null) return
    member.crash()
    this.#bootLater(member, downMs)
  }

  #bootLater(member: Member, downMs: number): void {
    this.#world.timeline.after(downMs, 0, () => {
      if (!this.#over) member.boot()
    })
  }

  #crashInWrite(member: Member, lastsMs: number): void {
    if (member.life === null) return
    member.disk.failAfter(this.#random.below(12), () => {
      this.#world.count('crash within a write')
      member.crash()
      this.#world.timeline.after(this.#random.span(10, lastsMs), 0, () => member.boot())
    })
  }

  #kill(member: Member): void {
    if (member.life === null) return
    member.kill()
    this.#bootLater(member, this.#random.span(5, 100))
    this.#dieAfterBoot(member)
  }

  /** The next flush of a file fails; the process stops by that, and its machine may die when it is back. */
  #failFlush(member: Member): void {
    member.disk.failNextSync()
    this.#dieAfterBoot(member)
  }

  /** Once the next process on this machine has begun, the machine itself may die. */
  #dieAfterBoot(member: Member): void {
    if (this.#random.chance(0.5)) return
    const { origin } = member.life ?? { origin: 0 }
    const within = this.#random.pick([5, 50, 500])
    const look = (): void => {
      if (this.#over) return
      if (member.isUp && member.life!.origin !== origin)
        this.#world.timeline.after(this.#random.span(0, within), 0, () => this.#over || this.#crash(member, 100))
      else this.#world.timeline.after(2, 0, look)
    }
    look()
  }

  #rot(member: Member, lastsMs: number): void {
    member.close(() => {
      if (!this.#over && member.disk.decay()) this.#world.timeline.after(lastsMs, 0, () => member.disk.restore())
      this.#over ? member.boot() : this.#bootLater(member, this.#random.span(5, 200))
    })
  }

  #wipe(member: Member, downMs: number): void {
    if (!this.#world.durability.mayWipe(member.id)) return
    member.wipe()
    this.#bootLater(member, downMs)
  }

  #crashMany(lastsMs: number): void {
    const victims = this.#random.shuffle([...this.#world.members]).slice(0, this.#random.between(2, Math.max(2, this.#world.members.length)))
    for (const member of victims) this.#crash(member, this.#random.span(10, lastsMs))
  }

  #restart(member: Member, downMs: number): void {
    member.close(() => (this.#over ? member.boot() : this.#bootLater(member, downMs)))
  }

  #sever(times: number, lastsMs: number): void {
    const { members, network, timeline } = this.#world
    if (members.length < 2) return
    const [a, b] = this.#random.shuffle([...members])
    for (let i = 0; i < times; i++) {
      timeline.after((lastsMs * i) / times, 0, () => {
        if (!this.#over) network.sever(a!.id, b!.id)
      })
    }
  }

  /** Two groups; `bridge` belongs to both. */
  #partition(lastsMs: number, bridge: PeerId | null): void {
    const { members } = this.#world
    const side = new Map(members.map((member) => [member.id, this.#random.chance(0.5)]))
    const cuts: Direction[] = []
    for (const { id: from } of members)
      for (const { id: to } of members) if (from !== bridge && to !== bridge && side.get(from) !== side.get(to)) cuts.push(pair(from, to))
    this.#block(cuts, lastsMs)
  }

  #oneWay(id: PeerId, lastsMs: number): void {
    const others = this.#world.members.filter((member) => member.id !== id)
    if (others.length === 0) return
    const peers = this.#random.chance(0.5) ? others : [this.#random.pick(others)]
    const outgoing = this.#random.chance(0.5)
    this.#block(
      peers.map((peer) => (outgoing ? pair(id, peer.id) : pair(peer.id, id))),
      lastsMs,
    )
  }

  /** Some of the connections break at once; the others only fall silent. */
  #block(cuts: readonly Direction[], lastsMs: number): void {
    const { network, timeline } = this.#world
    const breaks = this.#random.chance(0.3)
    for (const { from, to } of cuts) {
      network.block(from, to, true)
      if (breaks) network.sever(from, to)
    }
    timeline.after(lastsMs, 0, () => {
      if (this.#over) return
      const broken = this.#random.chance(0.3)
      for (const { from, to } of cuts) {
        network.block(from, to, false)
        if (broken) network.sever(from, to)
      }
    })
  }
}

interface Direction {
  readonly from: PeerId
  readonly to: PeerId
}

function pair(from: PeerId, to: PeerId): Direction {
  return { from, to }
}
