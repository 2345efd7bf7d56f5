import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { FRAME_BYTES_MAX, type Lane, peerId } from '@antiphon/ports'
import { HEAD_BYTES, NONCE_BYTES, PROOF_BYTES, PROTOCOL_VERSION, REFUSAL, SIGNAL, writeHead } from '@antiphon/transport-kit'
import { afterEach, describe, expect, test } from 'vitest'
import { type TcpTransportOptions, tcpTransport } from './index.ts'
import { bytes, connected, introduce, Node, Puppet, Relay, text, until } from './node.test-support.ts'

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

async function start(id: number, options: Partial<TcpTransportOptions> = {}): Promise<Node> {
  const node = new Node(id, options)
  open.push(node.transport)
  return await node.start()
}

async function pair(options: Partial<TcpTransportOptions> = {}): Promise<[Node, Node]> {
  const [a, b] = [await start(1, options), await start(2, options)]
  introduce(a, b)
  await until(() => connected(a, b))
  return [a, b]
}

/** A port at which nobody listens. */
async function deadAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = `127.0.0.1:${(server.address() as { port: number }).port}`
  server.close()
  await once(server, 'close')
  return address
}

/** What keeps the process alive: sockets and servers (our timers do not). */
const handles = (): string[] => process.getActiveResourcesInfo().filter((each) => /TCP|Connect/.test(each))

