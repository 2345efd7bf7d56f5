import { type Address, type AntiphonError, type Lane, type PeerId, peerId, type Transport, type TransportHandler } from '@antiphon/ports'
import { vi } from 'vitest'

export type Connected = Transport & { address(): Address | null }

/** Comes back once `condition` neither throws nor is false. */
export async function until(condition: () => unknown): Promise<void> {
  await vi.waitFor(
    () => {
      if (condition() === false) throw new Error(`not yet: ${condition}`)
    },
    { timeout: 15_000, interval: 2 },
  )
}

/** A transport with a handler that writes down what it hears. */
export class Node<T extends Connected = Connected> {
  readonly id: PeerId
  readonly transport: T
  readonly heard: string[] = []
  readonly frames: { from: PeerId; lane: Lane; bytes: Uint8Array }[] = []
  readonly troubles: AntiphonError[] = []
  readonly #live = new Map<PeerId, number>()

  constructor(id: number, transport: T) {
    this.id = peerId(id)
    this.transport = transport
  }

  async start(): Promise<this> {
    const handler: TransportHandler = {
      up: (peer, connection, greeting) => {
        this.heard.push(`up ${peer} ${new TextDecoder().decode(greeting)}`)
        this.#live.set(peer, connection)
        return true
      },
      frame: (from, _, lane, bytes) => this.frames.push({ from, lane, bytes }),
      drain: () => {},
      down: (peer, _, reason) => {
        this.#live.delete(peer)
        this.heard.push(`down ${peer} ${reason}`)
      },
      trouble: (error) => this.troubles.push(error),
    }
    await this.transport.start(this.id, new TextEncoder().encode(`greeting of ${this.id}`), handler)
    return this
  }

  live(peer: Node): number {
    return this.#live.get(peer.id) ?? 0
  }

  say(to: Node, bytes: Uint8Array | string, lane: Lane = 'entries'): boolean {
    return this.transport.send(to.id, [typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes], lane)
  }

  codes(): string[] {
    return this.troubles.map(({ code }) => code)
  }
}

export function introduce(...nodes: Node[]): void {
  const peers = new Map(nodes.map((node) => [node.id, node.transport.address()!]))
  for (const node of nodes) node.transport.setPeers(peers)
}

export const connected = (a: Node, b: Node): boolean => a.live(b) > 0 && b.live(a) > 0
