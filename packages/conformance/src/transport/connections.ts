import { GREETING_BYTES_MAX, type PeerId } from '@antiphon/ports'
import { assert, assertEqual, bytesOf, fail, turn, within } from '../suite.ts'
import { Recorder } from './recorder.ts'
import { A, B, C, LANES, type Peer, type TransportCases, type Wires } from './setup.ts'

async function hears(from: Peer, to: Peer, mark: number): Promise<void> {
  assert(from.heard.send(from.transport, to.id, [Uint8Array.of(mark)], 'control'), `send() from ${from.id} to ${to.id} was refused`)
  await to.heard.until(() => to.heard.framesFrom(from.id).some(({ bytes }) => bytes.length === 1 && bytes[0] === mark), `frame ${mark} from ${from.id}`)
}

async function backAgain(a: Peer, b: Peer, before: readonly [number, number]): Promise<void> {
  await a.heard.connected(b.id, before[0])
  await b.heard.connected(a.id, before[1])
  assert(
    a.heard.ends.some(({ connection }) => connection === before[0]),
    'A was not told that the first connection is down',
  )
  assert(
    b.heard.ends.some(({ connection }) => connection === before[1]),
    'B was not told that the first connection is down',
  )
}

const numbers = (a: Peer, b: Peer): [number, number] => [a.heard.live.get(b.id) ?? fail('no connection'), b.heard.live.get(a.id) ?? fail('no connection')]

