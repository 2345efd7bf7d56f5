import { Core, type CoreConfig, type Effects, type Input, type Now, type PeerId, type Role, type StoredState, type Write } from '@antiphon/consensus-core'
import { AntiphonError, type Cancel, type Clock, corrupt, type LogStore, type Millis, type Random, type Transport } from '@antiphon/ports'
import { encodeGreeting, PROTOCOL_VERSIONS } from '@antiphon/wire'
import { Applier } from './applier.ts'
import { Background } from './background.ts'
import { disputed, diverged, messageOf } from './errors.ts'
import type { Announcer } from './events.ts'
import { Forwarding } from './forwarding.ts'
import { Gate, type GateHost } from './gate.ts'
import { Leadership } from './leadership.ts'
import { Links } from './links.ts'
import type { Meters } from './meters.ts'
import { Notes } from './notes.ts'
import { Proposals } from './proposals.ts'
import { Reads } from './reads.ts'
import { Restoring } from './restoring.ts'
import type { Resolved } from './settings.ts'
import { type Restored, Snapshots } from './snapshots.ts'
import { TimedWrites } from './timed-writes.ts'
import { Transfers } from './transfers.ts'
import { ClockWatch } from './warnings.ts'

export interface ShellParts {
  readonly resolved: Resolved
  readonly config: CoreConfig
  readonly stored: StoredState
  readonly restored: Restored | null
  readonly store: LogStore
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly announcer: Announcer
  readonly meters: Meters | null
}

/**
 * Carries out what the core decides, and tells it what came of it. Everything enters here, one turn at a time: frames, connections, finished writes, ticks, and what the
 * callers of this turn asked for. Each turn ends in `#endTurn`, where committed entries are applied and the next batch is arranged.
 */
export class Shell {
  readonly proposals: Proposals
  readonly reads: Reads
  readonly applier: Applier
  readonly core: Core
  readonly links: Links
  readonly gate: Gate
  readonly writes: TimedWrites
  readonly clockWatch: ClockWatch
  fault: AntiphonError | null = null
  readonly #parts: ShellParts
  readonly #self: PeerId
  readonly #forwarding: Forwarding
  readonly #snapshots: Snapshots
  readonly #notes: Notes
  readonly #transfers: Transfers
  readonly #restoring: Restoring
  readonly #background: Background
  readonly #leadership: Leadership
  /** Inputs that came up while another one was being carried out. */
  readonly #inputs: Input[] = []
  #stepping = false
  #flushDue = false
  #progressed = false
  #wakeAt: Millis = 0
  #cancelTick: Cancel | null = null
  #closing: Promise<void> | null = null