describe('connecting', () => {
  test('both sides hear up once, with the greeting of the other, however they dial', async () => {
    for (let round = 0; round < 40; round++) {
      const [a, b] = await pair()
      a.say(b, 'from a')
      b.say(a, 'from b')
      await until(() => a.frames.length === 1 && b.frames.length === 1)
      expect(a.heard).toEqual(['up 2 greeting of 2'])
      expect(b.heard).toEqual(['up 1 greeting of 1'])
      await Promise.all([a.transport.close(), b.transport.close()])
    }
  })

  test('one dials and the other has no right address: they connect, whichever it is', async () => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const [dialler, listener] = [await start(first), await start(second)]
      listener.transport.setPeers(new Map([[dialler.id, await deadAddress()]]))
      dialler.transport.setPeers(new Map([[listener.id, listener.address]]))
      await until(() => connected(dialler, listener))
    }
  })

  test('peers that are set before the start are dialled after it', async () => {
    const a = await start(1)
    const b = new Node(2)
    open.push(b.transport)
    b.transport.setPeers(new Map([[a.id, a.address]]))
    a.transport.setPeers(new Map([[b.id, await deadAddress()]]))
    await b.start()
    await until(() => connected(a, b))
  })

  test('a peer that comes late, goes and comes back is found each time, under a new number', async () => {
    const a = await start(1)
    const first = await start(2)
    const address = first.address
    await first.transport.close()
    a.transport.setPeers(new Map([[peerId(2), address]]))
    let number = 0
    for (let round = 0; round < 3; round++) {
      const b = await start(2, { listen: address })
      b.transport.setPeers(new Map([[a.id, a.address]]))
      await until(() => connected(a, b))
      expect(a.live(b)).toBeGreaterThan(number)
      number = a.live(b)
      await b.transport.close()
      await until(() => a.live(b) === 0)
    }
    expect(a.heard.filter((each) => each.startsWith('up')).length).toBe(3)
  })

  test('a refused connection is never down on the side that refused it, and is tried again', async () => {
    for (const [first, second] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const [a, b] = [await start(first), await start(second)]
      a.also.up = () => a.heard.length > 5
      introduce(a, b)
      await until(() => connected(a, b))
      expect(a.heard.every((each) => each.startsWith('up'))).toBe(true)
    }
  })

  test('disconnect is heard as down in a later turn; a stale number does nothing', async () => {
    const [a, b] = await pair()
    const before = a.live(b)
    a.transport.disconnect(b.id, before + 1)
    expect(a.say(b, 'x')).toBe(true)
    a.transport.disconnect(b.id, before)
    expect(a.say(b, 'too late')).toBe(false)
    expect(a.heard.length).toBe(1)
    await until(() => connected(a, b) && a.live(b) > before)
    expect(a.heard).toEqual(['up 2 greeting of 2', 'down 2 closed on this side', 'up 2 greeting of 2'])
    expect(b.heard.length).toBe(3)
    expect(b.texts()).not.toContain('too late')
  })

  test('disconnect inside up, and inside a frame, is safe', async () => {
    const [a, b] = [await start(1), await start(2)]
    let times = 0
    a.also.up = (peer, connection) => {
      if (times++ < 3) a.transport.disconnect(peer, connection)
      return true
    }
    introduce(a, b)
    await until(() => connected(a, b) && times > 3)
    b.also.frame = (peer, connection) => b.transport.disconnect(peer, connection)
    const before = b.live(a)
    for (let i = 0; i < 10; i++) a.say(b, `${i}`)
    await until(() => connected(a, b) && b.live(a) > before)
    expect(b.texts()).toEqual(['0'])
  })

  test('a peer that is no longer listed goes down and stays away; listed again, it is back', async () => {
    const [a, b] = await pair()
    a.transport.setPeers(new Map())
    expect(a.say(b, 'x')).toBe(false)
    await until(() => a.heard.includes('down 2 no longer a peer'))
    await until(() => b.codes().includes('UNKNOWN_PEER') && a.codes().includes('UNKNOWN_PEER'))
    expect(a.heard.length).toBe(2)
    a.transport.setPeers(new Map([[b.id, b.address]]))
    await until(() => connected(a, b))
  })

  test('a changed address is dialled at once, even if the old one still keeps us waiting', async () => {
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const [a, b] = [await start(1, { redialMs: { min: 60_000, max: 60_000 }, handshakeTimeoutMs: 60_000 }), await start(2)]
    b.transport.setPeers(new Map([[a.id, await deadAddress()]]))
    a.transport.setPeers(new Map([[b.id, `127.0.0.1:${(silent.address() as { port: number }).port}`]]))
    await once(silent, 'connection')
    a.transport.setPeers(new Map([[b.id, b.address]]))
    await until(() => connected(a, b))
    silent.close()
  })

  test('two hundred reconnections leave nothing behind', async () => {
    const before = handles().length
    const [a, b] = await pair({ redialMs: { min: 1, max: 1 } })
    const settled = handles().length
    for (let round = 0; round < 200; round++) {
      const [first, second] = round % 2 === 0 ? [a, b] : [b, a]
      const number = first.live(second)
      first.transport.disconnect(second.id, number)
      await until(() => connected(a, b) && first.live(second) > number)
    }
    await until(() => handles().length <= settled)
    a.say(b, 'still there')
    await until(() => b.texts().includes('still there'))
    await Promise.all([a.transport.close(), b.transport.close()])
    await until(() => handles().length <= before)
  })
})

