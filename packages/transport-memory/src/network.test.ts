import {
  type AntiphonError,
  type Clock,
  FRAME_BYTES_MAX,
  type Lane,
  type PeerId,
  peerId,
  type Random,
  type Transport,
  type TransportHandler,
} from '@antiphon/ports'
import { describe, expect, test } from 'vitest'
import { MemoryNetwork, type MemoryNetworkOptions } from './index.ts'

/** A clock that moves only when told: turns first, then the timers in the order of their times. */
class ManualClock implements Pick<Clock, 'monotonic' | 'schedule' | 'defer'> {
  #now = 0
  #turns: (() => void)[] = []
  #timers: { due: number; callback: () => void }[] = []

  monotonic(): number {
    return this.#now
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { due: this.#now + delayMs, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  defer(callback: () => void): void {
    this.#turns.push(callback)
  }

  /** One turn: what was deferred before it. */
  turn(): void {
    const callbacks = this.#turns
    this.#turns = []
    for (const callback of callbacks) callback()
  }

  run(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      while (this.#turns.length > 0) this.turn()
      const next = this.#timers.reduce((least, timer) => Math.min(least, timer.due), Number.POSITIVE_INFINITY)
      if (next > end) break
      this.#now = next
      const due = this.#timers.find((timer) => timer.due === next)
      this.#timers = this.#timers.filter((timer) => timer !== due)
      due?.callback()
    }
    this.#now = end
  }

  get timers(): number {
    return this.#timers.length
  }
}

interface Node {
  readonly address: string
  readonly id: PeerId
  readonly transport: Transport
  /** Everything that the handler heard, in order. */
  readonly heard: string[]
  readonly frames: { lane: Lane; bytes: Uint8Array }[]
  readonly trouble: AntiphonError[]
  /** The live connection's number, 0 when there is none. */
  live: (peer: Node) => number
  handler: Partial<TransportHandler>
}

function node(network: MemoryNetwork, address: string, id: number): Node {
  const live = new Map<PeerId, number>()
  const heard: string[] = []
  const frames: Node['frames'] = []
  const trouble: AntiphonError[] = []
  const it: Node = {
    address,
    id: peerId(id),
    transport: network.transport(address),
    heard,
    frames,
    trouble,
    live: (peer) => live.get(peer.id) ?? 0,
    handler: {},
  }
  const handler: TransportHandler = {
    up(peer, connection, greeting) {
      heard.push(`up ${peer} ${text(greeting)}`)
      const taken = it.handler.up?.(peer, connection, greeting) ?? true
      if (taken) live.set(peer, connection)
      return taken
    },
    frame(peer, connection, lane, bytes) {
      expect(connection).toBe(live.get(peer))
      frames.push({ lane, bytes })
      heard.push(`${lane} ${text(bytes)}`)
      it.handler.frame?.(peer, connection, lane, bytes)
    },
    drain(peer, connection) {
      heard.push(`drain ${peer}`)
      it.handler.drain?.(peer, connection)
    },
    down(peer, connection, reason) {
      expect(connection).toBe(live.get(peer))
      live.delete(peer)
      heard.push(`down ${peer} ${reason}`)
      it.handler.down?.(peer, connection, reason)
    },
    trouble(error, peer) {
      trouble.push(error)
      it.handler.trouble?.(error, peer)
    },
  }
  void it.transport.start(it.id, bytes(address), handler)
  return it
}

const text = (frame: Uint8Array): string => (frame.length > 40 ? `<${frame.length}>` : new TextDecoder().decode(frame))
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content)
const say = (from: Node, to: Node, content: string, lane: Lane = 'entries'): boolean => from.transport.send(to.id, [bytes(content)], lane)

/** Three nodes, connected and with nothing heard yet. */
function trio(options: MemoryNetworkOptions = {}): { clock: ManualClock; network: MemoryNetwork; a: Node; b: Node; c: Node } {
  const clock = new ManualClock()
  const network = new MemoryNetwork({ clock, ...options })
  const [a, b, c] = [node(network, 'a', 1), node(network, 'b', 2), node(network, 'c', 3)]
  const peers = new Map([a, b, c].map((each) => [each.id, each.address]))
  for (const each of [a, b, c]) each.transport.setPeers(peers)
  clock.run(100)
  expect([a.live(b), b.live(a), b.live(c), c.live(b), a.live(c), c.live(a)].every((connection) => connection > 0)).toBe(true)
  for (const each of [a, b, c]) each.heard.length = 0
  return { clock, network, a, b, c }
}

