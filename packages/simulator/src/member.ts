import { type AntiphonError, formatZxid, type PeerId, type StateMachine, ZERO, type Zxid } from '@antiphon/ports'
import { Replica } from '@antiphon/replica'
import { VirtualClock } from './clock.ts'
import type { SimDisk } from './disk.ts'
import { EngineStore } from './engine-store.ts'
import { type KeyedChange, KeyedMachine } from './machine.ts'
import { type Path, TOLD } from './paths.ts'
import { SimStore } from './store.ts'
import { Violation } from './violation.ts'
import type { Life, Member, World } from './world.ts'

type GuestReplica = Replica<{ readonly guest: StateMachine }>

/** A member of the ensemble: its disk outlives its processes. */
export class SimMember implements Member {
  readonly id: PeerId
  disk: SimDisk
  readonly #world: World
  life: Life | null = null
  /** An orderly end is under way. */
  closing = false
  lives = 0
  #booting = false
  readonly #awaited: { readonly origin: number; readonly then: () => void }[] = []

  constructor(world: World, id: PeerId, disk: SimDisk) {
    this.#world = world
    this.id = id
    this.disk = disk
  }

  /** Its replica has started. */
  get isUp(): boolean {
    return this.life?.replica != null && !this.closing
  }

  whenUpAfter(origin: number, then: () => void): void {
    this.#awaited.push({ origin, then })
  }