/** Coming, going, and those who should not have come. */
export const connections: TransportCases = (add) => {
  add('a connection that was closed is told to both ends and dialled again, under new numbers', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    for (const [closer, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const before = numbers(a, b)
      closer.transport.disconnect(other.id, numbers(closer, other)[0])
      await backAgain(a, b, before)
      await hears(a, b, before[0] % 200)
      await hears(b, a, before[0] % 200)
    }
  })

  add('frames of a connection that is down are never told; those of the next one are', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    for (let round = 1; round <= 5; round++) {
      const before = numbers(a, b)
      for (let i = 0; i < 200; i++) a.transport.send(B, [Uint8Array.of(round), bytesOf(500, i)], LANES[i % 3]!)
      b.transport.disconnect(A, before[1])
      await backAgain(a, b, before)
    }
    // The recorder has compared each frame's connection with the live one.
    await hears(a, b, 77)
  })

  add('disconnect() of a connection that is gone does nothing', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    const before = numbers(a, b)
    a.transport.disconnect(B, before[0])
    await backAgain(a, b, before)
    a.transport.disconnect(B, before[0])
    a.transport.disconnect(99 as PeerId, 1)
    await hears(a, b, 1)
    await hears(b, a, 2)
    assertEqual([a.heard.ends.length, b.heard.ends.length], [1, 1], 'how often down() was told')
  })

  add('a connection that the network breaks is told to both ends and dialled again', 'severs', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    for (let round = 1; round <= 3; round++) {
      const before = numbers(a, b)
      for (let i = 0; i < 50; i++) a.transport.send(B, [bytesOf(10_000, i)], 'entries')
      assert(wires.network.sever !== undefined, 'the set-up says `severs`, but its networks have no `sever`')
      wires.network.sever(A, B)
      await backAgain(a, b, before)
      await hears(a, b, round)
      await hears(b, a, round)
    }
  })

  add('a handler that refuses a connection hears nothing more of it, and is asked again', 'always', async (wires) => {
    const [a, b] = await Promise.all([wires.start(A), wires.start(B)])
    let asked = 0
    a.heard.admit = () => ++asked > 2
    wires.introduce(a, b)
    await a.heard.connected(B)
    assertEqual([asked, a.heard.ends.length], [3, 0], 'times asked, and times told down')
    await b.heard.connected(A)
    await hears(a, b, 1)
  })

  add('a peer that was not there yet is found once it is', 'always', async (wires) => {
    const a = await wires.start(A)
    a.transport.setPeers(new Map([[B, await goneAddress(wires)]]))
    const b = await wires.start(B)
    wires.introduce(a, b)
    await a.heard.connected(B)
    await hears(b, a, 3)
  })

  add('a peer that does not know us yet is dialled again until it does', 'always', async (wires) => {
    const [a, b] = await Promise.all([wires.start(A), wires.start(B)])
    for (const [first, second] of [
      [a, b],
      [b, a],
    ] as const) {
      first.transport.setPeers(new Map([[second.id, second.address]]))
      for (let i = 0; i < 20; i++) await turn()
      second.transport.setPeers(new Map([[first.id, first.address]]))
      await first.heard.connected(second.id)
      await second.heard.connected(first.id)
      for (const { transport, heard, id } of [a, b]) {
        transport.setPeers(new Map())
        await heard.until(() => heard.live.size === 0, `the end of every connection of ${id}`)
      }
    }
  })

  add('the next process of a peer is another connection, at its new address', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    await within(b.transport.close(), 'close()')
    b.heard.closed()
    await a.heard.until(() => !a.heard.live.has(B), 'down(B)')
    const again = await wires.start(B)
    wires.introduce(a, again)
    await a.heard.connected(B)
    await hears(a, again, 4)
    await hears(again, a, 5)
  })

  add('a peer that is no longer in setPeers is dropped, and comes back when it is again', 'always', async (wires) => {
    const [a, b, c] = (await wires.mesh(A, B, C)) as [Peer, Peer, Peer]
    a.transport.setPeers(new Map([[C, c.address]]))
    await a.heard.until(() => !a.heard.live.has(B), 'down(B)')
    assertEqual(a.transport.send(B, [Uint8Array.of(1)], 'control'), false, 'send() to a dropped peer')
    await hears(a, c, 9)
    wires.introduce(a, b, c)
    await a.heard.connected(B)
    await b.heard.connected(A)
    await hears(b, a, 6)
    await hears(a, b, 7)
  })

  add('close() is told to the others, may be repeated, and ends everything', 'always', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    const closing = [a.transport.close(), a.transport.close()]
    await within(Promise.all(closing), 'close()')
    a.heard.closed()
    await within(a.transport.close(), 'close() of a closed transport')
    await b.heard.until(() => !b.heard.live.has(A), 'down(A)')
    assertEqual(a.transport.send(B, [Uint8Array.of(1)], 'control'), false, 'send() on a closed transport')
    a.transport.disconnect(B, 1)
  })

  add('whoever answers under another name than the one that was dialled is not that peer', 'always', async (wires) => {
    const [a, c] = await Promise.all([wires.start(A), wires.start(C)])
    // A takes C for B; C knows A well.
    a.transport.setPeers(new Map([[B, c.address]]))
    c.transport.setPeers(new Map([[A, a.address]]))
    await Promise.race([
      a.heard.until(() => a.heard.troubles.length > 0 || a.heard.live.size > 0, 'trouble() at A'),
      c.heard.until(() => c.heard.troubles.length > 0, 'trouble() at C'),
    ])
    assert(!a.heard.live.has(B) && !a.heard.live.has(C), 'A was told of a connection that is not what it asked for')
    wires.introduce(a, c)
    await a.heard.connected(C)
    await c.heard.connected(A)
  })

  add("a stranger's garbage is hung up on and told, and disturbs nobody", 'strangers', async (wires) => {
    const [a, b] = (await wires.mesh(A, B)) as [Peer, Peer]
    assert(wires.network.stranger !== undefined, 'the set-up says `strangers`, but its networks have no `stranger`')
    const garbage = [
      bytesOf(4_000, 1),
      Uint8Array.from({ length: 64 }, () => 0xff),
      new Uint8Array(64),
      new TextEncoder().encode('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'),
    ]
    for (const bytes of garbage) {
      const before = a.heard.troubles.length
      await within(wires.network.stranger(a.address, bytes), "the end of a stranger's connection")
      await a.heard.until(() => a.heard.troubles.length > before, 'trouble() about a stranger')
    }
    await hears(a, b, 1)
    await hears(b, a, 2)
    assertEqual([a.heard.ends.length, b.heard.ends.length], [0, 0], 'how often down() was told')
  })

  add('a greeting that is too long is refused at once', 'always', async (wires) => {
    const { transport } = wires.network.create(A)
    const started = transport.start(A, new Uint8Array(GREETING_BYTES_MAX + 1), new Recorder(A))
    const error: unknown = await within(
      started.then(
        () => null,
        (reason: unknown) => reason,
      ),
      'start()',
    )
    await transport.close()
    assert(error instanceof Error && error.name === 'AntiphonError', `a greeting of ${GREETING_BYTES_MAX + 1} bytes was not refused with an error of our own`)
  })
}

/** Where nobody listens any more. */
async function goneAddress(wires: Wires): Promise<string> {
  const gone = await wires.start(C)
  await gone.transport.close()
  gone.heard.closed()
  return gone.address
}
