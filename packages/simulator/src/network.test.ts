import { type Lane, type PeerId, peerId, type TransportHandler } from '@antiphon/ports'
import { expect, test } from 'vitest'
import { calm, type NetworkConditions, SimNetwork, type SimTransport } from './network.ts'
import { SeededRandom } from './random.ts'
import { Timeline } from './timeline.ts'
import { Trace } from './trace.ts'

const ONE = peerId(1)
const TWO = peerId(2)
const PEERS = new Map([
  [ONE, 'one'],
  [TWO, 'two'],
])

interface Host {
  readonly transport: SimTransport
  readonly log: string[]
  readonly up: Map<PeerId, number>
}

function setUp(
  seed: number,
  change: Partial<NetworkConditions> = {},
): { timeline: Timeline; network: SimNetwork; run: (ms: number) => void; host: (id: PeerId) => Host } {
  const timeline = new Timeline()
  const network = new SimNetwork(timeline, new SeededRandom(seed), new Trace(null), { ...calm(), ...change }, () => '')
  const run = (ms: number): void => {
    let ended = false
    timeline.after(ms, 0, () => {
      ended = true
    })
    while (!ended) {
      const happening = timeline.take()!
      happening.run!()
    }
  }
  const host = (id: PeerId): Host => {
    const transport = network.transport(id)
    const log: string[] = []
    const up = new Map<PeerId, number>()
    const handler: TransportHandler = {
      up: (peer, connection, greeting) => {
        log.push(`up ${greeting[0]}`)
        up.set(peer, connection)
        return true
      },
      frame: (peer, connection, lane, bytes) => {
        expect(up.get(peer)).toBe(connection)
        log.push(`${lane} ${bytes[0]}`)
      },
      drain: () => log.push('drain'),
      down: (peer) => {
        log.push('down')
        up.delete(peer)
      },
      trouble: (error) => log.push(error.code),
    }
    transport.setPeers(PEERS)
    void transport.start(id, new Uint8Array([id]), handler)
    return { transport, log, up }
  }
  return { timeline, network, run, host }
}

const frame = (byte: number, length = 4): Uint8Array[] => [new Uint8Array([byte]), new Uint8Array(length - 1)]
const framesOf = (log: readonly string[], lane: Lane): number[] => log.filter((line) => line.startsWith(lane)).map((line) => Number(line.split(' ')[1]))

test("both ends come up with the other one's greeting", () => {
  const { host, run } = setUp(1)
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  expect(one.log).toEqual(['up 2'])
  expect(two.log).toEqual(['up 1'])
})

test('frames keep their order within a lane, and lanes overtake each other', () => {
  let overtaken = 0
  for (let seed = 1; seed <= 30; seed++) {
    const { host, run } = setUp(seed, { delayHigh: 50, coalesceChance: 0.3 })
    const [one, two] = [host(ONE), host(TWO)]
    run(200)
    for (let i = 1; i <= 20; i++) {
      expect(one.transport.send(TWO, frame(i), 'entries')).toBe(true)
      expect(one.transport.send(TWO, frame(i), 'control')).toBe(true)
      run(1)
    }
    run(2000)
    const inOrder = Array.from({ length: 20 }, (_, i) => i + 1)
    expect(framesOf(two.log, 'entries')).toEqual(inOrder)
    expect(framesOf(two.log, 'control')).toEqual(inOrder)
    if (two.log.indexOf('control 20') < two.log.indexOf('entries 10')) overtaken++
  }
  expect(overtaken).toBeGreaterThan(0)
})

test('a broken connection loses its tail, nothing before it, and goes down before the next comes up', () => {
  let lost = 0
  for (let seed = 1; seed <= 50; seed++) {
    const { host, run, network } = setUp(seed, { delayHigh: 20, noticeMs: 300 })
    const [one, two] = [host(ONE), host(TWO)]
    run(200)
    for (let i = 1; i <= 20; i++) {
      one.transport.send(TWO, frame(i), 'entries')
      run(1)
    }
    network.sever(ONE, TWO)
    run(3000)
    const came = framesOf(two.log, 'entries')
    expect(came).toEqual(Array.from({ length: came.length }, (_, i) => i + 1))
    if (came.length < 20) lost++
    for (const { log } of [one, two])
      expect(log.filter((line) => line.startsWith('up') || line === 'down').map((line) => line.slice(0, 2))).toEqual(['up', 'do', 'up'])
  }
  expect(lost).toBeGreaterThan(10)
})

test('a cut holds up one direction alone, and what was under way arrives after it heals', () => {
  const { host, run, network } = setUp(3)
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  network.pass(ONE, TWO, 'cut')
  for (let i = 1; i <= 3; i++) one.transport.send(TWO, frame(i), 'control')
  two.transport.send(ONE, frame(9), 'control')
  run(1000)
  expect(framesOf(two.log, 'control')).toEqual([])
  expect(framesOf(one.log, 'control')).toEqual([9])
  network.pass(ONE, TWO, 'open')
  one.transport.send(TWO, frame(4), 'control')
  run(1000)
  expect(framesOf(two.log, 'control')).toEqual([1, 2, 3, 4])
})

test('nobody connects across a cut', () => {
  const { host, run, network } = setUp(4)
  network.pass(TWO, ONE, 'cut')
  const [one, two] = [host(ONE), host(TWO)]
  run(3000)
  expect([...one.log, ...two.log]).toEqual([])
  network.heal()
  run(1000)
  expect([...one.log, ...two.log]).toEqual(['up 2', 'up 1'])
})

