import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Address, Transport } from '@antiphon/ports'
import { ConnectedTransport } from '@antiphon/transport-kit'
import type { TlsMaterial } from '@antiphon/transport-kit/node'
import { WebSocketDoor } from './door.ts'
import { type WebSocketSettings, type WebSocketTransportOptions, webSocketSettings } from './options.ts'

export interface WebSocketTransport extends Transport {
  /** Where it is reached, as `ws://host:port/path`, with the real port; null when nothing listens. */
  address(): Address | null
  /** Takes a request to upgrade that is at `path`, true then; for servers whose `upgrade` event the application handles by itself. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
  /** Renewed certificates, for connections from now on; those that are up stay. @throws AntiphonError INVALID_SETTINGS, and nothing changes. */
  reloadTls(material: TlsMaterial): void
}

/**
 * A transport over WebSockets, one connection per pair of peers. Addresses are `ws://host:port/path`, or `wss:`.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function webSocketTransport(options: WebSocketTransportOptions): WebSocketTransport {
  const settings = webSocketSettings(options)
  return new NodeWebSocketTransport(settings, new WebSocketDoor(settings))
}

class NodeWebSocketTransport extends ConnectedTransport implements WebSocketTransport {
  readonly #door: WebSocketDoor

  constructor(settings: WebSocketSettings, door: WebSocketDoor) {
    super(settings, (address, peer) => door.dial(address, peer), door)
    this.#door = door
  }

  address(): Address | null {
    return this.isStarted ? this.#door.address() : null
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    return this.#door.handleUpgrade(request, socket, head)
  }

  reloadTls(material: TlsMaterial): void {
    this.#door.reloadTls(material)
  }
}
