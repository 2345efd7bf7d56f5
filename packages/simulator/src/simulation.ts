import { type Core, checkState, describeEffects, describeInput, describeMessage, type Effects, type Input } from '@antiphon/consensus-core'
import { type Configuration, type EnsembleId, formatZxid, type PeerId, peerId, type Member as Seat, ZERO, type Zxid } from '@antiphon/ports'
import { decodeMessage } from '@antiphon/wire'
import { Aftermath } from './aftermath.ts'
import { Clients } from './clients.ts'
import { watchCores } from './cores.ts'
import { Corruption } from './corruption.ts'
import { SimDisk } from './disk.ts'
import { Durability } from './durability.ts'
import { AHEAD_MS_MAX, EntryTimes } from './entry-times.ts'
import { type FaultEvent, Faults } from './faults.ts'
import { History } from './history.ts'
import { Ledger } from './ledger.ts'
import { EventLoops } from './loops.ts'
import { SimMember } from './member.ts'
import { SimNetwork } from './network.ts'
import { type Path, Paths } from './paths.ts'
import { drawProfile, type Profile, type ProfileName } from './profile.ts'
import { SeededRandom } from './random.ts'
import { ReadWatch } from './read-watch.ts'
import { drive, Timeline } from './timeline.ts'
import { hashText, Ring, Trace } from './trace.ts'
import { Violation } from './violation.ts'
import { WindowWatch } from './windows.ts'
import type { Guest, Life, Member, World } from './world.ts'

export interface RunOptions {
  readonly seed: number
  /** `swarm` unless told. */
  readonly profile?: ProfileName
  /** In place of what the seed would draw: then it decides nothing but what is left to chance in these. */
  readonly script?: RunScript
  /** The run is broken off behind so many steps, and not judged at its end. */
  readonly stepsMax?: number
  /** Given every line of the trace as it happens. */
  readonly say?: (line: string) => void
}

export interface RunScript {
  readonly profile: Profile
  readonly faults: readonly FaultEvent[]
}

export interface RunResult {
  readonly seed: number
  readonly profile: Profile
  /** Those that were made, as a script may repeat them. */
  readonly faults: readonly FaultEvent[]
  /** Null: every promise held. */
  readonly violation: Violation | null
  /** Happenings taken from the timeline. */
  readonly steps: number
  /** Changes in the one order. */
  readonly commits: number
  /** Established leaders. */
  readonly elections: number
  readonly acknowledged: number
  /** Keys whose history was too tangled to be judged within the budget. */
  readonly undecided: number
  readonly virtualMs: number
  /** Over the whole trace: equal for equal seeds. */
  readonly hash: string
  /** How often each path was taken. */
  readonly paths: ReadonlyMap<string, number>
}

/** Beyond it a run turns in circles. */
const STEPS_MAX = 3_000_000
/** The bound of liveness: from the end of the faults to a settled ensemble. */
const HEAL_MS = 60_000
const POLL_MS = 50
const LAST_ZXID = Number.MAX_SAFE_INTEGER as Zxid
/** Above the id of any call. */
const OWN_REQUESTS_FROM = 1_000_000_000
/** A call through a member of a settled ensemble; within twice that each member must have taken a write and a read. */
const PROOF_MS = 5000

/** Runs one seed to its end. Never rejects: what goes wrong is a violation. Runs in one process must not overlap. */
export async function runSeed(options: RunOptions): Promise<RunResult> {
  const simulation = new Simulation(options, null)
  return simulation.run()
}

/** The same with somebody else's machine in the ensemble. */
export async function runWithGuest(options: RunOptions, guest: Guest): Promise<RunResult> {
  const simulation = new Simulation(options, guest)
  return simulation.run()
}

/** Runs a seed again and keeps the last `lines` lines of its trace. */
export async function retrace(options: RunOptions, lines: number): Promise<{ readonly result: RunResult; readonly lines: readonly string[] }> {
  const ring = new Ring<string>(lines)
  const result = await runSeed({ ...options, say: (line) => ring.push(line) })
  return { result, lines: ring.items() }
}

const INPUT_KINDS = ['tick', 'message', 'propose', 'read', 'persisted', 'transferred', 'staged', 'applied', 'compacted', 'connection'] as const
const KIND_HASHES = Object.fromEntries(INPUT_KINDS.map((kind) => [kind, hashText(kind)])) as Record<Input['kind'], number>

