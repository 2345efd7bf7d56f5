import { Core, describeMessage, type Epochs, type Founding, type Input, peerId, type Run, type Write, ZERO, type Zxid } from '@antiphon/consensus-core'
import type { Bounds } from './bounds.ts'
import { type CoreClass, Cores, type Sent, TICK_MS } from './cores.ts'
import { Disks, type Entry } from './disks.ts'
import * as E from './events.ts'
import { Mixer } from './hash.ts'
import { type Interner, Queues } from './interner.ts'
import * as L from './layout.ts'
import { Ledgers } from './ledgers.ts'

/** A promise of the protocol is broken. */
export class Breach extends Error {}

const NO_EPOCHS: Epochs = { accepted: 0, acceptedFrom: null, current: 0 }
/** More survive than wait: all. */
export const ALL_SURVIVE = 255

/**
 * Three real cores, their disks and the connections between them, as one state that is moved by one event at a time.
 *
 * A connection's ends see separately that it is gone: until then the other end may still read what was on its way. A write becomes durable whole, and in order; a crash keeps
 * what was handed to the store, or a first part of it. Nothing else is left out of the network but what two connections between the same two would be.
 */
export class Model {
  readonly cores: Cores
  /** Called with a line for each thing that happens; null: nobody listens. */
  trace: ((line: string) => void) | null = null
  /** The event would exceed the bounds: it does not happen. */
  beyond = false
  readonly #disks = new Disks()
  readonly #ledgers = new Ledgers()
  readonly #waiting: Queues
  readonly #queues: Queues
  readonly #transfers: Queues
  readonly #started = new Map<string, number>()
  readonly #bounds: Bounds
  readonly #kinds: readonly (Interner<unknown> | null)[]
  readonly #mixer = new Mixer()
  readonly #tickInput: number
  #state: L.State = new Int32Array(L.SLOTS)
  /** Of each member: its clock may not go beyond. */
  #ticksMax: readonly number[] = [0, 0, 0]

  constructor(bounds: Bounds, coreClass: CoreClass = Core) {
    this.#bounds = bounds
    this.cores = new Cores(L.MEMBERS, coreClass, bounds.counterMax)
    this.#waiting = new Queues(this.cores.writes)
    this.#queues = new Queues(this.cores.messages)
    this.#transfers = new Queues(this.cores.transfers)
    this.#tickInput = this.cores.input({ kind: 'tick' })
    this.#kinds = this.#slotKinds()
  }