  constructor(parts: ShellParts) {
    const { resolved, config, stored, restored, store, transport, clock, random } = parts
    const monotonic = (): Millis => clock.monotonic()
    const trouble = (error: unknown, peer: PeerId | null = null): void => this.#trouble(error, peer)
    const tell = (what: string, details: Readonly<Record<string, unknown>>): void => parts.announcer.debug(details, what)
    this.#parts = parts
    this.#self = resolved.self
    this.core = new Core(config, stored, this.#now())
    this.writes = new TimedWrites(parts, resolved.fsyncWarnMs)
    this.clockWatch = new ClockWatch({ ...parts, clockAheadMs: () => this.core.clockAheadMs(this.#now()) }, config.clockAheadMsMax)
    this.#background = new Background(trouble)
    this.links = new Links(transport, 4 * config.windowBytes)
    this.proposals = new Proposals(resolved, monotonic, () => this.#scheduleFlush())
    this.reads = new Reads(monotonic, () => this.#scheduleFlush())
    this.#forwarding = new Forwarding({
      storeId: stored.storeId,
      random,
      proposals: this.proposals,
      links: this.links,
      machines: resolved.machines,
      window: resolved.originWindow,
      resultsBytesMax: resolved.resultsBytesMax,
      tell,
    })
    this.applier = new Applier({
      machines: resolved.machines,
      store,
      clock,
      sliceMs: resolved.sliceMs,
      proposals: this.proposals,
      forwarding: this.#forwarding,
      digestEvery: resolved.digestEvery,
      digest: (zxid, digest) => this.#step({ kind: 'digest', zxid, digest }),
      resultsBytesMax: resolved.resultsBytesMax,
      wake: () => this.#endTurn(),
      fault: (error) => this.#stop(error),
    })
    if (restored !== null) this.applier.reset(restored.meta.zxid, restored.meta.checksum, restored.meta.time, restored.origins, false)
    this.#snapshots = new Snapshots({
      machines: resolved.machines,
      store,
      clock,
      sliceMs: resolved.sliceMs,
      intervals: { everyEntries: resolved.snapshotEveryEntries, everyBytes: resolved.snapshotEveryBytes, random },
      chunkBytes: resolved.snapshotChunkBytes,
      retain: resolved.retainSnapshots,
      applier: this.applier,
      durable: () => this.core.state.durable,
      keepFrom: () => this.core.keepFrom(),
      endPointsUpTo: (zxid, checksum) => this.core.endPointsUpTo(zxid, checksum),
      founded: () => this.core.state.founding,
      compacted: (snapshot, start) => this.#enter({ kind: 'compacted', snapshot, start }),
      trouble,
      tell,
    })
    const shell = this
    const run = (task: Promise<void>): void => this.#background.run(task)
    this.#restoring = new Restoring({
      ...parts,
      core: this.core,
      applier: this.applier,
      snapshots: this.#snapshots,
      forwarding: this.#forwarding,
      get isStopped() {
        return shell.isStopped
      },
      step: (input) => this.#step(input),
      endTurn: () => this.#endTurn(),
      run,
      stop: (fault) => this.#stop(fault),
    })
    this.#transfers = new Transfers({
      store,
      links: this.links,
      run,
      transferred: (transfer, upTo, ok) => this.#enter({ kind: 'transferred', transfer, upTo, ok }),
      staged: (transfer, generation, ok) => this.#enter({ kind: 'staged', transfer, generation, ok }),
      saved: (transfer, ok) => (ok ? this.#restoring.restore(transfer) : this.#enter({ kind: 'rebuilt', transfer, snapshot: null })),
      durable: () => this.core.state.durable,
      settled: () => this.#snapshots.idle(),
      failed: (error) => this.#onStoreFailed(error),
      trouble,
    })
    this.#notes = new Notes(resolved.machines, clock, trouble)
    this.#leadership = new Leadership({
      resolved,
      clock,
      random,
      forwarding: this.#forwarding,
      links: this.links,
      applier: this.applier,
      meters: parts.meters,
      primary: () => this.core.primary(this.#now()),
      propose: (run) => {
        this.#step({ kind: 'propose', run })
        return this.isStopped || this.core.state.history.last === run.last
      },
      flushSoon: () => this.#scheduleFlush(),
      trouble,
      stop: (fault) => this.#stop(fault),
    })
    this.gate = new Gate(this.#gateHost())
  }

  get greeting(): Uint8Array {
    return encodeGreeting({ versions: PROTOCOL_VERSIONS, peer: this.#self, storeId: this.#parts.stored.storeId })
  }

  get isStopped(): boolean {
    return this.#closing !== null
  }

  #gateHost(): GateHost {
    const shell = this
    const { resolved, stored } = this.#parts
    return {
      resolved,
      storeId: stored.storeId,
      core: this.core,
      links: this.links,
      forwarding: this.#forwarding,
      sending: this.#transfers.sending,
      staging: this.#transfers.staging,
      get isStopped() {
        return shell.isStopped
      },
      get inbox() {
        return shell.#leadership.inbox
      },
      connected: (peer, connection, storeId) => {
        this.links.up(peer, connection, storeId)
        this.#enter({ kind: 'connection', peer, connection, up: true, storeId })
      },
      disconnected: (peer, connection) => {
        this.#forget(peer, connection)
        this.#enter({ kind: 'connection', peer, connection, up: false, storeId: null })
      },
      received: (from, connection, message) => {
        this.#step({ kind: 'message', from, connection, message })
        if (message.kind === 'PONG' && this.#leadership.isReigning) this.#notes.hear(from, message.notes)
      },
      scheduleFlush: () => this.#scheduleFlush(),
      giveUp: (peer, connection) => this.#giveUp(peer, connection),
      trouble: (error, peer) => this.#trouble(error, peer),
      endTurn: () => this.#endTurn(),
    }
  }

  /** Time begins. */
  start(): void {
    this.#tickNow()
  }

  /** Ends everything that the replica owns; `cause` when a fault does it. */
  close(cause: AntiphonError | null = null): Promise<void> {
    if (this.#closing !== null) return this.#closing
    const { announcer, transport, store } = this.#parts
    const closeAll = async (): Promise<void> => {
      await this.#attempt(() => transport.close())
      await this.#background.settled()
      await this.#attempt(() => store.close())
      announcer.closed()
      announcer.tell()
    }
    this.#closing = Promise.resolve().then(closeAll)
    this.#cancelTick?.()
    this.#leadership.end()
    this.proposals.close(cause)
    this.reads.close(cause)
    this.applier.stop()
    this.#snapshots.stop()
    this.#transfers.stop()
    this.links.clear()
    return this.#closing
  }

  // Time.

  #scheduleTick(): void {
    const { clock } = this.#parts
    const due = this.#wakeAt
    this.#cancelTick = clock.schedule(Math.max(0, due - clock.monotonic()), () => {
      // Rule 25: that we are late says nothing about the others. What they have sent meanwhile is heard first.
      if (clock.monotonic() - due > this.#parts.config.tickMs / 2) clock.defer(() => this.#tickNow())
      else this.#tickNow()
    })
  }

  #tickNow(): void {
    if (this.isStopped) return
    this.proposals.expire()
    this.reads.expire()
    this.#step({ kind: 'tick' })
    if (this.#leadership.tick()) this.#notes.hear(this.#self, this.#notes.gather())
    this.#forwarding.tick(this.applier.table.get(this.#forwarding.origin))
    if (this.reads.hasWaiting || this.#leadership.hasWaiting || this.#forwarding.confirmDue) this.#scheduleFlush()
    this.#parts.meters?.queueBytes.set(this.proposals.slots.bytes)
    this.clockWatch.look()
    this.#endTurn()
    if (!this.isStopped) this.#scheduleTick()
  }

  #now(): Now {
    const { clock } = this.#parts
    return { monotonic: clock.monotonic(), wall: clock.wall() }
  }

  // The loop.

  /** One turn that consists of one input. */
  #enter(input: Input): void {
    this.#step(input)
    this.#endTurn()
  }

  #step(input: Input): void {
    this.#inputs.push(input)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#inputs.shift(); next !== undefined && !this.isStopped; next = this.#inputs.shift())
        this.#carryOut(this.core.step(next, this.#now()))
    } catch (error) {
      this.#stop(error instanceof AntiphonError ? error : diverged(`the replica's own logic failed: ${messageOf(error)}`, {}, error))
    } finally {
      this.#stepping = false
    }
  }

  /** In the order of the fields. Nothing here steps the core: the effects are its own memory until then. */
  #carryOut(effects: Effects): void {
    this.#wakeAt = effects.wakeAt
    this.#transfers.stage(effects)
    for (const write of effects.writes) this.#write(write)
    for (const out of effects.sends) {
      this.links.post(out.message.kind === 'PONG' ? { ...out, message: { ...out.message, notes: this.#notes.gather() } } : out)
    }
    this.#transfers.start(effects)
    for (const { peer, connection, reason } of effects.closes) {
      this.#parts.announcer.debug({ peer, connection, reason }, 'connection closed')
      this.#giveUp(peer, connection)
    }
    for (const { peer, error } of effects.refusals) this.#trouble(error, peer)
    if (effects.commitTo !== null) {
      this.applier.commitTo(effects.commitTo)
      this.#progressed = true
    }
    for (const { number, zxid } of effects.readable) this.reads.grant(number, zxid)
    if (effects.quarantine !== null) this.#restoring.quarantine(effects.quarantine)
    if (effects.disputed !== null) this.#parts.announcer.trouble(disputed(effects.disputed), null)
    if (effects.snapshotDue !== null) this.#snapshots.want(effects.snapshotDue)
    if (effects.role !== null) this.#onRole(effects.role)
    if (effects.fault !== null) this.#stop(effects.fault)
  }

  #write(write: Write): void {
    this.applier.note(write)
    this.writes.write(write, (error) => this.#onWritten(write, error))
  }

  /** Only now may be said what the write stands for (rule 5). */
  #onWritten(write: Write, error: AntiphonError | null): void {
    if (this.isStopped) return
    if (error !== null) return this.#onStoreFailed(error)
    this.#step({ kind: 'persisted', ticket: write.ticket })
    for (const out of write.afterwards) {
      if (out.to === this.#self) this.#step({ kind: 'message', from: this.#self, connection: 0, message: out.message })
      else this.links.post(out)
    }
    if (write.install !== null) this.#restoring.restore(null)
    this.#snapshots.onDurable()
    this.#transfers.staging.onDurable()
    this.#endTurn()
  }

  #onStoreFailed(error: AntiphonError): void {
    if (this.isStopped) return
    this.#stop(error)
    this.#endTurn()
  }

  #onRole(role: Role): void {
    this.#parts.announcer.role(role)
    this.#parts.meters?.active.set(role.active ? 1 : 0)
    this.#parts.meters?.epoch.set(role.epoch)
    this.#leadership.end()
    if (role.role === 'leading' && role.active) this.#leadership.establish()
    if (!role.active) return
    this.#forwarding.onLeader()
    this.#scheduleFlush()
  }

  // Batches.

  #scheduleFlush(): void {
    if (this.#flushDue || this.isStopped) return
    this.#flushDue = true
    this.#parts.clock.defer(this.#flush)
  }

  /** What this turn has gathered becomes one batch: one question for all reads, one run or one message for all proposals. */
  readonly #flush = (): void => {
    this.#flushDue = false
    if (this.isStopped) return
    const number = this.reads.ask()
    if (number !== null) this.#step({ kind: 'read', number })
    if (this.#leadership.isReigning) this.#leadership.propose()
    else this.#forward()
    this.links.postCommits()
    this.#endTurn()
  }

  #forward(): void {
    const leader = this.core.leader()
    if (leader !== null && leader.peer !== this.#self) this.#forwarding.flush(leader)
  }

  /** Behind every input: apply what is committed, answer who waits for it, arrange what comes next, and tell the listeners. */
  #endTurn(): void {
    const { announcer, meters } = this.#parts
    if (!this.isStopped) {
      const { applied, entries } = this.applier
      this.applier.advance()
      if (this.applier.applied > applied) {
        meters?.entriesApplied.add(this.applier.entries - entries)
        this.#progressed = true
        this.#step({ kind: 'applied', upTo: this.applier.applied })
      }
    }
    if (!this.isStopped) {
      // While a snapshot is being restored the machines are of no ZXID.
      if (!this.applier.isBlocked) this.reads.applied(this.applier.applied)
      const snapshot = this.#snapshots.takeIfDue()
      if (snapshot !== null) this.#background.run(snapshot)
      this.#leadership.beginWhenApplied()
    }
    if (this.#progressed && !this.isStopped) {
      this.#progressed = false
      if (this.proposals.slots.length > 0 || this.#leadership.hasWaiting) this.#scheduleFlush()
      if (announcer.wantsProgress) announcer.progress({ committed: this.core.state.committed, applied: this.applier.applied })
    }
    if (this.links.hasCommits) this.#scheduleFlush()
    announcer.tell()
  }

  // Ends.

  #forget(peer: PeerId, connection: number): void {
    this.links.down(peer, connection)
    this.#transfers.onDown(peer, connection)
  }

  #giveUp(peer: PeerId, connection: number): void {
    this.#forget(peer, connection)
    this.#parts.transport.disconnect(peer, connection)
  }

  /** Of a machine's front. */
  trouble(error: AntiphonError): void {
    this.#trouble(error, null)
    this.#scheduleFlush()
  }

  #trouble(error: unknown, peer: PeerId | null): void {
    // Rule 4: a store that has failed has failed for good, wherever it was noticed.
    if (error instanceof AntiphonError && (error.code === 'DISK_FAILED' || error.details['storeFailed'] === true)) return this.#stop(error)
    this.#parts.announcer.trouble(error instanceof AntiphonError ? error : corrupt(messageOf(error)), peer)
  }

  #stop(fault: AntiphonError): void {
    if (this.isStopped) return
    this.fault = fault
    this.#parts.announcer.fault(fault)
    void this.close(fault)
  }

  async #attempt(close: () => Promise<void>): Promise<void> {
    try {
      await close()
    } catch (error) {
      this.#trouble(error, null)
    }
  }
}