/** Counts down from `first`, and then over. */
const countdown = (first: number): Random => {
  let next = first
  return { uint32: () => (next = next > 0 ? next - 1 : first) }
}

describe('connections', () => {
  test('both sides hear up once, with the greeting of the other', () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork({ clock })
    const [a, b] = [node(network, 'a', 1), node(network, 'b', 2)]
    const peers = new Map([a, b].map((each) => [each.id, each.address]))
    a.transport.setPeers(peers)
    b.transport.setPeers(peers)
    clock.run(100)
    expect(a.heard).toEqual(['up 2 b'])
    expect(b.heard).toEqual(['up 1 a'])
  })

  test('a peer that starts later is found', () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork({ clock, redialMs: { min: 10, max: 1000 } })
    const a = node(network, 'a', 1)
    a.transport.setPeers(new Map([[peerId(2), 'b']]))
    clock.run(60_000)
    const b = node(network, 'b', 2)
    b.transport.setPeers(new Map([[peerId(1), 'a']]))
    clock.run(1)
    expect(a.heard).toEqual(['up 2 b'])
  })

  test('a second transport is refused while the address is taken', async () => {
    const network = new MemoryNetwork()
    const handler: TransportHandler = { up: () => true, frame() {}, drain() {}, down() {}, trouble() {} }
    const first = network.transport('a')
    await first.start(peerId(1), bytes('x'), handler)
    await expect(network.transport('a').start(peerId(1), bytes('x'), handler)).rejects.toMatchObject({ code: 'INVALID_SETTINGS' })
    await first.close()
    const second = network.transport('a')
    await second.start(peerId(1), bytes('x'), handler)
    await second.close()
  })

  test('an unknown peer, and an address where another one answers, are told as trouble', () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork({ clock })
    const [a, b, c] = [node(network, 'a', 1), node(network, 'b', 2), node(network, 'c', 3)]
    a.transport.setPeers(new Map())
    b.transport.setPeers(new Map([[a.id, 'a']]))
    c.transport.setPeers(new Map([[a.id, 'b']]))
    clock.run(1)
    expect(a.trouble[0]).toMatchObject({ code: 'UNKNOWN_PEER' })
    expect(c.trouble[0]).toMatchObject({ code: 'UNKNOWN_PEER' })
    expect([a.heard, b.heard, c.heard]).toEqual([[], [], []])
  })

  test('a refused connection is never down on the side that refused it, and is tried again ever more slowly', () => {
    const clock = new ManualClock()
    const network = new MemoryNetwork({ clock, redialMs: { min: 10, max: 1000 } })
    const [a, b] = [node(network, 'a', 1), node(network, 'b', 2)]
    a.handler.up = () => false
    a.transport.setPeers(new Map([[b.id, 'b']]))
    b.transport.setPeers(new Map([[a.id, 'a']]))
    clock.run(10_000)
    expect(a.heard.every((each) => each === 'up 2 b')).toBe(true)
    expect(a.heard.length).toBeGreaterThan(10)
    expect(a.heard.length).toBeLessThan(60)
    expect(b.live(a)).toBe(0)
    delete a.handler.up
    clock.run(1000)
    expect(a.live(b)).toBeGreaterThan(0)
    expect(b.live(a)).toBeGreaterThan(0)
  })

  test('disconnect is heard as down in a later turn, and a new number follows', () => {
    const { clock, a, b } = trio()
    const before = a.live(b)
    a.transport.disconnect(b.id, before + 1000)
    a.transport.disconnect(b.id, before)
    expect(a.heard).toEqual([])
    expect(say(a, b, 'too late')).toBe(false)
    clock.run(100)
    expect(a.heard).toEqual(['down 2 closed on this side', 'up 2 b'])
    expect(b.heard).toEqual(['down 1 closed by the peer', 'up 1 a'])
    expect(a.live(b)).toBeGreaterThan(before)
  })

  test('a peer that is no longer listed goes down and stays away', () => {
    const { clock, a, b, c } = trio()
    a.transport.setPeers(new Map([[b.id, 'b']]))
    clock.run(1000)
    expect(a.heard).toEqual(['down 3 no longer a peer'])
    expect(c.live(a)).toBe(0)
    expect(a.trouble[0]).toMatchObject({ code: 'UNKNOWN_PEER' })
    expect(say(a, c, 'x')).toBe(false)
    expect(say(a, b, 'x')).toBe(true)
  })

  test('close tells the others, leaves no timer, and hears nothing more', async () => {
    const { clock, network, a, b, c } = trio()
    for (const to of ['a', 'c']) network.delay('b', to, 1e6)
    say(b, a, 'x')
    say(b, c, 'x')
    await a.transport.close()
    await a.transport.close()
    clock.run(100)
    expect(a.heard).toEqual([])
    expect(b.heard).toEqual(['down 1 closed by the peer'])
    expect(say(a, b, 'x')).toBe(false)
    await Promise.all([b.transport.close(), c.transport.close()])
    clock.run(0)
    expect(clock.timers).toBe(0)
  })
})

