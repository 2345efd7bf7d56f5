import { type AddressInfo, createServer, type Server } from 'node:net'
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
import { formatAddress, type HostPort } from './address.ts'
import { Guard } from './guard.ts'
import { invalidSettings, type TcpSettings, type TcpTransportOptions, tcpSettings } from './options.ts'
import { Switchboard } from './switchboard.ts'

export interface TcpTransport extends Transport {
  /** Where it listens, with the real port; null when it does not. */
  address(): Address | null
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
  #state: 'idle' | 'starting' | 'started' | 'closed' = 'idle'
  #server: Server | null = null
  #guard: Guard | null = null
  #switchboard: Switchboard | null = null
  /** What was set before `start`. */
  #peers: ReadonlyMap<PeerId, Address> | null = null
  #listening: Promise<NodeJS.ErrnoException | null> | null = null
  #ended: Promise<void> | null = null

  constructor(settings: TcpSettings) {
    this.#settings = settings
  }

  address(): Address | null {
    const address = this.#state === 'started' ? (this.#server?.address() as AddressInfo | null) : null
    return address === null ? null : formatAddress({ host: address.address, port: address.port })
  }

  async start(self: PeerId, greeting: Uint8Array, handler: TransportHandler): Promise<void> {
    if (this.#state !== 'idle') throw alreadyUsed()
    if (greeting.length > GREETING_BYTES_MAX) throw invalidArgument(`a greeting of ${greeting.length} bytes is longer than ${GREETING_BYTES_MAX}`)
    const guard = new Guard(handler)
    const switchboard = new Switchboard(self, greeting.slice(), guard, this.#settings)
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: this.#settings.keepAliveMs }, (socket) => switchboard.incoming(socket))
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