test('the end of a process is told to its peer, and its successor gets a connection of its own', () => {
  const { host, run } = setUp(5)
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  two.transport.crash()
  run(200)
  expect(one.log).toEqual(['up 2', 'down'])
  const again = host(TWO)
  run(500)
  expect(one.log).toEqual(['up 2', 'down', 'up 2'])
  expect(again.log).toEqual(['up 1'])
})

test('a process that dies behind a cut leaves a connection half open until its successor comes', () => {
  const { host, run, network } = setUp(6)
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  network.pass(TWO, ONE, 'cut')
  two.transport.crash()
  run(2000)
  expect(one.log).toEqual(['up 2'])
  network.pass(TWO, ONE, 'open')
  host(TWO)
  run(1000)
  expect(one.log).toEqual(['up 2', 'down', 'up 2'])
})

test('a full lane refuses, takes again after it has drained, and holds up no other lane', () => {
  const { host, run, network } = setUp(7, { laneBytesMax: 100 })
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  network.pass(ONE, TWO, 'cut')
  expect(one.transport.send(TWO, frame(1, 500), 'bulk')).toBe(true)
  expect(one.transport.send(TWO, frame(2, 10), 'bulk')).toBe(false)
  expect(one.transport.send(TWO, frame(3, 10), 'control')).toBe(true)
  run(100)
  expect(one.log).toEqual(['up 2'])
  network.heal()
  run(100)
  expect(one.log).toEqual(['up 2', 'drain'])
  expect(framesOf(two.log, 'bulk')).toEqual([1])
  expect(one.transport.send(TWO, frame(4, 10), 'bulk')).toBe(true)
})

test('a refused greeting closes the connection without a word to the one that refused', () => {
  const { host, run } = setUp(8)
  const one = host(ONE)
  one.transport.handler.up = () => {
    one.log.push('refused')
    return false
  }
  const two = host(TWO)
  run(100)
  expect(one.log.filter((line) => line !== 'refused')).toEqual([])
  expect(one.log.length).toBeGreaterThan(0)
  expect(two.log.slice(0, 2)).toEqual(['up 1', 'down'])
})

test('a disconnected connection goes down at both ends, and another one follows', () => {
  const { host, run } = setUp(9)
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  one.transport.disconnect(TWO, one.up.get(TWO)!)
  one.transport.disconnect(TWO, 77)
  run(500)
  expect(one.log).toEqual(['up 2', 'down', 'up 2'])
  expect(two.log).toEqual(['up 1', 'down', 'up 1'])
})

test('in a black hole connections come up and stay, what is said on them is taken until there is no more room, and nobody hears it', () => {
  const { host, run, network } = setUp(10, { laneBytesMax: 100 })
  network.pass(ONE, TWO, 'hole')
  const [one, two] = [host(ONE), host(TWO)]
  run(500)
  expect([one.log, two.log]).toEqual([['up 2'], ['up 1']])
  expect(one.transport.send(TWO, frame(1, 60), 'control')).toBe(true)
  expect(one.transport.send(TWO, frame(2, 60), 'control')).toBe(false)
  expect(two.transport.send(ONE, frame(3, 60), 'control')).toBe(true)
  run(2000)
  expect(framesOf(two.log, 'control')).toEqual([])
  expect(framesOf(one.log, 'control')).toEqual([3])
  network.pass(ONE, TWO, 'open')
  run(500)
  expect(framesOf(two.log, 'control')).toEqual([1])
})

test('a slow link takes its time for each lane, in one direction, and not beyond its end', () => {
  const { host, run, network, timeline } = setUp(11)
  const [one, two] = [host(ONE), host(TWO)]
  run(200)
  network.throttle(ONE, TWO, timeline.now + 1000, 1)
  for (let i = 1; i <= 5; i++) one.transport.send(TWO, frame(i, 300), 'entries')
  one.transport.send(TWO, frame(6, 20), 'control')
  two.transport.send(ONE, frame(7, 300), 'entries')
  run(100)
  expect([framesOf(two.log, 'entries'), framesOf(two.log, 'control'), framesOf(one.log, 'entries')]).toEqual([[], [6], [7]])
  run(600)
  expect(framesOf(two.log, 'entries')).toEqual([1, 2])
  run(350)
  expect(framesOf(two.log, 'entries')).toEqual([1, 2, 3, 4, 5])
})

test('when both sides dial, each is up on one connection at a time, and both end on the same one', () => {
  let strays = 0
  for (let seed = 1; seed <= 40; seed++) {
    const { host, run, network } = setUp(seed, { delayHigh: 30, noticeMs: 300 })
    const [one, two] = [host(ONE), host(TWO)]
    run(300)
    let said = 0
    for (let times = 0; times < 3; times++) {
      network.redial(ONE, TWO)
      for (let i = 0; i < 10; i++) {
        if (one.transport.send(TWO, frame(++said), 'entries')) run(1)
      }
    }
    run(3000)
    for (const { log } of [one, two]) {
      const changes = log.filter((line) => line.startsWith('up') || line === 'down').map((line) => line.slice(0, 2))
      expect(changes.every((change, i) => change === (i % 2 === 0 ? 'up' : 'do'))).toBe(true)
      expect(changes.at(-1)).toBe('up')
    }
    const came = framesOf(two.log, 'entries')
    // Connections may overtake each other; on none of them is anything heard twice.
    expect(new Set(came).size).toBe(came.length)
    if (came.length < said) strays++
    one.transport.send(TWO, frame(99), 'control')
    two.transport.send(ONE, frame(98), 'control')
    run(200)
    expect([framesOf(two.log, 'control'), framesOf(one.log, 'control')]).toEqual([[99], [98]])
  }
  expect(strays).toBeGreaterThan(5)
})
