import { AntiphonError, formatZxid } from '@antiphon/ports'
import { roleOf } from './cores.ts'
import type { Call } from './history.ts'
import { type KeyedRequest, TOO_LARGE } from './machine.ts'
import { ANSWERED, type QuestionKind } from './paths.ts'
import type { SeededRandom } from './random.ts'
import { Violation } from './violation.ts'
import type { Life, Member, World } from './world.ts'

/** Beyond its timeout a call must have been answered: a few ticks for the replica to notice, and the lateness of its timers. */
const GRACE_MS = 1500

const TOO_LARGE_CHANCE = 0.01
/** One write, unless it was answered before. */
const ASKED_MAX = 4

type Question = Pick<KeyedRequest, 'kind' | 'key' | 'expected' | 'value'>

/** Applications that call replicas and believe what they are told. */
export class Clients {
  readonly #world: World
  readonly #random: SeededRandom
  #left: number
  #open = 0
  #stopped = false

  constructor(world: World, random: SeededRandom) {
    this.#world = world
    this.#random = random
    this.#left = world.profile.requests
  }

  /** Every call was made and answered, or its process is dead. */
  get idle(): boolean {
    return this.#left <= 0 && this.#open === 0
  }

  start(): void {
    for (let client = 1; client <= this.#world.profile.clients; client++) this.#later(client)
  }

  /** No more calls. */
  stop(): void {
    this.#left = 0
    this.#stopped = true
  }

  /** One write through `member`, outside of the plan; `done` is told whether it was acknowledged. */
  writeThrough(member: Member, timeoutMs: number, done: (acknowledged: boolean) => void): void {
    const { life } = member
    if (life?.replica == null) return done(false)
    this.#write(0, life, { kind: 'append', key: 'l-last', expected: null, value: `m${member.id}` }, timeoutMs, done)
  }

  /** One more write through `member`, whatever becomes of it. */
  loadThrough({ life, id }: Member, timeoutMs: number): void {
    if (life?.replica != null) this.#write(0, life, { kind: 'add', key: 'c-load', expected: null, value: String(id) }, timeoutMs, () => undefined)
  }

  /** So much at once through everybody, which no leader has room for. */
  flood(): void {
    const { members, profile } = this.#world
    for (let i = 0; i < profile.flood; i++) for (const member of members) this.loadThrough(member, profile.timeoutMs)
  }

  /** The same for a linearizable read. */
  readThrough(member: Member, timeoutMs: number, done: (answered: boolean) => void): void {
    const { life } = member
    if (life?.replica == null) return done(false)
    this.#read(0, life, 'l-last', timeoutMs, done)
  }

  #later(client: number): void {
    const { profile, timeline } = this.#world
    timeline.after(-Math.log(1 - this.#random.unit()) * profile.thinkMs, 0, () => this.#turn(client))
  }

  #turn(client: number): void {
    if (this.#left <= 0) return
    const up = this.#world.members.filter((member) => member.isUp)
    if (up.length === 0) return this.#later(client)
    const life = this.#random.pick(up).life!
    const burst = Math.min(this.#left, this.#random.between(1, this.#world.profile.burst))
    let open = burst
    const done = (): void => {
      if (--open === 0) this.#later(client)
    }
    this.#left -= burst
    for (let i = 0; i < burst; i++) this.#call(client, life, done)
  }

  #call(client: number, life: Life, done: () => void): void {
    const { profile } = this.#world
    const random = this.#random
    if (random.chance(TOO_LARGE_CHANCE)) return this.#askTooMuch(life, done)
    const key = `${random.pick(['r', 'c', 'l'])}${random.below(profile.keys)}`
    if (random.chance(profile.readShare))
      return random.chance(0.3) ? this.#readLocally(life, key, done) : this.#read(client, life, key, profile.timeoutMs, done)
    const value = `v${this.#world.history.calls.length + 1}`
    if (key[0] === 'c') return this.#ask(client, life, { kind: 'add', key, expected: null, value: String(random.between(1, 9)) }, done)
    if (key[0] === 'l') return this.#ask(client, life, { kind: 'append', key, expected: null, value }, done)
    if (random.chance(0.6)) return this.#ask(client, life, { kind: 'set', key, expected: null, value }, done)
    const held = life.machine.read(key)
    this.#ask(client, life, { kind: 'swap', key, expected: held.version === 0 ? null : held.text, value }, done)
  }

  /** A client that is not told what became of its write may ask again, as often as it likes, wherever it likes: each time it is another request. */
  #ask(client: number, life: Life, request: Question, done: () => void, times = 1): void {
    this.#write(client, life, request, this.#world.profile.timeoutMs, (_, call) => {
      if (times > 1) this.#world.count(`asked again: ${call.outcome}`)
      const up = this.#world.members.filter((member) => member.isUp)
      if (call.outcome !== 'unknown' || this.#stopped || times >= ASKED_MAX || up.length === 0 || !this.#random.chance(0.5)) return done()
      this.#ask(client, this.#random.pick(up).life!, request, done, times + 1)
    })
  }

