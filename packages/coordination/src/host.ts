import { type Clock, invalidArgument, type PeerId, type ProposeOptions, type ReadLevel } from '@antiphon/ports'
import { type Replica, systemClock } from '@antiphon/replica'
import type { SessionId, SessionListener, ZnodeRequest, ZnodeResult, ZnodeTree } from '@antiphon/znode-tree'
import { type Dependent, Pulse } from './pulse.ts'
import { Slices } from './slices.ts'

/** A session on this replica, as its replica and its tree see it. */
export interface Guest {
  readonly id: SessionId
  replicaClosed(): void
  /** In the midst of `apply`: takes note, calls nobody. */
  closed(reason: 'closed' | 'expired'): void
  moved(): void
  restored(): void
}

/** A tree and the replica that runs it, for all sessions on it: whoever opens many is heard by one listener each. */
export class Host implements SessionListener {
  readonly replica: Replica
  readonly tree: ZnodeTree
  /** The host's own: one for all sessions. It keeps no process alive. */
  readonly clock: Clock = systemClock({ keepAlive: false })
  /** The replica's state is not the quorum's, and is being replaced. Known while there are guests. */
  isVoid = false
  readonly #machine: string
  readonly #guests = new Map<SessionId, Set<Guest>>()
  readonly #pulses = new Map<Clock, Pulse>()
  readonly #slices = new WeakMap<Clock, Slices>()
  /** And sound state. Known while there are guests. */
  #hasLeader = false
  #leave: (() => void) | null = null

  constructor(replica: Replica, machine: string, tree: ZnodeTree) {
    this.replica = replica
    this.#machine = machine
    this.tree = tree
  }

  propose(request: ZnodeRequest, options?: ProposeOptions): Promise<ZnodeResult> {
    return this.replica.propose(this.#machine, request, options) as Promise<ZnodeResult>
  }

  read(level: ReadLevel, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<void> {
    return this.replica.read(level, options)
  }

  slices(clock: Clock): Slices {
    const slices = this.#slices.get(clock) ?? new Slices(clock)
    this.#slices.set(clock, slices)
    return slices
  }

  join(guest: Guest): void {
    this.#leave ??= this.#listen()
    const same = this.#guests.get(guest.id) ?? new Set()
    this.#guests.set(guest.id, same.add(guest))
  }

  /** Of guests who have joined. */
  depend(dependent: Dependent, clock: Clock): Pulse {
    const pulse = this.#pulses.get(clock) ?? new Pulse(clock, () => this.replica.read('linearizable'))
    this.#pulses.set(clock, pulse)
    pulse.join(dependent, this.#hasLeader)
    return pulse
  }

  part(guest: Guest): void {
    for (const [clock, pulse] of this.#pulses) if (pulse.isIdle) this.#pulses.delete(clock)
    const same = this.#guests.get(guest.id)
    if (same?.delete(guest) !== true) return
    if (same.size === 0) this.#guests.delete(guest.id)
    if (this.#guests.size > 0) return
    this.#leave?.()
    this.#leave = null
  }

  closed(session: SessionId, reason: 'closed' | 'expired'): void {
    for (const guest of this.#guests.get(session) ?? []) guest.closed(reason)
  }

  moved(session: SessionId): void {
    for (const guest of this.#guests.get(session) ?? []) guest.moved()
  }

  restored(): void {
    for (const guest of this.#all()) guest.restored()
  }

  applied(): void {}

  noted(whole: boolean): void {
    for (const pulse of this.#pulses.values()) pulse.noted(whole)
  }

  #all(): Guest[] {
    return [...this.#guests.values()].flatMap((same) => [...same])
  }

  #listen(): () => void {
    const { replica } = this
    const onLeader = (leader: PeerId | null): void => {
      this.#hasLeader = leader !== null
      for (const pulse of this.#pulses.values()) pulse.leaderIs(this.#hasLeader)
    }
    const onQuarantined = (): void => {
      this.isVoid = true
      onLeader(null)
    }
    const onRebuilt = (): void => {
      this.isVoid = false
      onLeader(replica.status().leader)
    }
    const onClosed = (): void => {
      for (const guest of this.#all()) guest.replicaClosed()
    }
    replica.on('leader', onLeader)
    replica.on('quarantined', onQuarantined)
    replica.on('rebuilt', onRebuilt)
    replica.on('closed', onClosed)
    const { quarantined, active } = replica.status()
    this.isVoid = quarantined !== null
    this.#hasLeader = active && !this.isVoid
    const unlisten = this.tree.listen(this)
    return () => {
      replica.off('leader', onLeader)
      replica.off('quarantined', onQuarantined)
      replica.off('rebuilt', onRebuilt)
      replica.off('closed', onClosed)
      unlisten()
    }
  }
}

const hosts = new WeakMap<Replica, Map<string, Host>>()

/** @throws AntiphonError INVALID_ARGUMENT: the replica has no tree, several and none was named, or none of this name */
export function hostOf(replica: Replica, name: string | undefined): Host {
  const trees = Object.entries(replica.machines).filter(([, machine]) => isTree(machine))
  const found = name === undefined ? (trees.length === 1 ? trees[0] : undefined) : trees.find(([machine]) => machine === name)
  if (found === undefined) {
    if (trees.length === 0) throw invalidArgument('the replica has no znode tree', 'List one among its machines: { machines: { znodes: znodeTree() } }.')
    throw invalidArgument(
      name === undefined ? 'the replica has several znode trees' : `the replica has no znode tree \`${name}\``,
      `Name one as \`machine\`: ${trees.map(([machine]) => machine).join(', ')}.`,
    )
  }
  const [machine, tree] = found
  const known = hosts.get(replica) ?? new Map<string, Host>()
  hosts.set(replica, known)
  const host = known.get(machine) ?? new Host(replica, machine, tree as unknown as ZnodeTree)
  known.set(machine, host)
  return host
}

function isTree(machine: object): boolean {
  return 'reader' in machine && 'watches' in machine && 'hold' in machine
}
