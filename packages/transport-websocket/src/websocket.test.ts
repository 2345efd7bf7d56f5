import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type PeerId, peerId, type TransportHandler } from '@antiphon/ports'
import { afterEach, expect, test, vi } from 'vitest'
import { WebSocket } from 'ws'
import { type WebSocketTransport, type WebSocketTransportOptions, webSocketTransport } from './index.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Heard {
  readonly live: Set<PeerId>
  readonly frames: string[]
  readonly codes: string[]
}

async function start(id: number, options: WebSocketTransportOptions): Promise<WebSocketTransport & Heard> {
  const transport = webSocketTransport({ redialMs: { min: 2, max: 20 }, ...options })
  const heard: Heard = { live: new Set(), frames: [], codes: [] }
  const handler: TransportHandler = {
    up: (peer) => heard.live.add(peer).size > 0,
    frame: (_, __, ___, bytes) => heard.frames.push(new TextDecoder().decode(bytes)),
    drain: () => {},
    down: (peer) => heard.live.delete(peer),
    trouble: ({ code }) => heard.codes.push(code),
  }
  await transport.start(peerId(id), new Uint8Array(1), handler)
  closing.push(() => transport.close())
  return Object.assign(transport, heard)
}

const joined = (a: Heard, b: Heard): Promise<void> => vi.waitFor(() => expect([a.live.size, b.live.size]).toEqual([1, 1]), { timeout: 10_000 })

async function application(): Promise<Server> {
  const server = createServer((_, response) => response.end('the application')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => new Promise((resolve) => server.close(resolve)))
  return server
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** The answer's first line to a request to upgrade. */
async function upgrade(port: number, path: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return answer.toString().split('\r\n')[0]!
}

test("an application's own server keeps its requests and its other upgrades; the transport takes its path alone, and lets go of it", async () => {
  const server = await application()
  const a = await start(1, { server, path: '/peers' })
  const b = await start(2, { listen: '127.0.0.1:0' })
  expect(a.address()).toBe(`ws://127.0.0.1:${portOf(server)}/peers`)
  a.setPeers(new Map([[peerId(2), b.address()!]]))
  b.setPeers(new Map([[peerId(1), a.address()!]]))
  await joined(a, b)
  expect(await (await fetch(`http://127.0.0.1:${portOf(server)}/`)).text()).toBe('the application')
  expect(await upgrade(portOf(server), '/elsewhere')).toContain('404')

  server.on('upgrade', (request, socket) => request.url === '/elsewhere' && socket.end('HTTP/1.1 418 theirs\r\n\r\n'))
  expect(await upgrade(portOf(server), '/elsewhere')).toContain('418')

  await a.close()
  expect(server.listening).toBe(true)
  expect(server.listenerCount('upgrade')).toBe(1)
})

test('handleUpgrade takes what is at the path, for servers that look at upgrades by themselves', async () => {
  const server = await application()
  const a = await start(1, {})
  server.on('upgrade', (request, socket, head) => {
    if (!a.handleUpgrade(request, socket, head)) socket.end('HTTP/1.1 404 not here\r\n\r\n')
  })
  expect(a.address()).toBeNull()
  const b = await start(2, {})
  a.setPeers(new Map([[peerId(2), '']]))
  b.setPeers(new Map([[peerId(1), `ws://127.0.0.1:${portOf(server)}/antiphon`]]))
  await joined(a, b)
  // Nobody can dial b; it hears all the same.
  a.send(peerId(2), [new TextEncoder().encode('hello')], 'entries')
  await vi.waitFor(() => expect(b.frames).toEqual(['hello']))
  expect(await upgrade(portOf(server), '/other')).toContain('404 not here')
})

test('many frames of a turn travel in one message', async () => {
  const server = await application()
  const messages: number[] = []
  const a = await start(1, {})
  server.on('upgrade', (request, socket, head) => {
    const emit = socket.emit.bind(socket)
    socket.emit = (event: string | symbol, ...args: unknown[]) => {
      if (event === 'data') messages.push((args[0] as Buffer).length)
      return emit(event, ...args)
    }
    a.handleUpgrade(request, socket, head)
  })
  const b = await start(2, {})
  a.setPeers(new Map([[peerId(2), '']]))
  b.setPeers(new Map([[peerId(1), `ws://127.0.0.1:${portOf(server)}/antiphon`]]))
  await joined(a, b)
  const before = messages.length
  for (let i = 0; i < 500; i++) b.send(peerId(1), [new TextEncoder().encode(`${i}`)], 'entries')
  await vi.waitFor(() => expect(a.frames.length).toBe(500))
  expect(a.frames).toEqual(Array.from({ length: 500 }, (_, i) => `${i}`))
  expect(messages.length - before).toBeLessThan(5)
})

test('text, and messages that are too long, end the connection', async () => {
  const a = await start(1, { listen: '127.0.0.1:0' })
  for (const message of ['a text', new Uint8Array(2 ** 21)]) {
    const socket = new WebSocket(a.address()!)
    await once(socket, 'open')
    socket.send(message)
    await once(socket, 'close')
  }
  expect(a.live.size).toBe(0)
})

test('settings and addresses that make no sense are refused', async () => {
  const server = await application()
  for (const wrong of [
    { listen: '127.0.0.1:0', server },
    { listen: 'nowhere' },
    { path: 'antiphon' },
    { listn: '127.0.0.1:0' },
    { server: 'mine' },
    { secret: 'short' },
    { peersOf: 3 },
    null,
  ] as never[]) {
    expect(() => webSocketTransport(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  }
  const a = await start(1, {})
  a.setPeers(new Map([2, 3, 4].map((id) => [peerId(id), ['127.0.0.1:7000', 'http://127.0.0.1:7000', 'ws://127.0.0.1:0/'][id - 2]!])))
  await vi.waitFor(() => expect(a.codes).toEqual(['INVALID_SETTINGS', 'INVALID_SETTINGS', 'INVALID_SETTINGS']))
})