describe('frames', () => {
  test('arrive in order on each lane, control before entries before bulk, and never inside send', () => {
    const { clock, a, b } = trio()
    for (const lane of ['bulk', 'entries', 'control'] as const) for (let i = 0; i < 3; i++) expect(say(a, b, `${i}`, lane)).toBe(true)
    expect(b.heard).toEqual([])
    clock.turn()
    expect(b.heard).toEqual(['control 0', 'control 1', 'control 2', 'entries 0', 'entries 1', 'entries 2', 'bulk 0', 'bulk 1', 'bulk 2'])
  })

  test('that answers send wait for another turn', () => {
    const { clock, a, b } = trio()
    b.handler.frame = () => void say(b, a, 'pong')
    a.handler.frame = () => void say(a, b, 'ping')
    say(a, b, 'ping')
    for (let i = 0; i < 10; i++) clock.turn()
    expect(b.frames.length).toBe(5)
    expect(a.frames.length).toBe(5)
  })

  test('of one piece are the same memory, of several are joined', () => {
    const { clock, a, b } = trio()
    const one = bytes('one')
    a.transport.send(b.id, [one], 'entries')
    a.transport.send(b.id, [bytes('t'), bytes(''), bytes('wo')], 'entries')
    a.transport.send(b.id, [], 'entries')
    a.transport.send(b.id, [new Uint8Array(70_000).fill(1), new Uint8Array(30_000).fill(2)], 'entries')
    clock.turn()
    expect(b.frames[0]?.bytes).toBe(one)
    expect(text(b.frames[1]?.bytes as Uint8Array)).toBe('two')
    expect(b.frames[2]?.bytes.length).toBe(0)
    const large = b.frames[3]?.bytes as Uint8Array
    expect([large.length, large[69_999], large[70_000], large[99_999]]).toEqual([100_000, 1, 2, 2])
  })

  test('beyond the lane are refused, and drain follows when it has room', () => {
    const { clock, network, a, b } = trio({ laneBytesMax: { entries: 100 } })
    network.hold('a', 'b')
    expect(a.transport.send(b.id, [new Uint8Array(300)], 'entries')).toBe(true)
    expect(a.transport.send(b.id, [new Uint8Array(1)], 'entries')).toBe(false)
    expect(a.transport.send(b.id, [new Uint8Array(1)], 'control')).toBe(true)
    clock.run(10)
    expect(a.heard).toEqual([])
    network.release('a', 'b')
    a.handler.drain = () => expect(a.transport.send(b.id, [new Uint8Array(1)], 'entries')).toBe(true)
    clock.run(10)
    expect(a.heard).toEqual(['drain 2'])
    expect(b.frames.map((frame) => frame.bytes.length)).toEqual([1, 300, 1])
  })

  test('longer than the limit end the connection with TOO_LARGE', () => {
    const { clock, a, b } = trio()
    expect(a.transport.send(b.id, [new Uint8Array(FRAME_BYTES_MAX), new Uint8Array(1)], 'bulk')).toBe(false)
    clock.run(1)
    expect(a.trouble[0]).toMatchObject({ code: 'TOO_LARGE' })
    expect(a.heard[0]).toBe('down 2 closed on this side')
  })

  test('a handler that throws loses its connection, and nobody else does', () => {
    const { clock, a, b, c } = trio()
    b.handler.frame = () => {
      throw new Error('boom')
    }
    say(a, b, 'x')
    say(a, c, 'y')
    clock.turn()
    clock.turn()
    expect(b.trouble[0]).toMatchObject({ code: 'ABORTED', cause: new Error('boom') })
    expect(b.heard).toEqual(['entries x', 'down 1 the handler failed'])
    expect(c.heard).toEqual(['entries y'])
  })
})