class Simulation implements World {
  readonly seed: number
  readonly profile: Profile
  readonly configuration: Configuration
  readonly timeline: Timeline = new Timeline()
  readonly random: SeededRandom
  readonly trace: Trace
  readonly network: SimNetwork
  readonly ledger: Ledger
  readonly history: History = new History()
  readonly durability: Durability
  readonly corruption: Corruption
  readonly entryTimes: EntryTimes
  readonly members: readonly Member[]
  readonly guest: Guest | null
  readonly #faults: Faults
  readonly #clients: Clients
  readonly #reads: ReadWatch = new ReadWatch(this)
  readonly #windows: WindowWatch
  readonly #paths = new Paths()
  readonly #leaders = new Map<number, PeerId>()
  /** Who last sent each member a snapshot. */
  readonly #senders = new Map<PeerId, PeerId>()
  readonly #loops: EventLoops = new EventLoops(this.timeline)
  /** Of each core that leads: the epoch that it has established, and which of its learners are streamed to. */
  readonly #leading = new Map<Core, { epoch: number; readonly streaming: Set<object> }>()
  #running: Life | null = null
  #violation: Violation | null = null
  #origins = 0
  #ensembleId: EnsembleId | null = null
  #ownRequests = 0
  #steps = 0
  readonly #stepsMax: number
  #elections = 0
  #undecided = 0
  #phase: 'trouble' | 'healing' | 'proving' | 'over' = 'trouble'
  #phaseEnds: number
  #ended = false
  #proven = false
  #flooded = false

  constructor({ seed, profile = 'swarm', script, stepsMax = Number.POSITIVE_INFINITY, say }: RunOptions, guest: Guest | null) {
    this.seed = seed
    this.guest = guest
    this.#stepsMax = stepsMax
    this.random = new SeededRandom(seed, 1)
    const drawn = this.random.fork(2)
    const asDrawn = script?.profile ?? drawProfile(profile, drawn)
    this.profile = guest === null ? asDrawn : guest.adjust(asDrawn)
    this.configuration = seats(this.profile)
    this.trace = new Trace(say ?? null)
    this.network = new SimNetwork(this.timeline, this.random.fork(3), this.trace, { ...this.profile.network }, describeFrame)
    this.ledger = new Ledger((violation) => this.report(violation))
    this.durability = new Durability(this.configuration, this.profile.counterMax)
    this.corruption = new Corruption(this.configuration, (member) => this.durability.isCounted(member))
    this.entryTimes = new EntryTimes(this.configuration, this.profile)
    this.#windows = new WindowWatch(Math.max(this.profile.windowBytes, 2 * (guest?.requestBytesMax ?? 0)))
    this.#phaseEnds = this.profile.troubleMsMax
    this.members = this.configuration.members.map(
      ({ id }) => new SimMember(this, id, new SimDisk(this.timeline, this.random.fork(100 + id), { ...this.profile.disk })),
    )
    this.#faults = new Faults(this, this.random.fork(4), script?.faults ?? null)
    this.#clients = new Clients(this, this.random.fork(5))
  }