describe('frames', () => {
  /** Bytes that tell their place. */
  const pattern = (length: number, seed: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >>> 8) * 7 + seed) & 0xff)

  test('arrive in order on each lane, whole, and stay as they are', async () => {
    const [a, b] = await pair()
    const lanes: Lane[] = ['control', 'entries', 'bulk']
    const sent: Record<Lane, Uint8Array[]> = { control: [], entries: [], bulk: [] }
    for (let i = 0; i < 400; i++) {
      const lane = lanes[i % 3] as Lane
      const frame = pattern(i % 50 === 0 ? 300_000 + i : i % 7 === 0 ? 9000 + i : i, i)
      expect(a.transport.send(b.id, [frame.subarray(0, i), frame.subarray(i)], lane)).toBe(true)
      sent[lane].push(frame)
      if (i % 40 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => b.frames.length === 400)
    for (const lane of lanes) {
      const got = b.frames.filter((frame) => frame.lane === lane)
      expect(got.length).toBe(sent[lane].length)
      got.forEach((frame, i) => expect(Buffer.compare(frame.bytes, sent[lane][i] as Uint8Array)).toBe(0))
    }
  })

  test('are plain views, for which slice() copies', async () => {
    const [a, b] = await pair()
    a.say(b, 'x')
    await until(() => b.frames.length === 1)
    expect(Buffer.isBuffer(b.frames[0]?.bytes)).toBe(false)
  })

  test('up to the limit are carried, and a heartbeat passes the longest one', async () => {
    const [a, b] = await pair()
    expect(a.transport.send(b.id, [new Uint8Array(FRAME_BYTES_MAX - 10), pattern(10, 3)], 'entries')).toBe(true)
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    a.say(b, 'heartbeat', 'control')
    await until(() => b.frames.length === 2)
    expect(b.frames.map((frame) => [frame.lane, frame.bytes.length])).toEqual([
      ['control', 9],
      ['entries', FRAME_BYTES_MAX],
    ])
    expect(b.frames[1]?.bytes.slice(-10)).toEqual(pattern(10, 3))
  })

  test('beyond the limit end the connection with TOO_LARGE', async () => {
    const [a, b] = await pair()
    expect(a.transport.send(b.id, [new Uint8Array(FRAME_BYTES_MAX), new Uint8Array(1)], 'bulk')).toBe(false)
    expect(a.troubles).toEqual([])
    await until(() => a.heard.includes('down 2 a frame was too long'))
    expect(a.troubles[0]).toMatchObject({ error: { code: 'TOO_LARGE' }, peer: 2 })
  })

  test('to a peer that has stopped reading are refused in time, and the others get theirs; drain follows', async () => {
    const a = await start(1, { laneBytesMax: { entries: 1024 * 1024 } })
    const b = await start(2)
    a.transport.setPeers(
      new Map([
        [b.id, b.address],
        [peerId(9), await deadAddress()],
      ]),
    )
    b.transport.setPeers(new Map([[a.id, a.address]]))
    const stuck = await Puppet.connected(a, 9)
    await until(() => connected(a, b))
    stuck.socket.pause()
    const chunk = new Uint8Array(100_000)
    let taken = 0
    let refusals = 0
    await until(() => {
      const before = taken
      while (a.transport.send(peerId(9), [chunk], 'entries')) taken += 1
      refusals = taken === before ? refusals + 1 : 0
      return refusals > 20
    })
    expect(a.transport.send(peerId(9), [chunk], 'control')).toBe(true)
    for (let i = 0; i < 100; i++) expect(a.say(b, `${i}`)).toBe(true)
    await until(() => b.frames.length === 100)
    const drains = a.heard.filter((each) => each === 'drain 9').length
    stuck.socket.resume()
    await until(() => a.heard.filter((each) => each === 'drain 9').length > drains)
    await until(() => stuck.frames.filter((frame) => frame.lane === 1).length === taken)
    expect(a.transport.send(peerId(9), [chunk], 'entries')).toBe(true)
  })

  test('of a handler that throws: its connection ends, the next is fine, and others never notice', async () => {
    const [a, b] = await pair()
    const c = await start(3)
    introduce(a, b, c)
    await until(() => connected(a, c) && connected(b, c))
    let times = 0
    b.also.frame = () => {
      if (times++ === 0) throw new Error('boom')
    }
    a.say(b, '0')
    a.say(b, '1')
    await until(() => b.heard.includes('down 1 the handler failed'))
    expect(b.texts()).toEqual(['0'])
    expect(b.troubles[0]).toMatchObject({ error: { code: 'ABORTED', cause: new Error('boom') }, peer: 1 })
    await until(() => connected(a, b))
    a.say(b, '2')
    a.say(c, 'c')
    await until(() => b.texts().includes('2') && c.texts().includes('c'))
    expect(c.heard.filter((each) => each.startsWith('down'))).toEqual([])
  })

  test('sent inside up are the first that the peer gets', async () => {
    const [a, b] = [await start(1), await start(2)]
    for (const node of [a, b]) node.also.up = (peer) => node.transport.send(peer, [bytes('IDENTITY')], 'control')
    introduce(a, b)
    await until(() => a.frames.length > 0 && b.frames.length > 0)
    expect([a.texts()[0], b.texts()[0]]).toEqual(['IDENTITY', 'IDENTITY'])
  })
})

