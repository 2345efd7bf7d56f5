import { createServer, type Server as HttpServer, type IncomingMessage, STATUS_CODES } from 'node:http'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type Address, AntiphonError, type PeerId } from '@antiphon/ports'
import { type Door, identityOf, invalidSettings, type Pipe, type ProvenIdentity, tlsTrouble } from '@antiphon/transport-kit'
import {
  cannotListen,
  clientIdentity,
  clientOptions,
  closeServer,
  contextOf,
  Doorkeeper,
  listen,
  listeningAt,
  renewedTls,
  serverOptions,
  type TlsMaterial,
  type TlsOptions,
} from '@antiphon/transport-kit/node'
import { WebSocket, WebSocketServer } from 'ws'
import type { WebSocketSettings } from './options.ts'
import { NodeWebSocketPipe } from './pipe.ts'

/** Longer messages are nobody's of ours: a window, and a segment behind it. */
const MESSAGE_BYTES_MAX = 1024 * 1024

type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Both ways to a WebSocket: a server, one's own or the application's, and dialling. */
export class WebSocketDoor implements Door {
  readonly #settings: WebSocketSettings
  readonly #upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MESSAGE_BYTES_MAX, clientTracking: false })
  readonly #onUpgrade: Upgrade = (request, socket, head) => this.#offered(request, socket, head)
  #tls: TlsOptions | null
  #enter: ((pipe: Pipe) => void) | null = null
  #own: HttpServer | HttpsServer | null = null
  #doorkeeper: Doorkeeper | null = null

  constructor(settings: WebSocketSettings) {
    this.#settings = settings
    this.#tls = settings.tls
  }

  address(): Address | null {
    const server = this.#own ?? this.#settings.server
    const at = server === null ? null : listeningAt(server)
    if (server === null || at === null) return null
    const secure = this.#own === null ? 'setSecureContext' in server : this.#tls !== null
    return `${secure ? 'wss' : 'ws'}://${at}${this.#settings.path}`
  }

  reloadTls(material: TlsMaterial): void {
    this.#tls = renewedTls(this.#tls, material, this.#settings.prover !== null)
    ;(this.#own as HttpsServer | null)?.setSecureContext(contextOf(this.#tls))
  }

  async open(enter: (pipe: Pipe) => void, trouble: (error: AntiphonError) => void): Promise<void> {
    this.#enter = enter
    const { listen: at, server } = this.#settings
    server?.on('upgrade', this.#onUpgrade)
    if (at === null) return
    this.#own = this.#makeServer(trouble)
    await listen(this.#own, at)
    this.#own.on('error', (failure) => trouble(cannotListen(at, failure)))
  }

  #makeServer(trouble: (error: AntiphonError) => void): HttpServer | HttpsServer {
    const { handshakeTimeoutMs, strangersMax } = this.#settings
    const options = { headersTimeout: handshakeTimeoutMs, requestTimeout: handshakeTimeoutMs, connectionsCheckingInterval: Math.min(1000, handshakeTimeoutMs) }
    const server: HttpServer | HttpsServer =
      this.#tls === null ? createServer(options) : createHttpsServer({ ...options, ...serverOptions(this.#tls, handshakeTimeoutMs) })
    this.#doorkeeper = new Doorkeeper(server, strangersMax, trouble)
    server.on('upgrade', this.#onUpgrade)
    server.on('request', (request, response) => {
      trouble(stranger(request.socket, `a ${request.method} request`))
      response.writeHead(426, { Upgrade: 'websocket', Connection: 'close' }).end()
    })
    server.on('clientError', (error, socket) => {
      if (!socket.destroyed) trouble(stranger(socket as Socket, error.message))
      socket.destroy()
    })
    this.#upgrades.on('wsClientError', (error, _, request) => trouble(stranger(request.socket, error.message)))
    return server
  }

  #offered(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.handleUpgrade(request, socket, head)) return
    const server = this.#own ?? this.#settings.server
    // Somebody else may know what to do with it.
    if (server !== null && server.listenerCount('upgrade') === 1) refuse(socket, 404)
  }

  /** Takes a request to upgrade, if it is for us. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (request.url?.split('?')[0] !== this.#settings.path) return false
    const enter = this.#enter
    if (enter === null) {
      refuse(socket, 503)
      return true
    }
    const raw = request.socket
    this.#doorkeeper?.admit(raw)
    this.#upgrades.handleUpgrade(request, socket, head, (accepted) => {
      const { keepAliveMs } = this.#settings
      if (this.#enter === null) accepted.terminate()
      else enter(new NodeWebSocketPipe(accepted, { socket: raw, proven: this.#proven(raw), keepAliveMs, explain: (error) => error }))
    })
    return true
  }

  #proven(socket: Socket): ProvenIdentity | null {
    if (!(socket instanceof TLSSocket)) return null
    if (this.#own !== null && this.#tls !== null) return clientIdentity(socket, this.#tls)
    const { peersOf } = this.#settings
    // Nobody vouches for a certificate that the server has not verified.
    return peersOf === null ? null : identityOf(socket.authorized ? socket.getPeerCertificate() : {}, socket.authorized ? peersOf : () => [])
  }

  dial(address: Address, peer: PeerId): Pipe {
    const url = urlOf(address)
    const { handshakeTimeoutMs, keepAliveMs } = this.#settings
    if (this.#tls !== null && url.protocol === 'ws:')
      throw invalidSettings(`${address} of peer ${peer} is not encrypted, and this member is to use TLS`, 'Write it as `wss://…`.')
    const tls = url.protocol === 'wss:' && this.#tls !== null ? clientOptions(this.#tls, url.hostname.replace(/^\[|\]$/g, ''), peer) : {}
    const socket = new WebSocket(url, {
      ...tls,
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
      handshakeTimeout: handshakeTimeoutMs,
      // Between servers masks are of no use; those of zeros cost nothing.
      generateMask: (mask) => mask.fill(0),
    })
    return new NodeWebSocketPipe(socket, { socket: null, proven: null, keepAliveMs, explain: (error) => tlsTrouble(error, `peer ${peer} at ${address}`) })
  }

  async close(): Promise<void> {
    this.#enter = null
    this.#settings.server?.off('upgrade', this.#onUpgrade)
    this.#doorkeeper?.dismiss()
    if (this.#own !== null) await closeServer(this.#own)
  }
}

function stranger({ remoteAddress, remotePort }: Socket, what: string): AntiphonError {
  return new AntiphonError('CORRUPT', `${remoteAddress}:${remotePort} sent what is not Antiphon's: ${what}`, {
    remedy: 'The connection was closed. Let only members reach this port.',
  })
}

function refuse(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** @throws AntiphonError INVALID_SETTINGS */
function urlOf(address: Address): URL {
  const url = URL.canParse(address) ? new URL(address) : null
  if (url === null || (url.protocol !== 'ws:' && url.protocol !== 'wss:') || url.hash !== '' || url.port === '0')
    throw invalidSettings(`"${address}" is not an address of a WebSocket`, 'Write it as `ws://host:port/antiphon` or `wss://host:port/antiphon`.')
  return url
}
