import { type Commit, type Lane, laneOf, type Message, type Outgoing, type PeerId, type Propose } from '@antiphon/consensus-core'
import type { StoreId, Transport } from '@antiphon/ports'
import { encodeMessage } from '@antiphon/wire'

/** A frame that the transport would not take yet, waiting in its lane's order. */
interface Held {
  readonly pieces: readonly Uint8Array[]
  readonly bytes: number
}

interface Link {
  readonly peer: PeerId
  readonly connection: number
  readonly storeId: StoreId
  readonly held: Record<Lane, Held[]>
  heldBytes: number
  /** A commit point that the next PROPOSE may carry. */
  commit: Commit | null
}

const LANES: readonly Lane[] = ['control', 'entries', 'bulk']

/**
 * The live connections. What the core sends is never refused: when a lane is full it is held, in order, up to a bound, beyond which the connection is given up. The
 * core's windows keep what it sends below that bound (rule 17): the rest of a history, live entries behind it, and one run more. What the shell streams by itself (`offer`) is refused instead, and offered again after `onDrain`.
 */
export class Links {
  readonly #transport: Transport
  readonly #heldBytesMax: number
  readonly #links = new Map<PeerId, Link>()
  /** Commit points wait for the end of the turn. */
  hasCommits = false
  #encoded: Message | null = null
  #pieces: readonly Uint8Array[] = []

  constructor(transport: Transport, heldBytesMax: number) {
    this.#transport = transport
    this.#heldBytesMax = heldBytesMax
  }

  up(peer: PeerId, connection: number, storeId: StoreId): void {
    this.#links.set(peer, { peer, connection, storeId, held: { control: [], entries: [], bulk: [] }, heldBytes: 0, commit: null })
  }

  /** Forgets the connection, and what is held for it. */
  down(peer: PeerId, connection: number): void {
    if (this.isLive(peer, connection)) this.#links.delete(peer)
  }

  /** Closes it; nothing more goes out on it or is taken from it. */
  disconnect(peer: PeerId, connection: number): void {
    this.down(peer, connection)
    this.#transport.disconnect(peer, connection)
  }

  isLive(peer: PeerId, connection: number): boolean {
    return this.#links.get(peer)?.connection === connection
  }

  storeId(peer: PeerId): StoreId | null {
    return this.#links.get(peer)?.storeId ?? null
  }

  /** Is a replica with this store connected? */
  hasStore(storeId: StoreId): boolean {
    for (const link of this.#links.values()) if (link.storeId === storeId) return true
    return false
  }

  get peers(): PeerId[] {
    return [...this.#links.keys()]
  }

  /** A message that may not be lost while its connection lives; dropped when that is gone (rule 7). */
  post({ to, connection, message }: Outgoing): void {
    const link = this.#links.get(to)
    if (link === undefined || link.connection !== connection) return
    if (message.kind === 'COMMIT') {
      // Rule 19: it rides on the PROPOSE that this turn sends, if it sends one; `postCommits` ends the turn.
      link.commit = message
      this.hasCommits = true
    } else {
      this.#post(link, message)
    }
  }

  /** The commit points that no PROPOSE has carried go by themselves. */
  postCommits(): void {
    if (!this.hasCommits) return
    this.hasCommits = false
    for (const link of this.#links.values()) {
      const { commit } = link
      link.commit = null
      if (commit !== null) this.#post(link, commit)
    }
  }

  #post(link: Link, message: Message): void {
    const { peer: to, connection } = link
    if (message.kind === 'PROPOSE' && link.commit !== null && message.epoch === link.commit.epoch && message.committed >= link.commit.committed)
      link.commit = null
    const lane = laneOf(message.kind)
    const pieces = this.#encode(message)
    if (link.held[lane].length === 0 && this.#transport.send(to, pieces, lane)) return
    const bytes = lengthOf(pieces)
    link.heldBytes += bytes
    if (link.heldBytes > this.#heldBytesMax) this.disconnect(to, connection)
    else link.held[lane].push({ pieces, bytes })
  }

  /** False: nothing was taken, the lane is full or the connection gone. */
  offer(to: PeerId, connection: number, message: Message): boolean {
    const lane = laneOf(message.kind)
    return this.isOpen(to, connection, lane) && this.#transport.send(to, this.#encode(message), lane)
  }

  /** Would the lane take something behind what is held? */
  isOpen(to: PeerId, connection: number, lane: Lane): boolean {
    const link = this.#links.get(to)
    return link !== undefined && link.connection === connection && link.held[lane].length === 0
  }

  /** A lane takes frames again: what is held goes first. */
  drain(peer: PeerId, connection: number): void {
    const link = this.#links.get(peer)
    if (link === undefined || link.connection !== connection) return
    for (const lane of LANES) {
      const held = link.held[lane]
      let sent = 0
      while (sent < held.length && this.#transport.send(peer, held[sent]!.pieces, lane)) link.heldBytes -= held[sent++]!.bytes
      held.splice(0, sent)
    }
  }

  /** One message goes to several peers: it is encoded once. The core makes a PROPOSE for each of them, around the same run. */
  #encode(message: Message): readonly Uint8Array[] {
    const last = this.#encoded
    if (last === message || (last?.kind === 'PROPOSE' && message.kind === 'PROPOSE' && sameProposal(last, message))) return this.#pieces
    this.#pieces = encodeMessage(message)
    this.#encoded = message
    return this.#pieces
  }

  /** Lets go of the last message's bytes. */
  clear(): void {
    this.#encoded = null
    this.#pieces = []
    this.#links.clear()
  }
}

function sameProposal(a: Propose, b: Propose): boolean {
  return a.run === b.run && a.committed === b.committed && a.epoch === b.epoch
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  return bytes
}