describe('half-open connections', () => {
  test('give way to the peer that has restarted elsewhere', async () => {
    const b = await start(2, { probeTimeoutMs: 30 })
    const relay = await Relay.before(b.port)
    open.push(relay)
    const a = await start(1)
    a.transport.setPeers(new Map([[b.id, relay.address]]))
    b.transport.setPeers(new Map([[a.id, await deadAddress()]]))
    await until(() => connected(a, b))
    relay.freeze()
    await a.transport.close()
    expect(b.say(a, 'into the void')).toBe(true)
    const restarted = await start(1)
    restarted.transport.setPeers(new Map([[b.id, b.address]]))
    await until(() => restarted.live(b) > 0)
    expect(b.heard).toEqual(['up 1 greeting of 1', 'down 1 no sign of life, and the peer has connected anew', 'up 1 greeting of 1'])
    b.say(restarted, 'hello again')
    await until(() => restarted.texts().includes('hello again'))
  })

  test('and the same the other way round, where the higher id has restarted', async () => {
    const a = await start(1, { probeTimeoutMs: 30 })
    const relay = await Relay.before(a.port)
    open.push(relay)
    const b = await start(2)
    b.transport.setPeers(new Map([[a.id, relay.address]]))
    a.transport.setPeers(new Map([[b.id, await deadAddress()]]))
    await until(() => connected(a, b))
    relay.freeze()
    await b.transport.close()
    const restarted = await start(2)
    restarted.transport.setPeers(new Map([[a.id, a.address]]))
    await until(() => connected(a, restarted))
    expect(a.heard[1]).toBe('down 2 no sign of life, and the peer has connected anew')
  })

  test('a second process with the same id is refused while the first one lives', async () => {
    const [a, b] = await pair()
    const twin = await start(1)
    twin.transport.setPeers(new Map([[b.id, b.address]]))
    await until(() => b.codes().includes('UNKNOWN_PEER'))
    expect(b.troubles[0]?.error.message).toContain('second process')
    expect(twin.heard).toEqual([])
    a.say(b, 'x')
    await until(() => b.texts().includes('x'))
    expect(b.heard.length).toBe(1)
  })
})

