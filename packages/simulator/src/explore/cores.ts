import {
  before,
  CORE_DEFAULTS,
  type Core,
  type CoreConfig,
  checkState,
  checkStep,
  describeEffects,
  describeInput,
  type Effects,
  type Input,
  laneOf,
  type Member,
  type Message,
  type Now,
  type Outgoing,
  type PeerId,
  peerId,
  type Run,
  RunBuilder,
  type StoredState,
  type Transfer,
  type Write,
  ZERO,
  type Zxid,
} from '@antiphon/consensus-core'
import { hashBytes, hashText } from './hash.ts'
import { Facts, Interner, textOf, UNIT } from './interner.ts'

/** Clock time does not matter: ticks alone move it, so that equal situations are equal. Wall clocks stand still. */
export const TICK_MS = 100
const WALL: number = 1000

/** Short limits, so that few ticks lead everywhere; an election on which a quorum agrees waits for nobody. */
const SETTINGS = { tickMs: TICK_MS, syncLimitTicks: 1, initLimitTicks: 1, finalizeWaitTicks: 0, backoffTicksMax: 1 }

export interface Sent {
  readonly to: PeerId
  readonly connection: number
  readonly message: number
}

/** A write with its acknowledgements. */
export interface Written {
  readonly write: Write
  readonly afterwards: readonly Sent[]
}

/** One step's outcome, by the numbers of what it made. */
export interface Stepped {
  readonly core: number
  readonly writes: readonly number[]
  readonly sends: readonly Sent[]
  readonly transfers: readonly number[]
  readonly cancels: readonly number[]
  readonly closes: readonly { readonly peer: PeerId; readonly connection: number }[]
  readonly commitTo: Zxid | null
  /** A new attempt to lead. */
  readonly leads: boolean
  /** The epoch that it has just become the established leader of. */
  readonly established: number | null
  /** An invariant of the one core, or a fault. */
  readonly breach: string | null
}

/** What the core says that its store was handed. */
export interface Claims {
  readonly last: Zxid
  readonly checksum: number
  readonly durable: Zxid
  readonly accepted: number
  readonly current: number
}

interface Known extends Claims {
  readonly member: number
  readonly bytes: Uint8Array
  readonly canPropose: boolean
  /** Milliseconds since the member's first start. */
  readonly clock: number
}

/** What the exploration needs of the class, so that another build of the core can be explored. */
export type CoreClass = typeof Core

/** Encoded cores, and what each input makes of each of them: computed once. */
export class Cores {
  readonly messages: Facts<Message> = new Facts<Message>()
  readonly writes: Facts<Written> = new Facts<Written>()
  readonly transfers: Facts<Transfer> = new Facts<Transfer>()
  readonly #inputs = new Facts<Input>()
  readonly #cores = new Interner<Known>()
  readonly #steps = new Map<number, Stepped>()
  readonly #heard = new Map<number, number>()
  readonly #runs = new Map<number, Run>()
  readonly #configs: readonly CoreConfig[]
  readonly #class: CoreClass
  readonly #builder = new RunBuilder(256)
  /** Bytes of all encoded cores. */
  bytes = 0