  /** Starts a process, if there is none, in an event of its own. */
  boot(): void {
    if (this.#booting) return
    this.#booting = true
    this.#world.timeline.after(0, this.id, () => {
      this.#booting = false
      if (this.life === null) this.#start()
    })
  }

  #start(): void {
    const { timeline, profile, ledger, trace, guest } = this.#world
    const life = this.#begin()
    this.life = life
    ledger.booted(this.id)
    trace.add(timeline.now, this.id, 20, life.origin, 0, () => `starts, life ${life.origin}`)
    this.#world.running(life)
    const members = Object.fromEntries(
      this.#world.configuration.members.map(({ id, role, weight, group }) => [
        id,
        { address: `member-${id}`, role, ...(role === 'voter' ? { weight, group } : {}) },
      ]),
    )
    const guestBytesMax = guest?.requestBytesMax ?? 0
    Replica.start({
      id: this.id,
      members,
      machines: { keyed: life.machine, ...(guest === null ? {} : { guest: guest.machineOf(this.id, life.origin) }) },
      storage: life.store,
      transport: life.transport,
      clock: life.clock,
      random: this.#world.random.fork(life.origin),
      requestBytesMax: Math.max(profile.paddingMax + 512, guestBytesMax),
      originWindow: profile.originWindow,
      digestEvery: profile.digestEvery,
      queueBytesMax: Math.max(profile.queueBytesMax, guestBytesMax),
      tickMs: profile.tickMs,
      counterMax: profile.counterMax,
      syncLimitTicks: profile.syncLimitTicks,
      initLimitTicks: profile.initLimitTicks,
      backoffTicksMax: 20,
      snapshotEveryEntries: profile.snapshotEveryEntries,
      snapshotEveryBytes: profile.snapshotEveryBytes,
      retainSnapshots: profile.retainSnapshots,
      snapshotChunkBytes: profile.snapshotChunkBytes,
      resultsBytesMax: profile.resultsBytesMax,
      retireOriginTicks: profile.retireOriginTicks,
      windowBytes: Math.max(profile.windowBytes, 2 * guestBytesMax),
      logger: { debug: (_, message) => TOLD.has(message) && this.#world.count(message as Path), info: () => {}, warn: () => {}, error: () => {} },
      recentBytes: profile.recentBytes,
      ...(profile.readLease.ms === 0 ? {} : { readLease: profile.readLease }),
    }).then(
      (replica) => {
        if (life.over) return
        life.replica = replica
        this.#world.corruption.is(this.id, life.machine.flaw)
        if (guest !== null) life.guest = { propose: (request, options) => (replica as unknown as GuestReplica).propose('guest', request, options) }
        trace.add(timeline.now, this.id, 21, life.origin, 0, () => 'has started')
        replica.on('fault', (error) => this.#failed(life, error, 'stopped'))
        replica.on('quarantined', ({ zxid }) => {
          this.#world.count('quarantined')
          life.voidSince = timeline.now
          trace.add(timeline.now, this.id, 32, zxid, 0, () => `is QUARANTINED: another state at ${formatZxid(zxid)}`)
          this.#guard(() => this.#world.corruption.quarantined(this.id, life.machine.flaw))
        })
        replica.on('rebuilt', (zxid) => {
          this.#world.count('rebuilt')
          life.voidSince = null
          trace.add(timeline.now, this.id, 33, zxid, 0, () => `is rebuilt at ${formatZxid(zxid)}`)
          this.#guard(() => this.#world.corruption.rebuilt(this.id, life.machine.flaw))
        })
        replica.on('trouble', (error) => {
          this.#world.count(`trouble ${error.code}`)
          trace.add(timeline.now, this.id, 29, 0, 0, () => `trouble ${error.code}: ${error.message}`)
        })
        this.#tellUp(life.origin)
      },
      (error: unknown) => this.#failed(life, error, 'refused to start'),
    )
  }

  #guard(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#world.report(error instanceof Violation ? error : new Violation('crash', String((error as Error).stack)))
    }
  }

  /** The process is gone at once; the disk loses what it had not flushed, in part. */
  crash(): void {
    const { life } = this
    if (life === null) return
    const { timeline, trace } = this.#world
    trace.add(timeline.now, this.id, 22, life.origin, 0, () => 'CRASHES')
    this.#end(life)
    life.transport.crash()
    life.store.crash()
  }

  kill(): void {
    const { life } = this
    if (life === null) return
    const { timeline, trace } = this.#world
    trace.add(timeline.now, this.id, 27, life.origin, 0, () => 'is KILLED; its machine goes on')
    this.#end(life)
    life.transport.crash()
    life.store.kill()
  }

  wipe(): void {
    this.crash()
    const { timeline, trace, durability } = this.#world
    trace.add(timeline.now, this.id, 28, 0, 0, () => 'gets an empty DISK')
    this.disk.wipe()
    durability.wiped(this.id)
  }

  swapDisks(other: Member): void {
    this.crash()
    other.crash()
    const { timeline, trace, durability } = this.#world
    trace.add(timeline.now, this.id, 34, other.id, 0, () => `and member ${other.id} have each other's DISK`)
    const { disk } = this
    for (const each of [disk, other.disk]) each.movesOn()
    this.disk = other.disk
    other.disk = disk
    durability.swapped(this.id, other.id)
  }

  /** An orderly end; `then` is called when it is over. */
  close(then: () => void): boolean {
    const { life } = this
    if (life?.replica == null || this.closing) return false
    const { timeline, trace } = this.#world
    trace.add(timeline.now, this.id, 23, life.origin, 0, () => 'closes')
    this.closing = true
    life.replica.close().then(
      () => {
        if (life.over) return
        trace.add(timeline.now, this.id, 24, life.origin, 0, () => 'has closed')
        this.#end(life)
        life.transport.crash()
        life.store.stop()
        then()
      },
      (error: unknown) => this.#failed(life, error, 'failed to close'),
    )
    return true
  }

  #tellUp(origin: number): void {
    const due = this.#awaited.filter((awaited) => awaited.origin !== origin)
    const left = this.#awaited.filter((awaited) => awaited.origin === origin)
    this.#awaited.splice(0, Number.POSITIVE_INFINITY, ...left)
    for (const { then } of due) then()
  }

  #begin(): Life {
    const { timeline, network, random, profile, trace, ledger } = this.#world
    const origin = this.#world.nextOrigin()
    this.lives++
    const clock = new VirtualClock(timeline, this.id, profile.skews[this.id - 1]!, random.fork(origin + 1))
    const { segmentBytes } = profile
    const inner = new EngineStore(timeline, this.id, this.disk, random.fork(origin + 2), {
      segmentBytes,
      aheadBytes: segmentBytes / 2,
      batchBytesMax: segmentBytes,
    })
    const store = new SimStore(this.#world, this.id, inner, this.disk)
    const report = (violation: Violation): void => this.#world.report(violation)
    const machine = new KeyedMachine(profile.ballastLines, {
      applied: (zxid, time, change: KeyedChange, digest) => {
        if (life.over) report(new Violation('crash', `a dead process of member ${this.id} applies ${formatZxid(zxid)}`))
        trace.add(timeline.now, this.id, zxid % 0x1_0000_0000, change.id, digest ?? 0, trace.isRead ? lineOf(zxid, change) : null)
        ledger.applied(this.id, zxid, time, change, digest)
        const runaway = this.#world.entryTimes.applied(zxid, time, timeline.now)
        if (runaway !== null) report(runaway)
      },
      restored: (zxid, digest) => {
        trace.add(
          timeline.now,
          this.id,
          25,
          zxid,
          digest ?? 0,
          () => `restores a snapshot at ${formatZxid(zxid)}${digest === null ? ' of a flawed state' : ''}`,
        )
        ledger.restored(this.id, zxid, digest)
        this.#world.corruption.is(this.id, life.machine.flaw)
      },
      nextOwnRequest: () => this.#world.nextOwnRequest(),
    })
    const life: Life = {
      member: this,
      origin,
      clock,
      transport: network.transport(this.id),
      store,
      machine,
      guest: null,
      replica: null,
      core: null,
      over: false,
      shown: ZERO,
      requests: 0,
      voidSince: null,
      onDeath: new Set(),
    }
    return life
  }

  #end(life: Life): void {
    life.over = true
    life.clock.stop()
    this.life = null
    // What waited for its event loop is void, and a boot may have been among it.
    this.#booting = false
    this.closing = false
    this.#world.stopped(this.id)
    for (const tell of life.onDeath) tell()
    life.onDeath.clear()
  }

  /** Nothing in a simulation makes a replica stop by itself, but for a disk that fails; it comes back when that is repaired. */
  #failed(life: Life, error: unknown, what: 'stopped' | 'refused to start' | 'failed to close'): void {
    if (life.over) return
    const { code, message, stack } = error as AntiphonError
    if (this.disk.excuses(code)) {
      this.#world.count(`${what}: ${code}`)
      this.kill()
      this.disk.restore()
      this.#world.timeline.after(this.#world.random.span(10, 1000), 0, () => this.boot())
      return
    }
    this.#world.report(new Violation('fault', `member ${this.id} ${what}: ${code ?? ''} ${message ?? String(error)}\n${stack ?? ''}`))
  }
}

function lineOf(zxid: Zxid, { kind, key, id }: KeyedChange): () => string {
  return () => `applies ${formatZxid(zxid)}: ${kind} ${key} of request ${id}`
}
