import type { RoleName } from '@antiphon/consensus-core'
import {
  AntiphonError,
  corrupt,
  type EnsembleId,
  type EnsembleView,
  type PeerId,
  type ProposeOptions,
  type Proposer,
  type ReadLevel,
  randomId,
  type StoredState,
  type StoreId,
  systemClock,
  systemRandom,
  type Zxid,
} from '@antiphon/ports'
import { TypedEmitter } from 'tiny-typed-emitter'
import { aborted, invalidSettings, messageOf, notReady, quarantined } from './errors.ts'
import { Announcer, type ReplicaEvents } from './events.ts'
import type { FlushFigures } from './flush-figures.ts'
import { metersOf } from './meters.ts'
import { type AnyMachine, type Machines, type ReplicaSettings, type RequestOf, type Resolved, type ResultOf, resolveSettings } from './settings.ts'
import { Shell } from './shell.ts'
import { Slicer } from './slicer.ts'
import { type Restored, restoreNewest } from './snapshots.ts'
import { type WaitOptions, wrongIn } from './wait-options.ts'
import { warningsOf } from './warnings.ts'

export interface ReplicaStatus {
  readonly id: PeerId
  readonly role: RoleName
  /** Null while none is known. */
  readonly leader: PeerId | null
  readonly epoch: number
  /** False while looking, discovering and synchronising. */
  readonly active: boolean
  /** Null before the ensemble is founded. */
  readonly ensembleId: EnsembleId | null
  readonly storeId: StoreId
  /** Does this replica's store count in quorums? */
  readonly votes: boolean
  /** `applied <= committed <= last`. */
  readonly applied: Zxid
  readonly committed: Zxid
  readonly durable: Zxid
  readonly last: Zxid
  readonly proposals: {
    /** Have their numbers, and no result yet. */
    readonly underWay: number
    readonly waiting: number
    /** Callers that wait for room. */
    readonly parked: number
    readonly bytes: number
  }
  /** Where a quorum found another state than ours, which is void since; null in health. */
  readonly quarantined: Zxid | null
  readonly connected: readonly PeerId[]
  /** Who follows, when this replica leads. */
  readonly learners: readonly { readonly peer: PeerId; readonly stage: string; readonly acked: Zxid }[]
  /** By name. `digest`: hexadecimal, null of a machine that has none. */
  readonly machines: Readonly<Record<string, { readonly version: number; readonly digest: string | null }>>
  /** What is no fault yet and wants attention, a sentence each; empty in health. */
  readonly warnings: readonly string[]
  /** Since the start; with those of a slow disk the event `slowFlush` comes. */
  readonly flushes: FlushFigures
  readonly closed: boolean
  readonly fault: AntiphonError | null
}

/** Machines that run: one machine, one replica. */
const attached = new WeakSet<AnyMachine>()

/**
 * One member of an ensemble, in this process: proposes to, and reads from, state machines that every member holds.
 *
 * Listeners of its events are called between steps of the replica; what they throw is told as `trouble` and stops nothing.
 */
export class Replica<M extends Machines = Machines> extends TypedEmitter<ReplicaEvents> {
  readonly id: PeerId
  /** As given in the settings: read them directly, behind `read` or whenever what is applied here will do. */
  readonly machines: M
  readonly #shell: Shell
  readonly #resolved: Resolved
  readonly #storeId: StoreId
  readonly #numbers: ReadonlyMap<string, number>

