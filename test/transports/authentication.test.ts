import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Authority, newAuthority } from '@antiphon/cli'
import { type TcpTransport, type TlsOptions, tcpTransport } from '@antiphon/transport-tcp'
import { type WebSocketTransport, webSocketTransport } from '@antiphon/transport-websocket'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connected, introduce, Node, until } from './node.ts'

interface Options {
  readonly secret?: string | readonly string[]
  readonly tls?: TlsOptions
  readonly strangersMax?: number
  readonly handshakeTimeoutMs?: number
}

const MAKERS = {
  TCP: (options: Options): TcpTransport => tcpTransport({ listen: '127.0.0.1:0', redialMs: { min: 2, max: 20 }, ...options }),
  WebSocket: (options: Options): WebSocketTransport => webSocketTransport({ listen: '127.0.0.1:0', redialMs: { min: 2, max: 20 }, ...options }),
}

type Either = TcpTransport | WebSocketTransport

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

const port = (node: Node): number => Number(/:(\d+)(\/|$)/.exec(node.transport.address()!)![1])

const OLD = 'a secret of at least sixteen bytes'
const NEW = 'another secret that takes its place'

describe.each(Object.entries(MAKERS))('%s', (_, make: (options: Options) => Either) => {
  async function start(id: number, options: Options = {}): Promise<Node<Either>> {
    const node = new Node(id, make(options))
    open.push(node.transport)
    return await node.start()
  }

  describe('a shared secret', () => {
    test('lets in those who know it, whoever dials', async () => {
      const [a, b, c] = [await start(1, { secret: OLD }), await start(2, { secret: OLD }), await start(3, { secret: OLD })]
      introduce(a, b, c)
      await until(() => connected(a, b) && connected(b, c) && connected(a, c))
      expect(a.heard).toContain('up 2 greeting of 2')
      a.say(b, 'x')
      await until(() => b.frames.some(({ bytes }) => bytes.length === 1))
      expect([...a.codes(), ...b.codes(), ...c.codes()]).toEqual([])
    })

    test('keeps out who has another, or none, and both sides are told', async () => {
      for (const [first, second] of [
        [OLD, NEW],
        [OLD, undefined],
        [undefined, OLD],
      ]) {
        const [a, b] = [await start(1, first === undefined ? {} : { secret: first }), await start(2, second === undefined ? {} : { secret: second })]
        introduce(a, b)
        await until(() => a.codes().includes('UNAUTHENTICATED') && b.codes().includes('UNAUTHENTICATED'))
        expect([a.heard, b.heard]).toEqual([[], []])
        await Promise.all([a.transport.close(), b.transport.close()])
      }
    })

    test('is replaced without an interruption: added, made the first, the old one dropped', async () => {
      const steps = [[OLD], [OLD, NEW], [NEW, OLD], [NEW]]
      for (let step = 1; step < steps.length; step++) {
        const [a, b] = [await start(1, { secret: steps[step - 1]! }), await start(2, { secret: steps[step]! })]
        introduce(a, b)
        await until(() => connected(a, b))
        await Promise.all([a.transport.close(), b.transport.close()])
      }
    })

    test('that is short, empty or no secret at all is refused at once, and never shown', () => {
      for (const secret of ['short', [], [OLD, ''], 17, new Uint8Array(15)] as never[]) {
        expect(() => make({ secret })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
      }
      try {
        make({ secret: 'hush' })
      } catch (error) {
        expect(String(error)).not.toContain('hush')
      }
    })
  })

  describe('TLS', () => {
    let authority: Authority
    let other: Authority
    beforeAll(async () => {
      authority = await newAuthority()
      other = await newAuthority()
    })

    test('connects members whose certificates name them', async () => {
      const [a, b, c] = await Promise.all([1, 2, 3].map(async (id) => start(id, { tls: await authority.member(id) })))
      introduce(a!, b!, c!)
      await until(() => connected(a!, b!) && connected(b!, c!) && connected(a!, c!))
      const large = new Uint8Array(3_000_000).fill(9)
      expect(a!.say(b!, large, 'bulk')).toBe(true)
      a!.say(b!, 'small', 'control')
      await until(() => b!.frames.length === 2)
      expect(Buffer.compare(b!.frames.find(({ lane }) => lane === 'bulk')!.bytes, large)).toBe(0)
      expect([...a!.codes(), ...b!.codes()]).toEqual([])
    })

    test('keeps out a certificate of another authority, of another id, out of date, or none', async () => {
      const impostors: Options[] = [
        { tls: { ...(await other.member(2)), ca: authority.ca } },
        { tls: await authority.member(3) },
        { tls: await authority.member(2, { expired: true }) },
        {},
      ]
      for (const options of impostors) {
        for (const [id, mine] of [
          [2, 1],
          [2, 3],
        ] as const) {
          const a = await start(mine, { tls: await authority.member(mine) })
          const b = await start(id, options)
          introduce(a, b)
          // A WebSocket's address tells already that the impostor does without TLS.
          await until(() => a.codes().some((code) => code === 'UNAUTHENTICATED' || (options.tls === undefined && code === 'INVALID_SETTINGS')))
          expect([a.heard, b.heard]).toEqual([[], []])
          await Promise.all([a.transport.close(), b.transport.close()])
        }
      }
    })

    test('can be told by whom a certificate speaks', async () => {
      const peersOf = (): number[] => [1, 2]
      const [a, b] = [
        await start(1, { tls: { ...(await authority.member(9)), peersOf } }),
        await start(2, { tls: { ...(await authority.member(8)), peersOf } }),
      ]
      introduce(a, b)
      await until(() => connected(a, b))
    })

    test('with server certificates alone needs a secret besides', async () => {
      const tls = { ...(await authority.member(1)), mutual: false }
      expect(() => make({ tls })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
      const [a, b] = [await start(1, { tls, secret: OLD }), await start(2, { tls: { ...(await authority.member(2)), mutual: false }, secret: OLD })]
      introduce(a, b)
      await until(() => connected(a, b))
    })

    test('takes renewed certificates without a restart; connections that are up stay', async () => {
      const [a, b] = [await start(1, { tls: await authority.member(1) }), await start(2, { tls: await authority.member(2) })]
      introduce(a, b)
      await until(() => connected(a, b))
      const trusted = [authority.ca, other.ca]
      a.transport.reloadTls({ ...(await other.member(1)), ca: trusted })
      expect(a.heard.length).toBe(1)
      const number = a.live(b)
      // b does not trust the new authority yet.
      a.transport.disconnect(b.id, number)
      await until(() => a.codes().includes('UNAUTHENTICATED') || b.codes().includes('UNAUTHENTICATED'))
      expect(connected(a, b)).toBe(false)
      b.transport.reloadTls({ ...(await other.member(2)), ca: trusted })
      await until(() => connected(a, b))
      expect(() => b.transport.reloadTls({ key: 'x', cert: 'y', ca: 'z' })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
      expect(connected(a, b)).toBe(true)
    })

    test('bounds those who do not finish its handshake, and those behind it who say nothing', async () => {
      const a = await start(1, { tls: await authority.member(1), strangersMax: 2, handshakeTimeoutMs: 60_000 })
      const silent: Socket[] = []
      for (let i = 0; i < 4; i++) {
        const socket = connect(port(a), '127.0.0.1').on('error', () => {})
        socket.resume()
        await once(socket, 'connect')
        silent.push(socket)
      }
      await until(() => silent.filter((socket) => socket.closed).length === 2)
      const quiet: Socket[] = []
      for (let i = 0; i < 4; i++) {
        const socket = connectTls({ port: port(a), host: '127.0.0.1', ...(await authority.member(2)), checkServerIdentity: () => undefined } as never)
        socket.on('error', () => {})
        socket.resume()
        await once(socket, 'secureConnect')
        quiet.push(socket)
      }
      await until(() => quiet.filter((socket) => socket.closed).length === 2)
      const b = await start(2, { tls: await authority.member(2) })
      introduce(a, b)
      await until(() => connected(a, b))
    })

    test('settings that make no sense are refused at once', async () => {
      const tls = await authority.member(1)
      for (const wrong of [
        { ...tls, key: 'nonsense' },
        { key: tls.key, cert: tls.cert },
        { ...tls, mutal: true },
        { ...tls, key: (await authority.member(2)).key },
        'tls',
      ] as never[]) {
        expect(() => make({ tls: wrong })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
      }
      await expect(async () => (await start(1)).transport.reloadTls(tls)).rejects.toMatchObject({ code: 'INVALID_SETTINGS' })
    })
  })
})