  constructor(members: number, coreClass: CoreClass, counterMax: number) {
    this.#class = coreClass
    const all: Member[] = []
    for (let i = 0; i < members; i++) all.push({ id: peerId(i + 1), role: 'voter', weight: 1, group: 0, storeId: null })
    this.#configs = all.map(({ id }) => ({
      ...CORE_DEFAULTS,
      ...SETTINGS,
      self: id,
      initial: { version: ZERO, members: all },
      settings: 's',
      freshEnsembleId: `e${id}`,
      seed: 0,
      counterMax,
    }))
  }

  get members(): readonly Member[] {
    return this.#configs[0]!.initial.members
  }

  get size(): number {
    return this.#cores.size
  }

  get interned(): Interner<unknown> {
    return this.#cores
  }

  get stepsKnown(): number {
    return this.#steps.size
  }

  /** A fresh process on a disk. Attempts of each incarnation draw other nonces. */
  start(member: number, stored: StoredState, incarnation: number, clock: number): number {
    const config = { ...this.#configs[member]!, seed: (member + 1) * 7919 + incarnation * 104_729 }
    return this.#add(member, new this.#class(config, stored, { monotonic: clock, wall: WALL }))
  }

  canPropose(core: number): boolean {
    return this.#cores.value(core).canPropose
  }

  claims(core: number): Claims {
    return this.#cores.value(core)
  }

  input(input: Input): number {
    return this.#inputs.add(input)
  }

  heard(from: PeerId, connection: number, message: number): number {
    const key = (message * 8 + from) * 1024 + connection
    const known = this.#heard.get(key)
    if (known !== undefined) return known
    const made = this.input({ kind: 'message', from, connection, message: this.messages.value(message) })
    this.#heard.set(key, made)
    return made
  }

  /** What the leader makes of proposal `number`. */
  proposal(core: number, number: number): Run {
    const key = core * 16 + number
    const known = this.#runs.get(key)
    if (known !== undefined) return known
    const { member, clock } = this.#cores.value(core)
    const { previous, previousChecksum, epoch, time } = this.#revived(core).primary({ monotonic: clock, wall: WALL })!
    this.#builder.begin(previous, previousChecksum, epoch, time)
    this.#builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, Uint8Array.of(number, member))
    const run = this.#builder.finish()!
    this.#runs.set(key, run)
    return run
  }

  step(core: number, input: number): Stepped {
    const key = core * UNIT + input
    const known = this.#steps.get(key)
    if (known !== undefined) return known
    const { member, clock } = this.#cores.value(core)
    const revived = this.#revived(core)
    const earlier = before(revived)
    const effects = revived.step(this.#inputs.value(input), now(clock, this.#inputs.value(input)))
    const stepped = this.#taken(member, revived, effects, checkState(revived) ?? checkStep(revived, earlier, effects))
    this.#steps.set(key, stepped)
    return stepped
  }

  /** The step in words: the input, then its effects. */
  describe(core: number, input: number): string[] {
    const { clock } = this.#cores.value(core)
    const what = this.#inputs.value(input)
    return [describeInput(what), ...describeEffects(this.#revived(core).step(what, now(clock, what))).map((line) => `  ${line}`)]
  }

  sent({ to, connection, message }: Outgoing): Sent {
    return { to, connection, message: this.messages.add(message) }
  }

  laneOf(message: number): 'control' | 'entries' | 'bulk' {
    return laneOf(this.messages.value(message).kind)
  }

  #taken(member: number, core: Core, effects: Effects, breach: string | null): Stepped {
    const { role, fault } = effects
    return {
      core: this.#add(member, core),
      writes: effects.writes.map((write) => this.#written(write)),
      sends: effects.sends.map((outgoing) => this.sent(outgoing)),
      transfers: effects.transfers.map((transfer) => this.transfers.add(transfer)),
      cancels: [...effects.cancels],
      closes: effects.closes.map(({ peer, connection }) => ({ peer, connection })),
      commitTo: effects.commitTo,
      leads: role?.role === 'leading' && !role.active,
      established: role?.role === 'leading' && role.active ? role.epoch : null,
      breach: breach ?? (fault === null ? null : `stops with ${fault.code}: ${fault.message}`),
    }
  }

  /** By what it says alone: the numbers of messages differ from one exploration to the next. */
  #written(write: Write): number {
    return this.writes.intern(hashText(textOf(write)), () => ({ write, afterwards: write.afterwards.map((outgoing) => this.sent(outgoing)) }))
  }

  #revived(core: number): Core {
    const { member, bytes } = this.#cores.value(core)
    return this.#class.decode(this.#configs[member]!, bytes)
  }

  #add(member: number, core: Core): number {
    const bytes = core.encode()
    const { high, low } = hashBytes(bytes)
    return this.#cores.intern({ high, low: (low ^ (member * 0x9e3779b1)) >>> 0 }, () => {
      this.bytes += bytes.length
      const { lastTick: clock, history, durable, epochs } = core.state
      const { last, checksum } = history
      const canPropose = core.primary({ monotonic: clock, wall: WALL }) !== null
      return { member, bytes, canPropose, clock, last, checksum, durable, accepted: epochs.accepted, current: epochs.current }
    })
  }
}

/** Between two ticks a member's clock stands still. */
function now(clock: number, input: Input): Now {
  return { monotonic: input.kind === 'tick' ? clock + TICK_MS : clock, wall: WALL }
}
