import { CORE_DEFAULTS, type CoreConfig } from './config.ts'
import { Core } from './core.ts'
import { describeEffects } from './describe.ts'
import type { Outgoing, Write } from './effects.ts'
import type { Input } from './input.ts'
import { before, checkState, checkStep } from './invariants.ts'
import type { AckEpoch, Message, Vote } from './messages.ts'
import { type Run, RunBuilder } from './run.ts'
import type { Founding, Member, StoredState } from './types.ts'
import { peerId } from './types.ts'
import { ZERO, type Zxid, zxidOf } from './zxid.ts'

// Test support: one core, its peers played by the test. Every step is checked against the invariants and its effects are told as text, so that no effect slips by.

export const ENSEMBLE: string = 'e'.repeat(32)

export function storeIdOf(id: number): string {
  return id.toString(16).padStart(32, '0')
}

export function voters(count: number): Member[] {
  return Array.from({ length: count }, (_, i) => ({ id: peerId(i + 1), role: 'voter', weight: 1, group: 0, storeId: storeIdOf(i + 1) }))
}

export function foundingOf(members: readonly Member[]): Founding {
  return { ensembleId: ENSEMBLE, configuration: { version: ZERO, members } }
}

export interface DrivenOptions {
  readonly self?: number
  readonly members?: readonly Member[]
  readonly founded?: boolean
  readonly runs?: readonly Run[]
  readonly epochs?: StoredState['epochs']
  readonly config?: Partial<CoreConfig>
}

export class DrivenCore {
  readonly core: Core
  readonly self: number
  readonly writes: Write[] = []
  #now = 0
  /** Added to the wall clock. */
  wallOffset = 0

  constructor(options: DrivenOptions = {}) {
    const members = options.members ?? voters(3)
    this.self = options.self ?? 1
    const runs = options.runs ?? []
    const tail = runs[runs.length - 1]
    const ends = runs.map((run) => ({ epoch: Math.floor(run.last / 2 ** 32), last: run.last, checksum: run.checksum }))
    this.core = new Core(
      {
        ...CORE_DEFAULTS,
        self: peerId(this.self),
        initial: { version: ZERO, members: members.map((member) => ({ ...member, storeId: null })) },
        settings: '0'.repeat(16),
        freshEnsembleId: ENSEMBLE,
        seed: 1,
        ...options.config,
      },
      {
        storeId: storeIdOf(this.self),
        founding: options.founded === false ? null : foundingOf(members),
        epochs: options.epochs ?? { accepted: tail === undefined ? 0 : 1, acceptedFrom: null, current: tail === undefined ? 0 : 1 },
        snapshot: null,
        log: {
          start: ZERO,
          last: tail?.last ?? ZERO,
          checksum: tail?.checksum ?? 0,
          endPoints: ends.filter((end, i) => ends[i + 1]?.epoch !== end.epoch),
          time: tail?.time ?? 0,
        },
      },
      this.now,
    )
  }

  get now(): { monotonic: number; wall: number } {
    return { monotonic: this.#now, wall: 1_000_000 + this.#now + this.wallOffset }
  }

  /** The effects of one step, a line each. */
  step(input: Input): string[] {
    const earlier = before(this.core)
    const effects = this.core.step(input, this.now)
    const breach = checkState(this.core) ?? checkStep(this.core, earlier, effects)
    if (breach !== null) throw new Error(breach)
    this.writes.push(...effects.writes)
    return describeEffects(effects)
  }

  tick(ms = 100): string[] {
    this.#now += ms
    return this.step({ kind: 'tick' })
  }

  /** Time passes and nothing happens. */
  pass(ms: number): void {
    this.#now += ms
  }

  connect(peer: number): string[] {
    return this.step({ kind: 'connection', peer: peerId(peer), connection: peer * 100, up: true, storeId: storeIdOf(peer) })
  }

  disconnect(peer: number): string[] {
    return this.step({ kind: 'connection', peer: peerId(peer), connection: peer * 100, up: false, storeId: null })
  }

  from(peer: number, message: Message): string[] {
    return this.step({ kind: 'message', from: peerId(peer), connection: peer * 100, message })
  }

  identify(...peers: number[]): void {
    for (const peer of peers) {
      this.connect(peer)
      this.from(peer, { kind: 'IDENTITY', ensembleId: ENSEMBLE, settings: '0'.repeat(16), empty: false })
    }
  }

  /** The oldest write becomes durable; what it tells ourselves comes back. */
  persist(): string[] {
    const write = this.writes.shift()
    if (write === undefined) throw new Error('nothing is under way')
    const lines = this.step({ kind: 'persisted', ticket: write.ticket })
    for (const outgoing of write.afterwards)
      if (this.#toSelf(outgoing)) lines.push(...this.step({ kind: 'message', from: outgoing.to, connection: 0, message: outgoing.message }))
    return lines
  }

  #toSelf(outgoing: Outgoing): boolean {
    return outgoing.to === this.self
  }
}

/** Runs of `counts[i]` entries each, the i-th in epoch i + 1. */
export function runsOf(...counts: number[]): Run[] {
  const builder = new RunBuilder()
  const runs: Run[] = []
  let previous: Zxid = ZERO
  let checksum = 0
  counts.forEach((count, i) => {
    if (count === 0) return
    builder.begin(previous, checksum, i + 1, 1000 + i)
    for (let n = 0; n < count; n++) builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array([n]))
    const run = builder.finish()!
    runs.push(run)
    previous = run.last
    checksum = run.checksum
  })
  return runs
}

