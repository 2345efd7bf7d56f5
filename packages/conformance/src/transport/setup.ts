import { type Address, FRAME_BYTES_MAX, type Lane, type PeerId, type Transport } from '@antiphon/ports'
import { within } from '../suite.ts'
import { Recorder } from './recorder.ts'

/** What an adapter's author provides. */
export interface TransportSetup {
  /** A fresh network with nobody in it. One per case. */
  network(): Promise<TransportNetwork>
  /** The longest frame that a case sends: FRAME_BYTES_MAX unless told. Less only where the test's machine has no room for it. */
  readonly largestFrameBytes?: number
  /** Networks can break a connection (`TransportNetwork.sever`); not unless told. */
  readonly severs?: boolean
  /** Networks let a stranger in (`TransportNetwork.stranger`); not unless told. */
  readonly strangers?: boolean
  /** Networks can make a peer's process vanish (`TransportNetwork.vanish`); not unless told. */
  readonly vanishes?: boolean
  /** Bytes in use on the heap once everything that can be collected is: without it, memory that is left behind goes unseen. */
  heapUsed?(): number | Promise<number>
}

export interface TransportNetwork {
  /** A transport for `peer`, not yet started. Asked again for the same peer after the first was closed: the next process of that peer. */
  create(peer: PeerId): TransportEnd
  /** Breaks the connection between two peers as a network would; the way is free again afterwards. */
  sever?(a: PeerId, b: PeerId): void
  /**
   * The newest process of `peer` is gone as if its machine had lost its power: nothing that it sends or is sent on its connections arrives any more, and its peers are not told. They go on
   * believing in those connections. Asked for in networks of two. `create(peer)` then gives its next process; the old transport may be left running, unheard.
   */
  vanish?(peer: PeerId): void
  /** Somebody who knows nothing of the protocol sends `bytes` to `address`. Resolves when the adapter has hung up on them. */
  stranger?(address: Address, bytes: Uint8Array): Promise<void>
  close(): Promise<void>
}

export interface TransportEnd {
  readonly transport: Transport
  /** Where others dial it; asked once it has started. */
  address(): Address
}

export type TransportNeed = 'always' | 'severs' | 'strangers' | 'vanishes'
/** Part of the suite: adds its cases. */
export type TransportCases = (add: (name: string, need: TransportNeed, body: (wires: Wires) => Promise<void>, timeoutMs?: number) => void) => void

export const LANES: readonly Lane[] = ['control', 'entries', 'bulk']
export const A = 1 as PeerId
export const B = 2 as PeerId
export const C = 3 as PeerId

/** One started transport with what it has told so far. */
export interface Peer {
  readonly id: PeerId
  readonly transport: Transport
  readonly address: Address
  readonly heard: Recorder
}

/** The network of one case. */
export class Wires {
  readonly network: TransportNetwork
  readonly largestFrameBytes: number
  readonly #setup: TransportSetup
  readonly #peers: Peer[] = []

  constructor(network: TransportNetwork, setup: TransportSetup) {
    this.network = network
    this.largestFrameBytes = setup.largestFrameBytes ?? FRAME_BYTES_MAX
    this.#setup = setup
  }

  /** 0 where nobody can say. */
  async heapUsed(): Promise<number> {
    return (await this.#setup.heapUsed?.()) ?? 0
  }

  /** Starts a transport that holds no connections yet. */
  async start(id: PeerId, greeting: Uint8Array = greetingOf(id)): Promise<Peer> {
    const end = this.network.create(id)
    const heard = new Recorder(id)
    await within(end.transport.start(id, greeting, heard), `start() of peer ${id}`)
    const peer = { id, transport: end.transport, address: end.address(), heard }
    this.#peers.push(peer)
    return peer
  }

  /** Starts these peers, introduces each to all others and waits for every connection. */
  async mesh(...ids: PeerId[]): Promise<Peer[]> {
    const peers = await Promise.all(ids.map((id) => this.start(id)))
    this.introduce(...peers)
    for (const peer of peers) for (const other of peers) if (other !== peer) await peer.heard.connected(other.id)
    return peers
  }

  introduce(...peers: Peer[]): void {
    for (const peer of peers) peer.transport.setPeers(new Map(peers.filter((other) => other !== peer).map((other) => [other.id, other.address])))
  }

  /** Ends everything; then nobody may have been told anything that breaks the contract. */
  async end(): Promise<void> {
    for (const { transport } of this.#peers) await within(transport.close(), 'close()')
    await this.network.close()
    for (const { heard } of this.#peers) heard.assertSound()
  }
}

export function greetingOf(id: PeerId): Uint8Array {
  return Uint8Array.of(0xa7, id, id * 3, 0, 0xff)
}