  #slotKinds(): (Interner<unknown> | null)[] {
    const kinds: (Interner<unknown> | null)[] = new Array<null>(L.SLOTS).fill(null)
    for (let member = 0; member < L.MEMBERS; member++) {
      const at = L.memberAt(member)
      kinds[at + L.CORE] = this.cores.interned
      kinds[at + L.DURABLE] = this.#disks.contents
      kinds[at + L.WAITING] = this.#waiting
      kinds[at + L.TRANSFERS] = this.#transfers
    }
    for (let link = 0; link < L.LINKS.length; link++) for (let queue = 0; queue < 4; queue++) kinds[L.linkAt(link) + L.QUEUES + queue] = this.#queues
    kinds[L.LEDGER] = this.#ledgers
    return kinds
  }

  /** Everybody down. */
  unborn(founded: boolean): L.State {
    const state = new Int32Array(L.SLOTS)
    const members = this.cores.members.map((member) => ({ ...member, storeId: storeIdOf(member.id - 1) }))
    const founding: Founding | null = founded ? { ensembleId: 'e', configuration: { version: ZERO, members } } : null
    const contents = this.#disks.add({ founding, epochs: NO_EPOCHS, runs: [] })
    for (let member = 0; member < L.MEMBERS; member++) state[L.memberAt(member) + L.DURABLE] = contents
    return state
  }

  /** From here on ticks count. */
  beginAt(state: L.State | null): void {
    this.#ticksMax = this.#ticksMax.map((_, member) => (state === null ? Number.MAX_SAFE_INTEGER : state[L.memberAt(member) + L.TICKS]! + this.#bounds.ticks))
  }

  /** By contents, not by their numbers. */
  hash(state: L.State): Mixer {
    const mixer = this.#mixer
    mixer.begin()
    for (let slot = 0; slot < L.SLOTS; slot++) {
      const kind = this.#kinds[slot]!
      const value = state[slot]!
      if (kind === null) mixer.add(value)
      else {
        const { high, low } = kind.hash(value)
        mixer.add(high)
        mixer.add(low)
      }
    }
    return mixer
  }

  /** Everything that can happen in `state`, in a fixed order, appended to `events`. */
  events(state: L.State, events: E.Event[]): void {
    const { proposals, crashes } = this.#bounds
    for (let link = 0; link < L.LINKS.length; link++) this.#linkEvents(state, link, events)
    for (let member = 0; member < L.MEMBERS; member++) {
      const at = L.memberAt(member)
      const core = state[at + L.CORE]!
      if (core === 0) {
        events.push(E.eventOf(E.START, member))
        continue
      }
      if (state[at + L.WAITING] !== 0) events.push(E.eventOf(E.FLUSH, member))
      if (state[at + L.TRANSFERS] !== 0) events.push(E.eventOf(E.STREAM, member))
      if (state[L.PROPOSALS]! < proposals && this.cores.canPropose(core)) events.push(E.eventOf(E.PROPOSE, member))
      if (state[at + L.TICKS]! < this.#ticksMax[member]!) events.push(E.eventOf(E.TICK, member))
      if (state[L.CRASHES]! < crashes) this.#crashEvents(state, member, events)
      if (state[L.PARTITIONS]! < this.#bounds.partitions) events.push(E.eventOf(E.PARTITION, member))
    }
  }

  #crashEvents(state: L.State, member: number, events: E.Event[]): void {
    events.push(E.eventOf(E.CRASH, member, ALL_SURVIVE))
    if (state[L.UNSYNCED]! >= this.#bounds.unsynced) return
    const waiting = this.#waiting.items(state[L.memberAt(member) + L.WAITING]!).length
    for (let survive = 0; survive < waiting; survive++) events.push(E.eventOf(E.CRASH, member, survive))
  }

  #linkEvents(state: L.State, link: number, events: E.Event[]): void {
    const ends = state[L.linkAt(link) + L.ENDS]!
    if ((ends & 3) === 0) {
      const [low, high] = L.LINKS[link]!
      if (state[L.memberAt(low) + L.CORE] !== 0 && state[L.memberAt(high) + L.CORE] !== 0) events.push(E.eventOf(E.CONNECT, link))
      return
    }
    for (let direction = 0; direction < 2; direction++)
      for (let lane = 0; lane < 2; lane++) if (state[L.queueAt(link, direction, lane)] !== 0) events.push(E.eventOf(E.DELIVER, link, direction, lane))
    for (let end = 0; end < 2; end++) {
      if ((ends & (1 << end)) === 0) continue
      if ((ends & L.BROKEN) !== 0) events.push(E.eventOf(E.NOTICE, link, end))
      else if (state[L.LOSSES]! < this.#bounds.losses) events.push(E.eventOf(E.LOSE, link, end))
    }
  }

  /** Changes `state`; what it holds behind a breach, or beyond the bounds, means nothing. @throws Breach */
  apply(state: L.State, event: E.Event): void {
    this.#state = state
    this.beyond = false
    const a = E.firstOf(event)
    const b = E.secondOf(event)
    switch (E.kindOf(event)) {
      case E.TICK:
        state[L.memberAt(a) + L.TICKS]!++
        this.#say(`${a + 1} ticks`)
        return this.#step(a, this.#tickInput)
      case E.FLUSH:
        return this.#flush(a)
      case E.PROPOSE:
        return this.#propose(a)
      case E.CRASH:
        return this.#crash(a, b)
      case E.START:
        return this.#start(a)
      case E.DELIVER:
        return this.#deliver(a, b, E.thirdOf(event))
      case E.NOTICE:
        return this.#notice(a, b)
      case E.LOSE:
        state[L.LOSSES]!++
        state[L.linkAt(a) + L.ENDS]! |= L.BROKEN
        return this.#notice(a, b)
      case E.PARTITION:
        state[L.PARTITIONS]!++
        this.#say(`${a + 1} is cut off`)
        for (let other = 0; other < L.MEMBERS; other++) if (other !== a) this.#break(L.linkBetween(a, other))
        return
      case E.CONNECT:
        return this.#connect(a)
      case E.STREAM:
        return this.#stream(a)
      default:
        throw new Error(`${event} is no event`)
    }
  }

  #say(line: string): void {
    this.trace?.(line)
  }

  /** One input to one core, and all that it brings about there. */
  #step(member: number, input: number): void {
    const state = this.#state
    const at = L.memberAt(member)
    const core = state[at + L.CORE]!
    if (this.trace !== null) for (const line of this.cores.describe(core, input)) this.#say(`    ${member + 1}: ${line}`)
    const stepped = this.cores.step(core, input)
    if (stepped.breach !== null) throw new Breach(`member ${member + 1}: ${stepped.breach}`)
    state[at + L.CORE] = stepped.core
    if (stepped.leads && ++state[L.ELECTIONS]! > this.#bounds.elections) this.beyond = true
    for (const write of stepped.writes) state[at + L.WAITING] = this.#waiting.push(state[at + L.WAITING]!, write)
    const belied = this.#disks.belie(this.cores.claims(stepped.core), this.#readable(member, ALL_SURVIVE), state[at + L.DURABLE]!)
    if (belied !== null) throw new Breach(`member ${member + 1}: ${belied}`)
    for (const sent of stepped.sends) this.#post(member, sent)
    for (const transfer of stepped.transfers) state[at + L.TRANSFERS] = this.#transfers.push(state[at + L.TRANSFERS]!, transfer)
    for (const cancelled of stepped.cancels) this.#cancel(at, cancelled)
    if (stepped.established !== null) this.#judge(this.#ledgers.establish(state[L.LEDGER]!, member, stepped.established, this.#held(member)))
    for (const { peer, connection } of stepped.closes) {
      const link = L.linkBetween(member, peer - 1)
      if (state[L.linkAt(link) + L.GENERATION] === connection) this.#end(link, member < peer - 1 ? 0 : 1)
    }
    if (stepped.commitTo !== null) this.#commit(member, stepped.commitTo)
  }

  #commit(member: number, upTo: Zxid): void {
    const before = this.#state[L.LEDGER]!
    this.#judge(this.#ledgers.commit(before, member, this.#held(member), upTo))
    if (this.#state[L.LEDGER] !== before) this.#checkDurable()
    this.#step(member, this.cores.input({ kind: 'applied', upTo }))
  }

  #judge(verdict: number | string): void {
    if (typeof verdict === 'string') throw new Breach(verdict)
    this.#state[L.LEDGER] = verdict
  }

  #checkDurable(): void {
    const state = this.#state
    const breach = this.#ledgers.durable(state[L.LEDGER]!, [this.#durable(0), this.#durable(1), this.#durable(2)])
    if (breach !== null) throw new Breach(breach)
  }

  #durable(member: number): readonly Entry[] {
    return this.#disks.entries(this.#state[L.memberAt(member) + L.DURABLE]!)
  }

  /** What the member can read of its disk: all that it was handed, durable or not. */
  #readable(member: number, writes: number): number {
    const at = L.memberAt(member)
    let contents = this.#state[at + L.DURABLE]!
    const waiting = this.#waiting.items(this.#state[at + L.WAITING]!)
    for (let i = 0; i < Math.min(writes, waiting.length); i++) contents = this.#disks.write(contents, waiting[i]!, this.#write(waiting[i]!))
    return contents
  }

  #held(member: number): readonly Entry[] {
    return this.#disks.entries(this.#readable(member, ALL_SURVIVE))
  }

  #write(id: number): Write {
    return this.cores.writes.value(id).write
  }

  #flush(member: number): void {
    const state = this.#state
    const at = L.memberAt(member)
    const id = this.#waiting.head(state[at + L.WAITING]!)
    const { write, afterwards } = this.cores.writes.value(id)
    this.#say(`${member + 1} has made write ${write.ticket} durable`)
    state[at + L.WAITING] = this.#waiting.shift(state[at + L.WAITING]!)
    state[at + L.DURABLE] = this.#disks.write(state[at + L.DURABLE]!, id, write)
    this.#checkDurable()
    this.#step(member, this.cores.input({ kind: 'persisted', ticket: write.ticket }))
    for (const sent of afterwards) {
      if (sent.to === member + 1) this.#step(member, this.cores.heard(sent.to, 0, sent.message))
      else this.#post(member, sent)
    }
  }

  /** Lost when the connection that it was meant for is gone, or going. */
  #post(member: number, { to, connection, message }: Sent): void {
    const state = this.#state
    const link = L.linkBetween(member, to - 1)
    const at = L.linkAt(link)
    if (state[at + L.GENERATION] !== connection || state[at + L.ENDS] !== 3) return
    const lane = this.cores.laneOf(message)
    if (lane === 'bulk') throw new Error('a snapshot is sent, and nobody took one')
    const queue = L.queueAt(link, member < to - 1 ? 0 : 1, lane === 'control' ? 0 : 1)
    state[queue] = this.#queues.push(state[queue]!, message)
  }

  #deliver(link: number, direction: number, lane: number): void {
    const [low, high] = L.LINKS[link]!
    const [sender, receiver] = direction === 0 ? [low, high] : [high, low]
    const queue = L.queueAt(link, direction, lane)
    const message = this.#queues.head(this.#state[queue]!)
    this.#state[queue] = this.#queues.shift(this.#state[queue]!)
    if (this.trace !== null) this.#say(`${sender + 1} -> ${receiver + 1}  ${describeMessage(this.cores.messages.value(message))}`)
    this.#step(receiver, this.cores.heard(peerId(sender + 1), this.#state[L.linkAt(link) + L.GENERATION]!, message))
  }

  #break(link: number): void {
    if ((this.#state[L.linkAt(link) + L.ENDS]! & 3) !== 0) this.#state[L.linkAt(link) + L.ENDS]! |= L.BROKEN
  }

  /** This end is down: it says nothing more, and does not read what is on its way to it. */
  #end(link: number, end: number): void {
    const state = this.#state
    const at = L.linkAt(link) + L.ENDS
    if ((state[at]! & (1 << end)) === 0) return
    state[at] = (state[at]! | L.BROKEN) & ~(1 << end)
    if ((state[at]! & 3) === 0) state[at] = 0
    for (let lane = 0; lane < 2; lane++) state[L.queueAt(link, 1 - end, lane)] = 0
  }

  #notice(link: number, end: number): void {
    const [low, high] = L.LINKS[link]!
    const [member, peer] = end === 0 ? [low, high] : [high, low]
    this.#say(`${member + 1} loses the connection to ${peer + 1}`)
    this.#end(link, end)
    this.#connection(member, peer, this.#state[L.linkAt(link) + L.GENERATION]!, false)
  }

  #connection(member: number, peer: number, connection: number, up: boolean): void {
    this.#step(member, this.cores.input({ kind: 'connection', peer: peerId(peer + 1), connection, up, storeId: up ? storeIdOf(peer) : null }))
  }

  #connect(link: number): void {
    const [low, high] = L.LINKS[link]!
    const at = L.linkAt(link)
    const generation = ++this.#state[at + L.GENERATION]!
    this.#state[at + L.ENDS] = 3
    this.#say(`${low + 1} and ${high + 1} connect`)
    this.#connection(low, high, generation, true)
    this.#connection(high, low, generation, true)
    for (let direction = 0; direction < 2; direction++) {
      const queue = this.#state[L.queueAt(link, direction, 0)]!
      if (queue !== 0 && this.cores.messages.value(this.#queues.head(queue)).kind === 'IDENTITY') this.#deliver(link, direction, 0)
    }
  }

  #crash(member: number, survive: number): void {
    const state = this.#state
    const at = L.memberAt(member)
    this.#say(`${member + 1} crashes${survive === ALL_SURVIVE ? '' : `, and of what was not durable only the first ${survive} writes survive`}`)
    state[L.CRASHES]!++
    if (survive !== ALL_SURVIVE) state[L.UNSYNCED]!++
    state[at + L.DURABLE] = this.#readable(member, survive)
    state[at + L.WAITING] = 0
    state[at + L.TRANSFERS] = 0
    state[at + L.CORE] = 0
    for (let other = 0; other < L.MEMBERS; other++) if (other !== member) this.#end(L.linkBetween(member, other), member < other ? 0 : 1)
    this.#checkDurable()
  }

  #start(member: number): void {
    const state = this.#state
    const at = L.memberAt(member)
    this.#say(`${member + 1} starts`)
    const [contents, incarnation, ticks] = [state[at + L.DURABLE]!, state[at + L.STARTED]!, state[at + L.TICKS]!]
    const key = `${member}/${contents}/${incarnation}/${ticks}`
    let core = this.#started.get(key)
    if (core === undefined) {
      core = this.cores.start(member, this.#disks.stored(contents, storeIdOf(member)), incarnation, ticks * TICK_MS)
      this.#started.set(key, core)
    }
    state[at + L.STARTED]!++
    state[at + L.CORE] = core
  }

  #propose(member: number): void {
    const state = this.#state
    const at = L.memberAt(member)
    const run = this.cores.proposal(state[at + L.CORE]!, state[L.PROPOSALS]!++)
    this.#say(`${member + 1} proposes`)
    this.#step(member, this.cores.input({ kind: 'propose', run }))
  }

  #stream(member: number): void {
    const state = this.#state
    const at = L.memberAt(member)
    const { transfer, to, connection, mode, epoch, after, upTo } = this.cores.transfers.value(this.#transfers.head(state[at + L.TRANSFERS]!))
    state[at + L.TRANSFERS] = this.#transfers.shift(state[at + L.TRANSFERS]!)
    this.#say(`${member + 1} streams transfer ${transfer}`)
    if (mode === 'snap') throw new Error('a snapshot is asked for, and nobody took one')
    const runs: readonly Run[] = this.#disks.contents.value(this.#readable(member, ALL_SURVIVE)).runs
    for (const run of runs)
      if (run.last > after && run.previous < upTo)
        this.#post(member, this.cores.sent({ to, connection, message: { kind: 'PROPOSE', epoch, committed: ZERO, run } }))
    this.#step(member, this.cores.input({ kind: 'transferred', transfer, upTo, ok: true } satisfies Input))
  }

  #cancel(at: number, cancelled: number): void {
    const kept = this.#transfers.items(this.#state[at + L.TRANSFERS]!).filter((id) => this.cores.transfers.value(id).transfer !== cancelled)
    let queue = 0
    for (const id of kept) queue = this.#transfers.push(queue, id)
    this.#state[at + L.TRANSFERS] = queue
  }
}

function storeIdOf(member: number): string {
  return `s${member + 1}`
}