  /**
   * Resolves when the store is recovered and the transport listens; use `ready` to wait for the ensemble. On failure nothing is left open.
   * @throws AntiphonError INVALID_SETTINGS; CORRUPT, FOLDER_IN_USE, FOLDER_FOREIGN, VERSION_MISMATCH, DISK_FULL, DISK_FAILED of the store; what the transport throws when it can not listen
   */
  static async start<M extends Machines>(settings: ReplicaSettings<M>): Promise<Replica<M>> {
    const resolved = resolveSettings(settings)
    for (const { name, machine } of resolved.machines) {
      if (attached.has(machine))
        throw invalidSettings(`the machine \`${name}\` runs in a replica, or did so`, 'Make a new machine for each start of a replica.')
    }
    const { storage, transport } = settings
    const clock = settings.clock ?? systemClock({ keepAlive: settings.keepAlive ?? true })
    const random = settings.random ?? systemRandom()
    let started: Replica<M> | null = null
    const troubles: AntiphonError[] = []
    let tell = (error: AntiphonError): void => void troubles.push(error)
    try {
      storage.watch?.((error) => tell(error))
      const stored = await storage.open(randomId(random))
      const restored = await recover(settings, resolved, stored, new Slicer(clock, resolved.sliceMs))
      const config = { ...resolved.core, freshEnsembleId: randomId(random), seed: random.uint32() }
      const replica = new Replica<M>(settings, resolved, stored, (announcer) => {
        const meters = settings.metrics === undefined ? null : metersOf(settings.metrics, (error) => announcer.trouble(error, null))
        return new Shell({ resolved, config, stored, restored, store: storage, transport, clock, random, announcer, meters })
      })
      started = replica
      await transport.start(resolved.self, replica.#shell.greeting, replica.#shell.gate)
      transport.setPeers(new Map([...resolved.addresses].filter(([peer]) => peer !== resolved.self)))
      replica.#attach()
      replica.#shell.start()
      tell = (error) => replica.#shell.trouble(error)
      // When whoever waits for the start has had the time to listen.
      if (troubles.length > 0) clock.defer(() => troubles.forEach(tell))
      return replica
    } catch (error) {
      await started?.close()
      await quietly(() => transport.close())
      await quietly(() => storage.close())
      throw error
    }
  }

  private constructor(settings: ReplicaSettings<M>, resolved: Resolved, stored: StoredState, makeShell: (announcer: Announcer) => Shell) {
    super()
    this.id = resolved.self
    this.machines = settings.machines
    this.#resolved = resolved
    this.#storeId = stored.storeId
    this.#numbers = new Map(resolved.machines.map(({ name }, index) => [name, index + 1]))
    this.#shell = makeShell(new Announcer(this, settings.logger ?? null))
  }

  /**
   * Waits until this replica has a leader and holds everything that was committed at the time of the call.
   * @throws AntiphonError NOT_READY after `timeoutMs`, ABORTED, CLOSED
   */
  async ready(options: WaitOptions = {}): Promise<void> {
    try {
      await this.#shell.reads.read(options)
    } catch (error) {
      throw error instanceof AntiphonError && error.code === 'TIMEOUT' ? notReady(error) : error
    }
  }

  /**
   * Asks `machine` for a change of the replicated state; resolves with the machine's result once the change is committed and applied here: what was proposed through this
   * replica can be read from it at once. Waits for a leader if there is none. Requests of one replica take their order from the order of the calls. `timeoutMs` is looked at
   * once a tick.
   * @throws AntiphonError with outcome `rejected`: INVALID_ARGUMENT, TOO_LARGE, OVERLOADED, REFUSED (the machine said no; its code is in `refusal`); or with the outcome that the
   * error tells: TIMEOUT, ABORTED, CLOSED
   */
  propose<Name extends keyof M & string>(machine: Name, request: RequestOf<M[Name]>, options?: ProposeOptions): Promise<ResultOf<M[Name]>> {
    const number = this.#numbers.get(machine)
    if (number === undefined) return Promise.reject(unknownMachine(machine, [...this.#numbers.keys()]))
    return this.#propose(number, this.machines[machine]!, request, options) as Promise<ResultOf<M[Name]>>
  }

  /**
   * `local` (the default): what is applied here now. `linearizable`: resolves when this replica holds at least everything that was acknowledged anywhere before the call; then read
   * the machine, in the same turn.
   * @throws AntiphonError TIMEOUT, ABORTED, CLOSED; NOT_READY for a local read while the state is void (event `quarantined`); a linearizable one waits for `rebuilt`
   */
  read(level: ReadLevel = 'local', options: WaitOptions = {}): Promise<void> {
    if (level === 'linearizable') return this.#shell.reads.read(options)
    if (level !== 'local')
      return Promise.reject(new AntiphonError('INVALID_ARGUMENT', `there is no read level ${String(level)}`, { remedy: 'Read `local` or `linearizable`.' }))
    const wrong = wrongIn(options)
    if (wrong !== null) return Promise.reject(wrong)
    if (this.#shell.core.state.quarantined !== null) return Promise.reject(quarantined())
    return options.signal?.aborted === true ? Promise.reject(aborted('rejected', 'the read', options.signal.reason)) : Promise.resolve()
  }

  /** As of now. Computes the machines' digests. */
  status(): ReplicaStatus {
    const view = this.#shell.core.view()
    const { proposals } = this.#shell
    const machines = this.#resolved.machines.map(
      ({ name, machine }) => [name, { version: machine.version, digest: machine.digest?.().toString(16) ?? null }] as const,
    )
    return {
      id: this.id,
      role: view.role,
      leader: view.leader,
      epoch: view.epoch,
      active: view.active,
      ensembleId: view.ensembleId,
      storeId: this.#storeId,
      votes: view.counted,
      applied: this.#shell.applier.applied,
      committed: view.committed,
      durable: view.durable,
      last: view.last,
      proposals: { underWay: proposals.slots.underWay, waiting: proposals.slots.waiting, parked: proposals.parked, bytes: proposals.slots.bytes },
      quarantined: view.quarantined,
      connected: view.connected,
      learners: view.learners.map(({ peer, stage, acked }) => ({ peer, stage, acked })),
      machines: Object.fromEntries(machines),
      warnings: warningsOf(this.id, view, this.#shell.clockWatch.warning),
      flushes: this.#shell.writes.watch.figures(),
      closed: this.#shell.isStopped,
      fault: this.#shell.fault,
    }
  }

  /**
   * Leaves the ensemble and ends everything that this replica owns: transport, store, timers. What is pending is rejected with CLOSED: outcome `rejected` if it was never given a number,
   * else `unknown`. Idempotent. Never rejects.
   */
  close(): Promise<void> {
    return this.#shell.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #propose(number: number, machine: AnyMachine, request: unknown, options: ProposeOptions | undefined): Promise<unknown> {
    let payload: Uint8Array
    try {
      payload = machine.encodeRequest(request)
      if (!(payload instanceof Uint8Array)) throw new TypeError('encodeRequest did not return bytes')
    } catch (thrown) {
      return Promise.reject(thrown instanceof AntiphonError ? thrown : unencodable(thrown))
    }
    return this.#shell.proposals.propose(number, payload, options)
  }

  #ensemble(): EnsembleView {
    const { initial, addresses } = this.#resolved
    return {
      version: initial.version,
      members: initial.members.map(({ id, role, weight, group }) => ({ id, role, weight, group, address: addresses.get(id)! })),
    }
  }

  #attach(): void {
    this.#resolved.machines.forEach(({ machine }, index) => {
      attached.add(machine)
      const proposer: Proposer<unknown, unknown> = {
        propose: (request, options) => this.#propose(index + 1, machine, request, options),
        read: (level, options) => this.read(level, options),
        ensemble: () => this.#ensemble(),
        trouble: (error) => this.#shell.trouble(error),
      }
      machine.attach?.(proposer)
    })
  }
}

async function recover(settings: ReplicaSettings, resolved: Resolved, stored: StoredState, slicer: Slicer): Promise<Restored | null> {
  if (stored.snapshot === null) return null
  const restored = await restoreNewest(settings.storage, resolved, stored.founding?.ensembleId ?? null, slicer)
  if (restored === null) throw corrupt('the store names a snapshot and has none')
  return restored
}

async function quietly(close: () => Promise<void>): Promise<void> {
  try {
    await close()
  } catch {
    // What failed before is the error that matters.
  }
}

function unencodable(thrown: unknown): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', `the request can not be encoded: ${messageOf(thrown)}`, {
    remedy: 'Correct the request; nothing was done.',
    cause: thrown,
  })
}

function unknownMachine(name: string, names: readonly string[]): AntiphonError {
  return new AntiphonError('INVALID_ARGUMENT', `there is no machine \`${name}\``, { remedy: `Name one of ${names.join(', ')}.` })
}