export { zxidOf as z }

export const looking = (leader: number, round: number, zxid: Zxid = ZERO, epoch = 0): Vote => ({
  kind: 'VOTE',
  state: 'looking',
  leader: peerId(leader),
  zxid,
  epoch,
  round,
})
export const ackEpoch = (epoch: number, rest: Partial<AckEpoch> = {}): AckEpoch => ({
  kind: 'ACK-E',
  epoch,
  current: 0,
  last: ZERO,
  checksum: 0,
  committed: ZERO,
  wall: 1_000_000,
  quarantined: false,
  endPoints: [],
  staged: null,
  ...rest,
})

/** Member 3 of three, elected, with member 1's CEPOCH in and its own promise durable. */
export function candidate(options: ConstructorParameters<typeof DrivenCore>[0] = {}): DrivenCore {
  const driven = new DrivenCore({ self: 3, ...options })
  driven.identify(1, 2)
  const vote = driven.core.state.role.name === 'looking' ? driven.core.state.role.vote! : null
  driven.from(1, looking(3, 1, vote!.zxid, vote!.epoch))
  driven.from(2, looking(3, 1, vote!.zxid, vote!.epoch))
  driven.from(1, { kind: 'CEPOCH', accepted: 0, acceptedFrom: null })
  return driven
}

/** The same, established, its initial history applied. */
export function established(options: ConstructorParameters<typeof DrivenCore>[0] = {}): DrivenCore {
  const driven = candidate(options)
  driven.persist()
  const { history, epochs } = driven.core.state
  driven.from(1, ackEpoch(epochs.accepted, { last: history.last, checksum: history.checksum, endPoints: history.endPoints, current: epochs.current }))
  driven.persist()
  driven.from(1, { kind: 'ACK-LD', epoch: epochs.accepted, last: history.last })
  driven.step({ kind: 'applied', upTo: history.last })
  return driven
}

/** Member 1, following member 3 in epoch 5, after NEWLEADER at `last`. */
export function welcomed(runs: Run[] = runsOf(2)): DrivenCore {
  const driven = synchronizing(runs)
  const { last, checksum } = driven.core.state.history
  driven.from(3, { kind: 'DIFF', epoch: 5, after: last, checksum, staged: false })
  driven.from(3, { kind: 'NEWLEADER', epoch: 5, last, checksum })
  return driven
}

export function synchronizing(runs: Run[] = runsOf(2)): DrivenCore {
  const driven = new DrivenCore({ self: 1, runs })
  driven.identify(2, 3)
  driven.from(3, { ...looking(3, 1), state: 'leading', epoch: 5 })
  driven.from(3, { kind: 'NEWEPOCH', epoch: 5, attempt: { leader: peerId(3), nonce: 7 } })
  driven.persist()
  return driven
}

/** One entry, as the primary. */
export function propose(driven: DrivenCore): string[] {
  const { history } = driven.core.state
  const epoch = driven.core.state.epochs.current
  const [run] = chained(history.last, history.checksum, epoch)
  return driven.step({ kind: 'propose', run: run! })
}

/** A run of one entry behind another. */
export function chained(previous: number, checksum: number, epoch: number): Run[] {
  const builder = new RunBuilder()
  builder.begin(previous as never, checksum, epoch, 5000)
  builder.add({ origin: ZERO, sequence: 0, pending: 0, machine: 1, kind: 0 }, new Uint8Array(1))
  return [builder.finish()!]
}