describe('faults', () => {
  test('a cut tells both sides, loses what is under way, and lasts until it heals', () => {
    const { clock, network, a, b } = trio({ redialMs: { min: 10, max: 100 } })
    say(a, b, 'lost')
    network.cut('a', 'b')
    clock.run(5000)
    expect(a.heard).toEqual(['down 2 cut'])
    expect(b.heard).toEqual(['down 1 cut'])
    network.heal('a', 'b')
    clock.run(100)
    expect(a.heard).toEqual(['down 2 cut', 'up 2 b'])
    expect(say(a, b, 'again')).toBe(true)
    clock.run(1)
    expect(b.heard.at(-1)).toBe('entries again')
  })

  test('a silent cut is noticed by nobody, until it heals', () => {
    const { clock, network, a, b } = trio()
    network.cut('a', 'b', { silent: true })
    expect(say(a, b, 'lost')).toBe(true)
    clock.run(5000)
    expect([a.heard, b.heard]).toEqual([[], []])
    network.heal()
    clock.run(100)
    expect(a.heard).toEqual(['down 2 frames were lost in a cut', 'up 2 b'])
    expect(b.heard).toEqual(['down 1 frames were lost in a cut', 'up 1 a'])
  })

  test('a silent cut in which nobody spoke leaves the connection whole', () => {
    const { clock, network, a, b } = trio()
    network.cut('a', 'b', { silent: true })
    clock.run(5000)
    network.heal()
    say(a, b, 'still here')
    clock.run(100)
    expect(b.heard).toEqual(['entries still here'])
  })

  test('a one-way cut lets the other direction through, and fills the lane', () => {
    const { clock, network, a, b } = trio({ laneBytesMax: { entries: 10 } })
    network.cutOneWay('a', 'b')
    expect(say(a, b, 'lost')).toBe(true)
    say(b, a, 'arrives')
    clock.run(1000)
    expect(say(a, b, '0123456789')).toBe(false)
    expect(b.heard).toEqual([])
    expect(a.heard).toEqual(['entries arrives'])
    b.transport.disconnect(a.id, b.live(a))
    clock.run(1000)
    expect(a.heard.slice(1)).toEqual(['down 2 closed by the peer'])
    expect(b.heard).toEqual(['down 1 closed on this side'])
    network.heal('a', 'b')
    clock.run(100)
    expect(a.live(b)).toBeGreaterThan(0)
  })

  test('held frames wait in order and are released unharmed', () => {
    const { clock, network, a, b } = trio()
    say(a, b, '0')
    network.hold('a', 'b')
    say(a, b, '1')
    clock.run(1000)
    expect(b.heard).toEqual([])
    network.release('a', 'b')
    say(a, b, '2')
    clock.run(1)
    expect(b.heard).toEqual(['entries 0', 'entries 1', 'entries 2'])
    expect(a.heard).toEqual([])
  })

  test('a drop delivers a part of what is under way, in order, and loses the tail', () => {
    for (const kept of [0, 1, 2, 3]) {
      const { clock, network, a, b } = trio({ random: { uint32: () => kept } })
      for (const content of ['0', '1', '2']) say(a, b, content)
      network.drop('a', 'b')
      expect(say(a, b, 'sent after the drop')).toBe(true)
      clock.run(100)
      expect(b.heard).toEqual([...['entries 0', 'entries 1', 'entries 2'].slice(0, kept), 'down 1 dropped', 'up 1 a'])
      expect(a.heard).toEqual(['down 2 dropped', 'up 2 b'])
    }
  })

  test('a drop on one side leaves the other half-open until it is connected to again', () => {
    const { clock, network, a, b } = trio({ redialMs: { min: 10, max: 20 } })
    network.dropAt('a', 'b')
    expect(say(b, a, 'into the void')).toBe(true)
    clock.run(4)
    expect(a.heard).toEqual(['down 2 dropped'])
    expect(b.heard).toEqual([])
    clock.run(20)
    expect(a.heard).toEqual(['down 2 dropped', 'up 2 b'])
    expect(b.heard).toEqual(['down 1 replaced by a newer connection', 'up 1 a'])
  })

  test('a crashed peer is missed only when it is back', () => {
    const { clock, network, a, b } = trio()
    network.crash('b')
    clock.run(5000)
    expect(say(a, b, 'into the void')).toBe(true)
    expect(a.heard).toEqual([])
    expect(b.heard).toEqual([])
    const restarted = node(network, 'b', 2)
    restarted.transport.setPeers(new Map([[a.id, 'a']]))
    clock.run(1)
    expect(a.heard).toEqual(['down 2 replaced by a newer connection', 'up 2 b'])
    say(a, restarted, 'hello')
    clock.run(1)
    expect(restarted.heard).toEqual(['up 1 a', 'entries hello'])
  })

  test('a partition cuts groups from each other and leaves them whole inside', () => {
    const { clock, network, a, b, c } = trio()
    network.partition([['a', 'b'], ['c']])
    clock.run(10)
    expect(a.heard).toEqual(['down 3 cut'])
    expect(c.heard).toEqual(['down 1 cut', 'down 2 cut'])
    expect(say(a, b, 'x')).toBe(true)
    network.heal()
    clock.run(100)
    expect(c.heard.slice(2).sort()).toEqual(['up 1 a', 'up 2 b'])
  })

  test('delays keep each lane in order, and let lanes overtake each other', () => {
    const { clock, network, a, b } = trio({ random: countdown(9) })
    network.delay('a', 'b', { min: 0, max: 50 })
    const sent = { control: [] as string[], entries: [] as string[], bulk: [] as string[] }
    for (let i = 0; i < 300; i++) {
      const lane = (['bulk', 'entries', 'control'] as const)[i % 3] as Lane
      sent[lane].push(`${i}`)
      say(a, b, `${i}`, lane)
      if (i % 10 === 0) clock.run(1)
    }
    clock.run(50)
    expect(b.frames.length).toBe(300)
    for (const lane of ['control', 'entries', 'bulk'] as const)
      expect(b.frames.filter((frame) => frame.lane === lane).map((frame) => text(frame.bytes))).toEqual(sent[lane])
    expect(b.heard).not.toEqual(Array.from({ length: 300 }, (_, i) => `${['bulk', 'entries', 'control'][i % 3]} ${i}`))
  })

  test('a delayed frame is not there before its time', () => {
    const { clock, network, a, b } = trio()
    network.delay('a', 'b', 7)
    say(a, b, 'x')
    clock.run(6.5)
    expect(b.heard).toEqual([])
    clock.run(0.5)
    expect(b.heard).toEqual(['entries x'])
  })

  test('the same seed and the same orders give the same history', () => {
    const history = (): string[] => {
      const { clock, network, a, b, c } = trio({ delayMs: { min: 0, max: 5 }, redialMs: { min: 3, max: 40 } })
      for (let round = 0; round < 200; round++) {
        for (const [from, to] of [
          [a, b],
          [b, c],
          [c, a],
          [b, a],
        ] as const)
          say(from, to, `${round}`, round % 2 === 0 ? 'control' : 'entries')
        if (round % 17 === 0) network.drop('a', 'b')
        if (round % 31 === 0) network.cut('b', 'c', { silent: round % 2 === 0 })
        if (round % 31 === 9) network.heal()
        clock.run(1)
      }
      clock.run(1000)
      return [a, b, c].flatMap((each) => each.heard)
    }
    const first = history()
    expect(first.length).toBeGreaterThan(300)
    expect(history()).toEqual(first)
  })
})

test('without a clock it runs on real turns and timers', async () => {
  const network = new MemoryNetwork({ delayMs: { min: 0, max: 1 } })
  const [a, b] = [node(network, 'a', 1), node(network, 'b', 2)]
  const arrived = new Promise<void>((resolve) => {
    b.handler.frame = () => resolve()
    a.handler.up = () => {
      setImmediate(() => say(a, b, 'x'))
      return true
    }
  })
  a.transport.setPeers(new Map([[b.id, 'b']]))
  b.transport.setPeers(new Map([[a.id, 'a']]))
  const alive = setInterval(() => {}, 1000)
  await arrived
  clearInterval(alive)
  await Promise.all([a.transport.close(), b.transport.close()])
})

test('impossible settings are refused', () => {
  expect(() => new MemoryNetwork({ delayMs: -1 })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => new MemoryNetwork({ laneBytesMax: { bulk: 0 } })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => new MemoryNetwork({ redialMs: { min: Number.NaN, max: 1 } })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => new MemoryNetwork().transport('')).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
  expect(() => new MemoryNetwork().delay('a', 'b', { min: 2, max: 1 })).toThrow(expect.objectContaining({ code: 'INVALID_SETTINGS' }))
})
