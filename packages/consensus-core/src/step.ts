import type { CoreConfig } from './config.ts'
import type { Close, Effects, Outgoing, Quarantine, ReadGrant, Receive, Refusal, Role, StagedAppend, Transfer, Write } from './effects.ts'
import { AntiphonError } from './errors.ts'
import type { Message } from './messages.ts'
import { isQuorum, memberOf } from './quorum.ts'
import type { Run } from './run.ts'
import type { CoreState, PeerState } from './state.ts'
import type { Checksum, Configuration, Epochs, Founding, Millis, Now, PeerId } from './types.ts'
import type { Zxid } from './zxid.ts'

/** What a Write says besides its ticket; everything left out is nothing. */
export interface WriteParts {
  readonly founding?: Founding
  readonly install?: number
  readonly truncateTo?: { readonly zxid: Zxid; readonly checksum: Checksum }
  readonly append?: readonly Run[]
  readonly epochs?: Epochs
  readonly afterwards?: readonly Outgoing[]
}

const NOTHING: readonly never[] = []

/** One step in the making: the state it changes and the effects it gathers. Every handler takes it first. */
export class Step implements Effects {
  readonly config: CoreConfig
  readonly state: CoreState
  now: Now = { monotonic: 0, wall: 0 }

  readonly discards: number[] = []
  readonly abandons: number[] = []
  readonly stagedAppends: StagedAppend[] = []
  readonly writes: Write[] = []
  readonly sends: Outgoing[] = []
  readonly transfers: Transfer[] = []
  readonly cancels: number[] = []
  readonly receives: Receive[] = []
  readonly closes: Close[] = []
  readonly refusals: Refusal[] = []
  commitTo: Zxid | null = null
  readonly readable: ReadGrant[] = []
  quarantine: Quarantine | null = null
  disputed: Zxid | null = null
  snapshotDue: Zxid | null = null
  role: Role | null = null
  fault: AntiphonError | null = null
  wakeAt: Millis = 0

  constructor(config: CoreConfig, state: CoreState) {
    this.config = config
    this.state = state
  }

  /** Most arrays of most steps stay empty, and to look is far cheaper than to set a length. */
  begin(now: Now): void {
    this.now = now
    if (this.discards.length > 0) this.discards.length = 0
    if (this.abandons.length > 0) this.abandons.length = 0
    if (this.stagedAppends.length > 0) this.stagedAppends.length = 0
    if (this.writes.length > 0) this.writes.length = 0
    if (this.sends.length > 0) this.sends.length = 0
    if (this.transfers.length > 0) this.transfers.length = 0
    if (this.cancels.length > 0) this.cancels.length = 0
    if (this.receives.length > 0) this.receives.length = 0
    if (this.closes.length > 0) this.closes.length = 0
    if (this.refusals.length > 0) this.refusals.length = 0
    this.commitTo = null
    if (this.readable.length > 0) this.readable.length = 0
    this.quarantine = null
    this.disputed = null
    this.snapshotDue = null
    this.role = null
    this.fault = null
  }

  get self(): PeerId {
    return this.config.self
  }

  /** The configuration that counts: the founding one; before the founding, that of the settings. */
  get configuration(): Configuration {
    return this.state.founding?.configuration ?? this.config.initial
  }

  peer(id: PeerId): PeerState {
    return this.state.peers.get(id)!
  }

  /** Does the store behind `id` count as the voter of that name (rule 9)? Nobody counts before the founding. */
  counted(id: PeerId): boolean {
    const { founding, storeId } = this.state
    if (founding === null) return false
    const member = memberOf(founding.configuration, id)
    if (member === undefined || member.role !== 'voter' || member.storeId === null) return false
    return member.storeId === (id === this.self ? storeId : this.peer(id).storeId)
  }

  isQuorum(has: (id: PeerId) => boolean): boolean {
    return isQuorum(this.configuration, has)
  }

  ticks(count: number): Millis {
    return count * this.config.tickMs
  }

  /** 0 <= x < 1, from the state's own generator (xorshift). */
  random(): number {
    let x = this.state.randomState
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.state.randomState = x >>> 0
    return (x >>> 0) / 0x1_0000_0000
  }

  /** On the peer's live connection; nothing without one. */
  send(to: PeerId, message: Message): void {
    const { connection } = this.peer(to)
    if (connection !== 0) this.sends.push({ to, connection, message })
  }

  outgoing(to: PeerId, message: Message): Outgoing {
    return { to, connection: to === this.self ? 0 : this.peer(to).connection, message }
  }

  /** Call after the history was changed to what the write makes durable. */
  write(parts: WriteParts): void {
    const { state } = this
    const ticket = state.nextTicket++
    if (parts.epochs !== undefined) state.epochs = parts.epochs
    state.underway.push({ ticket, since: this.now.monotonic, last: state.history.last, founds: parts.founding !== undefined })
    this.writes.push({
      ticket,
      founding: parts.founding ?? null,
      install: parts.install ?? null,
      truncateTo: parts.truncateTo ?? null,
      append: parts.append ?? NOTHING,
      epochs: parts.epochs ?? null,
      afterwards: parts.afterwards ?? NOTHING,
    })
  }

  /** Ends the connection to `peer`, if there is one; what was known through it is forgotten at once. */
  close(peer: PeerId, reason: string): void {
    const known = this.peer(peer)
    if (known.connection === 0) return
    this.closes.push({ peer, connection: known.connection, reason })
    forget(known)
  }

  commit(zxid: Zxid): void {
    if (zxid <= this.state.committed) return
    this.state.committed = zxid
    this.commitTo = zxid
  }

  stop(code: 'DIVERGED' | 'INVALID_SETTINGS', message: string, remedy: string): void {
    this.state.faulted = true
    this.fault ??= new AntiphonError(code, message, { remedy, outcome: 'unknown' })
  }
}

/** The connection is gone, and with it all that it told. */
export function forget(peer: PeerState): void {
  peer.connection = 0
  peer.storeId = null
  peer.identified = false
  peer.ensembleId = null
  peer.empty = null
  peer.settings = null
  peer.vote = null
  peer.cepoch = null
}
