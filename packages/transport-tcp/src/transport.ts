import { connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { Address, AntiphonError, PeerId, Transport } from '@antiphon/ports'
import { ConnectedTransport, type Door, invalidSettings, type Pipe, tlsTrouble } from '@antiphon/transport-kit'
import {
  cannotListen,
  clientIdentity,
  clientOptions,
  closeServer,
  contextOf,
  Doorkeeper,
  listen,
  listeningAt,
  parseAddress,
  renewedTls,
  serverOptions,
  type TlsMaterial,
  type TlsOptions,
} from '@antiphon/transport-kit/node'
import { type TcpSettings, type TcpTransportOptions, tcpSettings } from './options.ts'
import { SocketPipe } from './socket-pipe.ts'

export interface TcpTransport extends Transport {
  /** Where it listens, with the real port; null when it does not. */
  address(): Address | null
  /** Renewed certificates, for connections from now on; those that are up stay. @throws AntiphonError INVALID_SETTINGS, and nothing changes. */
  reloadTls(material: TlsMaterial): void
}

/**
 * A transport over TCP, one connection per pair of peers. Addresses are `host:port`.
 * @throws AntiphonError INVALID_SETTINGS
 */
export function tcpTransport(options: TcpTransportOptions): TcpTransport {
  const settings = tcpSettings(options)
  return new NodeTcpTransport(settings, new TcpDoor(settings))
}

class NodeTcpTransport extends ConnectedTransport implements TcpTransport {
  readonly #door: TcpDoor

  constructor(settings: TcpSettings, door: TcpDoor) {
    super(settings, (address, peer) => door.dial(address, peer), door)
    this.#door = door
  }

  address(): Address | null {
    return this.isStarted ? this.#door.address() : null
  }

  reloadTls(material: TlsMaterial): void {
    this.#door.reloadTls(material)
  }
}

/** Both ways to a socket: the server, and dialling. */
class TcpDoor implements Door {
  readonly #settings: TcpSettings
  #tls: TlsOptions | null
  #server: Server | null = null
  #doorkeeper: Doorkeeper | null = null

  constructor(settings: TcpSettings) {
    this.#settings = settings
    this.#tls = settings.tls
  }

  address(): Address | null {
    return this.#server === null ? null : listeningAt(this.#server)
  }

  reloadTls(material: TlsMaterial): void {
    this.#tls = renewedTls(this.#tls, material, this.#settings.prover !== null)
    ;(this.#server as TlsServer | null)?.setSecureContext(contextOf(this.#tls))
  }

  async open(enter: (pipe: Pipe) => void, trouble: (error: AntiphonError) => void): Promise<void> {
    const server = this.#makeServer(enter, trouble)
    this.#server = server
    await listen(server, this.#settings.listen)
    server.on('error', (failure) => trouble(cannotListen(this.#settings.listen, failure)))
  }

  #makeServer(enter: (pipe: Pipe) => void, trouble: (error: AntiphonError) => void): Server {
    const tls = this.#tls
    if (tls === null) return createServer(this.#socketOptions, (socket) => enter(new SocketPipe(socket, null)))
    const { handshakeTimeoutMs, strangersMax } = this.#settings
    const server = createTlsServer({ ...this.#socketOptions, ...serverOptions(tls, handshakeTimeoutMs) })
    const doorkeeper = new Doorkeeper(server, strangersMax, trouble)
    server.on('secureConnection', (socket: TLSSocket) => {
      doorkeeper.admit(socket as Socket)
      enter(new SocketPipe(socket as Socket, null, () => clientIdentity(socket, tls)))
    })
    this.#doorkeeper = doorkeeper
    return server
  }

  get #socketOptions(): { noDelay: true; keepAlive: true; keepAliveInitialDelay: number } {
    return { noDelay: true, keepAlive: true, keepAliveInitialDelay: this.#settings.keepAliveMs }
  }

  dial(address: Address, peer: PeerId): Pipe {
    const target = parseAddress(address)
    if (target.port === 0) throw invalidSettings(`peer ${peer} has port 0`, 'Give the port on which it listens.')
    const tls = this.#tls
    if (tls === null) return new SocketPipe(connect({ ...target, ...this.#socketOptions }), 'connect')
    const socket: TLSSocket = connectTls({ ...target, ...this.#socketOptions, ...clientOptions(tls, target.host, peer) })
    // Its certificate was compared with the id during the handshake.
    return new SocketPipe(
      socket as Socket,
      'secureConnect',
      () => null,
      (error) => tlsTrouble(error, `peer ${peer} at ${address}`),
    )
  }

  async close(): Promise<void> {
    this.#doorkeeper?.dismiss()
    if (this.#server !== null) await closeServer(this.#server)
  }
}