  #write(client: number, life: Life, request: Question, timeoutMs: number, done: (acknowledged: boolean, call: Call) => void): void {
    const { history, timeline, profile, durability } = this.#world
    const { kind, key, expected, value } = request
    const call = history.begin(timeline.now, { kind, key, expected, value, client, member: life.member.id })
    const settle = this.#settling(life, call, timeoutMs, done)
    const padding = profile.paddingMax > 0 && this.#random.chance(0.3) ? this.#random.below(profile.paddingMax) : 0
    const full: KeyedRequest = { kind, key, expected, value, id: call.id, origin: life.origin, number: ++life.requests, padding }
    const whenFull = profile.flood > 0 && call.id % 2 === 0 ? 'wait' : 'reject'
    life.replica!.propose('keyed', full, { timeoutMs, whenFull }).then(
      (result) =>
        settle(() => {
          history.written(timeline.now, call, result.zxid, result.amount)
          durability.committed(result.zxid, `member ${life.member.id} acknowledged`)
          this.#showed(life, 'write')
          if (life.machine.applied < result.zxid) throw new Violation('local-reads', `member ${life.member.id} acknowledged a write that it has not applied`)
        }),
      (error: unknown) => settle(() => refused(this.#world, call, error)),
    )
  }

  /** A request whose change is above the limit: refused at its place in the order, and nobody else notices, those least who ask for the same key. */
  #askTooMuch(life: Life, done: () => void): void {
    this.#open++
    const end = (): void => {
      this.#open--
      life.onDeath.delete(end)
      done()
    }
    life.onDeath.add(end)
    const id = this.#world.nextOwnRequest()
    const request: KeyedRequest = {
      kind: 'add',
      id,
      origin: life.origin,
      number: ++life.requests,
      key: 'c0',
      expected: TOO_LARGE,
      value: '1',
      padding: 0,
    }
    life.replica!.propose('keyed', request, { timeoutMs: this.#world.profile.timeoutMs }).then(
      () => {
        if (!life.over) this.#world.report(new Violation('rejected', `request ${id} was taken although its change is above the limit`))
      },
      (error: unknown) => {
        if (life.over) return
        const { code } = error as AntiphonError
        if (code !== 'TOO_LARGE' && !EXPECTED.has(code)) this.#world.report(new Violation('fault', `request ${id} was answered with ${String(error)}`))
        this.#world.count(`too large: ${code}`)
        end()
      },
    )
  }

  #read(client: number, life: Life, key: string, timeoutMs: number, done: (answered: boolean) => void): void {
    const { history, timeline } = this.#world
    const call = history.begin(timeline.now, { kind: 'read', key, expected: null, value: '', client, member: life.member.id })
    const settle = this.#settling(life, call, timeoutMs, done)
    life.replica!.read('linearizable', { timeoutMs }).then(
      () =>
        settle(() => {
          this.#expectServing(life)
          if (life.machine.flaw !== null) {
            this.#world.count('read of a flawed state')
            call.suspect = true
          }
          this.#showed(life, 'read')
          history.read(timeline.now, call, life.machine.applied, life.machine.read(key))
        }),
      (error: unknown) => settle(() => refused(this.#world, call, error)),
    )
  }

  /** @throws Violation when a read is answered from a state that is void. A read that was granted before a verdict of the same turn is told behind it. */
  #expectServing({ voidSince, member }: Life): void {
    if (voidSince !== null && voidSince < this.#world.timeline.now)
      throw new Violation('quarantine', `member ${member.id} answers a read from a state that is void`)
  }

  /** Must be answered at once, and never shows less than before: the ledger judges what the machine holds, here only its place can go wrong. */
  #readLocally(life: Life, key: string, done: () => void): void {
    const { ledger, timeline } = this.#world
    const report = (violation: Violation): void => this.#world.report(violation)
    this.#open++
    const began = timeline.now
    const end = (): void => {
      this.#open--
      life.onDeath.delete(end)
      done()
    }
    life.onDeath.add(end)
    life.replica!.read('local').then(
      () => {
        if (life.over) return
        if (life.core?.state.quarantined != null) report(new Violation('quarantine', `member ${life.member.id} answers a local read from a state that is void`))
        const value = life.machine.read(key)
        if (timeline.now !== began) report(new Violation('local-reads', `a local read on member ${life.member.id} had to wait`))
        this.#showed(life, 'local read')
        if (value.version > 0 && ledger.held(life.member.id) === 0)
          report(new Violation('local-reads', `member ${life.member.id} shows a value that it never applied`))
        end()
      },
      (error: unknown) => {
        if (life.over) return
        const isVoid = life.core?.state.quarantined != null
        if (!(error instanceof AntiphonError) || error.code !== (isVoid ? 'NOT_READY' : 'CLOSED'))
          report(new Violation('crash', `a local read failed: ${String(error)}`))
        end()
      },
    )
  }

  /** Somebody looks at the state of this process. */
  #showed(life: Life, how: QuestionKind): void {
    const { applied } = life.machine
    if (applied < life.shown)
      this.#world.report(
        new Violation('local-reads', `member ${life.member.id} shows its state as of ${formatZxid(applied)}, after it had shown ${formatZxid(life.shown)}`),
      )
    life.shown = applied
    this.#world.count(ANSWERED[how][life.core === null ? 'looking' : roleOf(life.core)])
  }

  /** Ends a call once: by its answer, by the death of its process, or as a violation when neither comes. */
  #settling(life: Life, call: Call, timeoutMs: number, done: (good: boolean, call: Call) => void): (judge: () => void) => void {
    const { timeline, history, trace } = this.#world
    const report = (violation: Violation): void => this.#world.report(violation)
    const { name, id } = { name: `${call.kind} ${call.key}`, id: call.id }
    this.#open++
    trace.add(
      timeline.now,
      life.member.id,
      30,
      id,
      0,
      () => `call ${id} of client ${call.client}: ${name} ${call.expected === null ? '' : `${call.expected} -> `}${call.value}`,
    )
    let ended = false
    const end = (): void => {
      ended = true
      this.#open--
      life.onDeath.delete(died)
      timeline.cancel(overdue)
      trace.add(
        timeline.now,
        life.member.id,
        31,
        id,
        call.zxid ?? 0,
        () => `call ${id} ends: ${call.outcome}${call.zxid === null ? '' : ` at ${formatZxid(call.zxid)}`}`,
      )
      done(call.outcome === 'ok', call)
    }
    const died = (): void => {
      history.ended(Number.POSITIVE_INFINITY, call, 'unknown')
      end()
    }
    const watch = (): void => {
      // A process that stands still, or is slow, answers later.
      if (this.#world.wasLate(life.member.id, GRACE_MS)) overdue = timeline.after(GRACE_MS, 0, watch)
      else report(new Violation('liveness', `call ${id} on member ${life.member.id} was not answered within its timeout of ${timeoutMs} ms`))
    }
    let overdue = timeline.after(timeoutMs * 1.1 + GRACE_MS, 0, watch)
    life.onDeath.add(died)
    return (judge) => {
      if (ended) return
      if (life.over) {
        report(new Violation('crash', `a dead process of member ${life.member.id} answers call ${id}`))
        return
      }
      try {
        judge()
      } catch (error) {
        report(error instanceof Violation ? error : new Violation('crash', String((error as Error).stack)))
      }
      end()
    }
  }
}

