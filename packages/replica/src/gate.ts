import { type Core, isShellMessage, type Lane, type Message, type PeerId, type Requests } from '@antiphon/consensus-core'
import { AntiphonError, type StoreId, type TransportHandler } from '@antiphon/ports'
import { decodeGreeting, decodeMessage, negotiate, PROTOCOL_VERSIONS } from '@antiphon/wire'
import type { Forwarding } from './forwarding.ts'
import type { Inbox } from './inbox.ts'
import type { Links } from './links.ts'
import type { SendingTransfers } from './sending.ts'
import type { Resolved } from './settings.ts'
import type { StagingTransfers } from './staging.ts'

export interface GateHost {
  readonly resolved: Resolved
  readonly storeId: StoreId
  readonly core: Core
  readonly links: Links
  readonly forwarding: Forwarding
  readonly sending: SendingTransfers
  readonly staging: StagingTransfers
  readonly isStopped: boolean
  /** Non-null while we lead and are established. */
  readonly inbox: Inbox | null
  connected(peer: PeerId, connection: number, storeId: StoreId): void
  disconnected(peer: PeerId, connection: number): void
  /** A message was decoded; the core hears it, and so do our machines if it brings notes. */
  received(peer: PeerId, connection: number, message: Message): void
  scheduleFlush(): void
  giveUp(peer: PeerId, connection: number): void
  trouble(error: unknown, peer: PeerId | null): void
  endTurn(): void
}

/** Where the transport enters: nothing that came from outside goes further without having been checked here. */
export class Gate implements TransportHandler {
  readonly #host: GateHost

  constructor(host: GateHost) {
    this.#host = host
  }

  up(peer: PeerId, connection: number, greeting: Uint8Array): boolean {
    const host = this.#host
    if (host.isStopped) return false
    try {
      const told = decodeGreeting(greeting)
      negotiate(PROTOCOL_VERSIONS, told.versions)
      this.#expectMember(peer, told.peer, told.storeId)
      host.connected(peer, connection, told.storeId)
      return true
    } catch (error) {
      host.trouble(error, peer)
      host.endTurn()
      return false
    }
  }

  down(peer: PeerId, connection: number, _reason: string): void {
    this.#host.disconnected(peer, connection)
  }

  drain(peer: PeerId, connection: number): void {
    this.#host.links.drain(peer, connection)
    this.#host.sending.onDrain(peer, connection)
    this.#host.scheduleFlush()
  }

  trouble(error: AntiphonError, peer: PeerId | null): void {
    this.#host.trouble(error, peer)
    this.#host.endTurn()
  }

  frame(peer: PeerId, connection: number, _lane: Lane, bytes: Uint8Array): void {
    const host = this.#host
    if (host.isStopped || !host.links.isLive(peer, connection)) return
    try {
      const message = decodeMessage(bytes)
      host.received(peer, connection, message)
      if (isShellMessage(message.kind)) this.#take(peer, connection, message)
    } catch (error) {
      // Nothing of the message was believed; what its lane had behind it is not heard either.
      host.trouble(error, peer)
      host.giveUp(peer, connection)
    }
    host.endTurn()
  }

  #expectMember(peer: PeerId, told: PeerId, storeId: StoreId): void {
    const { resolved } = this.#host
    if (told !== peer || !resolved.addresses.has(peer) || peer === resolved.self) {
      throw new AntiphonError('UNKNOWN_PEER', `the peer that connected as ${peer} says that it is ${told}`, {
        remedy: 'Give each member an id and an address of its own, the same in the settings of all.',
      })
    }
    if (storeId === this.#host.storeId) {
      throw new AntiphonError('FOLDER_FOREIGN', `member ${peer} runs on a copy of our own store`, { remedy: 'Wipe the copy and let the member be readmitted.' })
    }
  }

  /** What the shells say to each other; of a peer that has told our ensemble's id. @throws AntiphonError when it makes no sense. */
  #take(from: PeerId, connection: number, message: Message): void {
    const { core, staging, sending, forwarding, links, inbox } = this.#host
    if (core.state.peers.get(from)?.identified !== true) return
    switch (message.kind) {
      case 'CHUNK':
        return staging.onChunk(from, connection, message)
      case 'STORED':
        return sending.onStored(from, connection, message.transfer, message.chunks)
      case 'REGISTER':
        if (message.storeId !== links.storeId(from)) throw nonsense('registers a store that is not its own')
        inbox?.register(message)
        break
      case 'REQUESTS':
        this.#expectSensible(message)
        inbox?.enqueue(from, connection, message)
        break
      case 'RESEND':
        if (this.#isLeader(from, connection)) forwarding.onResend(message.origin, message.next)
        break
      case 'RETIRED':
        if (this.#isLeader(from, connection)) forwarding.onRefused(message.origin)
        break
    }
    this.#host.scheduleFlush()
  }

  #expectSensible(message: Requests): void {
    const { machines, requestBytesMax } = this.#host.resolved
    for (const { machine, payload } of message.requests) {
      if (machine < 1 || machine > machines.length) throw nonsense(`asks machine ${machine}, of ${machines.length}`)
      if (payload.length > requestBytesMax) throw nonsense(`sends a request of ${payload.length} bytes, above ${requestBytesMax}`)
    }
  }

  #isLeader(peer: PeerId, connection: number): boolean {
    const leader = this.#host.core.leader()
    return leader !== null && leader.peer === peer && leader.connection === connection
  }
}

function nonsense(what: string): AntiphonError {
  return new AntiphonError('CORRUPT', `a peer ${what}`, {
    remedy: 'Run the same version with the same settings on every replica; if this recurs, report the bug.',
  })
}
