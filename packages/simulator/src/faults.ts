import type { Effects } from '@antiphon/consensus-core'
import { type PeerId, peerId } from '@antiphon/ports'
import { DRIFT_PER_MILLE_MAX } from './clock.ts'
import type { Passage } from './network.ts'
import { bothWays, type Direction, oneWay, ring, twoGroups } from './partitions.ts'
import type { FaultKind, FaultPlan } from './profile.ts'
import { SeededRandom } from './random.ts'
import { Waver } from './waver.ts'
import type { Life, Member, World } from './world.ts'

/** What a voter that is torn between two groups has at least for it. */
const WAVER_MS_MIN = 5000

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

interface Aim {
  readonly life: Life
  readonly matters: (effects: Effects) => boolean
  left: number
  readonly strike: () => unknown
}

/** Makes trouble by plan, or as it is told, until it is told to stop; then it leaves nothing behind. */
export class Faults {
  readonly #world: World
  readonly #random: SeededRandom
  readonly #script: readonly FaultEvent[] | null
  readonly #made: FaultEvent[] = []
  over = false
  /** A crash that waits for its moment. */
  aim: Aim | null = null
  /** Two members have each other's disk; `undo`: not for good. */
  swapped = false
  undo: (() => void) | null = null
  wavering: Waver | null = null

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
    this.wavering?.stop()
    network.heal()
    this.undo?.()
    for (const member of members) {
      member.disk.calm()
      if (member.life === null) member.boot()
    }
  }

  /** A core has made a step. */
  stepped(life: Life, effects: Effects): void {
    this.wavering?.stepped()
    const { aim } = this
    if (aim === null || (aim.life === life && !aim.matters(effects))) return
    if (aim.life.over) this.aim = null
    else if (aim.life === life && aim.left-- === 0) {
      this.aim = null
      this.#world.timeline.after(0, 0, () => {
        if (!this.over && !life.over) aim.strike()
      })
    }
  }

  /** A snapshot is on its way: some break in the middle. */
  chunkArrived(to: PeerId): void {
    const { timeline, profile } = this.#world
    if (this.over || this.#script !== null || !this.#random.chance(profile.breakChance)) return
    const at = Math.round((timeline.now + this.#random.span(0, this.#random.pick([5, 5, 50]))) * 1000) / 1000
    const event: FaultEvent = { at, kind: 'cut-transfer', lastsMs: this.#random.span(100, 3000), victim: to, draw: this.#random.uint32() }
    timeline.at(at, 0, () => this.#make(event))
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
    const { timeline, trace } = this.#world
    trace.add(timeline.now, 0, 41, Math.floor(lastsMs), 0, () => `FAULT ${kind} for ${lastsMs.toFixed(0)} ms`)
    if (this.#make(kind, lastsMs)) this.#world.count(`fault ${kind}`)
  }

  /** False when there was nobody whom it could meet. */
  #make(kind: FaultKind, lastsMs: number): boolean {
    const random = this.#random
    const { members, network, timeline } = this.#world
    const until = timeline.now + lastsMs
    switch (kind) {
      case 'crash':
        return this.#crash(this.#victim(), lastsMs)
      case 'crash-in-write':
        return this.#crashInWrite(this.#victim(), lastsMs)
      case 'crash-at-step':
        return this.#crashAtStep(this.#victim(), lastsMs)
      case 'crash-many':
        return this.#crashMany(lastsMs)
      case 'restart':
        return this.#restart(this.#victim(), lastsMs)
      case 'sever':
        return this.#connections(1, 0, (a, b) => network.sever(a, b))
      case 'cut-transfer':
        return this.#cutTransfer(this.#victim(), lastsMs)
      case 'flap':
        return this.#connections(random.between(3, 8), lastsMs, (a, b) => network.sever(a, b))
      case 'double-dial':
        return this.#connections(random.between(1, 4), random.span(0, 5), (a, b) => network.redial(a, b))
      case 'partition':
        return this.#block(twoGroups(members, random, null), lastsMs, 'cut')
      case 'bridge':
        return this.#block(twoGroups(members, random, random.pick(members).id), lastsMs, 'cut')
      case 'ring':
        return this.#block(ring(members, random), lastsMs, 'cut')
      case 'isolate':
        return this.#block(bothWays(members, this.#victim().id), lastsMs, 'cut')
      case 'one-way':
        return this.#block(oneWay(members, random, this.#victim().id), lastsMs, 'cut')
      case 'black-hole': {
        const { id } = this.#victim()
        return this.#block(random.chance(0.5) ? bothWays(members, id) : oneWay(members, random, id), lastsMs, 'hole')
      }
      case 'pause':
        this.#world.pause(this.#victim().id, lastsMs)
        return true
      case 'slow-member':
        this.#world.slow(this.#victim().id, lastsMs, random.pick([0.2, 1, 5, 20]))
        return true
      case 'slow-disk':
        this.#victim().disk.slowUntil(until, random.span(10, lastsMs))
        return true
      case 'hang-disk':
        this.#victim().disk.hangUntil(until)
        return true
      case 'slow-network':
        network.slowUntil(until, random.between(5, 50))
        return true
      case 'slow-link':
        return this.#throttle(oneWay(members, random, this.#victim().id), until)
      case 'clock-jump':
        this.#jumpClock(random.pick([-30_000, -500, 700, 60_000]))
        return true
      case 'clock-drift':
        return this.#drift(this.#victim(), lastsMs)
      case 'kill':
        return this.#kill(this.#victim())
      case 'flush-error':
        return this.#failFlush(this.#victim())
      case 'disk-error':
        return this.#failDisk(this.#victim())
      case 'disk-full':
        this.#victim().disk.fullUntil(until)
        return true
      case 'rot':
        return this.#rot(this.#victim(), lastsMs)
      case 'rot-behind':
        return this.#rotBehind(this.#victim(), lastsMs)
      case 'misread':
        return this.#misread(this.#victim())
      case 'flip-bits':
        network.flipUntil(until)
        return true
      case 'corrupt-state':
        return this.#spoil(this.#victim())
      case 'wipe':
        return this.#wipe(this.#victim(), lastsMs)
      case 'swap-disks':
        return this.#swapDisks(this.#victim(), lastsMs)
      case 'waver':
        return this.#waver(lastsMs)
    }
  }

  #jumpClock(byMs: number): void {
    const { profile, members, entryTimes } = this.#world
    const jumpers = profile.jumpers.filter((id) => id <= members.length)
    if (this.met === null && jumpers.length > 0) this.met = peerId(this.#random.pick(jumpers))
    const { id, life } = this.#victim()
    life?.clock.jump(byMs)
    entryTimes.jumped(id, byMs)
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

  /** If it is being sent a snapshot: the connection breaks, or the sender dies. */
  #cutTransfer({ id, life }: Member, lastsMs: number): boolean {
    const role = life?.core?.state.role
    if (role?.name !== 'following' || role.staging === null) return false
    if (this.#random.chance(0.35)) return this.#crash(this.#world.members[role.leader - 1]!, lastsMs)
    return this.#world.network.sever(id, role.leader)
  }

  #crash(member: Member, downMs: number): boolean {
    if (member.life === null) return false
    member.crash()
    this.#bootLater(member, downMs)
    return true
  }

  #bootLater(member: Member, downMs: number): void {
    this.#world.timeline.after(downMs, 0, () => {
      if (!this.#over) member.boot()
    })
  }

  #crashInWrite(member: Member, lastsMs: number): boolean {
    if (member.life === null) return false
    const { disk } = member
    disk.failAfter(this.#random.below(12), () => {
      this.#world.count('crash within a write')
      // Another member may have the disk by then.
      const owner = this.#world.members.find((each) => each.disk === disk)!
      owner.crash()
      this.#world.timeline.after(this.#random.span(10, lastsMs), 0, () => owner.boot())
    })
    return true
  }

  #crashAtStep(member: Member, lastsMs: number): boolean {
    if (member.life === null) return false
    const [matters, times] = this.#random.pick(MOMENTS)
    this.#faults.aim = {
      life: member.life,
      matters,
      left: this.#random.below(times),
      strike: () => this.#crash(member, lastsMs) && this.#world.count('crash behind a step'),
    }
    return true
  }

  #kill(member: Member): boolean {
    if (member.life === null) return false
    member.kill()
    this.#bootLater(member, this.#random.span(5, 100))
    this.#dieAfterBoot(member)
    return true
  }

  /** The next flush of a file fails; the process stops by that, and its machine may die when it is back. */
  #failFlush(member: Member): boolean {
    member.disk.failNext('sync')
    this.#dieAfterBoot(member)
    return true
  }

  /** Most of what a disk is asked besides flushes of files, it is asked when a store is opened. */
  #failDisk(member: Member): boolean {
    member.disk.failNext(this.#random.pick(['open', 'read', 'write', 'rename', 'remove', 'syncDirectory']))
    if (this.#random.chance(0.5)) this.#crash(member, this.#random.span(5, 100))
    else this.#dieAfterBoot(member)
    return true
  }

  #misread(member: Member): boolean {
    member.disk.misreadAfter(this.#random.below(this.#random.pick([1, 4, 15])))
    if (this.#random.chance(0.7)) this.#crash(member, this.#random.span(5, 100))
    return true
  }

  /** Once the next process on this machine has begun, the machine itself may die. */
  #dieAfterBoot(member: Member): void {
    if (this.#random.chance(0.5)) return
    const { origin } = member.life ?? { origin: 0 }
    const within = this.#random.pick([5, 50, 500])
    member.whenUpAfter(origin, () => {
      if (!this.#over) this.#world.timeline.after(this.#random.span(0, within), 0, () => this.#over || this.#crash(member, 100))
    })
  }

  #rot(member: Member, lastsMs: number): boolean {
    const { disk } = member
    return member.close(() => {
      if (!this.#over && member.disk === disk && disk.decay()) this.#world.timeline.after(lastsMs, 0, () => disk.restore())
      this.#over ? member.boot() : this.#bootLater(member, this.#random.span(5, 200))
    })
  }

  #rotBehind(member: Member, lastsMs: number): boolean {
    const { disk } = member
    if (!disk.decayBehind()) return false
    this.#world.timeline.after(lastsMs, 0, () => disk.restore())
    if (this.#random.chance(0.5)) this.#crash(member, this.#random.span(5, 200))
    return true
  }

  #wipe(member: Member, downMs: number): boolean {
    const { durability } = this.#world
    if (durability.hasLost || !durability.mayChangeDisks([member.id], true) || !this.#world.corruption.canSpare(member.id)) return false
    member.wipe()
    this.#bootLater(member, downMs)
    return true
  }

  #spoil(member: Member): boolean {
    const { corruption, timeline, trace } = this.#world
    const { life } = member
    if (!member.isUp || life!.machine.flaw !== null || !corruption.canSpare(member.id)) return false
    const flaw = corruption.nextFlaw()
    this.#world.count('state spoiled')
    trace.add(timeline.now, member.id, 34, 0, 0, () => `its state goes wrong: ${flaw}`)
    life!.machine.spoil(flaw)
    corruption.is(member.id, flaw)
    return true
  }

  /** Whoever mixed them up notices it in time when no quorum is left, and may never do so when one is. */
  #swapDisks(member: Member, lastsMs: number): boolean {
    const { members, durability, timeline } = this.#world
    const others = members.filter((other) => other !== member)
    if (this.#faults.swapped || others.length === 0 || this.#world.corruption.first !== undefined) return false
    const other = this.#random.pick(others)
    const ids = [member.id, other.id]
    if (!durability.mayChangeDisks(ids, false)) return false
    const swap = (downMs: number): void => {
      member.swapDisks(other)
      for (const each of [member, other]) timeline.after(downMs > 0 ? this.#random.span(0, downMs) : 0, 0, () => each.boot())
    }
    swap(500)
    this.#faults.swapped = true
    const back = (): void => {
      if (this.#faults.undo !== back) return
      this.#faults.undo = null
      this.#faults.swapped = false
      swap(this.#over ? 0 : 200)
    }
    if (durability.mayChangeDisks(ids, true) && this.#random.chance(0.5)) return true
    this.#faults.undo = back
    timeline.after(500 + lastsMs, 0, back)
    return true
  }

  #drift(member: Member, lastsMs: number): boolean {
    const { life } = member
    if (life === null) return false
    life.clock.drift(1 + this.#random.between(-DRIFT_PER_MILLE_MAX, DRIFT_PER_MILLE_MAX) / 1000)
    this.#world.timeline.after(lastsMs, 0, () => life.clock.drift(1))
    return true
  }

  #crashMany(lastsMs: number): boolean {
    const victims = this.#random.shuffle([...this.#world.members]).slice(0, this.#random.between(2, Math.max(2, this.#world.members.length)))
    for (const member of victims) this.#crash(member, this.#random.span(10, lastsMs))
    return true
  }

  #restart(member: Member, downMs: number): boolean {
    return member.close(() => (this.#over ? member.boot() : this.#bootLater(member, downMs)))
  }

  /** Does something to the connection between two members, a few times. */
  #connections(times: number, lastsMs: number, change: (a: PeerId, b: PeerId) => void): boolean {
    const { members, timeline } = this.#world
    if (members.length < 2) return false
    const [a, b] = this.#random.shuffle([...members])
    for (let i = 0; i < times; i++) {
      timeline.after((lastsMs * i) / times, 0, () => {
        if (!this.#over) change(a!.id, b!.id)
      })
    }
    return true
  }

  #throttle(slow: readonly Direction[], until: number): boolean {
    for (const { from, to } of slow) this.#world.network.throttle(from, to, until, this.#random.pick([0.5, 5, 50]))
    return slow.length > 0
  }

  #waver(lastsMs: number): boolean {
    const { members, profile } = this.#world
    const voters = this.#random.shuffle(members.slice(0, profile.voters.length))
    if (voters.length < 3 || this.#faults.wavering !== null) return false
    const leader = this.#world.leader()
    const lastOf = ({ life }: Member): number => life?.core?.state.history.last ?? 0
    // Who is behind the others leads neither group, and the one that leads has what nobody else has.
    const ranked = [...voters].sort((a, b) => Number(a === leader) - Number(b === leader) || lastOf(a) - lastOf(b) || a.id - b.id)
    const [torn, ...others] = this.#random.chance(0.3) ? voters : [ranked[0]!, ...ranked.slice(1).reverse()]
    this.#faults.wavering = new Waver(this.#world, this.#random, torn!, others, WAVER_MS_MIN + lastsMs, () => {
      this.#faults.wavering = null
    })
    return true
  }

  /** Some of the connections break at once; the others only fall silent. */
  #block(cuts: readonly Direction[], lastsMs: number, passage: Passage): boolean {
    const { network, timeline } = this.#world
    const breaks = this.#random.chance(0.3)
    for (const { from, to } of cuts) {
      network.pass(from, to, passage)
      if (breaks) network.sever(from, to)
    }
    timeline.after(lastsMs, 0, () => {
      if (this.#over) return
      const broken = this.#random.chance(0.3)
      for (const { from, to } of cuts) {
        network.pass(from, to, 'open')
        if (broken) network.sever(from, to)
      }
    })
    return cuts.length > 0
  }
}

/** Steps behind which a crash finds something half done, and how many of them may pass before. */
const MOMENTS: readonly (readonly [matters: (effects: Effects) => boolean, times: number])[] = [
  [() => true, 50],
  [({ commitTo }) => commitTo !== null, 10],
  [({ role }) => role !== null, 3],
  [({ transfers }) => transfers.length > 0, 2],
  [({ receives }) => receives.length > 0, 1],
  [({ stagedAppends }) => stagedAppends.length > 0, 3],
  [({ writes }) => writes.some(({ epochs }) => epochs !== null), 2],
  [({ writes }) => writes.some(({ truncateTo, install }) => truncateTo !== null || install !== null), 1],
]