/** Errors that a client of a sound ensemble may meet. */
const EXPECTED = new Set(['REFUSED', 'RESULT_TOO_LARGE', 'NOT_READY', 'OVERLOADED', 'CLOSED', 'TIMEOUT', 'ABORTED'])

function mayLose({ profile }: World): boolean {
  return profile.retireOriginTicks * profile.tickMs < profile.troubleMsMax
}

function refused(world: World, call: Call, error: unknown): void {
  if (!(error instanceof AntiphonError)) throw new Violation('crash', `call ${call.id} was answered with ${String((error as Error).stack)}`)
  if (!EXPECTED.has(error.code)) throw new Violation('fault', `call ${call.id} was answered with ${error.code}: ${error.message}`)
  // Rule 22: whoever lives on learns what became of its request, unless its state was void, or it was away for so long that its row was retired, and jumped over that.
  if (error.code === 'ABORTED' && !error.message.includes('is void') && !mayLose(world))
    throw new Violation('origin-order', `call ${call.id}, of a live process, was answered with: ${error.message}`)
  world.count(`answer ${error.code} ${error.outcome}`)
  const { now } = world.timeline
  if (error.code === 'REFUSED') world.history.ended(now, call, 'refused')
  else world.history.ended(error.outcome === 'unknown' ? Number.POSITIVE_INFINITY : now, call, error.outcome)
}