  async run(): Promise<RunResult> {
    const unwatch = watchCores((core, input, effects, breach) => this.#watch(core, input, effects, breach))
    try {
      this.trace.add(0, 0, this.seed, hashText(JSON.stringify(this.profile)), 0, () => `seed ${this.seed}: ${JSON.stringify(this.profile)}`)
      for (const member of this.members) this.timeline.after(this.random.span(0, 300), 0, () => member.boot())
      this.timeline.after(this.random.span(0, 1000), 0, () => this.#clients.start())
      this.timeline.after(this.random.span(0, 3000), 0, () => this.#faults.start())
      this.guest?.start(this)
      this.timeline.after(POLL_MS, 0, () => this.#poll())
      await drive(() => this.#step())
      this.#checkCores()
      if (this.#violation === null && this.#phase === 'over') this.guest?.settled()
      if (this.#violation === null && this.#phase === 'over') this.#undecided = this.history.judge(this.ledger).undecided
    } catch (error) {
      this.report(error instanceof Violation ? error : new Violation('crash', String((error as Error).stack)))
    } finally {
      this.#ended = true
      for (const member of this.members) member.crash()
      unwatch()
    }
    return {
      seed: this.seed,
      profile: this.profile,
      faults: this.#faults.made,
      violation: this.#violation,
      steps: this.#steps,
      commits: this.ledger.length,
      elections: this.#elections,
      acknowledged: this.history.acknowledged,
      undecided: this.#undecided,
      virtualMs: this.timeline.now,
      hash: this.trace.hash(),
      paths: this.#paths.taken(),
    }
  }

  report(violation: Violation): void {
    if (this.#violation !== null || this.#ended) return
    this.#violation = violation
    this.trace.add(this.timeline.now, 0, 99, hashText(violation.invariant), 0, () => `VIOLATION of ${violation.invariant}: ${violation.message}`)
  }

  nextOrigin(): number {
    // Three streams of random numbers hang on each.
    return (this.#origins += 3)
  }

  nextOwnRequest(): number {
    return OWN_REQUESTS_FROM + ++this.#ownRequests
  }

  running(life: Life): void {
    this.#running = life
  }

  stopped(member: PeerId): void {
    this.#loops.stopped(member)
  }

  pause(member: PeerId, ms: number): void {
    if (!this.#loops.pause(member, ms)) return
    this.trace.add(this.timeline.now, member, 26, Math.floor(ms), 0, () => `stands still for ${ms.toFixed(0)} ms`)
  }

  slow(member: PeerId, ms: number, costMs: number): void {
    if (!this.#loops.slow(member, ms, costMs)) return
    this.trace.add(this.timeline.now, member, 33, Math.floor(ms), costMs * 1000, () => `takes ${costMs} ms for everything, for ${ms.toFixed(0)} ms`)
  }

  wasLate(member: PeerId, ms: number): boolean {
    return this.#loops.wasLate(member, ms)
  }

  leader(): Member | null {
    let found: Member | null = null
    let epoch = -1
    for (const member of this.members) {
      const role = member.life?.core?.state.role
      if (role?.name === 'leading' && role.stage === 'established' && role.epoch > epoch) {
        found = member
        epoch = role.epoch
      }
    }
    return found
  }

  neededByTransfers(id: PeerId): Zxid {
    const state = this.members[id - 1]!.life?.core?.state
    if (state?.role.name !== 'leading') return LAST_ZXID
    const { role, history } = state
    let needed = LAST_ZXID
    for (const { stage, streaming, keepAbove } of role.learners.values()) if ((stage === 'transferring' || streaming) && keepAbove < needed) needed = keepAbove
    // A snapshot that is opened while a compaction ends is the newer one: what it is followed by begins there.
    return history.start > needed ? history.start : needed
  }

  count(path: Path): void {
    this.#paths.count(path)
  }

  /** Takes the next happening. Everything that it causes without waiting, promises included, belongs to the member on whose event loop it runs. */
  #step(): boolean {
    if (this.#violation !== null || this.#phase === 'over' || this.#steps >= this.#stepsMax) return false
    const happening = this.#loops.take()
    if (happening === null) throw new Violation('liveness', 'nothing is left that could happen')
    if (++this.#steps > STEPS_MAX) throw new Violation('liveness', `${STEPS_MAX} steps led nowhere`)
    const { owner, run } = happening
    this.#running = owner === 0 ? null : this.members[owner - 1]!.life
    happening.run = null
    run?.()
    return true
  }

  #checkCores(): void {
    for (const { life } of this.members) {
      const breach = life?.core == null ? null : checkState(life.core)
      if (breach !== null) this.report(new Violation('core', `at the end of the run: ${breach}`))
    }
  }

  #watch(core: Core, input: Input, effects: Effects, breach: Violation | null): void {
    const life = this.#running
    if (life === null || life.over) return this.report(new Violation('crash', 'a core steps although its process is dead'))
    life.core ??= core
    const { id } = life.member
    const { writes, role, commitTo } = effects
    const line = this.trace.isRead ? lineOf(input, effects) : null
    this.trace.add(this.timeline.now, id, KIND_HASHES[input.kind], writes.length * 1000 + effects.sends.length, commitTo ?? 0, line)
    if (breach !== null) this.report(breach)
    if (effects.fault !== null) this.report(new Violation('fault', `the core of member ${id} stops: ${effects.fault.code} ${effects.fault.message}`))
    this.#paths.stepped(input, effects)
    if (input.kind === 'propose' && input.run.time < life.clock.wall() - AHEAD_MS_MAX) this.count('stamped the median')
    this.#faults.stepped(life, effects)
    this.#countLeading(core, effects)
    this.#countSnaps(id, input, effects)
    if (input.kind === 'message' && input.message.kind === 'CHUNK') this.#faults.chunkArrived(id)
    this.#checkFounding(id, core)
    if (role?.role === 'leading' && role.active) this.#established(life, role.epoch)
    const misread = this.#reads.stepped(life, core, input, effects)
    if (misread !== null) this.report(misread)
    const overrun = this.#windows.stepped(id, core, input, effects)
    if (overrun !== null) this.report(overrun)
    if (commitTo !== null) this.#committed(id, commitTo)
  }

  #committed(id: PeerId, zxid: Zxid): void {
    this.#guard(() => this.durability.committed(zxid, `member ${id} commits`))
  }

  #established(life: Life, epoch: number): void {
    const { id } = life.member
    const overlap = this.#reads.established(life, epoch)
    if (overlap !== null) this.report(overlap)
    const known = this.#leaders.get(epoch)
    if (known === undefined) this.#elections++
    else this.report(new Violation('leadership', `members ${known} and ${id} both lead epoch ${epoch}`))
    this.#leaders.set(epoch, id)
  }

  /** Rule 8: there is one ensemble, for ever. */
  #checkFounding(id: PeerId, core: Core): void {
    const { founding } = core.state
    if (founding === null || founding.ensembleId === this.#ensembleId) return
    if (this.#ensembleId !== null) this.report(new Violation('founding', `member ${id} belongs to a second ensemble`))
    this.#ensembleId = founding.ensembleId
  }

  /** Rules 12 and 17: what a leader does over connections that stay. */
  #countSnaps(id: PeerId, input: Input, effects: Effects): void {
    for (const { chunks, from } of effects.receives) {
      const isVoid = effects.discards.length + effects.abandons.length > 0
      this.count(chunks > 0 ? 'snap resumed' : isVoid ? 'snap begun anew' : 'snap begun')
      if (chunks > 0 && this.#senders.get(id) !== from) this.count('snap resumed by another leader')
      this.#senders.set(id, from)
    }
    if (input.kind === 'message' && input.message.kind === 'DIFF' && input.message.staged) this.count('staged log continued')
  }

  #countLeading(core: Core, effects: Effects): void {
    const { role } = core.state
    let leading = this.#leading.get(core)
    if (role.name !== 'leading') {
      if (leading !== undefined) this.#leading.delete(core)
      return
    }
    if (leading === undefined) this.#leading.set(core, (leading = { epoch: 0, streaming: new Set() }))
    if (effects.role?.active === true) {
      if (leading.epoch !== 0) this.count('epoch change in place')
      leading.epoch = role.epoch
    }
    for (const { bytesMax } of effects.transfers) if (bytesMax !== Number.MAX_SAFE_INTEGER) this.count('stream of a slow learner')
    for (const learner of role.learners.values()) {
      if (learner.streaming) leading.streaming.add(learner)
      else if (leading.streaming.size > 0 && leading.streaming.delete(learner)) this.count('rejoin mid-stream')
    }
  }

  #guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.report(error instanceof Violation ? error : new Violation('crash', String((error as Error).stack)))
    }
  }

  get #isIdle(): boolean {
    return this.#clients.idle && (this.guest?.idle ?? true)
  }

  #poll(): void {
    const { now } = this.timeline
    if (this.corruption.isBeyondRepair) {
      this.count('no quorum is sound')
      this.#phase = 'over'
      return
    }
    if (this.#phase === 'trouble' && (this.#isIdle || now >= this.#phaseEnds)) this.#heal()
    else if (this.#phase === 'healing') {
      this.#expose()
      if (this.#isIdle && this.#settled() === null) this.#floodOrProve()
      else if (now >= this.#phaseEnds)
        throw new Violation('liveness', `the ensemble has not settled ${HEAL_MS} ms after the last fault: ${this.#settled() ?? 'calls are not answered'}`)
    } else if (this.#phase === 'proving' && now >= this.#phaseEnds)
      throw new Violation('liveness', `a settled ensemble does not take a write and a read through every member within ${2 * PROOF_MS} ms`)
    this.timeline.after(POLL_MS, 0, () => this.#poll())
  }

  #heal(): void {
    this.#phase = 'healing'
    this.#phaseEnds = this.timeline.now + HEAL_MS
    this.#clients.stop()
    this.guest?.stop()
    this.#faults.stop()
    this.#loops.calm()
  }

  /** A state that went wrong is found at the next ZXID at which states are compared: so there must be one. */
  #expose(): void {
    if (this.corruption.first === undefined) return
    const up = this.members.filter((member) => member.isUp)
    if (up.length > 0) this.#clients.loadThrough(this.random.pick(up), PROOF_MS)
  }

  /** One established leader, everybody active under it and level with it; else what is missing. */
  #settled(): string | null {
    const leader = this.leader()
    if (leader === null) return 'nobody leads'
    const core = leader.life!.core!
    const { epoch } = core.view()
    for (const member of this.members) {
      const view = member.life?.core?.view()
      if (view === undefined || !member.isUp) return `member ${member.id} is not up`
      if (!view.active || view.epoch !== epoch || view.leader !== leader.id)
        return `member ${member.id} is ${view.role} under ${view.leader ?? 'nobody'} in epoch ${view.epoch}${view.active ? '' : ', not active'}; member ${leader.id} leads epoch ${epoch}`
      if (view.role === 'observing' && member.id <= this.profile.voters.length && this.durability.isCounted(member.id))
        throw new Violation('founding', `member ${member.id}, a voter, does not count although it has the store that it was founded with`)
      if (view.quarantined !== null) return `member ${member.id} is quarantined`
      if (member.life!.machine.flaw !== null) return `the state of member ${member.id} went wrong, and nobody has found it`
      if (view.applied !== core.state.history.last)
        return `member ${member.id} has applied ${formatZxid(view.applied)} of ${formatZxid(core.state.history.last)}`
    }
    return null
  }

  /** What a leader must drop in its last reign is asked for again, or nobody takes it: an origin that is stuck shows in what follows. */
  #floodOrProve(): void {
    if (this.#flooded || this.profile.flood === 0) return this.#prove()
    this.#flooded = true
    this.#phaseEnds = this.timeline.now + HEAL_MS
    this.trace.add(this.timeline.now, 0, 43, 0, 0, () => 'the ensemble has settled, and is flooded')
    this.#clients.flood()
  }

  /** A settled ensemble takes a write and a read through every member, and ends in equal states. */
  #prove(): void {
    this.#phase = 'proving'
    this.#phaseEnds = this.timeline.now + 2 * PROOF_MS
    this.trace.add(this.timeline.now, 0, 42, 0, 0, () => 'the ensemble has settled')
    let open = this.members.length * 2
    const ask = (call: (done: (good: boolean) => void) => void): void =>
      call((good) => {
        // An origin that caught up by a snapshot does not know what became of its request: it asks again.
        if (!good) this.timeline.after(POLL_MS, 0, () => ask(call))
        else if (--open === 0) this.#close()
      })
    for (const member of this.members) {
      ask((done) => this.#clients.writeThrough(member, PROOF_MS, done))
      ask((done) => this.#clients.readThrough(member, PROOF_MS, done))
    }
  }

  /** Some ensembles must bear one thing more, and settle again. */
  #goOn(): void {
    if (this.#proven || !this.random.chance(this.profile.aftermathChance)) {
      this.#phase = 'over'
      return
    }
    this.#proven = true
    this.#phaseEnds = Number.POSITIVE_INFINITY
    new Aftermath(this, this.random.fork(6), this.#clients).begin(() => {
      this.#phaseEnds = this.timeline.now + HEAL_MS
      this.#close()
    })
  }

  #close(): void {
    const unsettled = this.#settled()
    const behind = this.members.find((member) => this.ledger.held(member.id) !== this.ledger.length)
    if (unsettled === null && behind === undefined && this.#isIdle) this.#goOn()
    else if (this.timeline.now >= this.#phaseEnds) this.report(new Violation('liveness', unsettled ?? `member ${behind!.id} does not catch up`))
    else this.timeline.after(POLL_MS, 0, () => this.#close())
  }
}

function seats({ voters, observers }: Profile): Configuration {
  const members = voters.map(({ weight, group }, i): Seat => ({ id: peerId(i + 1), role: 'voter', weight, group, storeId: null }))
  for (let i = 0; i < observers; i++) members.push({ id: peerId(voters.length + i + 1), role: 'observer', weight: 0, group: 0, storeId: null })
  return { version: ZERO, members }
}

function describeFrame(bytes: Uint8Array): string {
  try {
    return describeMessage(decodeMessage(bytes))
  } catch (error) {
    return `${bytes.length} bytes that cannot be read: ${(error as Error).message}`
  }
}

/** Made here, so that the watching of a step makes nothing when nobody reads. */
function lineOf(input: Input, effects: Effects): () => string {
  return () => {
    const lines = describeEffects(effects)
    return `${describeInput(input)}${lines.length === 0 ? '' : lines.map((line) => `\n${' '.repeat(20)}${line}`).join('')}`
  }
}
