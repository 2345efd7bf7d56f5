import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { connect as connectTls, createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import {
  type Address,
  AntiphonError,
  GREETING_BYTES_MAX,
  invalidArgument,
  type Lane,
  type PeerId,
  type Transport,
  type TransportHandler,
} from '@antiphon/ports'
import { Guard, invalidSettings, type Pipe, Switchboard, tlsTrouble } from '@antiphon/transport-kit'
import { formatAddress, type HostPort, parseAddress } from './address.ts'
import { type TcpSettings, type TcpTransportOptions, tcpSettings } from './options.ts'
import { SocketPipe } from './socket-pipe.ts'
import { clientOptions, contextOf, serverOptions, type TlsMaterial, type TlsOptions, validateTls } from './tls.ts'
import { TlsDoor } from './tls-door.ts'

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
  return new NodeTcpTransport(tcpSettings(options))
}

class NodeTcpTransport implements TcpTransport {
  readonly #settings: TcpSettings
  #tls: TlsOptions | null
  #state: 'idle' | 'starting' | 'started' | 'closed' = 'idle'
  #server: Server | null = null
  #door: TlsDoor | null = null
  #guard: Guard | null = null
  #switchboard: Switchboard | null = null
  /** What was set before `start`. */
  #peers: ReadonlyMap<PeerId, Address> | null = null
  #listening: Promise<NodeJS.ErrnoException | null> | null = null
  #ended: Promise<void> | null = null

  constructor(settings: TcpSettings) {
    this.#settings = settings
    this.#tls = settings.tls
  }

  address(): Address | null {
    const address = this.#state === 'started' ? (this.#server?.address() as AddressInfo | null) : null
    return address === null ? null : formatAddress({ host: address.address, port: address.port })
  }

  reloadTls(material: TlsMaterial): void {
    if (this.#tls === null) throw invalidSettings('this transport was made without TLS', 'Give `tls` when it is made.')
    const tls = { ...this.#tls, ...material }
    validateTls(tls)
    this.#tls = tls
    ;(this.#server as TlsServer | null)?.setSecureContext(contextOf(tls))
  }

  async start(self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void> {
    if (this.#state !== 'idle') throw alreadyUsed()
    if (greeting.length > GREETING_BYTES_MAX) throw invalidArgument(`a greeting of ${greeting.length} bytes is longer than ${GREETING_BYTES_MAX}`)
    const guard = new Guard(handler, this.#settings.clock)
    const switchboard = new Switchboard(self, greeting.slice(), guard, this.#settings, (address, peer) => this.#dial(address, peer))
    const server = this.#makeServer(switchboard, guard)
    this.#state = 'starting'
    this.#guard = guard
    this.#switchboard = switchboard
    this.#server = server
    this.#listening = listen(server, this.#settings.listen)
    const error = await this.#listening
    if (this.#isClosed) throw alreadyUsed()
    if (error !== null) {
      this.#state = 'idle'
      throw cannotListen(this.#settings.listen, error)
    }
    server.on('error', (failure) => guard.strangersTrouble(cannotListen(this.#settings.listen, failure), null))
    this.#state = 'started'
    if (this.#peers !== null) switchboard.setPeers(this.#peers)
  }

  #makeServer(switchboard: Switchboard, guard: Guard): Server {
    const { keepAliveMs, handshakeTimeoutMs, strangersMax } = this.#settings
    const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }
    const tls = this.#tls
    if (tls === null) return createServer(socketOptions, (socket) => switchboard.incoming(new SocketPipe(socket, null)))
    const server = createTlsServer({ ...socketOptions, ...serverOptions(tls, handshakeTimeoutMs) })
    this.#door = new TlsDoor(server, strangersMax, tls, guard, (pipe) => switchboard.incoming(pipe))
    return server
  }

  #dial(address: Address, peer: PeerId): Pipe {
    const target = parseAddress(address)
    if (target.port === 0) throw invalidSettings(`peer ${peer} has port 0`, 'Give the port on which it listens.')
    const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: this.#settings.keepAliveMs }
    const tls = this.#tls
    if (tls === null) return new SocketPipe(connect({ ...target, ...socketOptions }), 'connect')
    const socket: TLSSocket = connectTls({ ...socketOptions, ...clientOptions(tls, target, peer) })
    // Its certificate was compared with the id during the handshake.
    return new SocketPipe(
      socket as Socket,
      'secureConnect',
      () => null,
      (error) => tlsTrouble(error, `peer ${peer} at ${address}`),
    )
  }

  /** A function, because `close` may come while `start` waits. */
  get #isClosed(): boolean {
    return this.#state === 'closed'
  }

  setPeers(peers: ReadonlyMap<PeerId, Address>): void {
    if (this.#isClosed) return
    if (this.#state === 'started') this.#switchboard?.setPeers(peers)
    else this.#peers = new Map(peers)
  }

  send(to: PeerId, pieces: readonly Uint8Array[], lane: Lane): boolean {
    return this.#switchboard?.send(to, pieces, lane) ?? false
  }

  disconnect(peer: PeerId, connection: number): void {
    this.#switchboard?.disconnect(peer, connection)
  }

  close(): Promise<void> {
    this.#ended ??= this.#close()
    return this.#ended
  }

  async #close(): Promise<void> {
    this.#state = 'closed'
    this.#guard?.silence()
    // A server that still looks its host up would listen afterwards.
    await this.#listening
    const server = this.#server
    const serverClosed = server?.listening === true ? new Promise<void>((resolve) => server.close(() => resolve())) : null
    this.#door?.close()
    await this.#switchboard?.close()
    await serverClosed
  }
}

function listen(server: Server, { host, port }: HostPort): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    server.once('error', resolve)
    // Exclusive: in a worker of `node:cluster` too, the port is this replica's alone.
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', resolve)
      resolve(null)
    })
  })
}

function alreadyUsed(): AntiphonError {
  return new AntiphonError('CLOSED', 'the transport was started or closed before', { remedy: 'Make a new transport for each start.' })
}

function cannotListen(at: HostPort, cause: NodeJS.ErrnoException): AntiphonError {
  const address = formatAddress(at)
  if (cause.code === 'EADDRINUSE')
    return invalidSettings(`the address ${address} is in use`, 'End the process that listens there, or choose another port.', cause)
  if (cause.code === 'EACCES') return invalidSettings(`the address ${address} needs privileges`, 'Choose a port above 1023.', cause)
  return invalidSettings(`cannot listen at ${address}: ${cause.message}`, 'Choose an address of this machine, such as `0.0.0.0:7000`.', cause)
}