describe('strangers', () => {
  test('who send garbage are told as trouble and hung up on, and the peers never notice', async () => {
    const [a, b] = await pair()
    for (const content of ['GET / HTTP/1.1\r\n\r\n', '\0', 'Antp']) {
      const socket = connect(a.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(content)
      socket.resume()
      await once(socket, 'close')
    }
    await until(() => a.troubles.length === 2)
    expect(a.codes()).toEqual(['CORRUPT', 'CORRUPT'])
    for (const { error } of a.troubles) expect(error.message).toMatch(/^127\.0\.0\.1:\d+ sent/)
    expect([a.heard.length, b.heard.length]).toEqual([1, 1])
  })

  test('who say nothing are hung up on after a while, and the oldest makes room for others', async () => {
    const a = await start(1, { handshakeTimeoutMs: 500, strangersMax: 3 })
    const sockets: Socket[] = []
    for (let i = 0; i < 5; i++) {
      const socket = connect(a.port, '127.0.0.1').on('error', () => {})
      socket.resume()
      await once(socket, 'connect')
      sockets.push(socket)
    }
    await until(() => sockets.filter((socket) => socket.closed).length >= 2)
    expect(sockets.slice(3).some((socket) => socket.closed)).toBe(false)
    const b = await start(2)
    introduce(a, b)
    await until(() => connected(a, b))
    await until(() => sockets.every((socket) => socket.closed))
    expect(a.heard.length).toBe(1)
  })

  test('whom nobody knows are told on both sides', async () => {
    const [a, b] = [await start(1), await start(2)]
    a.transport.setPeers(new Map())
    b.transport.setPeers(new Map([[a.id, a.address]]))
    await until(() => a.troubles.length > 0 && b.troubles.length > 0)
    expect(a.troubles[0]).toMatchObject({ error: { code: 'UNKNOWN_PEER' }, peer: 2 })
    expect(b.troubles[0]).toMatchObject({ error: { code: 'UNKNOWN_PEER' }, peer: 1 })
    expect([a.heard, b.heard]).toEqual([[], []])
  })

  test('before the peers are known, everybody is sent away without a word', async () => {
    const a = await start(1)
    const puppet = Puppet.dial(a.port, 2).sayHello(1)
    await until(() => puppet.closed)
    expect(puppet.signals).toEqual([SIGNAL.refusal + REFUSAL.busy])
    expect(a.troubles).toEqual([])
  })

  test('an address where another peer answers is told on both sides', async () => {
    const [a, b, c] = [await start(1), await start(2), await start(3)]
    introduce(a, c)
    b.transport.setPeers(new Map([[a.id, c.address]]))
    await until(() => b.troubles.length > 0 && c.troubles.length > 0)
    expect(b.troubles[0]?.error.message).toContain('answers peer 3, not peer 1')
    expect(c.troubles[0]?.error).toMatchObject({ code: 'UNKNOWN_PEER' })
    expect(b.heard).toEqual([])
  })

  test('an address that leads to ourselves is told once', async () => {
    const a = await start(1)
    a.transport.setPeers(new Map([[peerId(2), a.address]]))
    await until(() => a.troubles.length > 0)
    expect(a.troubles[0]?.error.message).toContain('this very process')
    const b = await start(3)
    introduce(a, b)
    await until(() => connected(a, b))
    expect(a.troubles.length).toBe(1)
  })

  test('another version is refused, and told with both numbers', async () => {
    const a = await start(1)
    a.transport.setPeers(new Map([[peerId(2), await deadAddress()]]))
    const puppet = Puppet.dial(a.port, 2).sayHello(1, { version: PROTOCOL_VERSION + 1 })
    await until(() => puppet.closed)
    expect(puppet.signals).toEqual([SIGNAL.refusal + REFUSAL.version])
    expect(a.troubles[0]).toMatchObject({ error: { code: 'VERSION_MISMATCH' }, peer: 2 })
  })

  test('floods of trouble are told up to a rate, then counted', async () => {
    const a = await start(1)
    a.transport.setPeers(new Map())
    for (let i = 0; i < 60; i++) {
      const socket = connect(a.port, '127.0.0.1').on('error', () => {})
      socket.end('?')
      socket.resume()
      await once(socket, 'close')
    }
    expect(a.troubles.length).toBeGreaterThanOrEqual(32)
    expect(a.troubles.length).toBeLessThan(60)
  })
})

describe('peers that break the protocol', () => {
  async function withPuppet(id: number): Promise<[Node, Puppet]> {
    const a = await start(5)
    a.transport.setPeers(new Map([[peerId(id), await deadAddress()]]))
    return [a, await Puppet.connected(a, id)]
  }

  test('by an unknown kind of frame, a length above the limit or a second accept go down, with trouble', async () => {
    for (const [kind, length] of [
      [77, 0],
      [1, FRAME_BYTES_MAX + 1],
      [SIGNAL.accept, 0],
    ] as const) {
      const [a, puppet] = await withPuppet(2)
      puppet.say(1, 'fine')
      const head = new Uint8Array(HEAD_BYTES)
      writeHead(head, 0, length, kind)
      puppet.socket.write(head)
      await until(() => puppet.closed && a.live(peerId(2)) === 0)
      expect(a.texts()).toEqual(['fine'])
      expect(a.troubles[0]).toMatchObject({ error: { code: 'CORRUPT' }, peer: 2 })
    }
  })

  test('by a frame before they were accepted are hung up on', async () => {
    const a = await start(5)
    a.transport.setPeers(new Map([[peerId(9), await deadAddress()]]))
    const puppet = Puppet.dial(a.port, 9).sayHello(5).introduce()
    puppet.say(0, 'too early')
    await until(() => puppet.closed)
    expect([a.heard, a.frames]).toEqual([[], []])
    expect(a.codes()).toEqual(['CORRUPT'])
  })

  test('by accepting where the other one decides are hung up on', async () => {
    const a = await start(5)
    a.transport.setPeers(new Map([[peerId(2), await deadAddress()]]))
    const puppet = Puppet.dial(a.port, 2).sayHello(5).introduce()
    puppet.signal(SIGNAL.accept)
    await until(() => puppet.closed)
    expect([a.heard, a.codes()]).toEqual([[], ['CORRUPT']])
  })

  test('by deciding before they have introduced themselves are hung up on', async () => {
    const a = await start(5)
    a.transport.setPeers(new Map([[peerId(9), await deadAddress()]]))
    const puppet = Puppet.dial(a.port, 9).sayHello(5)
    puppet.signal(SIGNAL.accept)
    await until(() => puppet.closed)
    expect([a.heard, a.codes()]).toEqual([[], ['CORRUPT']])
  })

  test('and whom the handler declines is told so', async () => {
    const a = await start(5)
    a.transport.setPeers(new Map([[peerId(2), await deadAddress()]]))
    a.also.up = () => false
    const puppet = Puppet.dial(a.port, 2).sayHello(5).introduce()
    puppet.signal(SIGNAL.ready)
    await until(() => puppet.closed)
    expect(puppet.signals).toEqual([SIGNAL.refusal + REFUSAL.declined])
  })

  test('with a wrong proof are told so and learn nothing of ours', async () => {
    const a = await start(5, { secret: 'a secret of at least sixteen bytes' })
    a.transport.setPeers(new Map([[peerId(2), '127.0.0.1:1']]))
    const proofs: Uint8Array[] = [new Uint8Array(PROOF_BYTES), new Uint8Array(PROOF_BYTES).fill(7)]
    for (const proof of proofs) {
      const puppet = Puppet.dial(a.port, 2).sayHello(5, { withSecret: true, nonce: new Uint8Array(NONCE_BYTES) })
      await until(() => puppet.hello !== null)
      puppet.introduce(proof)
      await until(() => puppet.closed)
      // Nothing of ours was given away, neither a proof nor the greeting.
      expect([puppet.introduced, puppet.signals]).toEqual([false, [SIGNAL.refusal + REFUSAL.unauthenticated]])
    }
    expect(a.heard).toEqual([])
  })

  test('by never accepting hold up nobody, and make room for their next attempt', async () => {
    const a = await start(5, { handshakeTimeoutMs: 60_000 })
    a.transport.setPeers(new Map([[peerId(9), await deadAddress()]]))
    const puppets: Puppet[] = []
    for (let i = 0; i < 6; i++) {
      const puppet = Puppet.dial(a.port, 9).sayHello(5).introduce()
      await until(() => puppet.introduced)
      puppets.push(puppet)
    }
    await until(() => puppets[0]?.closed === true && puppets[1]?.closed === true)
    puppets[5]?.signal(SIGNAL.accept)
    await until(() => a.live(peerId(9)) > 0)
    await until(() => puppets.slice(0, 5).every((puppet) => puppet.closed))
    expect(puppets[5]?.closed).toBe(false)
  })

  test('by sending byte by byte are read all the same', async () => {
    const [a, puppet] = await withPuppet(9)
    const content = Buffer.concat([head(11, 1), bytes('hello world'), head(0, 0), head(2, 2), bytes('ok')])
    for (const byte of content) {
      puppet.socket.write(Uint8Array.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => a.frames.length === 3)
    expect(a.frames.map((frame) => `${frame.lane} ${text(frame.bytes)}`)).toEqual(['entries hello world', 'control ', 'bulk ok'])
  })

  function head(length: number, lane: number): Uint8Array {
    const bytes = new Uint8Array(HEAD_BYTES)
    writeHead(bytes, 0, length, lane)
    return bytes
  }
})

describe('starting and closing', () => {
  test('a port in use is refused with a remedy, and the start can be tried again', async () => {
    const a = await start(1)
    const b = new Node(2, { listen: a.address })
    open.push(b.transport)
    await expect(b.start()).rejects.toMatchObject({ code: 'INVALID_SETTINGS', outcome: 'rejected', remedy: expect.stringContaining('port') })
    await a.transport.close()
    await b.start()
    expect(b.address).toBe(`127.0.0.1:${b.port}`)
  })

  test('an address that is not of this machine is refused', async () => {
    await expect(new Node(1, { listen: '203.0.113.1:0' }).start()).rejects.toMatchObject({ code: 'INVALID_SETTINGS' })
  })

  test('impossible settings are refused at once', () => {
    const wrong: Partial<TcpTransportOptions>[] = [
      { listen: 'nowhere' },
      { redialMs: { min: 10, max: 1 } },
      { laneBytesMax: { control: 0 } },
      { strangersMax: Number.NaN },
      { handshakeTimeoutMs: -1 },
      { keepAliveMs: 2 ** 31 },
    ]
    for (const options of wrong)
      expect(() => tcpTransport({ listen: '127.0.0.1:0', ...options })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  })

  test('an address of a peer that makes no sense is told as trouble, and hurts nobody', async () => {
    const [a, b] = await pair()
    a.transport.setPeers(
      new Map([
        [b.id, b.address],
        [peerId(3), 'nonsense'],
        [peerId(4), 'localhost:0'],
      ]),
    )
    await until(() => a.troubles.length === 2)
    expect(a.codes()).toEqual(['INVALID_SETTINGS', 'INVALID_SETTINGS'])
    expect(a.troubles.map(({ peer }) => peer)).toEqual([3, 4])
    expect(a.say(b, 'x')).toBe(true)
  })

  test('a second start is refused, and so is one after close', async () => {
    const a = await start(1)
    await expect(a.start()).rejects.toMatchObject({ code: 'CLOSED' })
    await a.transport.close()
    await expect(a.start()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('a greeting above the limit is refused', async () => {
    const handler = { up: () => true, frame() {}, drain() {}, down() {}, trouble() {} }
    await expect(tcpTransport({ listen: '127.0.0.1:0' }).start(peerId(1), new Uint8Array(1025), handler)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test('close leaves no handle, whatever was under way, and the handler hears nothing more', async () => {
    const before = handles().length
    const [a, b] = await pair()
    const silent = connect(a.port, '127.0.0.1').on('error', () => {})
    await once(silent, 'connect')
    a.transport.setPeers(
      new Map([
        [b.id, b.address],
        [peerId(3), '203.0.113.1:1'],
        [peerId(4), await deadAddress()],
      ]),
    )
    b.say(a, new Uint8Array(1_000_000))
    const heard = a.heard.length
    await Promise.all([a.transport.close(), a.transport.close()])
    expect(a.transport.address()).toBeNull()
    expect(a.say(b, 'x')).toBe(false)
    await until(() => b.live(a) === 0)
    await b.transport.close()
    silent.destroy()
    await until(() => handles().length <= before)
    expect(a.heard.length).toBe(heard)
  })

  test('what was sent in the turn of close still leaves', async () => {
    const [a, b] = await pair()
    a.say(b, 'farewell')
    await a.transport.close()
    await until(() => b.live(a) === 0)
    expect(b.texts()).toEqual(['farewell'])
  })

  test('close during start ends it with CLOSED, and the port is free', async () => {
    const listen = await deadAddress()
    for (let round = 0; round < 5; round++) {
      const a = new Node(1, { listen })
      const starting = expect(a.start()).rejects.toMatchObject({ code: 'CLOSED' })
      await a.transport.close()
      await starting
    }
    await start(1, { listen })
  })

  const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some((each) => each.address === '::1'))
  test.skipIf(!hasIPv6)('IPv6 works, where this machine has it', async () => {
    const [a, b] = [await start(1, { listen: '[::1]:0' }), await start(2, { listen: { host: '::1', port: 0 } })]
    expect(a.address).toMatch(/^\[::1\]:\d+$/)
    introduce(a, b)
    await until(() => connected(a, b))
  })
})
